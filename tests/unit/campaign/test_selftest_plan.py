"""A release campaign as a self-test: which fault is tried where, with which files, and what is left out and why."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.campaign.plan import Campaign, build
from harness.campaign.selftest import mutation
from harness.campaign.selftest.amount import amount_of
from harness.campaign.selftest.catalogue import FAULTS
from harness.campaign.selftest.planner import SelfTestPlanner
from harness.records.trial import Place, Trial
from harness.spec import load_farm, load_suite
from harness.spec.model import Tier
from harness.spec.questions import read_questions
from harness.testing.evidence import limit

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "suites" / "digits"


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """The self-test of the demo: three emulated boards, the digits suite."""
    folder = tmp_path_factory.mktemp("changed")
    release = build(load_farm(ROOT / "farm.yaml"), [load_suite(DIGITS / "digits.suite.yaml")])
    return SelfTestPlanner(folder).plan(release)


def _trials(campaign: Campaign) -> dict[tuple[str, str], Trial]:
    return {(cell.trial.fault, cell.device): cell.trial for cell in campaign.plan.cells if cell.trial is not None}


def test_each_fault_meets_each_gate_once_per_board(campaign: Campaign) -> None:
    """No pair of fault and gate is tried twice on a board, and checks that know no board are tried on one."""
    pairs = [
        (cell.trial.fault, cell.device, answer.metric, answer.kind)
        for cell in campaign.plan.cells
        if cell.trial is not None and cell.trial.place is not Place.NOWHERE
        for answer in cell.trial.answers
    ]

    assert len(set(pairs)) == len(pairs)
    assert ("busy", "a53", "work.instructions", "regress") in pairs
    assert ("flipped-weights", "a72", "accuracy.top1", "drop") in pairs
    assert {device for fault, device, _, _ in pairs if fault == "wrong-nonce"} == {"a53"}


def test_every_fault_is_planted_or_left_out_with_a_reason(campaign: Campaign) -> None:
    """What no gate of a board can see stands among the omissions, with the tier or the missing limit as the reason."""
    assert campaign.plan.selftest is not None
    planted = set(_trials(campaign))
    omitted = {(item.fault, item.device): item.reason for item in campaign.plan.selftest.omissions}
    boards = {device.name for device in campaign.plan.devices}

    for fault in FAULTS:
        for board in boards:
            where = {(fault.name, board), (fault.name, "")} & set(omitted)
            assert ((fault.name, board) in planted) != bool(where) or fault.once
    assert "emulated-functional" in omitted["hot-board", "a72"]
    assert "no limit" in omitted["busy", "a72"]


def test_trials_are_marked_and_have_a_control(campaign: Campaign) -> None:
    """Every board may be planted on, and every fault has a cell beside it that measures the same without it."""
    keys = {cell.key for cell in campaign.plan.cells}

    assert all(device.selftest for device in campaign.plan.devices)
    assert all(cell.trial is not None for cell in campaign.plan.cells)
    assert {trial.control for trial in _trials(campaign).values()} - {""} <= keys


def test_candidate_and_baseline_are_one_model_with_two_hashes(campaign: Campaign) -> None:
    """The baseline of a trial is the candidate's own file with other bytes at its end."""
    cell = next(cell for cell in campaign.plan.cells if cell.trial is not None and cell.trial.fault == "busy")
    files = campaign.files[cell.key]

    assert cell.baseline is not None
    assert files.baseline is not None
    assert cell.baseline.sha256 != cell.model.sha256
    assert files.baseline.read_bytes().startswith(files.model.read_bytes())


def test_a_fault_is_a_little_more_than_the_margin(campaign: Campaign) -> None:
    """5 % allowed: 7 % planted where figures repeat; each absolute limit has a fault of its own size."""
    busy = _trials(campaign)["busy", "a53"]
    counted = [
        cell.trial.target
        for cell in campaign.plan.cells
        if cell.trial is not None and cell.trial.fault == "busy-count" and cell.device == "a53"
    ]

    assert busy.ratio == pytest.approx(0.07)
    assert counted == pytest.approx([1e6, 5e-3 / 0.15e-9])  # the limit of counts, and that of energy in counts


def test_amounts_leave_room_for_noise_on_hardware(campaign: Campaign) -> None:
    """Where figures scatter, at least ten points more than the margin are planted."""
    fault = next(fault for fault in FAULTS if fault.name == "busy")
    here = replace(campaign.plan.devices[0], tier=Tier.HARDWARE)

    assert amount_of(fault, limit("latency.p50", "regress", 0.05), here).ratio == pytest.approx(0.15)
    assert amount_of(fault, limit("latency.p50", "regress", 0.20), here).ratio == pytest.approx(0.40)


@pytest.mark.parametrize(
    "name", ["digits_int8_qdq.onnx", "digits_fp32.onnx", "digits_int8.tflite", "digits_fp32.tflite"]
)
def test_weights_are_found_and_only_their_signs_flipped(name: str) -> None:
    """Half of the weights have another sign bit, nothing else is touched, and twice gives the same bytes."""
    model = (DIGITS / name).read_bytes()

    flipped = mutation.flip_weights(model)

    assert flipped is not None
    difference = np.frombuffer(model, np.uint8) ^ np.frombuffer(flipped, np.uint8)
    assert set(np.unique(difference)) == {0, 0x80}
    assert 0.05 < float((difference > 0).mean()) < 0.6
    assert mutation.flip_weights(model) == flipped


@pytest.mark.parametrize(
    "data", [b"", b"no model", b"\x08\x07:\xff", bytes(range(256)), b"\x10\x00\x00\x00TFL3\xff\xff"]
)
def test_what_is_no_model_has_no_weights(data: bytes) -> None:
    """Bytes that only look like a model are left alone."""
    assert mutation.flip_weights(data) is None


def test_a_padded_model_computes_the_same() -> None:
    """Padding grows the file to the size asked for, and onnxruntime answers as before."""
    import onnxruntime

    model = (DIGITS / "digits_int8_qdq.onnx").read_bytes()
    image = np.zeros((1, 1, 8, 8), np.float32)

    padded = mutation.pad(model, 150_000)

    assert 150_000 <= len(padded) < 150_010
    before, after = (onnxruntime.InferenceSession(data).run(None, {"image": image})[0] for data in (model, padded))
    assert np.array_equal(before, after)


def test_labels_are_shuffled_and_data_shortened() -> None:
    """The same labels in another order; the first samples of every array."""
    data = (DIGITS / "digits_eval.npz").read_bytes()
    labels = mutation._arrays(data)["y"]

    shuffled = mutation.shuffle_labels(data)

    assert shuffled is not None
    found = mutation._arrays(shuffled)["y"]
    assert sorted(found) == sorted(labels)
    assert float((found == labels).mean()) < 0.3
    assert {len(array) for array in mutation._arrays(mutation.shorten(data, 7)).values()} == {7}


def test_questions_have_a_wrong_key(tmp_path: Path) -> None:
    """Of a suite with questions each gate on answers is tried with other right answers, of the same questions."""
    suite = load_suite(ROOT / "suites" / "tinygpt" / "questions.suite.yaml")
    made = SelfTestPlanner(tmp_path).plan(build(load_farm(ROOT / "farm.yaml"), [suite]))

    tried = [(cell, cell.trial) for cell in made.plan.cells if cell.trial is not None]
    cell, trial = next((cell, trial) for cell, trial in tried if trial.fault == "wrong-key")
    assert {item.metric for item in trial.answers} == {"llm.choice_accuracy", "llm.format_rate"}
    assert suite.workload.generation is not None
    changed = made.files[cell.key].questions
    assert changed is not None
    assert cell.questions is not None
    assert changed.stem == cell.questions.sha256
    ours, theirs = read_questions(changed), read_questions(Path(suite.workload.generation.questions))
    assert [item.prompt for item in ours] == [item.prompt for item in theirs]
    assert not any(item.answer == other.answer for item, other in zip(ours, theirs, strict=True) if item.choices)
    assert not any(re.search(item.regex, text) for item in ours if item.regex for text in ("", "\n", "And it came"))


def test_language_models_carry_the_faults_that_reach_them(tmp_path: Path) -> None:
    """A suite of a language model is tried with torn files, ballast and broken scores, never with labels."""
    suite = load_suite(ROOT / "suites" / "tinygpt" / "tinygpt.suite.yaml")
    planned = SelfTestPlanner(tmp_path).plan(build(load_farm(ROOT / "farm.yaml"), [suite])).plan

    tried = {cell.trial.fault for cell in planned.cells if cell.trial is not None}
    gates = {item.metric for cell in planned.cells if cell.trial is not None for item in cell.trial.answers}

    assert {"torn-file", "endless", "ballast-peak", "padded-file", "wrong-nonce"} <= tried
    assert tried.isdisjoint({"shuffled-labels", "dropped-outputs", "busy", "few-counts"})
    assert {"shuffled-continuations", "unlikely-text", "nan-likelihood", "more-token-work", "grown-cache"} <= tried
    assert gates >= {
        "crash",
        "memory.peak",
        "memory.cache",
        "storage.size",
        "llm.kl",
        "llm.perplexity",
        "work.new_token",
    }
