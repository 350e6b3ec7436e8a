"""Device profiles: one YAML file per kind of board, found on a shelf of folders, resolved through `extends:`.

A profile's name is its file's name. The first folder that has it wins: given ones, `device_profiles/` beside the farm
file, then those that ship with Fleetgate.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, WithJsonSchema

from harness.errors import Problem
from harness.spec import validate, yaml
from harness.spec.board import BoardForm, Written, check_board
from harness.spec.form import Bytes, Form, MetricLimits, one_of
from harness.spec.limits import merge, read_limits
from harness.spec.model import Emulation, Limit, Tier
from harness.spec.tree import Document
from harness.spec.validate import quoted, suggest

CPUS = (
    "cortex-a35", "cortex-a53", "cortex-a55", "cortex-a57", "cortex-a72", "cortex-a76", "cortex-a78ae", "cortex-a710",
    "a64fx", "neoverse-n1", "neoverse-n2", "neoverse-v1", "max",
)  # fmt: skip
"""64-bit Arm CPU models of QEMU."""

DEBIAN = ("bookworm", "trixie")
_PROFILE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_LEAST_MEMORY, _MOST_MEMORY = 256 << 20, 64 << 30


class EmulationForm(Form):
    """A QEMU board; parts may come from different profiles of an `extends` chain."""

    noun: ClassVar[str] = "emulation"
    cpu: Annotated[str, one_of("CPU", CPUS), WithJsonSchema({"type": "string", "enum": list(CPUS)})] = Field(
        default="", description="QEMU's name of the CPU model.", examples=["cortex-a53"]
    )
    memory: Bytes = Field(default=0.0, description="Memory of the board.", examples=["1 GiB"])
    icount: bool = Field(
        default=False,
        description="true: time is a count of instructions (tier emulated-deterministic). false: emulated-functional.",
    )
    suite: Annotated[str, one_of("Debian release", DEBIAN), WithJsonSchema({"enum": list(DEBIAN)})] = Field(
        default="bookworm", description="Debian release of the board's root file system."
    )
    exists: bool = Field(
        default=True, description="false: no board has this CPU. What fails on it blocks, what passes releases nothing."
    )


class ProfileForm(BoardForm):
    """One KIND of board. The file's name is the profile's name."""

    noun: ClassVar[str] = "a profile"
    description: str = Field(default="", description="One sentence for the report.", max_length=400)
    extends: str = Field(
        default="", description="A profile whose words hold where this one is silent.", examples=["arm64"]
    )
    tier: Annotated[
        str,
        one_of("tier", [tier for tier in Tier if tier is not Tier.REPLAYED]),
        WithJsonSchema({"enum": list(Tier)[:3]}),
    ] = Field(default="", description="Stated for the reader; it follows from `emulation` and must agree with it.")
    emulation: EmulationForm | None = Field(default=None, description="Set for QEMU boards only.")
    budgets: MetricLimits = Field(
        default={},
        description="Limits that every suite starts from on this kind of board (weakest).",
        examples=[{"memory.peak": {"max": "512 MiB"}}],
    )


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of board, `extends` resolved; `chain` holds what is written, nearest first."""

    name: str
    lineage: tuple[str, ...]
    description: str
    tier: Tier
    emulation: Emulation | None
    budgets: tuple[Limit, ...]
    chain: tuple[Written, ...]


def shipped_profiles() -> Path:
    """Give the folder of the profiles that ship with Fleetgate: in the wheel, else in the checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "device_profiles"
    return installed if installed.is_dir() else package.parent / "device_profiles"


@dataclass(slots=True)
class ProfileShelf:
    """The folders where profiles are looked for, first match wins; each file is read once."""

    folders: tuple[Path, ...] = ()
    _read: dict[str, tuple[Written | None, list[Problem]]] = field(default_factory=dict)

    @classmethod
    def beside(cls, farm: Path, given: Sequence[Path] = ()) -> ProfileShelf:
        """Make the shelf of a farm file."""
        return cls((*given, farm.parent / "device_profiles", shipped_profiles()))

    def names(self) -> list[str]:
        """Name every profile on the shelf."""
        found = {
            path.stem for folder in self.folders if folder.is_dir() for path in folder.glob("*.yaml") if path.is_file()
        }
        return sorted(name for name in found if _PROFILE_NAME.fullmatch(name))

    def has(self, name: str) -> bool:
        """Tell whether a profile of that name exists."""
        return self._path(name) is not None

    def resolve(self, name: str, problems: list[Problem]) -> Profile | None:
        """Read a profile and all that it extends.

        Args:
            name: an existing name (see `has`).
            problems: everything that is wrong in the chain is added here.

        Returns:
            The profile, or None when its chain has mistakes.
        """
        chain: list[Written] = []
        names: list[str] = []
        while name:
            written = self._written(name, problems)
            if written is None:
                return None
            names.append(name)
            chain.append(written)
            assert isinstance(written.form, ProfileForm)
            parent = written.form.extends
            if parent and not self._can_extend(written, parent, names, problems):
                return None
            name = parent
        return _resolve(tuple(names), tuple(chain), problems)

    def _can_extend(self, written: Written, parent: str, names: list[str], problems: list[Problem]) -> bool:
        place = written.document.find(["extends"])
        if parent in names:
            circle = " -> ".join([*names, parent])
            problems.append(written.document.problem(place, f"profiles extend each other in a circle: {circle}"))
            return False
        if not self.has(parent):
            hint = suggest(parent, self.names())
            problems.append(written.document.problem(place, f"unknown profile {quoted(parent)}", hint))
            return False
        return True

    def _path(self, name: str) -> Path | None:
        if not _PROFILE_NAME.fullmatch(name):
            return None
        candidates = (folder / f"{name}.yaml" for folder in self.folders)
        return next((path for path in candidates if path.is_file()), None)

    def _written(self, name: str, problems: list[Problem]) -> Written | None:
        if name not in self._read:
            found: list[Problem] = []
            self._read[name] = (self._load(name, found), found)
        written, known = self._read[name]
        problems.extend(known)
        return written

    def _load(self, name: str, problems: list[Problem]) -> Written | None:
        path = self._path(name)
        document = yaml.read(path, problems) if path is not None else None
        if document is None:
            return None
        form = validate.validate(ProfileForm, document, problems)
        read_limits(document, ["budgets"], problems)
        if form is not None:
            check_board(form, document, (), problems)
        return Written(form, document) if form is not None and not problems else None


def _resolve(names: tuple[str, ...], chain: tuple[Written, ...], problems: list[Problem]) -> Profile | None:
    before = len(problems)
    emulation, icount = _emulation(chain, names[0], problems)
    tier = Tier.HARDWARE if emulation is None else Tier.DETERMINISTIC if icount else Tier.FUNCTIONAL
    stated = next((link for link in chain if "tier" in link.form.model_fields_set), None)
    nearest = chain[0].form
    assert isinstance(nearest, ProfileForm)
    if stated is not None and isinstance(stated.form, ProfileForm) and stated.form.tier != tier:
        place = stated.document.find(["tier"])
        said = f"tier {stated.form.tier!r} contradicts what the profile {names[0]!r} is: {tier.value}"
        problems.append(stated.document.problem(place, said, "remove 'tier': it follows from 'emulation'"))
    if len(problems) > before:
        return None
    budgets = merge(read_limits(link.document, ["budgets"], []) for link in reversed(chain))
    return Profile(names[0], names, nearest.description, tier, emulation, budgets, chain)


def _emulation(chain: tuple[Written, ...], name: str, problems: list[Problem]) -> tuple[Emulation | None, bool]:
    said: dict[str, Any] = {}
    place: tuple[Document, list[str]] | None = None
    for written in reversed(chain):
        form = written.form
        assert isinstance(form, ProfileForm)
        if form.emulation is not None:
            said.update(form.emulation.model_dump(exclude_unset=True))
            place = (written.document, ["emulation"])
    if place is None:
        return None, False
    document, where = place
    missing = [key for key in ("cpu", "memory", "icount") if key not in said]
    for key in missing:
        said_so = f"profile {name!r} does not give the key '{key}' of its emulation"
        problems.append(
            document.problem(document.find(where), said_so, "give it here or in a profile that extends this one")
        )
    if not missing and not _LEAST_MEMORY <= said["memory"] <= _MOST_MEMORY:
        node = document.find([*where, "memory"])
        problems.append(document.problem(node, "an emulated board has between 256 MiB and 64 GiB of memory"))
    if missing:
        return None, False
    emulation = Emulation(
        said["cpu"], int(said["memory"]), said["icount"], said.get("suite", "bookworm"), said.get("exists", True)
    )
    return emulation, said["icount"]
