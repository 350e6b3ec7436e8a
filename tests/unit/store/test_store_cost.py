"""What pairs cost in the newest run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.gate import judge
from harness.store import RunFolder
from harness.store.cost import pair_costs
from harness.testing.evidence import Scene, limit, run_of
from harness.testing.pairs import measure_in_pairs

SCENE = Scene(limits=(limit("latency.p50", "regress", 0.05, "5 %"),), baseline=1.0)


def _store(folder: Path, seconds: float) -> None:
    evidence = measure_in_pairs(SCENE)
    sessions = tuple(replace(session, device_s=seconds) for session in evidence.cell.sessions)
    run, samples = run_of([replace(evidence, cell=replace(evidence.cell, sessions=sessions))])
    stored = RunFolder.create(folder, "r1")
    stored.write_plan(run.plan)
    cells = tuple(
        replace(cell, samples_sha256=stored.write_samples(cell.key, samples.arrays(cell.key))) for cell in run.cells
    )
    run = replace(run, cells=cells)
    stored.finish(run, judge(run, stored))


def test_a_pair_costs_what_its_two_arms_cost(tmp_path: Path) -> None:
    """Mean over the timed sessions of each arm, summed; sessions whose number is fixed do not count."""
    _store(tmp_path, 1.5)

    assert pair_costs(tmp_path) == {SCENE.key: pytest.approx(3.0)}


def test_no_run_or_one_that_cannot_be_read_foretells_nothing(tmp_path: Path) -> None:
    """A broken record is no reason to refuse the next run."""
    assert pair_costs(tmp_path / "nowhere") == {}
    _store(tmp_path, 1.0)
    (tmp_path / "latest" / "run.json").write_text("{")

    assert pair_costs(tmp_path) == {}
