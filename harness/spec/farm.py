"""farm.yaml: the boards of a farm, each merged with its profile, narrowed by a selector."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from harness.errors import Problem, SpecError
from harness.spec import validate, yaml
from harness.spec.board import BoardForm, BoardSettings, Written, check_board, check_meter, settle
from harness.spec.form import Form, MetricLimits, Name, Scope, Title
from harness.spec.limits import read_scopes
from harness.spec.model import MODELLED, PINNED, SIMULATED, Device, Farm, Ssh, Suite
from harness.spec.profile import Profile, ProfileShelf
from harness.spec.ssh import SshForm, check_host_key
from harness.spec.tree import Document, Items, Location, Mapping, Scalar
from harness.spec.validate import quoted, suggest


def _alias(value: object) -> object:
    return {"host": value} if isinstance(value, str) else value


class DeviceForm(BoardForm):
    """One board of the farm."""

    noun: ClassVar[str] = "a device"
    name: Name = Field(
        description="The board's name in test ids and reports, unique in the farm.", examples=["pi-lab-3"]
    )
    profile: str = Field(
        description="The kind of board: a file of device_profiles/.", examples=["rpi5", "qemu-cortex-a53"]
    )
    ssh: Annotated[SshForm | None, BeforeValidator(_alias, json_schema_input_type=str | SshForm)] = Field(
        default=None,
        description="How to reach a physical board: an alias of ~/.ssh/config, or host, user and port.",
        examples=["pi-lab-3"],
    )
    host_key: Annotated[str, AfterValidator(check_host_key)] = Field(
        default="",
        description="The board's pinned host key; without it known_hosts decides. Never accepted blindly.",
        examples=["SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"],
    )
    tags: list[Name] = Field(
        default=[], description="Words to select by: --devices=farm.yaml::camera.", examples=[["lab-a"]]
    )
    gates: dict[Scope, MetricLimits] = Field(
        default={},
        description="Limits for this board alone (strongest), per suite name or for `all` suites.",
        examples=[{"all": {"latency.p95": {"max": "5 ms"}}}],
    )


class FarmForm(Form):
    """The boards of a farm."""

    noun: ClassVar[str] = "a farm"
    farm: Title = Field(description="Name of the farm.", examples=["demo"])
    devices: list[DeviceForm] = Field(description="The boards.", min_length=1)


def load_farm(path: Path, *, select: str = "", profile_dirs: Sequence[Path] = ()) -> Farm:
    """Read farm.yaml and every profile that it names.

    Args:
        path: the farm file.
        select: what follows `::` in `--devices=farm.yaml::a53,camera,pi-*`: names, tags or globs over names and tags,
            by comma; empty: all devices.
        profile_dirs: folders of profiles that win over the farm's own and the shipped ones.

    Returns:
        The farm with the selected devices, in file order.

    Raises:
        SpecError: everything that is wrong in the farm and its profiles, or a selector that matches nothing.
    """
    problems: list[Problem] = []
    shelf = ProfileShelf.beside(path, profile_dirs)
    document = yaml.read(path, problems)
    form = validate.validate(FarmForm, document, problems) if document is not None else None
    devices: list[Device] = []
    said: dict[str, tuple[Written, ...]] = {}
    if document is not None:
        _check_gates(document, problems)
        _check_unique(document, problems)
        profiles = _read_profiles(document, shelf, problems)
        for index, device in enumerate(form.devices if form is not None else ()):
            profile = profiles.get(device.profile)
            if profile is not None:
                said[device.name] = (Written(device, document, ("devices", index)), *profile.chain)
                devices.append(_resolve(device, index, document, profile, problems))
    validate.finish(problems)
    assert form is not None
    scopes = dict.fromkeys([device.name for device in devices] + shelf.names())
    chosen = _select(devices, select, yaml.shown(path))
    # Only of boards that are used: a package may be missing where its meter is not.
    validate.finish([problem for device in chosen for problem in check_meter(device.power, said[device.name])])
    return Farm(form.farm, yaml.shown(path), chosen, tuple(scopes))


def check_scopes(suite: Suite, farm: Farm) -> list[Problem]:
    """Find the names in a suite that are neither a device of the farm nor a profile.

    Returns:
        One problem per unknown scope of `gates:` and per unknown word of an artifact's `devices:`.
    """
    known = ["all", *farm.scopes]
    problems = []
    for gate in suite.gates:
        if gate.scope not in known and gate.origin is not None:
            place = (gate.origin.file, gate.origin.line, gate.origin.column)
            said = f"unknown scope {quoted(gate.scope)}: neither 'all', nor a device of {farm.file}, nor a profile"
            problems.append(Problem(*place, said, suggest(gate.scope, known)))
    for artifact in suite.artifacts:
        for name in artifact.devices:
            if name not in farm.scopes:
                place = (artifact.origin.file, artifact.origin.line, artifact.origin.column)
                said = f"artifact {artifact.name!r} is meant for {quoted(name)}: no such device or profile"
                problems.append(Problem(*place, said, suggest(name, farm.scopes)))
    return problems


def _check_gates(document: Document, problems: list[Problem]) -> None:
    devices = document.find(["devices"])
    count = len(devices.items) if isinstance(devices, Items) else 0
    for index in range(count):
        read_scopes(document, ["devices", index, "gates"], problems)


def _check_unique(document: Document, problems: list[Problem]) -> None:
    devices = document.find(["devices"])
    first: dict[str, int] = {}
    for item in devices.items if isinstance(devices, Items) else ():
        if not isinstance(item, Mapping) or "name" not in item.entries:
            continue
        node = item.entries["name"][1]
        if not isinstance(node, Scalar):
            continue
        if node.text in first:
            said = f"a second device named {quoted(node.text)} (the first on line {first[node.text]})"
            problems.append(document.problem(node, said, "names are unique in a farm"))
        first.setdefault(node.text, node.line)


def _read_profiles(document: Document, shelf: ProfileShelf, problems: list[Problem]) -> dict[str, Profile | None]:
    """Read the profiles that the devices name, and check each device against its own, whatever else is wrong in it."""
    devices = document.find(["devices"])
    profiles: dict[str, Profile | None] = {}
    for index in range(len(devices.items) if isinstance(devices, Items) else 0):
        where: Location = ("devices", index)
        profile, name = document.text([*where, "profile"]), document.text([*where, "name"])
        if profile and not shelf.has(profile):
            said = f"unknown profile {quoted(profile)}"
            node = document.find([*where, "profile"])
            problems.append(document.problem(node, said, suggest(profile, shelf.names())))
        elif profile and profile not in profiles:
            profiles[profile] = shelf.resolve(profile, problems)
        resolved = profiles.get(profile)
        if resolved is not None:
            _check_link(resolved, document, where, problems)
        if name != profile and shelf.has(name):
            said = f"{quoted(name)} is the name of another profile: a suite's scope could mean either"
            problems.append(document.problem(document.find([*where, "name"]), said, "rename the device"))
    return profiles


def _resolve(form: DeviceForm, index: int, document: Document, profile: Profile, problems: list[Problem]) -> Device:
    where: Location = ("devices", index)
    check_board(form, document, where, problems)
    settings = settle([Written(form, document, where), *profile.chain])
    own_sshd = form.ssh is None and "host" in profile.lineage
    _check_emulated(profile, settings, document, index, problems)
    return _device(form, profile, settings, document, index, own_sshd=own_sshd)


def _check_link(profile: Profile, document: Document, where: Location, problems: list[Problem]) -> None:
    """Refuse a board that cannot be reached, or in two ways at once."""
    keys = {key.text for key, _ in document.keys(where)}
    is_host = "host" in profile.lineage
    if profile.emulation is not None:
        for key in sorted(keys & {"ssh", "host_key"}):
            node = document.find([*where, key], key=True)
            said = f"'{key}' on an emulated board: Fleetgate starts it and knows its key"
            problems.append(document.problem(node, said, f"remove '{key}', or choose another profile"))
    elif "ssh" not in keys and not is_host:
        name = document.text([*where, "name"])
        node = document.find([*where, "profile"])
        said = f"device {quoted(name)} is a physical board ({profile.name}) without 'ssh'"
        problems.append(document.problem(node, said, "add 'ssh: ALIAS', as ~/.ssh/config knows it"))
    elif "ssh" not in keys and "host_key" in keys:
        node = document.find([*where, "host_key"], key=True)
        said = "'host_key' without 'ssh': this machine's own sshd is started with a key of its own"
        problems.append(document.problem(node, said, "remove it, or add 'ssh: localhost'"))


def _check_emulated(
    profile: Profile, settings: BoardSettings, document: Document, index: int, problems: list[Problem]
) -> None:
    """Refuse what an emulated board has not, and what no other board has."""
    where: Location = ("devices", index)
    if profile.emulation is None:
        if settings.power is not None and settings.power.kind == SIMULATED:
            said = "a simulated meter follows an emulator: this board draws power that can be measured"
            problems.append(document.problem(document.find([*where, "power"]), said, "name its sensor or meter"))
        return
    if settings.threads > 1 or any(core > 0 for core in settings.cores):
        node = document.find([*where, "threads" if settings.threads > 1 else "cores"])
        problems.append(document.problem(node, "an emulated board has one CPU", "threads: 1, and no 'cores'"))
    if settings.condition == PINNED:
        said = "an emulated board has no clock to pin"
        problems.append(document.problem(document.find([*where, "condition"]), said, "remove 'condition'"))
    kind = settings.power.kind if settings.power is not None else ""
    node = document.find([*where, "power"])
    if kind == MODELLED and not profile.emulation.icount:
        said = "modelled energy needs counted instructions: this board's profile has 'icount: false'"
        problems.append(document.problem(node, said, "choose a profile with 'icount: true', or remove 'power'"))
    if kind == SIMULATED and profile.emulation.icount:
        said = "a simulated meter needs a clock that runs like ours: this board's profile has 'icount: true'"
        problems.append(document.problem(node, said, "choose a profile with 'icount: false', or 'meter: modelled'"))


def _device(
    form: DeviceForm, profile: Profile, settings: BoardSettings, document: Document, index: int, *, own_sshd: bool
) -> Device:
    where: Location = ("devices", index)
    ssh = Ssh(form.ssh.host, form.ssh.user, form.ssh.port, form.host_key) if form.ssh is not None else None
    return Device(
        name=form.name,
        profile=profile.name,
        lineage=profile.lineage,
        tier=profile.tier,
        origin=document.origin(document.find([*where, "name"])),
        ssh=ssh,
        emulation=profile.emulation,
        own_sshd=own_sshd,
        python=settings.python,
        root=settings.root,
        threads=settings.threads,
        cores=settings.cores,
        runtimes=settings.runtimes,
        tools=settings.tools,
        power=settings.power,
        condition=settings.condition,
        frequency_hz=settings.frequency_hz,
        sessions=settings.sessions,
        noise=settings.noise,
        tags=tuple(form.tags),
        budgets=profile.budgets,
        overrides=read_scopes(document, [*where, "gates"], []),
        description=profile.description,
    )


def _select(devices: Sequence[Device], select: str, file: str) -> tuple[Device, ...]:
    words = [word.strip() for word in select.split(",") if word.strip()]
    if select and not words:
        raise SpecError([Problem(file, 1, 1, f"the selector {quoted(select)} names nothing")])
    chosen: set[str] = set()
    problems = []
    for word in words:
        found = {d.name for d in devices if any(fnmatch.fnmatchcase(text, word) for text in (d.name, *d.tags))}
        if not found:
            known = [device.name for device in devices]
            tags = sorted({tag for device in devices for tag in device.tags})
            listed = f"devices: {', '.join(known)}" + (f"; tags: {', '.join(tags)}" if tags else "")
            meant = suggest(word, [*known, *tags])
            hint = f"{meant} {listed}" if meant.startswith("did") else listed
            problems.append(Problem(file, 1, 1, f"no device of the farm matches {quoted(word)}", hint))
        chosen |= found
    validate.finish(problems)
    return tuple(device for device in devices if not words or device.name in chosen)
