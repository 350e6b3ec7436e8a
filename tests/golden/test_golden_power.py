"""Sensors as boards show them: every rail is found with its unit, and what cannot be used is refused by name."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from harness.agent.message import MeterRequest
from harness.agent.power.source import SOURCES, find_rails, survey
from harness.agent.refusal import Refusal

BOARDS = sorted(Path(__file__).with_name("power").glob("*.json"))


def plant(root: Path, files: dict[str, str], links: dict[str, str] | None = None) -> None:
    """Make a tree of sysfs files."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n", encoding="utf-8")
    for name, target in (links or {}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / target).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(root / target)


def say(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch, status: int = 0) -> None:
    """Put a `vcgencmd` that prints `text` first on the path."""
    folder.mkdir(exist_ok=True)
    program = folder / "vcgencmd"
    (folder / "said").write_text(text, encoding="utf-8")
    program.write_text(f'#!/bin/sh\ncat "{folder}/said"\nexit {status}\n', encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def _name(rail: dict[str, Any]) -> str:
    chip = rail["chip"] + (f"@{rail['place']}" if rail["place"] else "")
    return f"{chip}/{rail['channel']}" + (f" ({rail['label']})" if rail["label"] else "")


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_the_rails_of_a_board(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rails of a board are found, each with its reading in W or J and what the board tells about the sensor."""
    board: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    plant(tmp_path / "sys", board["files"], board.get("links"))
    say(tmp_path / "bin", board.get("vcgencmd", ""), monkeypatch, 0 if "vcgencmd" in board else 1)

    found = [rail for rail in survey(str(tmp_path / "sys")) if rail["meter"] == board["kind"]]

    assert [rail["fault"] for rail in found] == [""] * len(found)
    seen = [[_name(r), r["reading"], r["scope"], r["window_s"], r["step"], r["range"]] for r in found]
    for ours, expected in zip(seen, board["rails"], strict=True):
        assert [ours[0], ours[2]] == [expected[0], expected[2]]
        assert [ours[1], *ours[3:]] == pytest.approx([expected[1], *expected[3:]], rel=1e-6)


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_no_other_source_takes_a_boards_files(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of one source are not read as those of another, but for the hwmon power that stands beside a counter."""
    board: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    plant(tmp_path / "sys", board["files"], board.get("links"))
    say(tmp_path / "bin", board.get("vcgencmd", ""), monkeypatch, 0 if "vcgencmd" in board else 1)

    kinds = {rail["meter"] for rail in survey(str(tmp_path / "sys")) if not rail["fault"]}

    assert kinds <= {board["kind"]} | ({"hwmon"} if path.stem == "juno-energy" else set())


HWMON, IIO, BATTERY = "class/hwmon/hwmon0/", "bus/iio/devices/iio:device0/", "class/power_supply/BAT0/"


def below(folder: str, **files: str) -> dict[str, str]:
    """Name files by their folder."""
    return {folder + name: text for name, text in files.items()}


INA226 = below(IIO, name="ina226", in_power2_raw="1")
LAPTOP = below(BATTERY, type="Battery", power_now="5000000")
REFUSED = {
    "unknown chip": ("hwmon", below(HWMON, name="weird", curr2_input="9", in2_input="9"), "not known"),
    "nothing": ("hwmon", below(HWMON, name="cpu_thermal", temp1_input="40000"), "no power sensor"),
    "scale is a word": ("iio", INA226 | below(IIO, in_power2_scale="fast"), "'fast' is no number"),
    "scale is zero": ("iio", INA226 | below(IIO, in_power2_scale="0"), "a scale of 0"),
    "charging": ("supply", LAPTOP | below(BATTERY, status="Charging"), "is Charging"),
    "battery of unknown state": ("supply", LAPTOP, "an unknown state"),
    "volts that are none": (
        "supply",
        below(BATTERY, type="Battery", status="Discharging", voltage_now="3300", current_now="1"),
        "does not tell µV",
    ),
    "no counter": ("counter", {"class/powercap/dtpm/enabled": "1"}, "no power sensor"),
    "kind": ("plug", {}, "cannot read a meter of kind 'plug'"),
}


@pytest.mark.parametrize(("kind", "files", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_used_is_refused(kind: str, files: dict[str, str], words: str, tmp_path: Path) -> None:
    """A sensor that is not understood gives a refusal `sensor` with the reason, never a reading."""
    plant(tmp_path, files)

    with pytest.raises(Refusal, match=words) as refused:
        find_rails(MeterRequest(kind, root=str(tmp_path)))

    assert refused.value.code == "sensor"


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ('error=1 error_msg="Command not registered"', 0, "is not understood"),
        ("VDD_CORE_A current(7)=1.0A\nVDD_CORE_V volt(15)=nanV", 0, "is not understood"),
        ("VDD_CORE_A current(7)=1.0A", 0, "VDD_CORE lacks amperes or volts"),
        ("VDD_CORE_A current(7)=1.0V\nVDD_CORE_V volt(15)=0.8V", 0, "is not understood"),
        ("", 0, "names no rail"),
        ("VCHI initialization failed", 255, "exit status 255"),
    ],
    ids=["no such command", "nan", "half a rail", "wrong unit", "empty", "denied"],
)
def test_a_pmic_that_is_not_understood(
    text: str, status: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is not understood would make the sum too small: it is refused whole."""
    say(tmp_path / "bin", text, monkeypatch, status)

    with pytest.raises(Refusal, match=words):
        find_rails(MeterRequest("pmic"))


@pytest.mark.parametrize("text", ["abc", "", "-", "1e9", "nan", "inf", "0x10", "5 W", "9" * 70, "1.2.3"])
def test_a_reading_that_is_no_number(text: str, tmp_path: Path) -> None:
    """What the kernel would never print is no reading, however a lenient parser would take it."""
    plant(tmp_path, {HWMON + "name": "ina226", HWMON + "power1_input": text})

    (rail,) = survey(str(tmp_path))

    assert rail["reading"] is None
    assert "is no number" in rail["fault"]


def test_every_source_lists_nothing_of_an_empty_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A board without sensors has none, and no source fails over it."""
    say(tmp_path / "bin", "", monkeypatch, 1)

    assert [rail["fault"] for rail in survey(str(tmp_path / "nowhere")) if rail["meter"] != "pmic"] == []
    assert set(SOURCES) == {"hwmon", "iio", "ina3221x", "pmic", "supply", "counter"}
