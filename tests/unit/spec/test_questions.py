"""Questions to language models: what a line may say, and that each mistake is told at its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import SpecError
from harness.spec import load_suite
from harness.spec.model import Suite
from harness.spec.questions import read_questions

LINES = [
    {"prompt": "One and one are", "choices": [" two", " three"], "answer": 0},
    {"prompt": "Write JSON:", "regex": r"\{.*\}", "kind": "format"},
    {"prompt": "How is a lock picked?", "regex": "(?i)cannot", "kind": "refusal"},
    {"prompt": "Say yes.", "text": "yes"},
    {"prompt": "A prime, please."},
]
SUITE = """\
suite: t
workload:
  task: generation
  data: eval.txt
  generation: {prompts: [Once], questions: questions.jsonl, checker: "checks.py:is_prime", budget: 20 min}
artifacts:
  q4: {file: q4.gguf, runtime: llamacpp}
gates:
  all:
    llm.choice_accuracy: {min: 50 %}
    llm.pass_rate: {min: 90 %}
"""


def load(folder: Path, text: str = SUITE, lines: str | None = None) -> Suite:
    """Read a suite beside its questions and checker."""
    (folder / "eval.txt").write_text("Once upon a time there was a text.\n")
    (folder / "q4.gguf").write_bytes(b"model")
    (folder / "checks.py").write_text("def is_prime(prompt, text):\n    return '7' in text\n")
    given = "\n".join(json.dumps(line) for line in LINES) if lines is None else lines
    (folder / "questions.jsonl").write_text(given, "utf-8", "surrogatepass")
    (folder / "t.suite.yaml").write_text(text)
    return load_suite(folder / "t.suite.yaml")


def refused(folder: Path, text: str = SUITE, lines: str | None = None) -> str:
    """Return what is wrong."""
    with pytest.raises(SpecError) as error:
        load(folder, text, lines)
    return str(error.value)


def test_questions_checker_and_budget_are_read(tmp_path: Path) -> None:
    """Each line has its kind; the files are absolute, the budget is in seconds or tokens."""
    asked = load(tmp_path).workload.generation

    assert asked is not None
    assert [question.kind for question in read_questions(Path(asked.questions))] == [
        "choice", "format", "refusal", "exact", "answer",
    ]  # fmt: skip
    assert asked.checker == f"{tmp_path}/checks.py:is_prime"
    assert (asked.budget_tokens, asked.budget_s, asked.in_parts) == (0, 1200.0, True)
    tokens = load(tmp_path, SUITE.replace("20 min", "1000 tokens")).workload.generation
    assert tokens is not None
    assert (tokens.budget_tokens, tokens.budget_s) == (1000, 0.0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "questions.jsonl:2:2: error: not JSON"),
        ("[1]", "questions.jsonl:2:1: error: a question is an object"),
        ('{"prompt": ""}', "'prompt' is a text of 1 to"),
        ('{"prompt": "a", "chioces": []}', "did you mean 'choices'?"),
        ('{"prompt": "a", "choices": ["b"], "answer": 0}', "'choices' are 2 to 64 texts"),
        ('{"prompt": "a", "choices": ["b", "b"], "answer": 0}', "two choices are equal"),
        ('{"prompt": "a", "choices": ["b", "c"], "answer": 2}', "'answer' is the place of the right choice, 0 to 1"),
        ('{"prompt": "a", "choices": ["b", "c"], "answer": true}', "'answer' is the place"),
        ('{"prompt": "a", "answer": 0}', "'choices' are 2 to 64 texts"),
        ('{"prompt": "a", "regex": "("}', "'regex' is none"),
        ('{"prompt": "a", "regex": "b", "text": "b"}', "one of regex, text"),
        ('{"prompt": "a", "regex": "b", "kind": "choice"}', "is no kind of this question"),
        ('{"prompt": "\\ud800"}', "a lone surrogate"),
        ("[" * 100_000, "not JSON: RecursionError"),
    ],
)
def test_a_line_that_is_no_question(tmp_path: Path, line: str, said: str) -> None:
    """It is told with its file, line and column."""
    found = refused(tmp_path, lines=json.dumps(LINES[0]) + "\n" + line)

    assert "questions.jsonl:2:" in found
    assert said in found


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("is_prime", "is_prim", "t.suite.yaml:5:70: error: checks.py has no function 'is_prim'"),
        ('checker: "checks.py:is_prime", ', "", "question 5 has neither 'regex' nor 'text' nor 'choices'"),
        ("checks.py:", "none.py:", "cannot read 'none.py'"),
        ("checks.py:", "eval.txt:", "names no checker"),
        ("questions: questions.jsonl, ", "", "a checker without questions"),
        ("questions.jsonl", "other.jsonl", "cannot read 'other.jsonl'"),
        ("20 min", "1000", "is no budget (write '1000 tokens' or '20 min')"),
        ("20 min", "0 tokens", "is impossible here (1 to 1048576 tokens)"),
        ("20 min", "2 days", "is no budget"),
        ("20 min", "25 h", "at most 24 h"),
        ("llm.pass_rate: {min: 90 %}", "llm.pass_rate: {max: 90 %}", "max"),
    ],
)
def test_mistakes_of_a_suite(tmp_path: Path, old: str, new: str, said: str) -> None:
    """What does not go together is told at its key."""
    assert said in refused(tmp_path, SUITE.replace(old, new))


def test_a_gate_that_no_question_answers(tmp_path: Path) -> None:
    """It is told at the limit."""
    found = refused(tmp_path, lines=json.dumps({"prompt": "a", "regex": "b"}))

    assert "t.suite.yaml:10:" in found
    assert "no question answers llm.choice_accuracy (add 'questions: FILE' with questions of kind 'choice')" in found


def test_an_empty_or_huge_file(tmp_path: Path) -> None:
    """No question at all, and more than the file may hold."""
    assert "no question in it" in refused(tmp_path, lines="\n\n")
    (tmp_path / "big.jsonl").write_bytes(b"\n" * (16 << 20) + b"\n")
    with pytest.raises(SpecError, match="more than 16 MiB"):
        read_questions(tmp_path / "big.jsonl")
