"""Which of the two extra runs a loss of accuracy is worth, and that neither takes evidence away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.campaign.plan import Campaign, build
from harness.campaign.run import CampaignRun, CellResult
from harness.records.cell import Role
from harness.records.outcome import Attribution, Outcome
from harness.spec import load_farm, load_suite
from harness.spec.model import Suite
from harness.spec.workload import Split
from harness.testing.device import BoardScript, FakeBoards
from harness.testing.played import FakeModel, write_model
from harness.testing.rehearsal import Rehearsal

KEY, DEVICE = "digits::int8[a72]", "a72"
Measure = Callable[..., CellResult]


@pytest.fixture
def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Measure one cell whose candidate and mode the test gives, on a board of its own."""
    rehearsal = Rehearsal(tmp_path / "rehearsal")
    monkeypatch.chdir(rehearsal.folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(
        candidate: FakeModel,
        mode: Split = Split.ON_LOSS,
        gate: str = "",
        reference: FakeModel = FakeModel(seed=0),  # noqa: B008
    ) -> CellResult:
        write_model(rehearsal.suite_folder / "int8.onnx", candidate)
        write_model(rehearsal.suite_folder / "fp32.onnx", reference)
        suite_file = rehearsal.suite_folder / "digits.suite.yaml"
        if gate:
            suite_file.write_text(suite_file.read_text().replace("    memory.peak:", f"    {gate}\n    memory.peak:"))
        return _run(build(load_farm(Path("farm.yaml"), select=DEVICE), [_with(load_suite(suite_file), mode)]))

    return run


def _with(suite: Suite, mode: Split) -> Suite:
    return replace(suite, workload=replace(suite.workload, attribution=mode), artifacts=suite.artifacts[:1])


def _run(campaign: Campaign, script: BoardScript = BoardScript()) -> CellResult:  # noqa: B008
    run = CampaignRun(campaign, FakeBoards({DEVICE: script}), holder="a test", keep=lambda _key, _arrays: "hash")
    run.start([DEVICE], more=(), progress=lambda _: None)
    run.close()
    return run.result(KEY, DEVICE)


def _on_board(result: CellResult) -> list[Role]:
    return [session.role for session in result.record.sessions if session.role is Role.REFERENCE]


def test_a_good_candidate_costs_no_run_more(measure: Measure) -> None:
    """Without a loss nothing of the candidate is computed on the controller, and no reference runs on the board."""
    result = measure(FakeModel())

    assert "controller/output_0" not in result.record.reference_arrays
    assert result.record.controller_builds == {"reference": "onnxruntime==1.32.0"}
    assert _on_board(result) == []


def test_a_loss_by_the_file_costs_no_board_time(measure: Measure) -> None:
    """Controller and board answer alike: the loss is quantization, and the reference stays off the board."""
    result = measure(FakeModel(wrong=60))

    assert set(result.record.controller_builds) == {"reference", "controller"}
    assert (result.arrays["controller/output_0"] == result.arrays["0/output_0"]).all()
    assert _on_board(result) == []


def test_a_loss_by_the_board_runs_the_reference_there(measure: Measure) -> None:
    """The board answers otherwise than the controller: one more accuracy session, of the reference's own bytes."""
    result = measure(FakeModel(wrong_on_boards=60))

    assert _on_board(result) == [Role.REFERENCE]
    session = result.record.sessions[-1]
    assert session.model_sha256 != result.record.sessions[0].model_sha256
    assert session.runtime.build == "onnxruntime==1.32.0"
    assert result.record.incidents == ()


@pytest.mark.parametrize(("mode", "roles"), [(Split.ALWAYS, [Role.REFERENCE]), (Split.NEVER, [])])
def test_the_suite_may_ask_for_all_runs_or_none(measure: Measure, mode: Split, roles: list[Role]) -> None:
    """`always` measures good candidates too, `never` not even bad ones."""
    result = measure(FakeModel(wrong_on_boards=0 if mode is Split.ALWAYS else 60), mode)

    assert _on_board(result) == roles
    assert ("controller" in result.record.controller_builds) == (mode is Split.ALWAYS)


def test_a_conformance_limit_asks_for_the_controller(measure: Measure) -> None:
    """The candidate's own file is computed there, also where no accuracy is lost."""
    result = measure(FakeModel(), Split.NEVER, "conformance.flips: {max: 0}")

    assert "controller/output_0" in result.record.reference_arrays
    assert result.record.controller_builds["controller"] == "onnxruntime==1.32.0"


def test_a_reference_that_fails_on_the_board_takes_nothing_away(measure: Measure) -> None:
    """It works on the controller alone: an incident of the reference, and the sessions of the candidate stay."""
    result = measure(FakeModel(wrong_on_boards=60), reference=FakeModel(wrong_on_boards=0, error_on_boards="load"))

    [incident] = result.record.incidents
    assert (incident.role, incident.outcome, incident.attribution) == (
        Role.REFERENCE,
        Outcome.INCONCLUSIVE,
        Attribution.UNKNOWN,
    )
    assert len(result.record.sessions) == 3
    assert "controller/output_0" in result.record.reference_arrays
