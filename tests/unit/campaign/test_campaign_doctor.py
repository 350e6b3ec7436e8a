"""What `fleetgate doctor` says of a board: sources with readings, what is unknown, and YAML that the program reads."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from harness.agent.frame import Frame
from harness.agent.power.source import survey
from harness.campaign.doctor import describe_condition, describe_rails, propose
from harness.device.reply import PowerSurvey, RailSeen, parse_reply
from harness.errors import InfraError
from harness.records.run import Facts
from harness.spec import load_farm

BOARDS = sorted((Path(__file__).parents[2] / "golden" / "power").glob("*.json"))
AGX = "VDD_GPU_SOC+VDD_CPU_CV+VIN_SYS_5V0+VDDQ_VDD2_1V8AO"
PROPOSED = {
    "jetson-orin-nano": "power: {meter: hwmon, rail: 'VDD_IN', scope: module}",
    "jetson-agx-orin": "power: {meter: hwmon, rail: '" + AGX + "', scope: rails}",
    "jetson-xavier-nx": "power: {meter: ina3221x, rail: 'VDD_IN', scope: module}",
    "jetson-nano": "power: {meter: ina3221x, rail: 'POM_5V_IN', scope: module}",
    "rpi5": "power: {meter: pmic, scope: rails}",
    "rpi5-unnumbered": "power: {meter: pmic, scope: rails}",
    "imx8mp-ina226-iio": "power: {meter: iio, rail: 'ina226', scope: rails}",
    "imx8mp-ina219-hwmon": "power: {meter: hwmon, rail: 'vdd_arm+ina219@1-0041', scope: rails}",
    "laptop-power-now": "power: {meter: supply, rail: 'BAT0', scope: board}",
    "laptop-current-now": "power: {meter: supply, rail: 'BAT0', scope: board}",
    "x86-rapl": "power: {meter: counter, rail: 'psys', scope: board}",
    "juno-energy": "power: {meter: counter, rail: 'JUNO_A57', scope: rails}",
}


def _survey(board: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> list[RailSeen]:
    """Survey a golden board through the words of the wire."""
    told = json.loads(board.read_text(encoding="utf-8"))
    for name, text in told["files"].items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n", encoding="utf-8")
    for name, target in told.get("links", {}).items():
        (root / target).mkdir(parents=True, exist_ok=True)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(root / target)
    program = root / "vcgencmd"
    (root / "said").write_text(told.get("vcgencmd", ""), encoding="utf-8")
    program.write_text(f'#!/bin/sh\nexec cat "{root}/said"\n', encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{root}:/usr/bin:/bin" if "vcgencmd" in told else "/usr/bin:/bin")
    header = json.loads(json.dumps({"rails": survey(str(root))}))
    return parse_reply(PowerSurvey, Frame(header, b"")).rails


@pytest.mark.parametrize("board", BOARDS, ids=lambda path: path.stem)
def test_the_proposed_line_is_read_by_the_program(board: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each board gets the rail that sees most of it, or all parts, in YAML that farm.yaml accepts."""
    rails = _survey(board, tmp_path, monkeypatch)

    line = propose([rail for rail in rails if not rail.fault])

    assert line.split("  #")[0] == PROPOSED[board.stem]
    farm = tmp_path / "farm.yaml"
    farm.write_text(f"farm: t\ndevices:\n  - name: b\n    profile: rpi5\n    ssh: b\n    {line}\n", encoding="utf-8")
    power = load_farm(farm).devices[0].power
    assert power is not None
    assert f"meter: {power.kind}," in line


def test_what_a_board_does_not_tell_is_unknown() -> None:
    """No governor, no temperature and no throttle word are unknown, never good."""
    said = "\n".join(
        describe_condition(Facts("aarch64", "A53", 4, (), 1 << 30, "6.1", "glibc 2.36", "3.11.2", "cp311"))
    )

    assert said.count("unknown") == 4
    assert "ok" not in said


def test_a_source_that_cannot_be_used_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A faulty source stands in the list with its reason, and is not proposed."""
    board = tmp_path / "board.json"
    files = {"class/hwmon/hwmon0/name": "ina226", "class/hwmon/hwmon0/power1_input": "soon"}
    board.write_text(json.dumps({"files": files}), encoding="utf-8")

    said = "\n".join(describe_rails(_survey(board, tmp_path / "sys", monkeypatch)))

    assert "0 usable of 1 sources" in said
    assert "cannot be used" in said
    assert "'soon' is no number" in said
    assert "meter: scpi" in said


def test_a_hostile_survey_is_refused() -> None:
    """Endless words and readings that are no numbers never reach the terminal."""
    rail = {
        "meter": "hwmon",
        "chip": "x" * 1000,
        "place": "",
        "channel": "",
        "label": "",
        "quantity": "power",
        "scope": "rails",
    }
    rail |= {"window_s": 0.0, "step": 0.0, "range": 0.0, "reading": None, "fault": ""}  # type: ignore[dict-item]

    with pytest.raises(InfraError, match="cannot be read"):
        parse_reply(PowerSurvey, Frame({"rails": [rail]}, b""))
