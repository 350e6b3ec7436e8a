"""A change of work is attributed to operators: known answers, and parts that always add up to the whole."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records.profile import OperatorCost, Profile
from harness.stats.matching import match
from harness.stats.operator import Status, attribute, group_alike
from harness.testing.profile import make_profile

BASE = {"conv1 Conv": 600_000, "relu1 Relu": 1_000, "conv2 Conv": 300_000, "fc Gemm": 50_000}


def statuses(before: Profile, after: Profile, whole: float = 1_000_000) -> list[tuple[str, str, int]]:
    """List (status, name, instructions) of what changed, the whole growing by what the operators grow."""
    grown = sum(item.instructions for item in after.operators) - sum(item.instructions for item in before.operators)
    found = attribute(before, after, baseline=whole, candidate=whole + grown)
    return [(change.status.value, change.shown.name, change.delta) for change in found.changes]


def test_an_operator_more_is_the_whole_change() -> None:
    """One small operator that is 0.1 % of the work is named, and nothing else is."""
    found = statuses(make_profile(BASE), make_profile({**BASE, "clip Clip": 1_000}))

    assert found == [("new", "clip", 1_000)]


def test_a_costlier_operator_stands_before_a_gone_one() -> None:
    """The largest change comes first, whichever its sign."""
    after = {"conv1 Conv": 720_000, "conv2 Conv": 300_000, "fc Gemm": 50_000}

    assert statuses(make_profile(BASE), make_profile(after)) == [
        ("changed", "conv1", 120_000), ("gone", "relu1", -1_000),
    ]  # fmt: skip


def test_a_replaced_type_is_a_change_even_at_equal_cost() -> None:
    """An operator of the same name and another type is one change, not one gone and one new."""
    after = make_profile({**{k: v for k, v in BASE.items() if k != "conv1 Conv"}, "conv1 QLinearConv": 600_000})

    found = attribute(make_profile(BASE), after, baseline=1e6, candidate=1e6)

    (change,) = found.changes
    assert (change.status, change.delta) == (Status.CHANGED, 0)
    assert change.baseline is not None
    assert (change.baseline.kind, change.shown.kind) == ("Conv", "QLinearConv")


def test_renamed_operators_are_matched_by_type_and_shape_in_order() -> None:
    """A model exported anew, with all names new and one operator costlier, is one change."""
    before = [OperatorCost(f"a{k}", "Conv", f"[{k // 2}]", 1_000) for k in range(4)]
    after = [replace(operator, name=f"b{k}", instructions=1_000 + 9 * (k == 3)) for k, operator in enumerate(before)]

    pairs, gone, new = match(before, after)

    assert [(old.name, young.name) for old, young in pairs] == [("a0", "b0"), ("a1", "b1"), ("a2", "b2"), ("a3", "b3")]
    assert (gone, new) == ([], [])


def test_operators_of_one_name_are_matched_in_order() -> None:
    """Runtimes give one name to several operators; a third one is the new one."""
    before = make_profile({"t Transpose": 10}).operators * 2
    after = (*before, replace(before[0], instructions=99))

    pairs, gone, new = match(before, after)

    assert len(pairs) == 2
    assert gone == []
    assert [operator.instructions for operator in new] == [99]


def test_moves_below_a_thousandth_are_the_rest() -> None:
    """What the place of code and buffers may do to a count is nobody's change."""
    after = make_profile({**BASE, "conv1 Conv": 600_900, "fc Gemm": 49_200})

    found = attribute(make_profile(BASE), after, baseline=1e6, candidate=1_000_500)

    assert found.changes == ()
    assert found.rest == pytest.approx(500)
    assert found.same == 4


def test_new_operators_of_one_type_are_told_together() -> None:
    """Four small ones of one type outweigh a larger single one; changed operators stand alone."""
    added = {f"dq{k} DequantizeLinear": 3_000 for k in range(4)}
    after = make_profile({**BASE, "conv1 Conv": 610_000, **added})

    found = attribute(make_profile(BASE), after, baseline=1e6, candidate=1_022_000)

    assert [len(group) for group in group_alike(found.changes)] == [4, 1]


def test_a_baseline_that_counts_nothing_has_no_shares() -> None:
    """Shares are of the baseline's count."""
    with pytest.raises(ValueError, match="no shares"):
        attribute(make_profile(BASE), make_profile(BASE), baseline=0, candidate=1)


COSTS = st.builds(
    OperatorCost,
    name=st.sampled_from(["", "a", "b", "c"]),
    kind=st.sampled_from(["Conv", "Relu"]),
    shapes=st.sampled_from(["[1]", "[2]"]),
    instructions=st.integers(-50, 1_000_000),
)
PROFILES = st.lists(COSTS, max_size=12).map(lambda costs: Profile("m", 1, 0, 0, (), tuple(costs)))


@given(PROFILES, PROFILES, st.integers(1, 10**9), st.integers(1, 10**9))
def test_the_parts_are_the_whole(before: Profile, after: Profile, baseline: int, candidate: int) -> None:
    """Listed changes and the rest add up to the exact change; every operator is in one place."""
    found = attribute(before, after, baseline=baseline, candidate=candidate)
    pairs, gone, new = match(before.operators, after.operators)

    assert sum(change.delta for change in found.changes) + found.rest == candidate - baseline
    assert len(pairs) + len(gone) == len(before.operators)
    assert len(pairs) + len(new) == len(after.operators)
    assert [abs(change.delta) for change in found.changes] == sorted(
        (abs(change.delta) for change in found.changes), reverse=True
    )


@given(PROFILES)
def test_a_model_against_itself_changes_nothing(profile: Profile) -> None:
    """All operators match, in order."""
    found = attribute(profile, profile, baseline=10**6, candidate=10**6)

    assert found.changes == ()
    assert found.same == len(profile.operators)
    assert found.rest == 0
