"""Chains in committed baselines: written per device, read with suspicion, and what older files still say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import RecordError
from harness.gate import judge
from harness.records.verdict import Estimate
from harness.store import RunFolder, load_run, promote, recorded_figures
from harness.store.baseline import describe_chains, read_baseline
from harness.store.chain import chains_after, spent_budgets
from harness.store.read import StoredRun
from harness.testing.evidence import Scene, limit, run_of

SLOWER = limit("latency.p50", "regress", 0.05, "5 %")
SCENE = Scene(limits=(SLOWER,), baseline=1 / 1.03, noise=1e-4)


def _stored(root: Path, *scenes: Scene, name: str = "r1") -> StoredRun:
    run, samples = run_of([scene.evidence() for scene in scenes])
    run = replace(run, run_id=name)
    folder = RunFolder.create(root / "runs", name)
    folder.write_plan(run.plan)
    cells = tuple(
        replace(cell, samples_sha256=folder.write_samples(cell.key, samples.arrays(cell.key))) for cell in run.cells
    )
    run = replace(run, cells=cells)
    folder.finish(run, judge(run, folder))
    return load_run(folder.path)


def test_every_board_has_a_chain_of_its_own_that_starts_at_its_baseline(tmp_path: Path) -> None:
    """Two boards of one profile: 3 % and 2 % spent since the baseline file of the first promotion."""
    [path] = promote(_stored(tmp_path, SCENE, replace(SCENE, device="pi2", baseline=1 / 1.02)), tmp_path)

    chains = read_baseline(path).chains

    assert {device: chain["latency.p50"].releases[-1].factor for device, chain in chains.items()} == {
        "pi": pytest.approx(1.03, abs=1e-3),
        "pi2": pytest.approx(1.02, abs=1e-3),
    }
    first = chains["pi"]["latency.p50"].releases[0]
    assert (first.model, first.factor, first.sha256) == ("v1.onnx", 1.0, chains["pi"]["latency.p50"].anchor)
    assert describe_chains(path)[0].startswith("latency.p50 on pi: +3.0")


def test_a_later_promotion_of_one_board_keeps_the_chains_of_the_others(tmp_path: Path) -> None:
    """A run on a part of the farm does not forget what the rest has spent."""
    promote(_stored(tmp_path, SCENE, replace(SCENE, device="pi2")), tmp_path)

    [path] = promote(_stored(tmp_path, SCENE, name="r2"), tmp_path)

    assert set(read_baseline(path).chains) == {"pi", "pi2"}
    assert [item.run_id for item in read_baseline(path).chains["pi"]["latency.p50"].releases][-1] == "r2"


def test_a_model_that_the_chain_does_not_know_has_neither_budget_nor_place(tmp_path: Path) -> None:
    """Its distance to the anchor is unknown: it can be compared with by no plan, and added by no promotion."""
    [path] = promote(_stored(tmp_path, SCENE), tmp_path)
    link = read_baseline(path).link("pi")
    planned = SCENE.evidence().planned
    assert planned.baseline is not None
    stranger = replace(planned, baseline=replace(planned.baseline, name="other.onnx", sha256="0" * 64))
    worse = {"latency.p50": Estimate(0.01, 0.0, 0.02, 6, "")}

    with pytest.raises(
        RecordError, match=r"other\.onnx is none of the releases since the anchor \(v1\.onnx, m\.onnx\)"
    ):
        spent_budgets(stranger, link, "x")
    with pytest.raises(RecordError, match="baseline promote --anchor"):
        chains_after(stranger, "r2", worse, link, anchor=False)

    assert chains_after(stranger, "r2", worse, link, anchor=True)["latency.p50"].anchor == planned.model.sha256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"anchor": "0" * 64}, "does not hold its anchor"),
        ({"factor": -1.0}, "impossible factor"),
    ],
)
def test_edited_chains_are_errors(tmp_path: Path, change: dict[str, object], message: str) -> None:
    """A chain without its anchor, or with a factor that no measurement gives, is refused."""
    [path] = promote(_stored(tmp_path, SCENE), tmp_path)
    raw = json.loads(path.read_bytes())
    chain = raw["chains"]["pi"]["latency.p50"]
    (chain if "anchor" in change else chain["releases"][-1]).update(change)
    path.write_text(json.dumps(raw))

    with pytest.raises(RecordError, match=message):
        read_baseline(path)


def test_a_baseline_of_the_first_version_is_still_read(tmp_path: Path) -> None:
    """Without chains and answers: its figures serve, and no budget is spent."""
    [path] = promote(_stored(tmp_path, SCENE), tmp_path)
    raw = json.loads(path.read_bytes())
    del raw["chains"]
    for figure in raw["figures"].values():
        del figure["hits"]
    path.write_text(json.dumps({**raw, "schema_version": 1}))

    planned = SCENE.evidence().planned

    assert {item.metric for item in recorded_figures(tmp_path, planned)} >= {"accuracy.top1", "storage.size"}
    assert spent_budgets(planned, read_baseline(path).link("pi"), "x") == ()


def test_the_answers_of_a_release_are_kept_for_pairs(tmp_path: Path) -> None:
    """Accuracy comes with which samples were right; nothing else does."""
    [path] = promote(_stored(tmp_path, SCENE), tmp_path)

    figures = read_baseline(path).figures

    assert len(figures["accuracy.top1"].hits) == 68
    assert figures["storage.size"].hits == ""
