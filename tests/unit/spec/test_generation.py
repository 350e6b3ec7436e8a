"""Suites of language models: what they may ask, and that each mistake is told at its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.errors import SpecError
from harness.spec import load_suite
from harness.spec.model import Suite
from harness.spec.workload import Generation

ASKED = "{prompts: [Once upon a time], new_tokens: 24, context: 256}"
SUITE = f"""\
suite: t
workload:
  task: generation
  data: eval.txt
  generation: {ASKED}
reference: model.gguf
artifacts:
  q4: {{file: q4.gguf, runtime: llamacpp}}
gates:
  all:
    llm.kl: {{max: 0.05}}
    llm.perplexity: {{drop: 2 %}}
"""


def load(folder: Path, text: str = SUITE, data: bytes = b"Once upon a time there was a text.\n") -> Suite:
    """Read a suite beside its files."""
    (folder / "eval.txt").write_bytes(data)
    np.savez(folder / "tokens.npz", tokens=np.arange(9))
    np.savez(folder / "x.npz", x=np.zeros((2, 3)), y=np.zeros(2, int))
    for name in ("model.gguf", "q4.gguf", "m.tflite", "m.onnx"):
        (folder / name).write_bytes(b"model")
    (folder / "t.suite.yaml").write_text(text)
    return load_suite(folder / "t.suite.yaml")


def test_a_suite_of_a_language_model(tmp_path: Path) -> None:
    """Defaults are greedy, few repeats, and a reference in the runtime of its suffix; a drop is a share."""
    suite = load(tmp_path)

    assert suite.reference_runtime == "llamacpp"
    assert suite.workload.generation == Generation(("Once upon a time",), 0, 24, 256)
    assert (suite.workload.repeat, suite.workload.warmup) == (3, 1)
    assert [limit.value for scope in suite.gates for limit in scope.limits] == [0.05, 0.02]


def test_sampling_stop_and_tokens_are_read(tmp_path: Path) -> None:
    """Every key of a generation arrives."""
    keys = (
        "{prompt_tokens: 16, new_tokens: 8, context: 64, sampling: {temperature: 0.7, top_k: 40}, seed: 9, "
        "stop: length, tokenizing: in, window: 32, tokens: 640, probes: 16}"
    )
    text = SUITE.replace(ASKED, keys)

    found = load(tmp_path, text.replace("eval.txt", "tokens.npz")).workload.generation

    assert found == Generation((), 16, 8, 64, 0.7, 40, 9, False, True, 32, 640, 16)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (f"  generation: {ASKED}\n", "", "needs the key 'generation'"),
        ("task: generation\n  data: eval.txt", "task: parity\n  data: x.npz", "goes with 'task: generation' alone"),
        ("runtime: llamacpp", "runtime: tflite", "tflite generates no text"),
        ("q4.gguf, runtime: llamacpp", "m.tflite, runtime: llamacpp", "is a file for tflite, not for llamacpp"),
        ("reference: model.gguf\n", "", "compares with a reference, and the suite has none"),
        ("llm.kl: {max: 0.05}", "latency.p50: {max: 5 ms}", "is not measured by 'task: generation'"),
        ("llm.kl: {max: 0.05}", "accuracy.top1: {min: 5 %}", "is not measured by 'task: generation'"),
        ("llm.kl: {max: 0.05}", "llm.kl: {drop: 5 %}", "drop"),
        ("prompts: [Once upon a time], ", "", "without prompts, 'prompt_tokens' says"),
        ("[Once upon a time]", str(["x" * 8000] * 7), "longer than 48 KiB together"),
        ("context: 256", "context: 20, prompt_tokens: 16", "16 prompt tokens and 24 new ones do not fit into 20"),
        ("context: 256", "context: 256, window: 256", "needs a context of at least 257"),
        ("context: 256", "context: 256, tokens: 100", "less than one window of 128"),
        ("context: 256", "context: 2000000", "at most 1048576"),
        ("context: 256", "context: 256, sampling: hot", "sampling"),
        ("context: 256", "context: 256, sampling: {temperature: 0}", "temperature"),
        ("context: 256", "context: 256, stop: never", "unknown word 'never'"),
        ("eval.txt", "x.npz", "has no array 'tokens' of shape (n,)"),
        ("eval.txt", "none.txt", "no such file"),
    ],
)  # fmt: skip
def test_mistakes_are_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    """What does not go together is an error of the suite, before any board is asked."""
    assert old in SUITE

    with pytest.raises(SpecError) as caught:
        load(tmp_path, SUITE.replace(old, new))

    assert said in str(caught.value)


def test_other_tasks_have_no_language_metrics(tmp_path: Path) -> None:
    """A limit on tokens in a classification is told with what would measure it."""
    text = SUITE.replace("task: generation", "task: classification").replace("eval.txt", "x.npz")
    text = "\n".join(line for line in text.splitlines() if "generation:" not in line) + "\n"

    with pytest.raises(SpecError, match=r"llm.kl is not measured by 'task: classification'.*") as caught:
        load(tmp_path, text)

    assert "llamacpp runs language models only" in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\x00\x01\x02", b"\xff\xfe\xfa", b"   \n"])
def test_data_must_be_text(tmp_path: Path, data: bytes) -> None:
    """Bytes that are no UTF-8 text are refused before any board is asked."""
    with pytest.raises(SpecError, match="is not UTF-8 text"):
        load(tmp_path, data=data)


def test_a_letter_may_be_cut_by_the_first_look(tmp_path: Path) -> None:
    """Only the head of a long text is looked at, and it may end within a letter."""
    assert load(tmp_path, data=b"a" + "ö".encode() * 40_000).name == "t"
