"""`fleetgate calibrate` on fake boards: what is measured, stored, printed and refused."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from harness.campaign import calibrate_arguments, calibrate_command
from harness.campaign.plan import build
from harness.errors import SpecError
from harness.gate.tier import unresolvable
from harness.spec import load_farm, load_suite
from harness.store.calibration import read_calibration
from harness.testing.device import BoardScript, FakeBoards
from harness.testing.played import FakeModel
from harness.testing.rehearsal import SUITE, Rehearsal

GATED = SUITE.replace("latency.p95: {max: 4 ms}", "latency.p95: {max: 4 ms}\n    latency.p50: {regress: 2 %}").replace(
    "  lite: {file: lite.tflite, runtime: tflite}\n", ""
)
KEPT = Path("reports/calibration/digits/int8.here.json")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rehearsal:
    """A suite with two timed metrics on one board, the current folder, and a cache of its own."""
    rehearsal = Rehearsal(tmp_path / "shop", suite=GATED)
    monkeypatch.chdir(rehearsal.folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return rehearsal


def _calibrate(*words: str, scripts: dict[str, BoardScript] | None = None) -> tuple[int, str]:
    parser = argparse.ArgumentParser()
    calibrate_arguments.add(parser)
    said: list[str] = []
    arguments = parser.parse_args(["--devices=farm.yaml", "digits", *words])
    code = calibrate_command.run(arguments, out=said.append, news=said.append, boards=FakeBoards(scripts))
    return code, "\n".join(said)


def test_a_board_is_calibrated_with_as_many_pairs_as_asked(shop: Rehearsal) -> None:
    """Noise, false alarms with their bound and the detectable effect are printed and stored per metric."""
    code, text = _calibrate("--pairs=24")
    stored = read_calibration(KEPT)

    assert code == 0
    assert {noise.metric for noise in stored.noise} == {"latency.p50", "latency.p95"}
    assert {noise.alarms for noise in stored.noise} == {0}
    # A gate takes 3 pairs or, as the coins for their order fall, a few more; the last one is finished.
    assert all(24 <= noise.pairs <= 26 and 3 * noise.gates <= noise.pairs for noise in stored.noise)
    assert all(noise.gates >= 6 for noise in stored.noise)
    assert {noise.metric: noise.margin for noise in stored.noise} == {"latency.p50": 0.02, "latency.p95": 0.05}
    assert all(len(ratios) == stored.noise[0].pairs for ratios in stored.ratios.values())
    assert stored.cpu == "Fake here"
    assert "digits::int8[here]: 2" in text
    assert "0 of " in text
    assert "detects +" in text
    assert str(KEPT) in text


def test_boards_that_are_not_timed_are_left_alone(shop: Rehearsal) -> None:
    """Emulated boards have no noise to calibrate; asked for one alone there is nothing to do."""
    _calibrate("--pairs=12")

    assert [path.name for path in KEPT.parent.iterdir()] == ["int8.here.json"]
    with pytest.raises(SpecError, match="nothing to calibrate"):
        _calibrate("--device=a53")


def test_what_is_asked_wrongly_is_told_before_a_board_is_met(shop: Rehearsal) -> None:
    """Too few pairs, a board that the farm does not have, a folder without suites."""
    with pytest.raises(SpecError, match="at least 12"):
        _calibrate("--pairs=5")
    with pytest.raises(SpecError, match="did you mean 'here'"):
        _calibrate("--device=hree")
    (shop.folder / "empty").mkdir()
    with pytest.raises(SpecError, match=r"holds no \*.suite.yaml"):
        _calibrate("empty")


def test_a_session_that_failed_once_is_no_reason_to_stop(shop: Rehearsal) -> None:
    """A second fresh process did what the first could not: the pairs that came count, and more follow."""
    shop.model("int8.onnx", FakeModel(error="crash", errors=1))

    code, _ = _calibrate("--pairs=24")

    assert code == 0
    assert read_calibration(KEPT).noise[0].pairs >= 24


def test_two_suites_of_one_name_are_told_apart_by_nobody(shop: Rehearsal) -> None:
    """Their calibrations would overwrite each other."""
    (shop.folder / "digits/again.suite.yaml").write_text(GATED, encoding="utf-8")

    with pytest.raises(SpecError, match="is already the name of"):
        _calibrate()


def test_a_model_that_crashes_is_not_calibrated(shop: Rehearsal) -> None:
    """Exit 20 with the reason, and no file that a gate could trust."""
    shop.model("int8.onnx", FakeModel(error="crash"))

    code, text = _calibrate("--pairs=12")

    assert code == 20
    assert "digits::int8[here]: not calibrated: the candidate failed twice: crash: the fake model fails" in text
    assert not KEPT.exists()


def test_a_board_that_is_lost_on_the_way_leaves_what_it_brought(shop: Rehearsal) -> None:
    """Enough pairs for a calibration, fewer than asked: stored, said, exit 20."""
    code, text = _calibrate("--pairs=60", scripts={"here": BoardScript(fault="link", after=60)})

    assert code == 20
    assert "fewer pairs than asked: here: scripted link fault" in text
    assert 12 <= read_calibration(KEPT).noise[0].pairs < 60


def test_the_next_plan_knows_the_board(shop: Rehearsal) -> None:
    """The calibration travels in the plan, and refuses a margin below what it resolves."""
    _calibrate("--pairs=24")
    farm, suite = load_farm(Path("farm.yaml")), load_suite(Path("digits/digits.suite.yaml"))
    plan = build(farm, [suite], calibrations=Path("reports/calibration")).plan
    known = {cell.device: cell.calibration for cell in plan.cells}

    assert known["a53"] is None
    assert known["here"] is not None
    assert known["here"].noise == read_calibration(KEPT).noise
    (cell,) = (cell for cell in plan.cells if cell.device == "here")
    (device,) = (device for device in farm.devices if device.name == "here")
    assert [unresolvable(limit, device, cell) for limit in cell.limits if limit.kind == "regress"] == [""]


def test_verdicts_show_what_is_known_of_their_board(shop: Rehearsal) -> None:
    """`not calibrated` before, noise and false alarms after, in terminal and HTML; the run replays byte for byte."""
    before = shop.run(devices="farm.yaml::here")
    _calibrate("--pairs=24")
    after = shop.run(devices="farm.yaml::here")

    assert before.code == after.code == 0, after.text
    texts = [" ".join(run.text.split()) for run in (before, after)]
    assert "; not calibrated" in texts[0]
    assert "board noise 0." in texts[1]
    assert "false alarms (<= " in texts[1]
    assert "from its known noise" in texts[1]
    page = (shop.folder / "reports/latest.html").read_text()
    assert "Known beforehand: board noise 0." in page
    assert after.is_reproduced()


def test_a_calibration_under_other_conditions_is_told_and_not_used(shop: Rehearsal) -> None:
    """Another number of timed calls: a note before the run, and the reason beside each verdict."""
    _calibrate("--pairs=12")
    suite = shop.folder / "digits/digits.suite.yaml"
    suite.write_text(suite.read_text().replace("repeat: 20", "repeat: 30"), encoding="utf-8")

    text = " ".join(shop.run(devices="farm.yaml::here").text.split())

    assert "note: digits::int8[here]: int8.here.json of 20" in text
    assert "does not hold: it was measured with timed calls 20, not 30" in text
    assert "not calibrated: int8.here.json of 20" in text


def test_a_damaged_calibration_stops_the_run_before_it_begins(shop: Rehearsal) -> None:
    """Exit 4 with the file's name: a gate must not judge as if its board were unknown."""
    KEPT.parent.mkdir(parents=True)
    KEPT.write_text("{}")

    finished = shop.run(devices="farm.yaml::here")

    assert finished.code == 4, finished.text
    assert "int8.here.json" in finished.text
