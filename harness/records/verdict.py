"""What the gate concluded: one verdict per limit, one decision per run, and what explains them.

`verdicts.json` is the canonical JSON of a judgement. Flips, conformance and loss splits explain; they decide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.records.cell import Stage
from harness.records.outcome import Abstention, Attribution, Outcome, Release
from harness.records.trial import Finding


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval; SI. `n` counts independent sessions (or samples for accuracy), never iterations.

    Each end of the interval is wrong in at most 5 % of runs (90 % two-sided), because a limit looks at one end.
    """

    value: float
    low: float | None
    """None: the evidence does not bound the figure from below (JSON has no infinity)."""
    high: float | None
    """None: the evidence does not bound the figure from above."""
    n: int
    method: str
    label: str = ""
    """`modelled`, `simulated`, `virtual` or empty: shown wherever the figure is shown."""
    components: dict[str, float] = field(default_factory=dict)
    """Figures that belong to this one and are kept beside it: `dynamic_j`, `idle_w`, `total_w`, `discordant` …"""


@dataclass(frozen=True, slots=True)
class Look:
    """What the first `n` observations left undecided, in the unit of the limit; None: unbounded."""

    n: int
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Leg:
    """One stage of a gate that is decided observation by observation (a pair, or a session of the candidate)."""

    stage: Stage
    alpha: float
    """Probability of a wrong failure over all looks."""
    answer: str
    """within, beyond or open."""
    used: int
    """Observations until the answer; later ones were measured for other gates of the cell."""
    values: tuple[float, ...]
    """All sound observations in the unit of the limit: worsening of each pair, or figure of each session."""
    looks: tuple[Look, ...]
    p_value: float = 1.0


@dataclass(frozen=True, slots=True)
class VoidPair:
    """A pair that was measured and does not decide, and why."""

    stage: Stage
    pair: int
    reason: str


@dataclass(frozen=True, slots=True)
class Trail:
    """How a gate was decided in pairs: the test, chosen beforehand, its looks, and what was left out."""

    test: str
    """gs_t, flip or e-process."""
    why_test: str
    """What the choice rests on."""
    floor: float
    """Least standard deviation of the log-ratios that is believed."""
    legs: tuple[Leg, ...]
    void: tuple[VoidPair, ...] = ()
    p_value: float = 1.0
    """Of "no worse than the limit", both legs together; 1 where no failure is claimed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One limit of one cell. `metric` is `crash` for the implicit gate "loads and runs"."""

    cell: str
    device: str
    artifact: str
    metric: str
    kind: str
    """max, min, regress, drop, or `runs` for the implicit gate."""
    outcome: Outcome
    attribution: Attribution
    reason: str
    limit: float | None = None
    limit_text: str = ""
    origin: str = ""
    estimate: Estimate | None = None
    """What is compared with the limit: the figure itself for max/min, the ratio or loss for regress/drop."""
    candidate: Estimate | None = None
    baseline: Estimate | None = None
    baseline_source: str = ""
    margin: float | None = None
    """Relative distance of the deciding end of the interval to the limit; negative: over it."""
    where: str = ""
    """Which operators a change of work comes from, in a line; empty: not known, or nothing changed."""
    flips_at: float | None = None
    """The limit at which this verdict would be another one; None: unbounded or not measured."""
    abstained: Abstention | None = None
    """Set exactly when the outcome is INCONCLUSIVE."""
    trail: Trail | None = None
    """Set where the gate was decided in pairs."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The release decision in one sentence, and pytest's exit code."""

    release: Release
    exit_code: int
    sentence: str
    counts: dict[str, int]
    blockers: tuple[str, ...]
    """`cell metric kind` of what blocks or holds, worst first."""


@dataclass(frozen=True, slots=True)
class Flip:
    """One sample whose best class changed."""

    sample: int
    """Position in the evaluation data, from 0."""
    label: int | None
    """None: the data has no labels."""
    before: int
    """Best class of the computation that is compared with."""
    after: int
    """Best class of the candidate on the board."""
    margin: float
    """Distance of the two best scores of the former, in the unit of the output."""
    is_tie: bool
    """The margin lies within the numerical tolerance."""


@dataclass(frozen=True, slots=True)
class FlipList:
    """How many samples flipped, and the first of them: hard ones first, the largest margin first."""

    samples: int
    hard: int
    ties: int
    listed: tuple[Flip, ...]


@dataclass(frozen=True, slots=True)
class Conformance:
    """The same file on the same samples, on the board and on the controller; deterministic, so without an interval."""

    max_abs: float
    max_ulp: float
    """In units of the last place of float32 at the sample's largest output."""
    differing: int
    """Samples that differ beyond the numerical tolerance."""
    samples: int
    flips: FlipList | None
    """None: the outputs are no class scores."""


@dataclass(frozen=True, slots=True)
class LossSplit:
    """Where a loss of accuracy comes from; all on the same samples, positive is worse.

    `total` = `quantization` (candidate against reference, both on the controller) + `platform` (candidate on the board
    against candidate on the controller). When the reference ran on the board too, `platform` = `reference_platform`
    (what the board costs the reference) + `interaction` (what it costs this candidate beyond that).
    """

    metric: str
    total: Estimate
    quantization: Estimate
    platform: Estimate
    reference_platform: Estimate | None = None
    interaction: Estimate | None = None


@dataclass(frozen=True, slots=True)
class CellAnswers:
    """All that is to be said about the answers of one cell; cells without a change are left out."""

    cell: str
    flips: FlipList | None
    """Candidate on the board against reference on the controller."""
    conformance: Conformance | None
    split: LossSplit | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """All verdicts of a run and the decision, and what explains them."""

    run_id: str
    plan_sha256: str
    verdicts: tuple[Verdict, ...]
    decision: Decision
    answers: tuple[CellAnswers, ...] = ()
    """Cells whose answers changed: what flipped, what the board computes otherwise, where a loss comes from."""
    findings: tuple[Finding, ...] = ()
    """Of a self-test: what became of each planted fault."""
