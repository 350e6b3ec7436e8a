"""Committed baselines: what is promoted, what is refused, and when a record applies."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import RecordError
from harness.gate import judge
from harness.records.outcome import Outcome
from harness.spec.model import Tier
from harness.store import RunFolder, load_run, promote, recorded_figures
from harness.store.baseline import baseline_path, recorded_profile
from harness.store.read import StoredRun
from harness.testing.evidence import Scene, limit, run_of

SCENE = Scene(
    tier=Tier.DETERMINISTIC, sessions=2, device="a53",
    limits=(limit("accuracy.top1", "min", 0.9, "90 %"), limit("latency.p50", "max", 1.0, "1 s")),
)  # fmt: skip


def _stored(root: Path, *scenes: Scene) -> StoredRun:
    run, samples = run_of([scene.evidence() for scene in scenes])
    folder = RunFolder.create(root / "runs", "r1")
    folder.write_plan(run.plan)
    cells = tuple(
        replace(cell, samples_sha256=folder.write_samples(cell.key, samples.arrays(cell.key))) for cell in run.cells
    )
    run = replace(run, cells=cells)
    folder.finish(run, judge(run, folder))
    return load_run(folder.path)


def test_promotion_keeps_only_what_does_not_move_with_the_day(tmp_path: Path) -> None:
    """Work, storage, accuracy and parity; no times, no memory, no power."""
    written = promote(_stored(tmp_path, SCENE), tmp_path / "baselines")

    assert [path.relative_to(tmp_path).as_posix() for path in written] == ["baselines/digits/int8.qemu-cortex-a53.json"]
    raw = json.loads(written[0].read_bytes())
    assert set(raw["figures"]) == {
        "work.instructions", "work.load", "work.first", "storage.size", "accuracy.top1", "accuracy.top5",
        "parity.cosine", "parity.max_abs", "parity.snr_db", "parity.kl", "parity.top1_agreement",
    }  # fmt: skip
    assert raw["run_id"] == "r1"


def test_promoted_figures_apply_to_the_same_cell(tmp_path: Path) -> None:
    """The next run compares its work with the record, and finds a worse artifact."""
    promote(_stored(tmp_path, SCENE), tmp_path)
    gated = replace(SCENE, limits=(limit("work.instructions", "regress", 0.005, "0.5 %"),), work=1_020_000)
    recorded = recorded_figures(tmp_path, gated.evidence().planned)

    run, samples = run_of([replace(gated, recorded=recorded).evidence()])
    verdict = judge(run, samples).verdicts[1]

    assert verdict.outcome is Outcome.REGRESSION
    assert verdict.baseline_source == "int8.qemu-cortex-a53.json (run r1)"
    assert verdict.reason.startswith("work.instructions: code path changed: +2 % (1,020,000 against 1,000,000; another")


def test_a_baseline_carries_the_snapshot_it_was_counted_in(tmp_path: Path) -> None:
    """In the same machine state the next count is compared to the last digit, and the verdict says so."""
    scene = replace(SCENE, snapshot="5a")
    promote(_stored(tmp_path, scene), tmp_path)
    gated = replace(scene, limits=(limit("work.instructions", "regress", 0.0, "0 %"),))
    recorded = recorded_figures(tmp_path, gated.evidence().planned)

    run, samples = run_of([replace(gated, recorded=recorded).evidence()])
    verdict = judge(run, samples).verdicts[1]

    assert {item.snapshot for item in recorded} == {"5a"}
    assert verdict.outcome is Outcome.PASS
    assert "same snapshot: equal to the last digit expected" in verdict.reason


def test_a_baseline_of_the_first_version_has_no_snapshot(tmp_path: Path) -> None:
    """Files that were committed before snapshots had ids stay in use."""
    (path,) = promote(_stored(tmp_path, SCENE), tmp_path)
    old = {**json.loads(path.read_bytes()), "schema_version": 1}
    del old["snapshot"]
    path.write_text(json.dumps(old), encoding="utf-8")

    assert {item.snapshot for item in recorded_figures(tmp_path, SCENE.evidence().planned)} == {""}


def test_a_run_that_is_not_go_is_no_baseline(tmp_path: Path) -> None:
    """Neither NO-GO nor HOLD runs are promoted, and nothing is written."""
    failing = replace(SCENE, wrong=200)

    with pytest.raises(RecordError, match="not a baseline: NO-GO"):
        promote(_stored(tmp_path, SCENE, replace(failing, artifact="other")), tmp_path / "baselines")

    assert not (tmp_path / "baselines").exists()


@pytest.mark.parametrize("other", [replace(SCENE, tier=Tier.FUNCTIONAL), replace(SCENE, artifact="fp32")])
def test_records_of_another_tier_or_artifact_do_not_apply(tmp_path: Path, other: Scene) -> None:
    """Figures never cross tiers or artifacts."""
    promote(_stored(tmp_path, SCENE), tmp_path)

    assert recorded_figures(tmp_path, other.evidence().planned) == ()


def test_records_of_other_data_do_not_apply(tmp_path: Path) -> None:
    """Accuracy on other samples is another figure."""
    promote(_stored(tmp_path, SCENE), tmp_path)
    planned = SCENE.evidence().planned

    assert recorded_figures(tmp_path, replace(planned, data=replace(planned.data, sha256="0" * 64))) == ()
    assert len(recorded_figures(tmp_path, planned)) == 11


def test_a_file_in_the_wrong_place_is_an_error(tmp_path: Path) -> None:
    """A baseline that was copied to another artifact's name is refused, not used."""
    [path] = promote(_stored(tmp_path, SCENE), tmp_path)
    path.rename(path.with_name("fp32.qemu-cortex-a53.json"))

    with pytest.raises(RecordError, match="is the baseline of digits::int8"):
        recorded_figures(tmp_path, replace(SCENE, artifact="fp32").evidence().planned)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 9}, "baseline version 9"),
        ({"figures": {"latency.p50": {"value": 1.0, "low": 1.0, "high": 1.0, "method": ""}}}, "from day to day"),
        ({"figures": {"storage.size": {"value": 1.0, "low": 2.0, "high": 3.0, "method": ""}}}, "outside of its own"),
        ({"extra": 1}, "unknown key 'extra'"),
    ],
)
def test_edited_baselines_are_errors(tmp_path: Path, change: dict[str, object], message: str) -> None:
    """A file that is reviewed by people is still read with suspicion."""
    [path] = promote(_stored(tmp_path, SCENE), tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}))

    with pytest.raises(RecordError, match=message):
        recorded_figures(tmp_path, SCENE.evidence().planned)


def test_names_do_not_leave_the_folder(tmp_path: Path) -> None:
    """Suite and artifact names are file names, not paths."""
    with pytest.raises(RecordError, match="no plain file name"):
        baseline_path(tmp_path, "..", "a", "b")
    with pytest.raises(RecordError, match="no plain file name"):
        baseline_path(tmp_path, "s", "a/b", "c")


def test_operators_are_promoted_and_kept_as_long_as_the_file_is_the_same(tmp_path: Path) -> None:
    """A run with a profile brings it; a later run of the same file that took none does not lose it."""
    promote(_stored(tmp_path / "one", replace(SCENE, operators={"conv Conv": 900_000})), tmp_path)
    planned = SCENE.evidence().planned
    first = recorded_profile(tmp_path, planned)

    promote(_stored(tmp_path / "two", SCENE), tmp_path)

    assert first is not None
    assert [item.name for item in first.operators] == ["conv"]
    assert recorded_profile(tmp_path, planned) == first
