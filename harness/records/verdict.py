"""What the gate concluded: one verdict per limit, one decision per run, and what explains them.

`verdicts.json` is the canonical JSON of a judgement. Flips, conformance and loss splits explain; they decide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.records.outcome import Attribution, Outcome, Release


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
    """`modelled`, `virtual` or empty: shown wherever the figure is shown."""
    components: dict[str, float] = field(default_factory=dict)
    """Figures that belong to this one and are kept beside it: `dynamic_j`, `idle_w`, `total_w`, `discordant` …"""


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
