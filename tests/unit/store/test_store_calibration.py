"""Stored calibrations: written, read, and held against a plan."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from harness.errors import RecordError
from harness.records.calibration import CALIBRATION_VERSION, Calibration
from harness.records.cell import RuntimeRecord
from harness.records.fingerprint import workload_fingerprint
from harness.records.plan import CalibratedNoise, FileIdentity, PlannedCell
from harness.store.calibration import known_calibration, read_calibration, write_calibration
from harness.testing.evidence import Scene

FILE = FileIdentity("m.onnx", "0" * 64, 1000)
RUNTIME = RuntimeRecord("onnxruntime", "onnxruntime==1.32.0", "1.32.0", "CPU", 1, "e" * 8, "3.11.2", "2.1.0")
NOISE = CalibratedNoise("latency.p50", 60, 0.012, 0.011, 0.1, 0.4, False, 0.05, 20, 0, 0, 0.139, 3.4, 0.0, 0.067)
CALIBRATION = Calibration(
    CALIBRATION_VERSION, "digits", "int8", "pi", "rpi5", "2026-11-20T10:00:00+00:00", "b" * 16, "Cortex-A76", "6.6",
    FILE, FILE, RUNTIME, 200, workload_fingerprint(Scene().evidence().planned.workload), 2, (NOISE,),
    {"latency.p50": (0.01, -0.01)},
)  # fmt: skip
TODAY = date(2026, 11, 24)


def _cell() -> PlannedCell:
    return Scene().evidence().planned


def test_a_calibration_is_found_by_suite_artifact_and_device(tmp_path: Path) -> None:
    """It comes back as it was written, with its file and day as source."""
    path = write_calibration(tmp_path, CALIBRATION)
    known = known_calibration(tmp_path, _cell(), TODAY)

    assert path == tmp_path / "digits" / "int8.pi.json"
    assert read_calibration(path) == CALIBRATION
    assert known is not None
    assert (known.source, known.board, known.stale) == ("int8.pi.json of 2026-11-20", "b" * 16, "")
    assert known.noise == (NOISE,)


def test_what_was_never_calibrated_is_not_known(tmp_path: Path) -> None:
    """Another device of the same kind has a noise of its own."""
    write_calibration(tmp_path, CALIBRATION)

    assert known_calibration(tmp_path, replace(_cell(), device="pi-2"), TODAY) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"profile": "rpi4"}, "it was measured with profile rpi5, not rpi4"),
        ({"build": "onnxruntime==1.20.0"}, "with runtime onnxruntime==1.32.0, not onnxruntime==1.20.0"),
        ({"threads": 4}, "with threads 1, not 4"),
        ({"provider": "XnnpackExecutionProvider"}, "with provider CPU, not XnnpackExecutionProvider"),
    ],
)
def test_a_calibration_under_other_conditions_is_stale(tmp_path: Path, change: dict[str, object], words: str) -> None:
    """It is kept for the report, which says why it does not hold."""
    write_calibration(tmp_path, CALIBRATION)
    known = known_calibration(tmp_path, replace(_cell(), **change), TODAY)  # type: ignore[arg-type]

    assert known is not None
    assert words in known.stale


def test_a_calibration_of_other_sessions_is_stale(tmp_path: Path) -> None:
    """Sessions of fewer calls scatter more."""
    write_calibration(tmp_path, replace(CALIBRATION, repeat=50))
    known = known_calibration(tmp_path, _cell(), TODAY)

    assert known is not None
    assert known.stale == "it was measured with timed calls 50, not 200"


def test_what_else_a_session_does_belongs_to_its_noise(tmp_path: Path) -> None:
    """More warm-up or another task is another workload; another data file or deadline is not."""
    write_calibration(tmp_path, CALIBRATION)
    cell = _cell()
    works = [replace(cell.workload, **change) for change in ({"warmup": 99}, {"data": "new.npz", "deadline_s": 9.0})]
    found = [known_calibration(tmp_path, replace(cell, workload=work), TODAY) for work in works]

    assert [known.stale for known in found if known] == ["it was measured with another workload", ""]


def test_a_calibration_grows_old(tmp_path: Path) -> None:
    """After thirty days it holds no more."""
    write_calibration(tmp_path, CALIBRATION)
    ages = [known_calibration(tmp_path, _cell(), date(2026, 12, day)) for day in (20, 21)]

    assert [known.stale for known in ages if known] == ["", "it is 31 days old, more than 30"]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("schema_version", 2, "calibration version 2"),
        ("measured_at", "yesterday", "is no time"),
        ("artifact", "fp32", "is the calibration of digits::fp32"),
        ("surplus", 1, "unknown key"),
    ],
)
def test_a_file_that_is_no_calibration_of_this_cell_is_an_error(
    tmp_path: Path, key: str, value: object, words: str
) -> None:
    """It is never passed over: a gate that should know its board would judge as if it did not."""
    path = write_calibration(tmp_path, CALIBRATION)
    path.write_text(json.dumps({**json.loads(path.read_bytes()), key: value}), encoding="utf-8")

    with pytest.raises(RecordError, match=words):
        known_calibration(tmp_path, _cell(), TODAY)


@pytest.mark.parametrize("noise", [replace(NOISE, metric="speed"), replace(NOISE, sd=-0.1), replace(NOISE, alarms=21)])
def test_figures_that_cannot_be_are_an_error(tmp_path: Path, noise: CalibratedNoise) -> None:
    """A negative noise, more alarms than gates, a metric of no catalogue."""
    path = write_calibration(tmp_path, replace(CALIBRATION, noise=(noise,)))

    with pytest.raises(RecordError, match=r"cannot be|no metric"):
        read_calibration(path)


def test_names_stay_within_the_folder(tmp_path: Path) -> None:
    """An artifact is no path."""
    with pytest.raises(RecordError, match="no plain file name"):
        write_calibration(tmp_path, replace(CALIBRATION, artifact="../../x"))
