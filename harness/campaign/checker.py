"""Judging what a language model wrote: regular expressions, equality and the suite's own function.

Owns the process in which they run, bounded in time, memory and output: an expression may take forever, a function may
do anything. What the scores mean is `harness.stats.questions`.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from harness.errors import InfraError, SpecError
from harness.spec.questions import CHOICE, KINDS, Question, read_questions

if TYPE_CHECKING:
    import numpy as np

CHECKER = "checker"
"""Code of the error that says: the checker did not judge. It is the user's."""
LONGEST_S, LONGEST_TEXT_S = 30.0, 1.0
_MEMORY, _OUTPUT = 4 << 30, 16 << 20


@dataclass(frozen=True, slots=True)
class Grader:
    """The questions of a suite and what judges the answers to them.

    Args:
        questions: in file order.
        checker: `file.py:function`, the file absolute; empty: no question needs one.
        limit_s: longest time to judge, beside LONGEST_TEXT_S for each text.
    """

    questions: tuple[Question, ...]
    checker: str = ""
    limit_s: float = LONGEST_S

    @staticmethod
    def read(path: Path, checker: str) -> Grader:
        """Read the questions.

        Raises:
            InfraError: they are not what was planned any more.
        """
        try:
            return Grader(read_questions(path), checker)
        except (SpecError, OSError) as error:
            raise InfraError(f"{path.name} was changed after it was planned: {error}", code="integrity") from error

    def key(self) -> dict[str, np.ndarray]:
        """Return what a judge needs beside the answers: `questions/answer` int32 and `questions/kind` int8, (q,)."""
        import numpy as np

        return {
            "questions/answer": np.array([question.answer for question in self.questions], dtype=np.int32),
            "questions/kind": np.array([KINDS.index(question.kind) for question in self.questions], dtype=np.int8),
        }

    def grade(self, arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], str]:
        """Judge the texts of a session (`harness.agent.language.questions`).

        Returns:
            check_score float64, one per text, from 0 to 1, NaN where it could not be judged (nothing where nothing was
            written); and why, or nothing.
        """
        import numpy as np

        lengths, index = arrays.get("check_length"), arrays.get("question_index")
        if lengths is None or index is None or not lengths.size:
            return {}, ""
        asked = [self.questions[number] for number in index.tolist() if self.questions[number].kind != CHOICE]
        written = arrays["check_text"].tobytes()
        if len(asked) != lengths.size or int(lengths.sum()) != len(written):
            return {}, f"{lengths.size} texts came back for {len(asked)} questions"
        ends = np.cumsum(lengths).tolist()
        texts = [written[end - size : end].decode("utf-8", "replace") for end, size in zip(ends, lengths, strict=True)]
        try:
            scores, problem = self._judge(asked, texts)
        except InfraError as error:
            scores, problem = [math.nan] * len(texts), str(error)
        return {"check_score": np.array(scores, dtype=np.float64)}, problem

    def _judge(self, asked: Sequence[Question], texts: Sequence[str]) -> tuple[list[float], str]:
        items = [
            {"kind": item.kind, "prompt": item.prompt, "regex": item.regex, "expected": item.text, "text": text}
            for item, text in zip(asked, texts, strict=True)
        ]
        work = json.dumps({"checker": self.checker, "texts": items}).encode()
        limit_s = self.limit_s + LONGEST_TEXT_S * len(texts)
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as said:
            given.write(work)
            given.seek(0)
            status = _run(given, answer, said, limit_s)
            if status is None:
                raise InfraError(f"the checker did not judge {len(texts)} texts within {limit_s:g} s", code=CHECKER)
            if status:
                raise InfraError(f"the checker failed: {_last_line(said) or f'status {status}'}", code=CHECKER)
            answer.seek(0)
            return _scores(answer.read(_OUTPUT), len(texts))


def _run(given: IO[bytes], answer: IO[bytes], said: IO[bytes], limit_s: float) -> int | None:
    """Run the process to its end; None when it takes too long."""
    script = Path(__file__).with_name("checker_process.py")
    child = subprocess.Popen(
        [sys.executable, "-I", "-B", str(script)],
        stdin=given,
        stdout=answer,
        stderr=said,
        env={name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ},
        start_new_session=True,
    )
    resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (_OUTPUT, _OUTPUT))
    resource.prlimit(child.pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.prlimit(child.pid, resource.RLIMIT_CORE, (0, 0))
    resource.prlimit(child.pid, resource.RLIMIT_CPU, (int(limit_s) + 1, int(limit_s) + 2))
    try:
        return child.wait(limit_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the process and all that it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        child.wait()


def _last_line(said: IO[bytes]) -> str:
    said.seek(0, os.SEEK_END)
    said.seek(max(0, said.tell() - 2000))
    lines = said.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else ""


def _scores(answer: bytes, count: int) -> tuple[list[float], str]:
    try:
        found = json.loads(answer)
        scores = [math.nan if score is None else float(score) for score in found["scores"]]
        problem = str(found["error"])
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InfraError(f"the checker left no scores: {type(error).__name__}", code=CHECKER) from error
    if len(scores) != count or not all(math.isnan(score) or 0 <= score <= 1 for score in scores):
        raise InfraError(f"the checker left {len(scores)} scores for {count} texts", code=CHECKER)
    return scores, f"the checker failed: {problem}" if problem else ""
