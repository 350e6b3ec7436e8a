"""A campaign under way: references once, kept in the cache; samples kept; boards described."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.campaign.plan import Campaign, build
from harness.campaign.reference import ReferenceCache
from harness.campaign.run import CampaignRun
from harness.records.outcome import Outcome
from harness.spec import load_farm, load_suite
from harness.testing.device import BoardScript, FakeBoards
from harness.testing.played import FakeModel, write_model
from harness.testing.rehearsal import Rehearsal


class CountingBoards(FakeBoards):
    """Fake boards that count how often the controller is opened."""

    opened_local = 0

    def open_local(self, *arguments: object, **options: object):  # type: ignore[no-untyped-def]  # noqa: ANN201
        """Count, then open."""
        self.opened_local += 1
        return super().open_local(*arguments, **options)  # type: ignore[arg-type]


@pytest.fixture
def campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """The plan of a rehearsal, with a cache of its own."""
    rehearsal = Rehearsal(tmp_path / "rehearsal")
    monkeypatch.chdir(rehearsal.folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return _plan()


def _plan() -> Campaign:
    return build(load_farm(Path("farm.yaml")), [load_suite(Path("digits/digits.suite.yaml"))])


def _run(campaign: Campaign, boards: FakeBoards) -> tuple[CampaignRun, list[str]]:
    kept: list[str] = []

    def keep(key: str, _arrays: object) -> str:
        kept.append(key)
        return "hash"

    run = CampaignRun(campaign, boards, holder="a test", keep=keep)
    run.start(list(campaign.devices()), more=(), progress=lambda _: None)
    run.close()
    return run, kept


def test_all_cells_are_measured_and_their_samples_kept(campaign: Campaign) -> None:
    """One record per cell with the hash of its samples, and every board described."""
    run, kept = _run(campaign, FakeBoards())

    results = [run.result(cell.key, cell.device) for cell in campaign.plan.cells]
    assert sorted(kept) == sorted(cell.key for cell in campaign.plan.cells)
    assert {result.record.samples_sha256 for result in results} == {"hash"}
    assert all(result.device.facts is not None for result in results)
    assert "reference/output_0" in results[0].arrays


def test_the_reference_is_computed_once_and_then_read_from_the_cache(campaign: Campaign) -> None:
    """Two runs open the controller one time; the cached outputs are the computed ones."""
    boards = CountingBoards()
    first, _ = _run(campaign, boards)
    second, _ = _run(campaign, boards)

    key, device = campaign.plan.cells[0].key, campaign.plan.cells[0].device
    assert boards.opened_local == 1
    computed, read = (run.result(key, device).arrays["reference/output_0"] for run in (first, second))
    assert (computed == read).all()


def test_a_reference_that_does_not_run_is_the_users_and_costs_no_other(campaign: Campaign) -> None:
    """Cells of a broken reference keep their sessions and are INCONCLUSIVE; the controller stays in use."""
    files = next(iter(campaign.files.values()))
    assert files.reference is not None
    write_model(files.reference, FakeModel(error="load", errors=99))
    campaign = _plan()
    boards = CountingBoards()

    run, _ = _run(campaign, boards)

    results = [run.result(cell.key, cell.device) for cell in campaign.plan.cells]
    assert all(result.record.sessions for result in results)
    assert {(item.outcome, item.code) for result in results for item in result.record.incidents} == {
        (Outcome.INCONCLUSIVE, "reference")
    }
    assert boards.opened_local == 1


def test_a_torn_cache_file_is_computed_again(campaign: Campaign, tmp_path: Path) -> None:
    """A broken file in the cache costs time, nothing else."""
    boards = CountingBoards()
    _run(campaign, boards)
    for path in (tmp_path / "cache/fleetgate/references").iterdir():
        path.write_bytes(path.read_bytes()[:40])

    run, _ = _run(campaign, boards)

    cell = campaign.plan.cells[0]
    assert boards.opened_local == 2
    assert run.result(cell.key, cell.device).record.incidents == ()


def test_a_board_that_was_never_met_says_why(campaign: Campaign) -> None:
    """Its cells and its own record carry the incident, the others are sound."""
    run, _ = _run(campaign, FakeBoards({"a53": BoardScript(open_fault="busy")}))

    result = run.result("digits::int8[a53]", "a53")
    assert result.device.facts is None
    assert [incident.outcome for incident in (*result.record.incidents, *result.device.incidents)] == [
        Outcome.INFRA,
        Outcome.INFRA,
    ]
    assert run.result("digits::int8[here]", "here").record.incidents == ()


def test_a_reference_that_fails_unexpectedly_leaves_the_cells_evidence(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk under the cache takes the comparison away and none of the sessions."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ReferenceCache, "write", full)

    run, _ = _run(campaign, FakeBoards())

    cell = campaign.plan.cells[0]
    record = run.result(cell.key, cell.device).record
    assert record.sessions
    assert [incident.code for incident in record.incidents] == ["reference"]
    assert "No space left on device" in record.incidents[0].message


def test_the_runtimes_settings_are_recorded(campaign: Campaign) -> None:
    """What shapes the figures stands beside them."""
    run, _ = _run(campaign, FakeBoards())

    cell = campaign.plan.cells[0]
    sessions = run.result(cell.key, cell.device).record.sessions
    assert all(session.settings == {"graph_optimization_level": "fake"} for session in sessions)
