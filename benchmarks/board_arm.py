"""The model compared with itself and with changed ones on several deterministic boards restored from one snapshot.

Every comparison goes through the gate; what the gate said is checked against what the ratios say.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

from gated_board import Ask, Compared, Pair, open_board, teller
from planted import Planted

from harness.farm.boards import RealBoards


@dataclass(frozen=True, slots=True)
class BoardRatios:
    """Ratios candidate / baseline; `across` takes the baseline's count from the next board of the same snapshot."""

    same_board: list[float]
    changed: dict[str, list[float]]
    across: list[float]
    changed_across: dict[str, list[float]]


def compare_on_boards(
    models: Planted, profile: str, *, boards: int, at_once: int, tries: int, again: int
) -> BoardRatios:
    """Compare on `boards` boards, `at_once` of them at work at a time.

    Args:
        models: what is compared.
        profile: the kind of board.
        boards: how many are restored.
        at_once: how many run at a time.
        tries: comparisons of the model with its copy, over all boards.
        again: comparisons per changed model, over all boards.
    """
    same = Pair(models.model, models.copy, models.data)
    changed = {what: Pair(models.model, file, models.data) for what, file in models.changed.items()}

    cancel = threading.Event()

    def visit(number: int) -> list[Compared]:
        name = f"board{number}"
        todo = _share([same] * tries, number, boards)
        for pair in changed.values():
            todo += _share([pair] * again, number, boards)
        found = []
        tell = teller(name)
        with open_board(name, profile, [same], RealBoards(), cancel) as board:
            for pair in todo:
                found.append(board.compare(pair, Ask()))
                last = found[-1]
                said = f"{pair.candidate.stem} {last.candidate:.0f}, {last.ratio - 1:+.4%}; {last.verdict.where}"
                tell(f"{len(found)} of {len(todo)}: {said}")
        return found

    with ThreadPoolExecutor(at_once) as pool:
        try:
            by_board = list(pool.map(visit, range(boards)))
        except BaseException:  # Ctrl-C too: boards end at once instead of finishing their list
            cancel.set()
            pool.shutdown(cancel_futures=True)
            raise
    everything = [found for board in by_board for found in board]
    _tell_verdicts(everything)
    return BoardRatios(
        [found.ratio for found in everything if found.pair is same],
        {what: [found.ratio for found in everything if found.pair is pair] for what, pair in changed.items()},
        _across(by_board, same),
        {what: _across(by_board, pair) for what, pair in changed.items()},
    )


def _share(items: list[Pair], number: int, boards: int) -> list[Pair]:
    return items[number::boards]


def _across(by_board: list[list[Compared]], pair: Pair) -> list[float]:
    """Pair each comparison's candidate with the baseline that another board counted in its own comparison."""
    ratios = []
    for left, right in pairwise([*by_board, by_board[0]]):
        mine = [found.candidate for found in left if found.pair is pair]
        theirs = [found.baseline for found in right]
        ratios += [new / old for new, old in zip(mine, theirs, strict=False)]
    return ratios


def _tell_verdicts(everything: Iterable[Compared]) -> None:
    """Say what the gate concluded, per changed model."""
    said = Counter((found.pair.candidate.stem, found.verdict.outcome.value) for found in everything)
    for (stem, outcome), number in sorted(said.items()):
        print(f"gate: {stem}: {outcome} x{number}", file=sys.stderr)
