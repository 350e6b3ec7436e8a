"""Run folders of every record version stay readable, and their outcomes stay the same.

A folder `records/v<N>` was written by the code of its time and is never written again. A new schema version adds one
(`python tests/golden/test_golden_records.py` writes the current one where it is missing).
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.gate import judge
from harness.records.outcome import Attribution, Outcome
from harness.records.run import SCHEMA_VERSION
from harness.store import RunFolder, replay

RECORDS = Path(__file__).parent / "records"
FOLDERS = sorted(path for path in RECORDS.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_old_records_stay_readable(folder: Path) -> None:
    """A stored run gives the outcomes and the exit code that it gave then."""
    stored = json.loads((folder / "verdicts.json").read_bytes())

    found = replay(folder)

    then = [(item["cell"], item["metric"], item["kind"], item["outcome"]) for item in stored["verdicts"]]
    assert [(item.cell, item.metric, item.kind, item.outcome.value) for item in found.verdicts] == then
    assert found.decision.exit_code == stored["decision"]["exit_code"]


def test_the_current_version_has_a_golden_folder() -> None:
    """Whoever raises the schema version keeps a record of the new one."""
    assert (RECORDS / f"v{SCHEMA_VERSION}").is_dir()


def _write(path: Path) -> None:
    from harness.records.cell import Incident
    from harness.spec.model import MeterSpec, Tier
    from harness.testing.evidence import Scene, limit, run_of

    limits = (
        limit("memory.peak", "max", 2**26, "64 MiB"),
        limit("accuracy.top1", "drop", 0.05, "5 pp"),
        limit("parity.snr_db", "min", 10.0, "10 dB"),
    )
    timed = (limit("latency.p50", "regress", 0.05, "5 %"), limit("latency.p50", "max", 1e-3, "1 ms"))
    work = (
        limit("work.instructions", "max", 1.2e6, "1.2 M"),
        limit("energy.per_inference", "max", 1.0, "1 J", accept="modelled"),
    )
    lost = Incident(Outcome.INFRA, Attribution.INFRA, "link", "the link was lost")
    power = MeterSpec("modelled", idle_w=1.0, joule_per_instruction=1e-10)
    small = Scene(repeat=24, samples=40, wrong=4)
    board = replace(small, device="a53", tier=Tier.DETERMINISTIC, sessions=2, limits=(*limits, *work), power=power)
    scenes = [
        board,
        replace(board, device="a76", incidents=(lost,)),
        replace(small, limits=(*limits, *timed), baseline=1.0, noise=1e-3),
        replace(small, artifact="skipped", skip_reason="planned for a53 only"),
    ]
    run, samples = run_of(scene.evidence() for scene in scenes)
    folder = RunFolder.create(path.parent, path.name)
    folder.write_plan(run.plan)
    cells = tuple(
        replace(cell, samples_sha256=folder.write_samples(cell.key, samples.arrays(cell.key))) for cell in run.cells
    )
    run = replace(run, run_id=path.name, cells=cells)
    folder.finish(run, judge(run, folder))
    (path.parent / "latest").unlink(missing_ok=True)


if __name__ == "__main__" and not (RECORDS / f"v{SCHEMA_VERSION}").exists():
    _write(RECORDS / f"v{SCHEMA_VERSION}")
