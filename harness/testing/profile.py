"""Profiles from a few words, for fakes and tests."""

from __future__ import annotations

from collections.abc import Mapping

from harness.records.profile import OperatorCost, Profile

SHAPES = "[1,8] -> [1,8]"


def make_profile(costs: Mapping[str, int]) -> Profile:
    """Make a profile of `name Type` -> instructions, in order; all shapes are alike."""
    titles = ((title.partition(" "), cost) for title, cost in costs.items())
    operators = tuple(OperatorCost(name, kind, SHAPES, cost) for (name, _, kind), cost in titles)
    return Profile("told by a fake", 1, 0, 0, (), operators)
