"""A long evaluation of a language model, session by session: each scores some windows and questions.

What each part brought is kept at once, so that an evaluation which is cut short is taken up by the next run; it ends
when every gate is decided, when its budget is spent, or when everything is scored.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from harness.agent.message import SessionRequest
from harness.campaign.parts import MOST_PARTS, Part, PartFolder
from harness.device.envelope import SessionResult
from harness.errors import InfraError
from harness.gate.evaluation import QUESTIONS, TEXT
from harness.spec.workload import Generation

if TYPE_CHECKING:
    import numpy as np

    from harness.farm.boards import SessionSeen

PART_S = 20.0
"""Board time that one part should take, at least."""
LOADS = 10.0
"""… and so many times what loading the model takes."""
LONGEST_S = 12 * 3600.0
"""Most board time of an evaluation whose budget counts tokens."""


@dataclass(frozen=True, slots=True)
class LongRun:
    """What a long evaluation needs of the controller: a folder to keep its parts in, and who hears how far it is."""

    root: Path
    tell: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """What the next part scores: (first, count) of windows and of questions."""

    windows: tuple[int, int]
    lines: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Source:
    """Windows or questions: how many are scored and left, and how many tokens each takes."""

    done: int
    left: int
    tokens: float

    def take(self, share: float) -> tuple[int, int]:
        """Return (first, count) of a share of what is left, at least one."""
        return self.done, min(self.left, max(1, int(share * self.left)))


class Evaluation:
    """One arm's evaluation in parts.

    Args:
        asked: says the budget.
        kept: parts of this evaluation, of earlier runs too.
        ask: runs one session.
        undecided: says which of TEXT and QUESTIONS still have an open gate after the parts so far.
        tell: hears how far it is.
    """

    def __init__(
        self,
        asked: Generation,
        kept: PartFolder,
        ask: Callable[[SessionRequest], SessionSeen],
        undecided: Callable[[SessionSeen], frozenset[str]],
        tell: Callable[[str], None],
    ) -> None:
        self._asked, self._kept, self._ask = asked, kept, ask
        self._undecided, self._tell = undecided, tell

    def run(self, request: SessionRequest) -> SessionSeen:
        """Evaluate to the end.

        Returns:
            All parts as if one session had brought them; the reply of a part that failed instead, if one does.
        """
        assert request.generation is not None
        parts = self._kept.load()
        earlier = len(parts)
        while isinstance(step := self._next(parts), Step):
            generation = replace(
                request.generation, windows=list(step.windows), lines=list(step.lines), writes=not parts
            )  # fmt: skip
            seen = self._ask(replace(request, nonce=secrets.token_hex(16), generation=generation))
            if seen.reply.error is not None:
                return seen
            part = Part(seen.reply, seen.arrays, seen.seconds, datetime.now(UTC).isoformat(timespec="seconds"))
            _check_same(parts, part)
            self._kept.add(len(parts), part)
            parts.append(part)
            self._tell(_progress(parts, earlier))
        self._kept.clear()
        whole = merge(parts)
        settings = {**whole.reply.settings, "evaluation": f"{_progress(parts, earlier)}; ended: {step}"}
        return replace(whole, reply=replace(whole.reply, settings=settings))

    def _next(self, parts: list[Part]) -> Step | str:
        """Choose the next part: first one window and one question, then what the pace allows; or say why it is over."""
        if not parts:
            return Step((0, 1), (0, 1))
        if _tokens(parts) >= (self._asked.budget_tokens or math.inf) or self._seconds_left(parts) <= 0:
            return "the budget is spent"
        text, questions = _text(parts), _questions(parts)
        if text.left == questions.left == 0:
            return "everything is scored"
        if len(parts) >= MOST_PARTS:
            return f"{MOST_PARTS} parts"
        wanted = self._undecided(merge(parts))
        text = text if TEXT in wanted else replace(text, left=0)
        questions = questions if QUESTIONS in wanted else replace(questions, left=0)
        if text.left == questions.left == 0:
            return "every gate is decided" if not wanted else "what is undecided is scored to its end"
        share = self._share(parts, text.left * text.tokens + questions.left * questions.tokens)
        return Step(text.take(share), questions.take(share))

    def _share(self, parts: list[Part], tokens: float) -> float:
        """Give the share of what is left, so many tokens, that fits into one part and into the rest of the budget."""
        pace_s = sum(part.seconds for part in parts) / max(_tokens(parts), 1.0)
        longest_s = max(PART_S, LOADS * parts[0].reply.scalars.get("load_s", 0.0))
        left_s = min(longest_s, self._seconds_left(parts))
        left_tokens = (self._asked.budget_tokens or math.inf) - _tokens(parts)
        return min(1.0, left_s / max(pace_s * tokens, 1e-9), left_tokens / max(tokens, 1.0))

    def _seconds_left(self, parts: list[Part]) -> float:
        return (self._asked.budget_s or LONGEST_S) - sum(part.seconds for part in parts)


def merge(parts: list[Part]) -> SessionResult:
    """Put parts together: arrays one after the other, what was loaded as in the first."""
    import numpy as np

    names = dict.fromkeys(name for part in parts for name in part.arrays)
    arrays: dict[str, np.ndarray] = {
        name: np.concatenate([part.arrays[name] for part in parts if name in part.arrays]) for name in names
    }
    first = parts[0].reply
    sums = {name: _sum(parts, name) for name in ("text_tokens", "question_tokens")}
    flags = list(dict.fromkeys(flag for part in parts for flag in part.reply.flags))
    reply = replace(first, scalars={**first.scalars, **sums}, flags=flags)
    return SessionResult(reply, arrays, sum(part.seconds for part in parts))


def _text(parts: list[Part]) -> Source:
    return _source(parts, "window_index", "window_count", "text_tokens")


def _questions(parts: list[Part]) -> Source:
    return _source(parts, "question_index", "question_count", "question_tokens")


def _source(parts: list[Part], index: str, count: str, tokens: str) -> Source:
    done = sum(len(part.arrays[index]) for part in parts if index in part.arrays)
    total = int(parts[0].reply.scalars.get(count, 0.0))
    return Source(done, max(total - done, 0), _sum(parts, tokens) / max(done, 1))


def _sum(parts: list[Part], name: str) -> float:
    return sum(part.reply.scalars.get(name, 0.0) for part in parts)


def _tokens(parts: list[Part]) -> float:
    return _sum(parts, "text_tokens") + _sum(parts, "question_tokens")


def _progress(parts: list[Part], earlier: int) -> str:
    text, questions = _text(parts), _questions(parts)
    words = f"{text.done} of {text.done + text.left} windows"
    if questions.done:
        words += f", {questions.done} of {questions.done + questions.left} questions"
    words += f", {_tokens(parts):,.0f} tokens in {len(parts)} parts"
    return f"{words}, {earlier} of them from {parts[0].measured_at}" if earlier else words


def _check_same(parts: list[Part], part: Part) -> None:
    """Refuse to mix what different builds or files said.

    Raises:
        InfraError: `integrity`.
    """
    told = [(item.reply.model_sha256, item.reply.runtime_version, item.reply.provider) for item in [*parts[:1], part]]
    if len(set(told)) > 1:
        raise InfraError("two parts of one evaluation are of different models or runtimes", code="integrity")
