"""All verdicts -> one release decision, as a sentence and an exit code.

Laws (proved by tests/unit/gate/test_gate_laws.py): PASS needs positive evidence for every planned gate; replacing a
PASS by anything else never improves the decision; a verdict on an emulated board never stands for a physical one; a
PASS on a board that does not exist (QEMU's `max`) releases nothing, and what fails there blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from textwrap import shorten

from harness.records.outcome import Outcome, Release
from harness.records.plan import Plan, PlannedCell
from harness.records.verdict import Decision, Verdict
from harness.spec.model import Tier

_LONGEST_REASON = 100
"""Characters of the worst gate's reason in the sentence; the verdict itself has it whole."""
EXIT_GO, EXIT_NO_GO, EXIT_HOLD, EXIT_INFRA, EXIT_SECURITY = 0, 1, 10, 20, 40

BLOCKING = frozenset({Outcome.FAIL, Outcome.REGRESSION})
FARM = frozenset({Outcome.INFRA, Outcome.DEVICE})
"""When nothing but these holds a release, the farm is to repair and the models are not to blame: exit code 20."""


def release_of(outcomes: Sequence[Outcome]) -> tuple[Release, int]:
    """Draw the decision and its exit code from outcomes alone; without a single PASS nothing is released."""
    counted = [outcome for outcome in outcomes if outcome is not Outcome.SKIPPED]
    if Outcome.SECURITY in counted:
        return Release.SECURITY, EXIT_SECURITY
    if any(outcome in BLOCKING for outcome in counted):
        return Release.NO_GO, EXIT_NO_GO
    holding = [outcome for outcome in counted if outcome is not Outcome.PASS]
    if holding and all(outcome in FARM for outcome in holding):
        return Release.HOLD, EXIT_INFRA
    if holding or not counted:
        return Release.HOLD, EXIT_HOLD
    return Release.GO, EXIT_GO


def decide_release(verdicts: Sequence[Verdict], plan: Plan) -> Decision:
    """Decide a run.

    Args:
        verdicts: all verdicts, of every planned cell.
        plan: its cells say which tiers were meant and whether anything but running is gated, its devices which boards
            do not exist.
    """
    release, code = release_of([verdict.outcome for verdict in verdicts])
    why = _withheld(verdicts, plan)
    if release is Release.GO and why:
        release, code = Release.HOLD, EXIT_HOLD
    blockers = sorted((item for item in verdicts if _rank(item) > 0), key=_worst_first)
    sentence = _sentence(release, verdicts, blockers, plan, why)
    counts = Counter(verdict.outcome.value for verdict in verdicts)
    names = tuple(f"{item.cell} {item.metric} {item.kind}" for item in blockers)
    return Decision(release, code, sentence, dict(sorted(counts.items())), names)


def _rank(verdict: Verdict) -> int:
    if verdict.outcome is Outcome.SECURITY:
        return 3
    if verdict.outcome in BLOCKING:
        return 2
    return 0 if verdict.outcome in {Outcome.PASS, Outcome.SKIPPED} else 1


def _worst_first(verdict: Verdict) -> tuple[int, float, bool, str, str, str]:
    distance = float("-inf") if verdict.margin is None else verdict.margin
    return (-_rank(verdict), distance, verdict.kind != "runs", verdict.cell, verdict.metric, verdict.kind)


def _withheld(verdicts: Sequence[Verdict], plan: Plan) -> str:
    """Say why passing gates alone do not release this plan; empty when they do."""
    gates = Counter(verdict.cell for verdict in verdicts)
    if any(gates[cell.key] < 1 + len(cell.limits) for cell in plan.cells):
        return "not every planned gate has a verdict"
    if any(cell.tier is Tier.REPLAYED for cell in plan.cells):
        return "recorded samples never release anything"
    if unbacked := _unbacked(plan):
        others = f" and {len(unbacked) - 1} more" if len(unbacked) > 1 else ""
        return f"{unbacked[0]}{others} was measured on no board that exists ({', '.join(_unreal(plan))} does not)"
    return ""


def _unreal(plan: Plan) -> list[str]:
    """Name the boards whose CPU does not exist."""
    return [device.name for device in plan.devices if device.emulation is not None and not device.emulation.exists]


def _unbacked(plan: Plan) -> list[str]:
    """Name the artifacts that the plan measures on no board that exists."""
    unreal = set(_unreal(plan))
    asked = [cell for cell in plan.cells if not cell.skip_reason]
    backed = {(cell.suite, cell.artifact) for cell in asked if cell.device not in unreal}
    named = dict.fromkeys((cell.suite, cell.artifact) for cell in asked)
    return [f"{suite}::{artifact}" for suite, artifact in named if (suite, artifact) not in backed]


def _sentence(release: Release, verdicts: Sequence[Verdict], blockers: Sequence[Verdict], plan: Plan, why: str) -> str:
    cells = plan.cells
    gates = sum(verdict.outcome is not Outcome.SKIPPED for verdict in verdicts)
    if not gates:
        return "HOLD: nothing was measured, because the plan holds no cell that applies."
    where = _where(cells)
    if release is Release.GO:
        return f"GO: {_all(gates)} on {where}.{_reservation(plan)}"
    worst = blockers[0] if blockers else None
    if worst is None:
        return f"HOLD: {_all(gates)} on {where}, but {why}."
    led = sum(_rank(item) == _rank(worst) for item in blockers)
    what = {3: "raised a security alarm", 2: "failed", 1: "could not be decided"}[_rank(worst)]
    kinds = Counter(item.outcome.value for item in blockers if _rank(item) == _rank(worst))
    listed = ", ".join(f"{count} {name}" for name, count in sorted(kinds.items()))
    others = len(blockers) - led
    more = f" and {others} more could not be decided" if others else ""
    head = f"{release.value}: {led} of {gates} gates {what} ({listed}){more} on {where}"
    reason = shorten(worst.reason.rstrip("."), _LONGEST_REASON, placeholder=" …")
    end = "" if reason.endswith("…") else "."
    return f"{head}; worst is {worst.cell}: {reason}{end}{_reservation(plan)}"


def _all(gates: int) -> str:
    return f"all {gates} gates pass" if gates > 1 else "the only gate passes"


def _where(cells: Sequence[PlannedCell]) -> str:
    boards: dict[Tier, set[str]] = {}
    for cell in cells:
        if not cell.skip_reason:
            boards.setdefault(cell.tier, set()).add(cell.device)
    parts: list[str] = []
    for tier, names in sorted(boards.items()):
        parts.append(f"{len(names)} {tier.value} board{'s' if len(names) > 1 else ''}")
    return " and ".join(parts) or "no board"


def _reservation(plan: Plan) -> str:
    """Say what the decision does not cover."""
    asked = [cell for cell in plan.cells if not cell.skip_reason]
    notes: list[str] = []
    if asked and not any(cell.limits for cell in asked):
        notes.append("Nothing but loading and running is gated.")
    if asked and not any(cell.tier is Tier.HARDWARE for cell in asked):
        notes.append("No physical board was measured: this says nothing about time or power on one.")
    if unreal := sorted({cell.device for cell in asked} & set(_unreal(plan))):
        notes.append(f"What passes on {', '.join(unreal)}, no board that exists, releases nothing.")
    return "".join(f" {note}" for note in notes)
