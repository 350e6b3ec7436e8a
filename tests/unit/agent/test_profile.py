"""The profile task: differences of counts, their middle, and a time that is not overrun."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.agent.prefix import Operator
from harness.agent.refusal import Refusal
from harness.agent.tasks.profile import count_parts

COSTS = [700, -20, 300]


class FakeModel:
    """A model in parts whose operators cost `COSTS`, and the counter that counts them."""

    def __init__(self, jitter: tuple[int, ...] = (0,)) -> None:
        self.operators = [Operator(f"n{k}", "Conv", "[1] -> [1]") for k in range(len(COSTS))]
        self.provider = "cpu"
        self.settings: dict[str, str] = {}
        self.notes = ["told"]
        self._jitter = jitter
        self._now = 0
        self._counted = 0

    def open(self, count: int) -> Callable[[], Any]:
        """Return an inference of the first operators."""

        def call() -> None:
            self._now += 50 + sum(COSTS[:count])

        return call

    def close(self) -> None:
        """Nothing is left."""

    def start(self) -> None:
        """Count from here."""
        self._now = 0

    def stop(self) -> int:
        """Return what was counted since, with the next jitter."""
        self._counted += 1
        return self._now + self._jitter[self._counted % len(self._jitter)]


def test_an_operator_costs_what_it_adds() -> None:
    """Differences of neighbours, negative ones too; a call without operators stands apart."""
    model = FakeModel()

    found: Any = count_parts(model, model, budget_s=60)  # type: ignore[arg-type]

    assert [operator["instructions"] for operator in found["operators"]] == COSTS
    assert (found["outside"], found["counts"], found["spread"], found["notes"]) == (50, 5, 0, ["told"])
    assert found["operators"][0] == {"name": "n0", "kind": "Conv", "shapes": "[1] -> [1]", "instructions": 700}


def test_a_stray_count_does_not_move_the_middle() -> None:
    """One of five counts may be off; the spread tells of it."""
    model = FakeModel(jitter=(0, 0, 900, 0, 0))

    found: Any = count_parts(model, model, budget_s=60)  # type: ignore[arg-type]

    assert [operator["instructions"] for operator in found["operators"]] == COSTS
    assert found["spread"] == 900


def test_what_would_take_too_long_is_refused_with_the_remedy() -> None:
    """The reason names the time that it takes and the option that gives more."""
    with pytest.raises(Refusal, match=r"3 operators would take .* a longer `deadline`") as refused:
        count_parts(FakeModel(), FakeModel(), budget_s=0.0)  # type: ignore[arg-type]

    assert refused.value.code == "profile"
