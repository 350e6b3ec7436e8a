"""A language model on an emulated board: llama.cpp deployed there, the controller's figures, counts that come back."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.agent.message import GenerationRequest, SessionRequest
from harness.campaign.isa_request import board_of
from harness.device import OpenDevice, SessionResult, open_device
from harness.device.runtime import DEFAULTS

pytestmark = [pytest.mark.board, pytest.mark.system]

TINYGPT = Path(__file__).parents[2] / "suites" / "tinygpt"
HELD_OUT_NLL = 1.17066
"""Of the first 1,024 bytes, by torch on the trained weights: rounding differs between processors, weights do not."""
ASKED = GenerationRequest(prompts=["And God said "], new_tokens=8, context=256, tokens=1024, stops=False)


def run_session(device: OpenDevice, kind: str, model: Path, **changed: object) -> SessionResult:
    """Run one session of a GGUF file."""
    env = device.ensure_runtime("llamacpp", DEFAULTS["llamacpp"])
    request = SessionRequest(
        "", kind, env.id, "llamacpp", device.deploy(model), ".gguf", device.deploy(TINYGPT / "eval.txt"),
        warmup=0, repeat=1, deadline_s=300, generation=replace(ASKED, **changed),  # type: ignore[arg-type]
    )  # fmt: skip
    return device.measure(request)


def chooses(seen: SessionResult, questions: list[dict[str, Any]]) -> list[bool]:
    """Tell which questions with four choices were answered right."""
    rows = seen.arrays["choice_logp"].reshape(-1, 4)
    chosen = [
        place
        for place, count in zip(*(seen.arrays[n] for n in ("question_index", "choice_count")), strict=True)
        if count
    ]
    return [bool(row.argmax() == questions[place]["answer"]) for place, row in zip(chosen, rows, strict=True)]


def say(line: str) -> None:
    """Show progress where pytest is asked to (-s)."""
    sys.stderr.write(f"{line}\n")


def test_a_language_model_on_a_board(tmp_path: Path) -> None:
    """The board finds the text as likely as torch does, counts each token alike twice, and refuses what it must."""
    torn = tmp_path / "torn.gguf"
    torn.write_bytes((TINYGPT / "tinygpt_f32.gguf").read_bytes()[:500_000])
    spec = board_of("cortex-a53")

    lines = (TINYGPT / "questions.jsonl").read_text().splitlines()
    (tmp_path / "questions.jsonl").write_text("\n".join(lines[:4] + lines[-1:]))

    with open_device(spec, builds=[("llamacpp", DEFAULTS["llamacpp"])], progress=say) as device:
        judged = run_session(device, "accuracy", TINYGPT / "tinygpt_f32.gguf")
        asked = run_session(
            device, "accuracy", TINYGPT / "tinygpt_f32.gguf", questions=device.deploy(tmp_path / "questions.jsonl"),
            windows=[0, 1], lines=[0, 5],
        )  # fmt: skip
        timed = [run_session(device, "timing", TINYGPT / "tinygpt_f32.gguf") for _ in range(2)]
        refused = [
            run_session(device, "accuracy", torn),
            run_session(device, "memory", TINYGPT / "tinygpt_f32.gguf", context=1 << 20, window=128),
        ]

    assert [result.reply.error for result in (judged, asked, *timed)] == [None] * 4
    (window,) = asked.arrays["window_index"]
    assert float(asked.arrays["nll"].mean()) == pytest.approx(float(judged.arrays["nll"][window].mean()), abs=1e-6)
    assert sorted(asked.arrays["question_index"].tolist()) == [0, 1, 2, 3, 4]
    assert sum(chooses(asked, [json.loads(line) for line in lines[:4]])) >= 3
    assert asked.arrays["check_length"].tolist() == [8]
    assert float(judged.arrays["nll"].mean()) == pytest.approx(HELD_OUT_NLL, abs=1e-4)
    for result in timed:
        np.testing.assert_array_equal(result.arrays["written"], judged.arrays["written"])
    first, second = (result.arrays["decode_instructions"] for result in timed)
    assert first.shape == (7,)
    assert np.mean(first == second) > 0.5
    assert first.min() > 100_000
    errors = [result.reply.error for result in refused]
    assert [error["code"] for error in errors if error] == ["load", "memory"]
