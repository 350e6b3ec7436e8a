"""The plan: every cell, its files and limits, or every problem at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.campaign.cell_files import runtime_of
from harness.campaign.plan import Campaign, build, narrow, runtime_build
from harness.errors import SpecError
from harness.records.canonical import plan_sha256
from harness.spec import load_farm, load_suite
from harness.spec.model import Farm, Suite
from harness.testing.played import FakeModel, write_model
from harness.testing.rehearsal import SUITE, Rehearsal


@pytest.fixture
def rehearsal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rehearsal:
    """The files of a farm and a suite, with the working directory beside them."""
    rehearsal = Rehearsal(tmp_path / "rehearsal")
    monkeypatch.chdir(rehearsal.folder)
    return rehearsal


def _load(text: str = SUITE) -> tuple[Farm, Suite]:
    path = Path("digits/digits.suite.yaml")
    path.write_text(text)
    return load_farm(Path("farm.yaml")), load_suite(path)


def _plan(text: str = SUITE) -> Campaign:
    farm, suite = _load(text)
    return build(farm, [suite])


def test_the_plan_is_devices_times_artifacts_with_its_own_hash(rehearsal: Rehearsal) -> None:
    """Every pair is a cell, in the order of the files, and the plan's hash is that of the rest."""
    campaign = _plan()

    assert [cell.key for cell in campaign.plan.cells] == [
        f"digits::{artifact}[{device}]" for artifact in ("int8", "lite") for device in ("a53", "a72", "here")
    ]
    assert campaign.plan.sha256 == plan_sha256(campaign.plan)
    assert set(campaign.files) == {cell.key for cell in campaign.plan.cells}


def test_a_changed_model_changes_the_plan_and_a_moved_folder_does_not(
    rehearsal: Rehearsal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files count by their bytes; where the checkout lies is not part of the plan."""
    first = _plan().plan.sha256
    rehearsal.folder.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    moved = _plan().plan.sha256
    write_model(Path("digits/int8.onnx"), FakeModel(seed=99))

    assert moved == first
    assert _plan().plan.sha256 != first


def test_a_forbidden_limit_is_refused_with_place_and_alternative(rehearsal: Rehearsal) -> None:
    """A wall-clock limit on a functional board names its line and what to do instead."""
    with pytest.raises(SpecError) as caught:
        _plan(SUITE.replace("  host:\n", "  qemu-cortex-a72:\n"))

    assert [(problem.file, problem.line) for problem in caught.value.problems] == [("digits/digits.suite.yaml", 14)]
    assert "work.instructions" in caught.value.problems[0].message


def test_a_scope_that_names_nothing_is_refused(rehearsal: Rehearsal) -> None:
    """A typing error in a scope would silently gate nothing."""
    with pytest.raises(SpecError, match="qemu-cortex-a5"):
        _plan(SUITE.replace("  qemu-cortex-a53:\n", "  qemu-cortex-a5:\n"))


def test_two_suites_of_one_name_are_refused(rehearsal: Rehearsal) -> None:
    """Cell keys must be unique."""
    farm, suite = _load()

    with pytest.raises(SpecError, match="already the name"):
        build(farm, [suite, replace(suite, file="other/digits.suite.yaml")])


def test_an_artifact_for_some_devices_is_skipped_on_others(rehearsal: Rehearsal) -> None:
    """By device name or profile; a skipped cell has a reason and no limits."""
    campaign = _plan(SUITE.replace("runtime: tflite}", "runtime: tflite, devices: [host, a53]}"))
    skipped = [cell for cell in campaign.plan.cells if cell.skip_reason]

    assert [cell.key for cell in skipped] == ["digits::lite[a72]"]
    assert skipped[0].limits == ()


def test_narrowing_keeps_chosen_cells_and_their_boards(rehearsal: Rehearsal) -> None:
    """The narrowed plan has a hash of its own and opens no other board."""
    whole = _plan()

    chosen = narrow(whole, {"digits::lite[a72]"})

    assert [device.name for device in chosen.plan.devices] == ["a72"]
    assert list(chosen.files) == ["digits::lite[a72]"]
    assert chosen.plan.sha256 == plan_sha256(chosen.plan) != whole.plan.sha256


def test_the_artifacts_pin_goes_before_the_boards_build(rehearsal: Rehearsal) -> None:
    """Pin, then the device's, then the family's default."""
    farm, suite = _load()
    board = replace(farm.devices[0], runtimes={"onnxruntime": "onnxruntime==1.20.0"})
    int8 = suite.artifacts[0]

    assert runtime_build(replace(int8, build="onnxruntime==1.19.0"), board) == "onnxruntime==1.19.0"
    assert runtime_build(int8, board) == "onnxruntime==1.20.0"
    assert runtime_build(int8, replace(board, runtimes={})).startswith("onnxruntime==")


def test_an_unreadable_file_is_a_problem_at_its_artifact(rehearsal: Rehearsal) -> None:
    """A file that vanished after the suite was read."""
    farm, suite = _load()
    Path("digits/lite.tflite").unlink()

    with pytest.raises(SpecError, match=r"digits/digits.suite.yaml:6:\d+: error: cannot read lite.tflite"):
        build(farm, [suite])


def test_the_suffix_names_the_runtime() -> None:
    """Known suffixes map to families, others are a problem that lists them."""
    assert runtime_of(Path("a.TFLITE")) == "tflite"
    assert runtime_of(Path("a.gguf")) == "llamacpp"
    assert runtime_of(Path("a.pte")) == "executorch"
    with pytest.raises(SpecError, match="no runtime is known"):
        runtime_of(Path("a.pth"))
