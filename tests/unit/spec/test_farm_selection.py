"""farm.yaml: selection, profile shelves, links, and the scopes that a suite may name."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from harness.errors import SpecError
from harness.spec import ProfileShelf, check_scopes, load_farm
from harness.spec.model import Artifact, Farm, Limit, LimitKind, LimitSet, Origin, Suite, Tier
from harness.spec.workload import Workload

FARM = """\
farm: lab
devices:
  - {name: a53, profile: qemu-cortex-a53, tags: [old]}
  - {name: a72, profile: qemu-cortex-a72, tags: [old]}
  - {name: pi-1, profile: rpi5, ssh: pi-1, tags: [camera]}
  - {name: pi-2, profile: rpi5, ssh: pi-2}
"""


@pytest.fixture
def farm_file(tmp_path: Path) -> Path:
    """Write a farm of four boards."""
    file = tmp_path / "farm.yaml"
    file.write_text(FARM, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("select", "names"),
    [
        ("", ["a53", "a72", "pi-1", "pi-2"]),
        ("a72", ["a72"]),
        ("old", ["a53", "a72"]),
        ("pi-*", ["pi-1", "pi-2"]),
        ("pi-2, a53", ["a53", "pi-2"]),
        ("cam*,a53,a53", ["a53", "pi-1"]),
        ("*", ["a53", "a72", "pi-1", "pi-2"]),
    ],
)
def test_select(farm_file: Path, select: str, names: list[str]) -> None:
    """A name, tag or glob selects; the order stays the file's."""
    farm = load_farm(farm_file, select=select)

    assert [device.name for device in farm.devices] == names


@pytest.mark.parametrize("select", ["a35", "a53,rpi5", ",", "A53"])
def test_select_nothing(farm_file: Path, select: str) -> None:
    """A selector of which a word matches nothing is an error that lists what there is."""
    with pytest.raises(SpecError) as caught:
        load_farm(farm_file, select=select)

    assert str(caught.value).startswith(f"{farm_file}:1:1: error: ")
    assert select == "," or "devices: a53, a72, pi-1, pi-2; tags: camera, old" in str(caught.value)


def test_selection_keeps_all_scopes(farm_file: Path) -> None:
    """A suite may name a device that is not selected today."""
    farm = load_farm(farm_file, select="a53")

    assert {"a53", "a72", "pi-2", "rpi5", "jetson-orin-nano", "qemu"} <= set(farm.scopes)


def make_suite(scope: str, devices: tuple[str, ...] = ()) -> Suite:
    """Make a suite with one gate scope and one artifact."""
    origin = Origin("t.suite.yaml", 7, 3)
    limit = Limit("storage.size", LimitKind.MAX, 1e6, "1 MB", origin)
    artifact = Artifact("int8", "/int8.onnx", "onnxruntime", Origin("t.suite.yaml", 4, 3), devices=devices)
    return Suite(
        "t", "t.suite.yaml", Workload("parity", "/d.npz", 10), (artifact,), (LimitSet(scope, (limit,), origin),)
    )


@pytest.mark.parametrize("scope", ["all", "a53", "rpi5", "qemu", "arm64", "imx8mp"])
def test_known_scope(farm_file: Path, scope: str) -> None:
    """`all`, devices, and profiles with their ancestors are scopes."""
    assert check_scopes(make_suite(scope), load_farm(farm_file)) == []


def test_unknown_scope(farm_file: Path) -> None:
    """An unknown scope is told at its key, with what was meant."""
    problems = check_scopes(make_suite("qemu-cortex-a5"), load_farm(farm_file))

    assert [(problem.line, problem.column) for problem in problems] == [(7, 3)]
    assert "did you mean 'qemu-cortex-a53'?" in problems[0].hint


def test_artifact_for_an_unknown_device(farm_file: Path) -> None:
    """An artifact meant for a device that nobody knows is told; otherwise it would silently never run."""
    problems = check_scopes(make_suite("all", devices=("pi-1", "pi-3")), load_farm(farm_file))

    assert len(problems) == 1
    assert "'pi-3'" in problems[0].message


def test_given_folder_wins(farm_file: Path) -> None:
    """A profile in a given folder wins over the farm's own, and that over the shipped one."""
    given, own = farm_file.parent / "given", farm_file.parent / "device_profiles"
    for folder, sessions in ((given, 3), (own, 4)):
        folder.mkdir()
        (folder / "rpi5.yaml").write_text(f"extends: arm64\nsessions: {sessions}\n", encoding="utf-8")

    assert load_farm(farm_file, select="pi-1").devices[0].sessions == 4
    assert load_farm(farm_file, select="pi-1", profile_dirs=[given]).devices[0].sessions == 3


def test_long_circle_of_profiles(farm_file: Path) -> None:
    """A circle of three profiles is named in full."""
    own = farm_file.parent / "device_profiles"
    own.mkdir()
    for name, parent in (("rpi5", "one"), ("one", "two"), ("two", "rpi5")):
        (own / f"{name}.yaml").write_text(f"extends: {parent}\n", encoding="utf-8")

    with pytest.raises(SpecError, match="rpi5 -> one -> two -> rpi5"):
        load_farm(farm_file)


def test_shipped_profiles_resolve(farm_file: Path) -> None:
    """Every shipped profile resolves, but for the two that others extend and that name no board."""
    shelf = ProfileShelf.beside(farm_file)

    tiers = {}
    for name in shelf.names():
        profile = shelf.resolve(name, [])
        tiers[name] = profile.tier if profile is not None else None

    assert tiers == {
        "arm64": Tier.HARDWARE,
        "host": Tier.HARDWARE,
        "qemu-debian13": Tier.DETERMINISTIC,
        "imx8mp": Tier.HARDWARE,
        "jetson-orin-nano": Tier.HARDWARE,
        "qemu": None,
        "qemu-cortex-a35": Tier.DETERMINISTIC,
        "qemu-cortex-a53": Tier.DETERMINISTIC,
        "qemu-cortex-a72": Tier.FUNCTIONAL,
        "qemu-cortex-a76": Tier.DETERMINISTIC,
        "qemu-max": Tier.DETERMINISTIC,
        "rpi4": Tier.HARDWARE,
        "rpi5": Tier.HARDWARE,
    }


def test_only_max_is_no_board_that_exists(farm_file: Path) -> None:
    """`exists: false` arrives in the board's description, and nowhere else."""
    shelf = ProfileShelf.beside(farm_file)
    profiles = [shelf.resolve(name, []) for name in shelf.names()]

    unreal = [item.name for item in profiles if item and item.emulation and not item.emulation.exists]

    assert unreal == ["qemu-max"]


def test_host_without_ssh_gets_its_own_sshd(tmp_path: Path) -> None:
    """The machine itself needs no `ssh`; with one, that is used."""
    file = tmp_path / "farm.yaml"
    file.write_text(
        "farm: t\ndevices:\n  - {name: me, profile: host}\n  - {name: me2, profile: host, ssh: localhost}\n",
        encoding="utf-8",
    )

    own, given = load_farm(file).devices

    assert (own.own_sshd, own.ssh) == (True, None)
    assert given.ssh is not None
    assert (given.own_sshd, given.ssh.host) == (False, "localhost")


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_host_keys_of_ssh_keygen(tmp_path: Path, kind: str) -> None:
    """A public key line and a fingerprint are accepted as ssh-keygen prints them."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", key], check=True)
    printed = subprocess.run(["ssh-keygen", "-lf", key], check=True, capture_output=True, text=True).stdout.split()[1]
    file = tmp_path / "farm.yaml"

    for pin in (key.with_suffix(".pub").read_text(encoding="utf-8").strip(), printed):
        file.write_text(
            f"farm: t\ndevices: [{{name: a, profile: rpi5, ssh: a, host_key: '{pin}'}}]\n", encoding="utf-8"
        )
        ssh = load_farm(file).devices[0].ssh
        assert ssh is not None
        assert ssh.host_key == pin


def test_farm_travels_as_json(farm_file: Path) -> None:
    """A farm survives the way to a worker."""
    farm = load_farm(farm_file)
    adapter = TypeAdapter(Farm)

    assert adapter.validate_json(adapter.dump_json(farm)) == farm


def test_a_thousand_boards(tmp_path: Path) -> None:
    """A farm of a thousand boards is read whole."""
    file = tmp_path / "farm.yaml"
    lines = [f"  - {{name: pi-{n}, profile: rpi5, ssh: pi-{n}, tags: [rack-{n // 40}]}}" for n in range(1000)]
    file.write_text("farm: big\ndevices:\n" + "\n".join(lines) + "\n", encoding="utf-8")

    farm = load_farm(file, select="rack-3")

    assert len(farm.devices) == 40
