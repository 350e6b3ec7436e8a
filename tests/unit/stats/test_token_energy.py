"""Energy per token: a trace of whole texts and of their first tokens, taken apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.gate import check_limit
from harness.records.outcome import Outcome
from harness.records.verdict import Estimate
from harness.spec.model import Limit, LimitKind, MeterSpec, Origin
from harness.spec.workload import Generation, Workload
from harness.stats import Evidence, Missing, estimate
from harness.testing.evidence import Scene

TEXTS, PROMPT, NEW = 2, 20, 50
WHOLE_W, FIRST_W, IDLE_W = 4.0, 6.0, 2.0
LIMIT = Limit("energy.new_token", LimitKind.MAX, 0.1, "100 mJ", Origin("s.suite.yaml", 9, 5))


def cell(first_count: float = 100.0, **changed: float) -> Evidence:
    """Make a cell of three sessions: 10 s of whole texts at 4 W, 20 of them, then 5 s of first tokens at 6 W."""
    evidence = Scene(power=MeterSpec("hwmon"), limits=(LIMIT,)).evidence()
    times = np.arange(0.0, 30.0, 0.02)
    arrays, sessions = dict(evidence.arrays), []
    for session in evidence.cell.sessions:
        if session.kind == "energy":
            noise = np.random.default_rng(session.order).normal(0, 0.01, times.size)
            watts = np.where((times > 5) & (times < 15.2), WHOLE_W, IDLE_W)
            arrays[f"{session.order}/power_t_s"] = times
            arrays[f"{session.order}/power_w"] = np.where((times >= 15.2) & (times < 21), FIRST_W, watts) + noise
            scalars = {
                **session.scalars, "inference_count": 20.0, "part_start_s": 15.5, "part_end_s": 20.5,
                "part_count": first_count, "prompt_tokens": float(PROMPT), "new_tokens": float(NEW),
                "idle_after_start_s": 22.0, "idle_after_end_s": 29.0, **changed,
            }  # fmt: skip
            sessions.append(replace(session, scalars=scalars))
        else:
            sessions.append(session)
    generation = Generation(prompts=("a",) * TEXTS, new_tokens=NEW // TEXTS)
    planned = replace(evidence.planned, workload=Workload("generation", "e.txt", 3, generation=generation))
    return replace(evidence, planned=planned, cell=replace(evidence.cell, sessions=tuple(sessions)), arrays=arrays)


def found(evidence: Evidence, metric: str) -> float:
    """Estimate what must be there."""
    value = estimate(evidence, metric)
    assert isinstance(value, Estimate), value
    return value.value


def test_energy_is_split_at_the_first_token() -> None:
    """2 J per call of whole texts, 0.3 J of first tokens: 40 mJ per new token in all, 15 mJ and 35.4 mJ apart."""
    evidence = cell()

    assert found(evidence, "energy.per_token") == pytest.approx(2.0 / NEW, rel=0.01)
    assert found(evidence, "energy.prompt_token") == pytest.approx(0.3 / PROMPT, rel=0.01)
    assert found(evidence, "energy.new_token") == pytest.approx((2.0 - 0.3) / (NEW - TEXTS), rel=0.01)
    assert check_limit(evidence, LIMIT).outcome is Outcome.PASS


def test_a_difference_within_its_doubt_is_none() -> None:
    """Where first tokens take all of the energy, what is left is no number, and the gate is INCONCLUSIVE."""
    verdict = check_limit(cell(first_count=15.0), LIMIT)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "write longer texts" in verdict.reason


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"new_tokens": 0.0}, "0 written"), ({"part_count": 2.0}, "first tokens: power trace: 2 inferences")],
)
def test_sessions_that_say_too_little(changed: dict[str, float], said: str) -> None:
    """Without tokens, or with too few calls, there is no figure."""
    value = estimate(cell(**changed), "energy.prompt_token")

    assert isinstance(value, Missing)
    assert said in value.reason


def test_without_a_meter_there_is_no_figure() -> None:
    """A board that shows no power leaves the gate open for the device's fault, never green."""
    evidence = Scene(limits=(LIMIT,)).evidence()
    generation = Generation(prompts=("a",))
    planned = replace(evidence.planned, workload=Workload("generation", "e.txt", 3, generation=generation))

    assert check_limit(replace(evidence, planned=planned), LIMIT).outcome is not Outcome.PASS
