"""Operators of two models paired: by name, type and shapes, the surest ground first. Pure; knows no costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, TypeVar


class Named(Protocol):
    """What an operator is matched by."""

    @property
    def name(self) -> str:
        """Its name, or that of its output."""

    @property
    def kind(self) -> str:
        """Its type."""

    @property
    def shapes(self) -> str:
        """Of inputs and outputs, in words."""


T = TypeVar("T", bound=Named)


def match(before: Sequence[T], after: Sequence[T]) -> tuple[list[tuple[T, T]], list[T], list[T]]:
    """Pair the operators of two models.

    The surest ground comes first: the same name, type and shapes; then name and type; then the name alone (its type
    was replaced); then type and shapes in order (it was renamed).

    Returns:
        The pairs in the candidate's order, what is gone, and what is new.
    """
    left, right = dict(enumerate(before)), dict(enumerate(after))
    found: dict[int, int] = {}
    for ground in _GROUNDS:
        waiting: defaultdict[Hashable, list[int]] = defaultdict(list)
        for place, operator in left.items():
            waiting[ground(operator)].append(place)
        for place, operator in list(right.items()):
            places = waiting[ground(operator)]
            if places and ground(operator) is not None:
                found[place] = places.pop(0)
                del right[place], left[found[place]]
    pairs = [(before[found[place]], after[place]) for place in sorted(found)]
    return pairs, list(left.values()), list(right.values())


def is_unlike(before: Named, after: Named) -> bool:
    """Tell whether two matched operators are of another type or shape."""
    return _look(before) != _look(after)


def _look(operator: Named) -> Hashable:
    return operator.kind, operator.shapes


_GROUNDS: tuple[Callable[[Named], Hashable], ...] = (
    lambda operator: (operator.name, _look(operator)) if operator.name else None,
    lambda operator: (operator.name, operator.kind) if operator.name else None,
    lambda operator: operator.name or None,
    _look,
)
