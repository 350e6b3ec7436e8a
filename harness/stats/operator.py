"""Where a change of work went: the operators of baseline and candidate matched, and their shares of the change.

Pure. The counts of whole inferences are exact and come from timed sessions; the costs of operators come from profiles.
What the listed operators do not explain is the rest, so that the parts always add up to the whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from harness.records.profile import OperatorCost, Profile
from harness.stats.matching import is_unlike, match

FINEST = 0.001
"""Share of the baseline's count below which an operator that is otherwise the same has not changed: where code and
buffers lie moves a count by up to 0.12 % between processes of unlike models (docs/counting.md)."""


class Status(StrEnum):
    """What became of an operator between baseline and candidate."""

    NEW = "new"
    GONE = "gone"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One operator that is new, gone or changed."""

    status: Status
    baseline: OperatorCost | None
    candidate: OperatorCost | None

    @property
    def delta(self) -> int:
        """Instructions per inference that it adds to the candidate; negative: it saves them."""
        return _cost(self.candidate) - _cost(self.baseline)

    @property
    def shown(self) -> OperatorCost:
        """The candidate's operator, or the baseline's that is gone."""
        found = self.candidate or self.baseline
        assert found is not None, "a change has at least one side"
        return found


@dataclass(frozen=True, slots=True)
class Attribution:
    """The change of one cell's work: `sum(change.delta) + rest == candidate - baseline`."""

    baseline: float
    """Instructions of a whole inference."""
    candidate: float
    changes: tuple[Change, ...]
    """The largest first."""
    rest: float
    """Instructions that no listed operator explains: those that moved by less than 0.1 %, and the call around them."""
    same: int
    """Operators of the candidate that are the same as in the baseline."""
    method: str
    notes: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """The whole change relative to the baseline; 0.05 is 5 % more."""
        return self.candidate / self.baseline - 1.0

    def share(self, instructions: float) -> float:
        """Express instructions relative to the baseline's whole inference."""
        return instructions / self.baseline


def attribute(before: Profile, after: Profile, *, baseline: float, candidate: float) -> Attribution:
    """Explain a change of work by operators.

    Args:
        before: the baseline's profile.
        after: the candidate's profile.
        baseline: instructions of one whole inference of the baseline, positive.
        candidate: of the candidate.

    Raises:
        ValueError: the baseline counts nothing.
    """
    if baseline <= 0:
        raise ValueError(f"a baseline of {baseline:g} instructions has no shares")
    pairs, gone, new = match(before.operators, after.operators)
    changes = [Change(Status.GONE, operator, None) for operator in gone]
    changes += [Change(Status.NEW, None, operator) for operator in new]
    changes += [Change(Status.CHANGED, *pair) for pair in pairs if _is_changed(*pair, FINEST * baseline)]
    changes.sort(key=lambda change: -abs(change.delta))
    listed = sum(change.delta for change in changes)
    same = len(pairs) - sum(change.status is Status.CHANGED for change in changes)
    notes = tuple(dict.fromkeys((*before.notes, *after.notes)))
    rest = candidate - baseline - listed
    return Attribution(baseline, candidate, tuple(changes), rest, same, after.method, notes)


def _is_changed(before: OperatorCost, after: OperatorCost, finest: float) -> bool:
    return is_unlike(before, after) or abs(after.instructions - before.instructions) >= finest


def _cost(operator: OperatorCost | None) -> int:
    return 0 if operator is None else operator.instructions


def group_alike(changes: Iterable[Change]) -> tuple[tuple[Change, ...], ...]:
    """Put new (or gone) operators of one type together, the largest group first; changed ones stand alone."""
    groups: defaultdict[Hashable, list[Change]] = defaultdict(list)
    for place, change in enumerate(changes):
        alone = place if change.status is Status.CHANGED else -1
        groups[change.status, change.shown.kind, alone].append(change)
    ordered = sorted(groups.values(), key=lambda group: -abs(sum(change.delta for change in group)))
    return tuple(tuple(group) for group in ordered)
