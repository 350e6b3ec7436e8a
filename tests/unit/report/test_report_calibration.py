"""What reports say of a board's noise: beside each verdict, and as the result of a calibration."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.records.calibration import CALIBRATION_VERSION, Calibration
from harness.records.cell import RuntimeRecord
from harness.records.outcome import Attribution, Outcome
from harness.records.plan import CalibratedNoise, CellCalibration, FileIdentity
from harness.records.verdict import Trail, Verdict
from harness.report.calibration import calibration_lines, calibration_of
from harness.testing.evidence import Scene

NOISE = CalibratedNoise("latency.p50", 61, 0.012, 0.011, 0.1, 0.4, False, 0.05, 20, 0, 0, 0.139, 3.4, 0.0, 0.067)
KNOWN = CellCalibration("int8.pi.json of 2026-11-20", "b1", (NOISE,))
VERDICT = Verdict(
    "digits::int8[pi]", "pi", "int8", "latency.p50", "regress", Outcome.PASS, Attribution.MODEL, "fine", 0.05, "5 %",
    trail=Trail("gs_t", "known", 0.006, ()),
)  # fmt: skip
SEEN = "0 of 20 false alarms (<= 13.9 %), detects +6.7 % beside a margin of 5 %"


def _say(known: CellCalibration | None, verdict: Verdict = VERDICT, board: str = "b1") -> str:
    return calibration_of(verdict, replace(Scene().evidence().planned, calibration=known), board)


def test_a_verdict_has_noise_false_alarms_and_detectable_effect_beside_it() -> None:
    """A comparison has all three; a figure against a limit has the noise; what is no pair's business has nothing."""
    assert _say(KNOWN) == f"board noise 1.2 %, {SEEN}"
    assert _say(KNOWN, replace(VERDICT, kind="max")) == "board noise 1.2 %"
    assert _say(KNOWN, replace(VERDICT, trail=None)) == ""


@pytest.mark.parametrize(
    ("known", "board", "words"),
    [
        (None, "b1", "not calibrated"),
        (KNOWN, "b2", "not calibrated: int8.pi.json of 2026-11-20 is of another board or system"),
        (KNOWN, "", "not calibrated: int8.pi.json of 2026-11-20 is of another board or system"),
        (
            replace(KNOWN, stale="it is old"),
            "b1",
            "not calibrated: int8.pi.json of 2026-11-20 does not hold: it is old",
        ),
        (replace(KNOWN, noise=()), "b1", "not calibrated: int8.pi.json of 2026-11-20 does not have latency.p50"),
    ],
)
def test_what_is_not_known_is_said_with_the_reason(known: CellCalibration | None, board: str, words: str) -> None:
    """A reader must not take an old or foreign calibration for this board's."""
    assert _say(known, board=board) == words


def test_outliers_are_told_apart_where_the_test_ignores_them() -> None:
    """The noise that the gate reckons with, and the whole; never a whole that is smaller."""
    wild = replace(NOISE, sd=0.09, is_heavy=True)

    assert "board noise 1.1 % (9 % with its outliers)" in _say(replace(KNOWN, noise=(wild,)))
    assert "board noise 0.9 %, " in _say(replace(KNOWN, noise=(replace(wild, sd=0.009),)))


def test_a_calibration_lists_what_it_found_and_what_it_cannot_resolve() -> None:
    """Test, pairs, and the margin to ask for; a board that finds nothing says so."""
    file = FileIdentity("m.onnx", "0" * 64, 1000)
    runtime = RuntimeRecord("onnxruntime", "onnxruntime==1.32.0", "1.32.0", "CPU", 1, "e", "3.11.2", "2.1.0")
    wide = replace(NOISE, metric="latency.p95", sd=0.06, detectable=None)
    found = Calibration(
        CALIBRATION_VERSION, "digits", "int8", "pi", "rpi5", "2026-11-20T10:00:00+00:00", "b1", "A76", "6.6",
        file, file, runtime, 200, "w1", 1, (NOISE, wide), {},
    )  # fmt: skip

    assert list(calibration_lines(found)) == [
        "digits::int8[pi]: 61 pairs of m.onnx with itself, 1 pair void",
        f"  latency.p50: noise 1.2 %, {SEEN}",
        "    the t test decides (excess kurtosis 0.1, normal at p 0.4); 3.4 pairs expected",
        "  latency.p95: noise 6 %, 0 of 20 false alarms (<= 13.9 %), detects nothing beside a margin of 5 %",
        "    the t test decides (excess kurtosis 0.1, normal at p 0.4); 3.4 pairs expected",
        "    cannot resolve a margin of 5 %: allow at least 7.79 %",
    ]
