"""The view model: one run and its judgement, arranged once for every report.

Owns the arrangement (what blocks, what is missing, the matrix, the boards) and refuses a judgement of another run.
Decides nothing: order and membership of the blockers are those of `harness.gate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import RecordError
from harness.records.outcome import Outcome, Release
from harness.records.run import DeviceRecord, Facts, RunRecord
from harness.records.verdict import Judgement, Verdict
from harness.report import wording
from harness.report.answers import Judged
from harness.report.cell import CellView, Fact, GateView, IncidentView, urgency, view_cell, view_gate
from harness.report.selftest import SelfTestView, unproven_gates, view_selftest
from harness.report.wording import neutral
from harness.spec.model import PINNED, Device, MeterSpec, Tier
from harness.units import Dimension


@dataclass(frozen=True, slots=True)
class Blocker:
    """What keeps the release from GO for one reason: one gate, or all gates of one board that one cause took away."""

    outcome: Outcome
    cells: tuple[CellView, ...]
    gates: tuple[GateView, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A cell that was planned and is not (fully) measured, or that the plan skips, and why."""

    cell: CellView
    reason: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the plan has evidence; cells that the plan skips are not part of `planned`."""

    planned: int
    measured: int
    missing: tuple[Missing, ...]
    skipped: tuple[Missing, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """One device of the farm: what it is, what it said of itself, and its row of the matrix."""

    name: str
    profile: str
    tier: Tier
    tier_words: str
    tier_limits: str
    facts: tuple[Fact, ...]
    incidents: tuple[IncidentView, ...]
    row: tuple[tuple[CellView, ...], ...]
    """One entry per column of the report: its cells, none where nothing was planned, several when Python tests measure
    one artifact more than once."""


@dataclass(frozen=True, slots=True)
class ReportView:
    """Everything that a report shows, ready to be laid out."""

    release: Release
    exit_code: int
    sentence: str
    """The decision's sentence, without the word of the decision before it."""
    scope: str
    """What kind of boards the decision stands on, in words."""
    counts: tuple[tuple[Outcome, int], ...]
    blockers: tuple[Blocker, ...]
    coverage: Coverage
    columns: tuple[str, ...]
    boards: tuple[Board, ...]
    cells: tuple[CellView, ...]
    run: tuple[Fact, ...]
    title: str
    selftest: SelfTestView | None
    """Set when the gate itself was tried, and no release."""
    unproven: tuple[str, ...]
    """Gates that no self-test has seen catch a planted fault."""

    @property
    def is_counted(self) -> bool:
        """Tell whether any cell shows a count of instructions."""
        return any(cell.is_counted for cell in self.cells)


def view(run: RunRecord, judgement: Judgement) -> ReportView:
    """Arrange a run and its judgement.

    Raises:
        RecordError: the judgement is not about this run.
    """
    by_cell = _verdicts_by_cell(run, judgement)
    seen = {record.key: record for record in run.cells}
    answers = {found.cell: found for found in judgement.answers}
    cells = tuple(
        view_cell(number, planned, seen.get(planned.key), Judged(by_cell[planned.key], answers.get(planned.key)), run)
        for number, planned in enumerate(run.plan.cells)
    )
    columns = tuple(dict.fromkeys(cell.title for cell in cells))
    met = {record.name: record for record in run.devices}
    counted = ((outcome, judgement.decision.counts.get(outcome.value, 0)) for outcome in wording.WORST_FIRST)
    return ReportView(
        release=judgement.decision.release,
        exit_code=judgement.decision.exit_code,
        sentence=neutral(judgement.decision.sentence).removeprefix(f"{judgement.decision.release.value}: "),
        scope=_scope(run.plan.devices),
        counts=tuple((outcome, number) for outcome, number in counted if number),
        blockers=_blockers(judgement, cells),
        coverage=_coverage(cells),
        columns=columns,
        boards=tuple(_board(device, met.get(device.name), _row(device, columns, cells)) for device in run.plan.devices),
        cells=cells,
        run=tuple(_run_facts(run)),
        selftest=view_selftest(run, judgement),
        unproven=unproven_gates(run, judgement),
        title=neutral(f"{judgement.decision.release.value}: {run.plan.farm}, {run.started_at}"),
    )


def _verdicts_by_cell(run: RunRecord, judgement: Judgement) -> dict[str, list[Verdict]]:
    by_cell: dict[str, list[Verdict]] = {cell.key: [] for cell in run.plan.cells}
    if (judgement.run_id, judgement.plan_sha256) != (run.run_id, run.plan.sha256):
        raise RecordError(f"the judgement is of run {judgement.run_id}, not of {run.run_id}: judge this run again")
    for verdict in judgement.verdicts:
        if verdict.cell not in by_cell:
            raise RecordError(
                f"a verdict names the cell {verdict.cell!r}, which is not in the plan: judge this run again"
            )
        by_cell[verdict.cell].append(verdict)
    return by_cell


def _scope(devices: Sequence[Device]) -> str:
    physical = sum(device.tier is Tier.HARDWARE for device in devices)
    emulated = sum(wording.is_emulated(device.tier) for device in devices)
    replayed = sum(device.tier is Tier.REPLAYED for device in devices)
    if replayed:
        return "Recorded samples were judged again: this explains an earlier decision and releases nothing new."
    if emulated and not physical:
        boards = "The one board of this run is" if emulated == 1 else f"All {emulated} boards of this run are"
        return f"{boards} emulated. A verdict on an emulated board never stands for a physical one."
    if emulated:
        boards = (
            f"{wording.count(physical, 'physical board')} and {wording.count(emulated, 'emulated board')} were planned"
        )
        return f"{boards}. A verdict on an emulated board never stands for a physical one."
    return (
        f"{wording.count(physical, 'physical board')} planned, no emulated one."
        if physical
        else "No board was planned."
    )


def _blockers(judgement: Judgement, cells: Sequence[CellView]) -> tuple[Blocker, ...]:
    views = {cell.planned.key: cell for cell in cells}
    named = {f"{verdict.cell} {verdict.metric} {verdict.kind}": verdict for verdict in judgement.verdicts}
    together: dict[tuple[str, ...], list[Verdict]] = {}
    for name in judgement.decision.blockers:
        verdict = named.get(name)
        if verdict is not None:
            cause = (verdict.device, wording.cause_of(verdict))
            why = cause if verdict.estimate is None else (verdict.cell, verdict.metric, verdict.kind)
            together.setdefault((verdict.outcome, *why), []).append(verdict)
    return tuple(_blocker(views, group) for group in together.values())


def _blocker(views: Mapping[str, CellView], group: Sequence[Verdict]) -> Blocker:
    gates = tuple(view_gate(verdict) for verdict in sorted(group, key=urgency))
    first = gates[0].verdict
    reason = neutral(first.reason) if first.estimate else wording.cause_of(first)
    cells = tuple(views[key] for key in dict.fromkeys(verdict.cell for verdict in group))
    return Blocker(first.outcome, cells, gates, reason)


def _coverage(cells: Sequence[CellView]) -> Coverage:
    skipped = [cell for cell in cells if cell.worst is Outcome.SKIPPED]
    planned = [cell for cell in cells if cell.worst is not Outcome.SKIPPED]
    missing = [cell for cell in planned if not cell.is_measured]
    return Coverage(
        planned=len(planned),
        measured=len(planned) - len(missing),
        missing=tuple(Missing(cell, _why_missing(cell)) for cell in missing),
        skipped=tuple(Missing(cell, neutral(cell.planned.skip_reason) or _why_missing(cell)) for cell in skipped),
    )


def _why_missing(cell: CellView) -> str:
    lost = [gate for gate in cell.gates if gate.verdict.estimate is None and gate.outcome is not Outcome.PASS]
    reasons = list(dict.fromkeys(wording.cause_of(gate.verdict) for gate in lost if gate.reason))
    return reasons[0] if reasons else "there is no verdict for this cell"


def _row(device: Device, columns: Sequence[str], cells: Sequence[CellView]) -> tuple[tuple[CellView, ...], ...]:
    mine = [cell for cell in cells if cell.planned.device == device.name]
    return tuple(tuple(cell for cell in mine if cell.title == column) for column in columns)


def _board(device: Device, met: DeviceRecord | None, row: tuple[tuple[CellView, ...], ...]) -> Board:
    incidents = tuple(
        IncidentView(incident.outcome, neutral(incident.code), neutral(incident.message), "")
        for incident in (met.incidents if met else ())
    )
    return Board(
        name=neutral(device.name),
        profile=neutral(device.profile),
        tier=device.tier,
        tier_words=wording.TIER_WORDS[device.tier],
        tier_limits=wording.TIER_LIMITS[device.tier],
        facts=tuple(_board_facts(device, met)),
        incidents=incidents,
        row=row,
    )


def _board_facts(device: Device, met: DeviceRecord | None) -> Iterable[Fact]:
    yield Fact("Tier", f"{device.tier.value}: {wording.TIER_WORDS[device.tier]}")
    if device.description:
        yield Fact("Kind", neutral(device.description))
    yield Fact("Asked for in", neutral(str(device.origin)), code=True)
    if met is None:
        yield Fact("Seen", "never reached in this run")
        return
    if met.facts is not None:
        yield from _seen_facts(met.facts)
    if met.emulator:
        yield Fact("Emulator", neutral(met.emulator), code=True)
    if met.snapshot:
        yield Fact("Snapshot", f"{neutral(met.snapshot)} (boards of one snapshot count the same to the last digit)")
    yield Fact("Condition", _condition(device))
    if device.power is not None:
        yield Fact("Power source", _power(device))
    yield Fact("Environment fingerprint", neutral(met.fingerprint) or "none", code=True)


def _condition(device: Device) -> str:
    if device.condition == PINNED:
        return "pinned: governor performance at the highest allowed frequency, cooled down before timed sessions"
    return "as shipped: the board's own governor"


def _power(device: Device) -> str:
    meter = device.power
    if meter is None:
        return ""
    if meter.kind == "modelled":
        return (
            f"modelled, not measured: {wording.figure(meter.idle_w, Dimension.POWER)} idle plus "
            f"{wording.figure(meter.joule_per_instruction, Dimension.ENERGY)} per instruction"
        )
    return neutral(_sensed(meter), longest=400)


def _sensed(meter: MeterSpec) -> str:
    """Say which meter, how often it is read, and how far it is trusted."""
    which = " ".join(filter(None, (meter.kind, meter.make, meter.rail, meter.address)))
    scope = f", sees the {meter.scope}" if meter.scope else ""
    if not meter.accuracy:
        return f"{which} at {meter.rate_hz:g} samples/s{scope}, accuracy not declared (±5 % assumed)"
    offset = f" ± {wording.figure(meter.offset_w, Dimension.POWER)}" if meter.offset_w else ""
    accuracy = wording.figure(meter.accuracy, Dimension.RATIO)
    return f"{which} at {meter.rate_hz:g} samples/s{scope}, accurate to ±{accuracy}{offset}"


def _seen_facts(facts: Facts) -> Iterable[Fact]:
    yield Fact("Machine", neutral(facts.machine) or "not told")
    features = " ".join(facts.features)
    yield Fact("CPU", neutral(f"{facts.cpu}, {facts.architecture}, {wording.count(facts.cores, 'core')}"))
    yield Fact("CPU features", neutral(features) or "not told", code=True)
    yield Fact("Memory", wording.figure(facts.memory_bytes, Dimension.BYTES))
    if facts.free_bytes:
        yield Fact("Free space", wording.figure(facts.free_bytes, Dimension.BYTES))
    yield Fact("System", neutral(f"Linux {facts.kernel}, {facts.libc}, Python {facts.python} ({facts.python_abi})"))
    clock = ", ".join(f"{hertz / 1e9:g} GHz" for hertz in facts.frequencies_hz)
    yield Fact("Governor and clock", neutral(f"{facts.governor or 'not told'}, {clock or 'not told'}"))
    heat = ", ".join(f"{name} {celsius:.1f} °C" for name, celsius in sorted(facts.temperatures_c.items()))
    yield Fact("Temperature", neutral(heat) or "not told")
    yield Fact("Throttling", neutral(_throttling(facts), longest=400) or "not told")
    yield Fact("Load at start", f"{facts.load_1min:.2f}")


def _throttling(facts: Facts) -> str:
    """Say the words that the board has for it, at the start of the run."""
    signs = (f"{name} {value:g}" for name, value in sorted(facts.throttle_signs.items())[:8])
    return ", ".join(filter(None, (facts.throttled, *signs)))


def _run_facts(run: RunRecord) -> Iterable[Fact]:
    yield Fact("Run", neutral(run.run_id), code=True)
    yield Fact("Started", neutral(run.started_at))
    yield Fact("Finished", neutral(run.finished_at) + (" (cancelled)" if run.cancelled else ""))
    yield Fact("Farm", neutral(f"{run.plan.farm} ({run.plan.farm_file})"))
    yield Fact("Plan", f"sha256 {neutral(run.plan.sha256)}", code=True)
    yield Fact("Fleetgate", neutral(f"{run.environment.fleetgate} on Python {run.environment.python}"))
    yield Fact("Controller", neutral(run.environment.platform))
    yield Fact("Command", neutral(" ".join(run.environment.command)), code=True)
