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
from harness.spec.model import Generation

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


class Evaluation:
    """One arm's evaluation in parts.

    Args:
        asked: says the budget.
        kept: parts of this evaluation, of earlier runs too.
        ask: runs one session.
        is_decided: whether the parts so far answer every gate.
        tell: hears how far it is.
    """

    def __init__(
        self,
        asked: Generation,
        kept: PartFolder,
        ask: Callable[[SessionRequest], SessionSeen],
        is_decided: Callable[[SessionSeen], bool],
        tell: Callable[[str], None],
    ) -> None:
        self._asked, self._kept, self._ask = asked, kept, ask
        self._is_decided, self._tell = is_decided, tell

    def run(self, request: SessionRequest) -> SessionSeen:
        """Evaluate to the end.

        Returns:
            All parts as if one session had brought them; the reply of a part that failed instead, if one does.
        """
        assert request.generation is not None
        parts = self._kept.load()
        earlier = len(parts)
        while not (end := self._find_end(parts)):
            windows, lines = self._next(parts)
            generation = replace(request.generation, windows=windows, lines=lines, writes=not parts)
            seen = self._ask(replace(request, nonce=secrets.token_hex(16), generation=generation))
            if seen.reply.error is not None:
                return seen
            part = Part(seen.reply, seen.arrays, seen.seconds, datetime.now(UTC).isoformat(timespec="seconds"))
            _check_same(parts, part)
            self._kept.add(len(parts), part)
            parts.append(part)
            self._tell(_progress(parts, earlier))
        self._kept.clear()
        words = f"{_progress(parts, earlier)}; ended: {end}"
        whole = merge(parts)
        return replace(whole, reply=replace(whole.reply, settings={**whole.reply.settings, "evaluation": words}))

    def _find_end(self, parts: list[Part]) -> str:
        """Say why the evaluation is over, or nothing."""
        if not parts:
            return ""
        if all(done >= total for done, total in (_windows(parts), _questions(parts))):
            return "everything is scored"
        if _tokens(parts) >= (self._asked.budget_tokens or math.inf) or self._seconds_left(parts) <= 0:
            return "the budget is spent"
        if len(parts) >= MOST_PARTS:
            return f"{MOST_PARTS} parts"
        return "every gate is decided" if self._is_decided(merge(parts)) else ""

    def _next(self, parts: list[Part]) -> tuple[list[int], list[int]]:
        """Choose [first, count] of windows and of questions: first one of each, then what the pace allows."""
        if not parts:
            return [0, 1], [0, 1]
        share = self._share(parts)
        return _slice(*_windows(parts), share), _slice(*_questions(parts), share)

    def _share(self, parts: list[Part]) -> float:
        """Give the share of the whole evaluation that fits into one part and into what is left of the budget."""
        (windows, all_windows), (questions, all_questions) = _windows(parts), _questions(parts)
        spent = sum(part.seconds for part in parts)
        whole_tokens = (
            _sum(parts, "text_tokens") / max(windows, 1) * all_windows
            + _sum(parts, "question_tokens") / max(questions, 1) * all_questions
        )
        whole_s = spent / max(_tokens(parts), 1.0) * whole_tokens
        longest_s = max(PART_S, LOADS * parts[0].reply.scalars.get("load_s", 0.0))
        left_s = min(longest_s, max(self._seconds_left(parts), 0.0))
        left_tokens = max((self._asked.budget_tokens or math.inf) - _tokens(parts), 0.0)
        return min(1.0, left_s / max(whole_s, 1e-9), left_tokens / max(whole_tokens, 1.0))

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


def _slice(done: int, total: int, share: float) -> list[int]:
    return [done, min(total - done, max(1, int(share * total))) if done < total else 0]


def _windows(parts: list[Part]) -> tuple[int, int]:
    return _count(parts, "window_index"), int(parts[0].reply.scalars.get("window_count", 0.0))


def _questions(parts: list[Part]) -> tuple[int, int]:
    return _count(parts, "question_index"), int(parts[0].reply.scalars.get("question_count", 0.0))


def _count(parts: list[Part], name: str) -> int:
    return sum(len(part.arrays[name]) for part in parts if name in part.arrays)


def _sum(parts: list[Part], name: str) -> float:
    return sum(part.reply.scalars.get(name, 0.0) for part in parts)


def _tokens(parts: list[Part]) -> float:
    return _sum(parts, "text_tokens") + _sum(parts, "question_tokens")


def _progress(parts: list[Part], earlier: int) -> str:
    (windows, all_windows), (questions, all_questions) = _windows(parts), _questions(parts)
    words = f"{windows} of {all_windows} windows"
    if all_questions:
        words += f", {questions} of {all_questions} questions"
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
