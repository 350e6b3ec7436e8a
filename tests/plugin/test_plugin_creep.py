"""Four slow-downs of 4 % under a margin of 5 %, as a user would try them: run, promote, next release, run again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.testing.played import FakeModel
from harness.testing.rehearsal import SUITE, Finished, Rehearsal

GATED = SUITE.replace("    latency.p95: {max: 4 ms}", "    latency.p50: {max: 4 ms, regress: 5 %}")
GATE = "digits::int8[here] latency.p50 regress"
FIRST_S = 1e-3


@pytest.fixture
def shop(tmp_path: Path) -> Rehearsal:
    """A suite whose artifact may be 5 % slower than the last release on one board."""
    return Rehearsal(tmp_path / "shop", suite=GATED.replace("  lite: {file: lite.tflite, runtime: tflite}\n", ""))


def _release(shop: Rehearsal, number: int) -> Finished:
    """Measure release `number` against the one before; each is 4 % slower."""
    shop.model("int8.onnx", FakeModel(latency_s=FIRST_S * 1.04**number, seed=number))
    shop.model("old.onnx", FakeModel(latency_s=FIRST_S * 1.04 ** (number - 1), seed=number - 1))
    return shop.run("--gate-sessions=8", devices="farm.yaml::here")


def _promote(shop: Rehearsal, finished: Finished, *options: str) -> subprocess.CompletedProcess[str]:
    assert finished.path is not None
    command = [sys.executable, "-m", "harness.cli", "baseline", "promote", str(finished.path), *options]
    return subprocess.run(command, cwd=shop.folder, capture_output=True, text=True, check=False)


def _reason(finished: Finished) -> str:
    return next(
        str(item["reason"])
        for item in finished.verdicts["verdicts"]
        if f"{item['cell']} {item['metric']} {item['kind']}" == GATE
    )


def test_creep_is_stopped_and_only_a_deliberate_anchor_lets_it_go_on(shop: Rehearsal) -> None:
    """Step 1 passes and is promoted, step 2 is a REGRESSION; a new anchor lets it pass, and says what it forgave."""
    first = _release(shop, 1)
    promoted = _promote(shop, first)
    repeated = shop.run("--gate-sessions=8", devices="farm.yaml::here")
    second = _release(shop, 2)
    refused = _promote(shop, second, "--anchor")

    assert first.code == 0, first.text
    assert "latency.p50 on here: +4.0" in promoted.stdout
    assert repeated.code == 0, repeated.text
    assert second.code == 1, second.text
    assert second.outcomes()[GATE] == "REGRESSION"
    assert "of the creep budget 5 % is spent since anchor old.onnx" in _reason(second)
    assert second.is_reproduced()
    assert "not a baseline: NO-GO" in refused.stderr

    anchor = _promote(shop, repeated, "--anchor")
    third = _release(shop, 2)

    assert "of the chain before it is forgiven" in anchor.stdout
    assert third.code == 0, third.text
    assert "nothing of the creep budget 5 % is spent since anchor int8.onnx" in _reason(third)


def test_a_baseline_that_the_chain_does_not_know_stops_the_collection(shop: Rehearsal) -> None:
    """A baseline file that was never released has no known distance to the anchor: exit code 4, and what to do."""
    assert _promote(shop, _release(shop, 1)).returncode == 0

    finished = _release(shop, 5)

    assert finished.code == 4
    assert "old.onnx is none of the releases since the anchor" in finished.text
    assert "baseline promote --anchor" in finished.text
