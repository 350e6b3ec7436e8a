"""What a model wrote, judged in a process of its own: by expressions, by equality, by the suite's function."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import numpy as np
import pytest

from harness.campaign.checker import Grader
from harness.spec.questions import Question

CHECKS = """\
import os, sys, time
from helper_of_the_suite import SCORE
def passes(prompt, text):
    print("said to nobody")
    return text.startswith(prompt)
def score(prompt, text):
    return SCORE
def wrong(prompt, text):
    return 2.5
def fails(prompt, text):
    raise RuntimeError("broken checker")
def sleeps(prompt, text):
    time.sleep(60)
def leaves(prompt, text):
    os._exit(0)
"""


def grade(
    folder: Path, function: str, *texts: str, questions: tuple[Question, ...] = (), limit_s: float = 20
) -> tuple[list[float], str]:
    """Judge texts of questions; without any, of questions for the checker."""
    (folder / "checks.py").write_text(CHECKS)
    (folder / "helper_of_the_suite.py").write_text("SCORE = 0.25\n")
    asked = questions or tuple(Question(f"p{number}", "answer") for number in range(len(texts)))
    written = [text.encode() for text in texts]
    arrays: dict[str, np.ndarray] = {
        "question_index": np.arange(len(asked), dtype=np.int32),
        "check_length": np.array([len(text) for text in written], dtype=np.int64),
        "check_text": np.frombuffer(b"".join(written), dtype=np.uint8),
    }
    found, problem = Grader(asked, f"{folder}/checks.py:{function}" if function else "", limit_s).grade(arrays)
    return [float(score) for score in found["check_score"]], problem


def test_expressions_equality_and_functions_judge(tmp_path: Path) -> None:
    """Each question by what its line says; choices are not judged here, and prints of the checker are no answers."""
    asked = (
        Question("a", "format", regex=r"\A\d+\Z"),
        Question("b", "exact", text="yes"),
        Question("c", "choice", ("x", "y"), 0),
        Question("tail", "answer"),
    )

    assert grade(tmp_path, "passes", "123", "yes!", "tail of it", questions=asked) == ([1.0, 0.0, 1.0], "")
    assert grade(tmp_path, "score", "a", "b\0c") == ([0.25, 0.25], "")


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("wrong", "text 0: ValueError: the checker returned 2.5, not a bool or a score from 0 to 1"),
        ("fails", "RuntimeError: broken checker"),
        ("sleeps", "did not judge 2 texts within"),
        ("leaves", "left no scores"),
        ("missing", "AttributeError"),
    ],
)
def test_a_checker_that_fails_is_the_users(tmp_path: Path, function: str, said: str) -> None:
    """Whatever it does ends in bounded time with its words; expressions still judge, unless the process ends."""
    asked = (Question("p", "answer"), Question("q", "format", regex="x"))
    began = time.monotonic()
    limit_s = 0.5 if function == "sleeps" else 20

    scores, problem = grade(tmp_path, function, "text", "no", questions=asked, limit_s=limit_s)

    assert said in problem
    assert math.isnan(scores[0])
    assert math.isnan(scores[1]) == (function in {"sleeps", "leaves"})
    assert time.monotonic() - began < 30


def test_an_expression_that_never_ends_is_stopped(tmp_path: Path) -> None:
    """Catastrophic backtracking takes the time limit, not forever."""
    scores, problem = grade(tmp_path, "", "a" * 40, questions=(Question("p", "answer", regex="(a+)+b"),), limit_s=0.5)

    assert math.isnan(scores[0])
    assert "did not judge" in problem


def test_nothing_written_is_nothing_judged(tmp_path: Path) -> None:
    """A session of choices alone has no scores, and the environment of the checker holds no secrets."""
    os.environ["A_SECRET_OF_CI"] = "hidden"
    (tmp_path / "env.py").write_text("import os\ndef sees(prompt, text):\n    return 'A_SECRET_OF_CI' in os.environ\n")
    arrays: dict[str, np.ndarray] = {
        "question_index": np.zeros(1, np.int32),
        "check_length": np.array([1]),
        "check_text": np.zeros(1, np.uint8),
    }

    assert Grader((Question("a", "choice", ("x", "y"), 0),)).grade({"question_index": np.zeros(1, np.int32)})[0] == {}
    found, _ = Grader((Question("a", "answer"),), f"{tmp_path}/env.py:sees").grade(arrays)
    assert found["check_score"].tolist() == [0.0]
