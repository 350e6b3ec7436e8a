"""The verdict on a limit that is decided in pairs: its figure, its outcome, and the trail of how it came about."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.gate.decide import ends
from harness.gate.trial import GateTrial, Status, Stint, sign_of, try_limit
from harness.records.outcome import Abstention, Outcome
from harness.records.verdict import Estimate, Leg, Look, Trail, VoidPair
from harness.spec.metric import METRICS
from harness.spec.model import Limit, LimitKind
from harness.stats import Comparison, Evidence, Missing
from harness.stats.estimate import bounded, figure_label
from harness.stats.group_t import t_ends
from harness.stats.multiplicity import combined_p
from harness.stats.noise import known_noise
from harness.stats.pair import Round
from harness.stats.trial import LOOKS, Test

NAMES = {
    Test.GS_T: "group-sequential t",
    Test.FLIP: "sequential sign flips",
    Test.E_PROCESS: "e-process over the share above the limit",
}


@dataclass(frozen=True, slots=True)
class PairedFinding:
    """What the pairs of a cell say of one limit."""

    found: Estimate | Comparison
    outcome: Outcome
    trail: Trail
    flips_at: float | None
    words: str = ""
    """Why it is not decided, or how a failure was confirmed."""
    abstained: Abstention | None = None
    is_cut_short: bool = False
    """More pairs were meant to be measured: whatever prevented it speaks for the gate."""


def find_in_pairs(evidence: Evidence, limit: Limit) -> PairedFinding | Missing:
    """Judge one limit on the pairs of a cell; Missing where there is nothing to show."""
    trial = try_limit(evidence, limit)
    if isinstance(trial, Missing):
        return trial
    if not trial.deciding.observed.candidate:
        return _nothing(trial.deciding)
    found = _found(evidence, limit, trial.deciding)
    outcome = _outcome(limit, trial.status)
    words, abstained = _explain(evidence, trial) if outcome is not Outcome.PASS else ("", None)
    return PairedFinding(
        found,
        outcome,
        _trail(evidence, limit, trial),
        _flips_at(limit, trial),
        words,
        abstained,
        trial.status in {Status.OPEN, Status.PROVISIONAL} and abstained is not Abstention.BUDGET,
    )


def _outcome(limit: Limit, status: Status) -> Outcome:
    if status is Status.PASSED:
        return Outcome.PASS
    if status is Status.FAILED:
        return Outcome.REGRESSION if limit.kind is LimitKind.REGRESS else Outcome.FAIL
    return Outcome.INCONCLUSIVE


def _nothing(stint: Stint) -> Missing:
    void = stint.observed.void
    if not void:
        return Missing("no sound session came back", why=Abstention.FEW)
    return Missing(f"all {len(void)} pairs are void: {_void_words(void)}", why=void[0].why or Abstention.EVIDENCE)


def _void_words(void: Sequence[Round]) -> str:
    (words, _), *_ = Counter(item.void for item in void).most_common(1)
    return words


def _explain(evidence: Evidence, trial: GateTrial) -> tuple[str, Abstention | None]:
    """Say why there is no answer, or how a failure was confirmed."""
    unit, first = _unit(trial), trial.first
    what = f"{first.trial.used} {unit} show it"
    pairing = evidence.cell.pairing
    if trial.status is Status.FAILED:
        assert trial.confirm is not None
        return f"{what}, {trial.confirm.trial.used} fresh ones confirm it", None
    if trial.status is Status.NOT_REPRODUCED:
        assert trial.confirm is not None
        return _not_confirmed(what, trial.confirm)
    if pairing is not None and pairing.out_of_budget:
        seen = (
            f"{what}, and fresh ones could not confirm it" if trial.confirm else f"open after {first.trial.used} {unit}"
        )
        return f"the device time of --gate-budget ran out: {seen}", Abstention.BUDGET
    if trial.status is Status.UNDECIDED and len(first.observed.void) > len(first.observed.candidate):
        void = first.observed.void
        return f"{len(void)} {unit} are void: {_void_words(void)}", void[0].why or Abstention.EVIDENCE
    if trial.status is Status.UNDECIDED:
        return f"not shown within {first.trial.used} {unit}: the limit lies inside the interval", Abstention.CAP
    return f"measuring ended after {first.trial.used} {unit}", Abstention.FEW


def _not_confirmed(what: str, confirm: Stint) -> tuple[str, Abstention]:
    fresh, void = len(confirm.observed.candidate), confirm.observed.void
    if len(void) > fresh:
        words = f"{what}, but {len(void)} fresh ones are void: {_void_words(void)}"
        return words, void[0].why or Abstention.EVIDENCE
    return f"not reproduced: {what}, {confirm.trial.used} fresh ones do not", Abstention.NOT_REPRODUCED


def _unit(trial: GateTrial) -> str:
    return "pairs" if trial.first.observed.baseline else "sessions"


def _found(evidence: Evidence, limit: Limit, stint: Stint) -> Estimate | Comparison:
    """Return the figure that is compared with the limit: of the observations that the answer took, never of others."""
    used = stint.trial.looks[-1].n if stint.trial.looks else max(stint.trial.used, 1)
    ours, theirs = stint.observed.candidate[:used], stint.observed.baseline[:used]
    low, high = _ends(limit, stint)
    unit = "pairs" if theirs else "sessions"
    method = f"{NAMES[stint.trial.test]} over {len(ours)} {unit}" + (
        " that are fresh" if stint.stage == "confirm" else ""
    )
    label = figure_label(evidence, limit.metric)
    if not theirs:
        value = float(np.median(ours)) if stint.trial.test is Test.E_PROCESS else float(np.exp(np.mean(np.log(ours))))
        return Estimate(value, bounded(low), bounded(high), len(ours), method, label)
    worse = float(np.expm1(np.mean(stint.observed.worsening(limit.metric)[:used])))
    ratio = Estimate(worse, bounded(low), bounded(high), len(ours), method, label)
    return Comparison(ratio, _arm(ours, label), _arm(theirs, label), "measured in this run")


def _ends(limit: Limit, stint: Stint) -> tuple[float, float]:
    looks = _looks(limit, stint)
    return ends(Estimate(0.0, looks[-1].low, looks[-1].high, 0, "")) if looks else (-math.inf, math.inf)


def _looks(limit: Limit, stint: Stint) -> tuple[Look, ...]:
    """Give the looks in the unit of the limit."""
    found = []
    for look in stint.trial.looks:
        low, high = look.low, look.high
        if limit.kind is LimitKind.REGRESS:
            low, high = math.expm1(low), math.expm1(high)
        elif stint.trial.test is not Test.E_PROCESS:
            low, high = sorted((math.exp(sign_of(limit) * low), math.exp(sign_of(limit) * high)))
        found.append(Look(look.n, bounded(low), bounded(high)))
    return tuple(found)


def _arm(figures: Sequence[float], label: str) -> Estimate:
    """Return one arm's geometric mean over the sessions of the pairs, with the interval of the last look."""
    logs = np.log(figures)
    n = max((look for look in LOOKS if look <= logs.size), default=0)
    low, high = (float(np.exp(end)) for end in t_ends(logs[:n])) if n else (-math.inf, math.inf)
    return Estimate(float(np.exp(logs.mean())), bounded(low), bounded(high), logs.size, "mean of logarithms", label)


def _flips_at(limit: Limit, trial: GateTrial) -> float | None:
    """Return the limit at which the verdict would change; a failure needs to be shown by both stages."""
    if trial.status in {Status.NOT_REPRODUCED, Status.PROVISIONAL}:
        return None
    stints = [stint for stint in (trial.first, trial.confirm) if stint is not None and stint.trial.looks]
    worse, better = (0, 1) if limit.kind is LimitKind.MIN else (1, 0)
    points = [_ends(limit, stint)[better if trial.status is Status.FAILED else worse] for stint in stints]
    lax = (max if limit.kind is LimitKind.MIN else min)(points, default=math.inf)
    return lax if math.isfinite(lax) else None


def _trail(evidence: Evidence, limit: Limit, trial: GateTrial) -> Trail:
    stints = [stint for stint in (trial.first, trial.confirm) if stint is not None]
    void = (VoidPair(item.stage, item.pair, item.void) for stint in stints for item in stint.observed.void)
    failed = trial.status is Status.FAILED
    p_value = combined_p([(stint.trial.p_value, stint.trial.alpha) for stint in stints]) if failed else 1.0
    legs = tuple(_leg(limit, stint) for stint in stints)
    return Trail(trial.test.value, _why_test(evidence, limit, trial.test), trial.floor, legs, tuple(void), p_value)


def _leg(limit: Limit, stint: Stint) -> Leg:
    values = stint.observed.candidate
    if stint.observed.baseline:
        values = tuple(math.expm1(value) for value in stint.observed.worsening(limit.metric))
    trial = stint.trial
    return Leg(stint.stage, trial.alpha, trial.answer.value, trial.used, values, _looks(limit, stint), trial.p_value)


def _why_test(evidence: Evidence, limit: Limit, test: Test) -> str:
    known = known_noise(evidence, limit.metric)
    if test is Test.E_PROCESS:
        return "a quantile against an absolute limit"
    if known is None or METRICS[limit.metric].name != known.metric:
        return "the board's noise is not known"
    tails = "outliers" if known.is_heavy else "no outliers"
    return f"noise {known.sd:.2%} with {tails} ({known.source})"
