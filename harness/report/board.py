"""The boards of a run and the run itself, in words: what they are and what they said of themselves.

Owns those words. Text that came from a board is neutral here; "not told" means that the board does not expose it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.records.run import DeviceRecord, Facts, RunRecord
from harness.report import wording
from harness.report.cell import CellView, IncidentView
from harness.report.provenance import Fact
from harness.report.wording import neutral
from harness.spec.model import MODELLED, PINNED, SIMULATED, Device, MeterSpec, Tier
from harness.units import Dimension


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


def view_board(device: Device, met: DeviceRecord | None, row: tuple[tuple[CellView, ...], ...]) -> Board:
    """Describe one board: what was asked for, and what it said when it was met (None: never)."""
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
    if meter.kind == SIMULATED:
        return (
            f"simulated, no instrument: {wording.figure(meter.idle_w, Dimension.POWER)} idle plus "
            f"{wording.figure(meter.busy_w, Dimension.POWER)} while the emulator computes, read over SCPI at "
            f"{meter.rate_hz:g} samples/s"
        )
    if meter.kind == MODELLED:
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


def run_facts(run: RunRecord) -> Iterable[Fact]:
    """Say what the run is and where it ran."""
    yield Fact("Run", neutral(run.run_id), code=True)
    yield Fact("Started", neutral(run.started_at))
    yield Fact("Finished", neutral(run.finished_at) + (" (cancelled)" if run.cancelled else ""))
    yield Fact("Farm", neutral(f"{run.plan.farm} ({run.plan.farm_file})"))
    yield Fact("Plan", f"sha256 {neutral(run.plan.sha256)}", code=True)
    yield Fact("Fleetgate", neutral(f"{run.environment.fleetgate} on Python {run.environment.python}"))
    yield Fact("Controller", neutral(run.environment.platform))
    yield Fact("Command", neutral(" ".join(run.environment.command)), code=True)
