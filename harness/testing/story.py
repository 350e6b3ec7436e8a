"""The gates of the sample run as a table: what each cell of `harness.testing.record` asks and what came of it.

Owns the figures only; `record` turns them into a plan, cells, samples and a judgement. The figures are invented, but of
the size that the shipped suites have on such boards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.records.outcome import Attribution, Outcome
from harness.spec.model import Tier

MIB = 2.0**20
P95_MAX = ("latency.p95", "max")
P50_REGRESS = ("latency.p50", "regress")


@dataclass(frozen=True, slots=True)
class Told:
    """One gate of one cell: the limit, the figure (SI), and what came of it.

    `value` None: the record computes a latency from the samples, or there is no figure at all.
    """

    metric: str
    kind: str
    limit: float | None
    limit_text: str
    line: int
    value: float | None = None
    spread: float = 0.0
    """Half of the interval, as a share of the value (`max`, `min`) or absolute (`regress`, `drop`)."""
    n: int = 6
    method: str = "median of sessions, order-statistic interval 96.9 %"
    label: str = ""
    baseline: float | None = None
    outcome: Outcome = Outcome.PASS
    attribution: Attribution = Attribution.MODEL
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """One cell: its gates, and the speed of candidate and baseline (s) where there are timed sessions."""

    gates: tuple[Told, ...]
    candidate_s: float = 0.0
    baseline_s: float = 0.0
    flags: tuple[str, ...] = ()
    skip_reason: str = ""

    def change(self, metric: str, kind: str, **fields: object) -> Story:
        """Give this story with one gate told otherwise."""
        gates = tuple(
            replace(gate, **fields) if (gate.metric, gate.kind) == (metric, kind) else gate  # type: ignore[arg-type]
            for gate in self.gates
        )
        return replace(self, gates=gates)

    def without_evidence(self, outcome: Outcome, attribution: Attribution, reason: str) -> Story:
        """Give this story with every figure lost for one reason."""
        gates = tuple(
            replace(gate, outcome=outcome, attribution=attribution, reason=reason, value=None) for gate in self.gates
        )
        return replace(self, gates=gates, candidate_s=0.0, baseline_s=0.0)


RUNS = Told("crash", "runs", None, "", 0, n=0, method="", reason="loads and runs in every session")
WILSON = "share of correct answers, Wilson interval 90 %"
PAIRED = "loss on the same samples, paired score interval 90 %"


def passing(tier: Tier, size: float) -> Story:
    """Tell a cell that passes: `size` scales the figures (1.0 is the int8 model)."""
    gates = [
        RUNS,
        Told("accuracy.top1", "min", 0.96, "96 %", 12, 0.9772, 0.012, n=899, method=WILSON),
        Told("accuracy.top1", "drop", 0.005, "0.5 pp", 12, 0.0011, 0.0022, n=899, method=PAIRED),
        Told("memory.peak", "max", 64 * MIB, "64 MiB", 13, 41.5 * MIB * size**0.2, 0.004, n=3),
        Told("memory.peak", "regress", 0.05, "5 %", 13, 0.006, 0.004, n=3, baseline=41.2 * MIB * size**0.2),
        Told("storage.size", "max", 256e3, "256 kB", 14, 61.4e3 * size**0.5, n=1, method="exact"),
    ]
    if tier is Tier.DETERMINISTIC:
        exact = "exact count, 2 sessions agree within 0.1 %"
        declared = "declared model: idle W x virtual latency + J per instruction x instructions"
        work = 0.913e6 * size**0.2
        gates += [
            Told("work.instructions", "max", 1.2e6, "1.2 M", 17, work, 0.0002, n=2, method=exact),
            Told("work.instructions", "regress", 0.005, "0.5 %", 17, -0.021, 1e-4, 2, exact, baseline=0.933e6),
            Told("energy.per_inference", "max", 3e-3, "3 mJ", 18, 1.71e-3, 0.0004, 2, declared, "modelled"),
            Told("latency.p50", "max", 2e-3, "2 ms", 19, 0.913e-3 * size**0.2, 0.0002, 2, exact, "virtual"),
        ]
    if tier is Tier.HARDWARE:
        energy = "trapezoid over the window, idle subtracted, median of 6 sessions"
        gates += [
            Told("latency.p95", "max", 4e-3, "4 ms", 22),
            Told("latency.p50", "regress", 0.05, "5 %", 23),
            Told("energy.per_inference", "max", 9e-3, "9 mJ", 24, 7.3e-3 * size**0.06, 0.05, method=energy),
        ]
    return Story(tuple(gates), candidate_s=2.4e-3 * size**0.2, baseline_s=2.42e-3 * size**0.2)


def broken(key: str, story: Story) -> Story:
    """Tell what goes wrong in the cell `key` of the sample run; cells that are not named here pass."""
    tell = _BROKEN.get(key)
    return tell(story) if tell else story


def _slower(story: Story) -> Story:
    slow = replace(story, candidate_s=3.9e-3, baseline_s=3.2e-3)
    return slow.change(*P95_MAX, outcome=Outcome.FAIL).change(*P50_REGRESS, outcome=Outcome.REGRESSION)


def _undecided(story: Story) -> Story:
    noisy = replace(story, candidate_s=2.53e-3, baseline_s=2.42e-3, flags=("frequency-changed",))
    return noisy.change(*P50_REGRESS, outcome=Outcome.INCONCLUSIVE, attribution=Attribution.UNKNOWN)


def _too_big(story: Story) -> Story:
    return story.change("memory.peak", "max", value=63.8 * MIB, spread=0.011, outcome=Outcome.INCONCLUSIVE)


def _does_not_load(story: Story) -> Story:
    lost = story.without_evidence(
        Outcome.NOT_RUN, Attribution.MODEL, "not measured: the artifact does not load on this board"
    )
    reason = "the artifact does not load: model failed: opset 24 is newer than onnxruntime 1.23.2 knows"
    return lost.change("crash", "runs", outcome=Outcome.FAIL, reason=reason)


def _link_lost(story: Story) -> Story:
    reason = "the link to a72 was lost in session 3: no answer for 20 s (2 tries)"
    return story.without_evidence(Outcome.INFRA, Attribution.INFRA, reason)


def _read_only(story: Story) -> Story:
    reason = "a72 cannot store the model: read-only file system at ~/.fleetgate"
    return story.without_evidence(Outcome.DEVICE, Attribution.DEVICE, reason)


def _quarantined(story: Story) -> Story:
    reason = "held in quarantine: this cell gave two different verdicts on the same bytes in the last 5 runs"
    return story.without_evidence(Outcome.QUARANTINED, Attribution.POLICY, reason)


def _skipped(story: Story) -> Story:
    reason = "the suite means this artifact for a72 and pi-lab-3 only"
    return replace(story.without_evidence(Outcome.SKIPPED, Attribution.PLAN, reason), skip_reason=reason)


def _security(story: Story) -> Story:
    reason = "the host key of pi-lab-3 is not the pinned one: got SHA256:q0vX…, expected SHA256:Zs81…"
    return story.without_evidence(Outcome.SECURITY, Attribution.ATTACKER, reason)


def _cancelled(story: Story) -> Story:
    return story.without_evidence(Outcome.CANCELLED, Attribution.USER, "the run was cancelled by Ctrl-C")


_BROKEN = {
    "digits::int8[pi-lab-3]": _slower,
    "digits::fp32[pi-lab-3]": _undecided,
    "digits::fp32[a72]": _too_big,
    "digits::pruned[a53]": _does_not_load,
    "digits::pruned[a72]": _link_lost,
    "digits::pruned[pi-lab-3]": _quarantined,
    "face::blaze[a53]": _skipped,
    "face::blaze[a72]": _read_only,
    "face::blaze[pi-lab-3]": _security,
    "digits::int8[a72]": _cancelled,
}
