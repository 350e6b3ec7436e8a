"""Ctrl-C and SIGTERM: boards are released, the partial run says that it is partial."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from harness.testing.device import BoardScript
from harness.testing.played import FakeModel
from harness.testing.rehearsal import Rehearsal


def _is_measuring(run: Path) -> bool:
    log = run / "log.txt"
    return log.exists() and "here: digits::int8" in log.read_text()


@pytest.mark.parametrize(
    ("stop", "arguments"),
    [(signal.SIGINT, ()), (signal.SIGTERM, ()), (signal.SIGTERM, ("-n2",))],
    ids=["ctrl-c", "sigterm", "sigterm-xdist"],
)
def test_a_stopped_run_is_recorded_as_cancelled(
    rehearsal: Rehearsal, stop: signal.Signals, arguments: tuple[str, ...]
) -> None:
    """Exit 2, run.json says cancelled, what was not measured is CANCELLED and nothing hangs."""
    rehearsal.script({"here": BoardScript(hang=True)})

    finished = rehearsal.run_until(_is_measuring, stop, *arguments)

    assert finished.code == 2, finished.text
    assert finished.record["cancelled"] is True
    outcomes = finished.outcomes()
    assert {outcomes[f"digits::{name}[here] crash runs"] for name in ("int8", "lite")} == {"CANCELLED"}
    assert finished.verdicts["decision"]["release"] == "HOLD"
    assert "partial" in finished.text


def test_stopping_at_the_first_failure_blames_no_board_for_the_rest(rehearsal: Rehearsal) -> None:
    """`-x` cuts the boards that still measure: their cells are CANCELLED, and the failure decides."""
    rehearsal.model("int8.onnx", FakeModel(error="load"))
    rehearsal.script({"here": BoardScript(hang=True)})

    finished = rehearsal.run("-x")

    assert finished.code == 1, finished.text
    outcomes = finished.outcomes()
    assert outcomes["digits::int8[a53] crash runs"] == "FAIL"
    assert {outcomes[f"digits::{name}[here] crash runs"] for name in ("int8", "lite")} == {"CANCELLED"}
