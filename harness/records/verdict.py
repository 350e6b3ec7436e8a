"""What the gate concluded: one verdict per limit, one decision per run. `verdicts.json` is their canonical JSON."""

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
class Judgement:
    """All verdicts of a run and the decision."""

    run_id: str
    plan_sha256: str
    verdicts: tuple[Verdict, ...]
    decision: Decision
