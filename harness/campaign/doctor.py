"""`fleetgate doctor`: what a board can measure of its own power and heat, and the lines of farm.yaml that use it.

Only looks; changes nothing on the board. What a board does not expose is called unknown, never good.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from harness.device import open_device
from harness.device.reply import RailSeen
from harness.errors import FleetgateError
from harness.meters.port import MeterError, make_meter
from harness.records.run import Facts
from harness.report.wording import figure, neutral
from harness.spec import load_farm
from harness.spec.model import AS_SHIPPED, SIMULATED, Device, MeterSpec
from harness.spec.outside import describe_entry, load_meter, outside_meters
from harness.spec.power import METERS
from harness.spec.validate import Refusal
from harness.units import Dimension

EXIT_FOUND, EXIT_UNREACHED = 0, 20
_WHOLE = ("board", "module")
"""Scopes of a rail that is worth more than the parts beside it."""


def run(farm: str, *, out: Callable[[str], None], news: Callable[[str], None]) -> int:
    """Look at every board and print what was found.

    Args:
        farm: path of farm.yaml, with `::selector` for some of its boards.
        out: gets the result, line by line.
        news: gets a line for whatever takes longer than some seconds.

    Returns:
        0, or 20 when a board could not be reached.

    Raises:
        SpecError: farm.yaml is wrong.
    """
    unreached = 0
    path, _, select = farm.partition("::")
    for device in load_farm(Path(path), select=select).devices:
        out(f"{device.name} ({device.profile}, {device.tier.value})")
        try:
            lines = list(_examine(device, news))
        except FleetgateError as error:
            unreached += 1
            lines = [f"not reached: {neutral(str(error))}"]
        for line in lines:
            out(f"  {line}".rstrip())
        out("")
    for line in describe_meters():
        out(line)
    return EXIT_UNREACHED if unreached else EXIT_FOUND


def _examine(device: Device, news: Callable[[str], None]) -> Iterator[str]:
    if device.emulation is not None:
        is_simulated = device.power is not None and device.power.kind == SIMULATED
        yield "emulated: it draws no power; energy is " + ("simulated" if is_simulated else "modelled or not measured")
        return
    # Looking changes nothing: not even what a run would pin.
    device = replace(device, condition=AS_SHIPPED)
    with open_device(device, progress=news, cancel=threading.Event()) as board:
        yield from describe_condition(board.facts)
        yield from describe_rails(board.survey_power().rails, root=device.power.root if device.power else "")
    if device.power is not None and device.power.is_external:
        yield f"meter        {neutral(_read_external(device.power), longest=300)}"


def _read_external(meter: MeterSpec) -> str:
    try:
        with make_meter(meter) as opened:
            return f"{opened.describe()}: {figure(opened.read(), Dimension.POWER)}"
    except MeterError as error:
        return f"cannot be used: {error}"


def describe_meters() -> Iterator[str]:
    """List the meters that installed packages bring; nothing where there are none."""
    found = outside_meters()
    if found:
        yield "meters of installed packages"
    for name, entries in found.items():
        shadowed = " (not used: Fleetgate has a meter of this name)" if name in METERS else ""
        twice = " (not used: two packages bring it)" if len(entries) > 1 else ""
        for entry in entries:
            yield neutral(f"  {name:12} {describe_entry(entry)}{shadowed or twice or _state(name)}", longest=300)


def _state(name: str) -> str:
    try:
        load_meter(name)
    except Refusal as refusal:
        return f": cannot be used: {refusal}"
    return ""


def describe_condition(facts: Facts) -> Iterator[str]:
    """Say what the board tells about its condition, and what it does not."""
    yield f"machine      {neutral(facts.machine) or 'unknown'}, {neutral(facts.cpu)}"
    yield f"governor     {neutral(facts.governor) or 'unknown: no cpufreq'}"
    hottest = max(facts.temperatures_c.values(), default=None)
    yield f"temperature  {'unknown: no thermal zone' if hottest is None else f'{hottest:.1f} °C at most'}"
    words = ", ".join(filter(None, (facts.throttled, *facts.throttle_signs)))
    yield f"throttling   {neutral(words, longest=200) or 'unknown: the board has no word for it'}"


def describe_rails(rails: Iterable[RailSeen], *, root: str = "") -> Iterator[str]:
    """List power sources, usable ones first, and propose the lines for farm.yaml."""
    found = sorted(rails, key=lambda rail: bool(rail.fault))
    usable = [rail for rail in found if not rail.fault]
    yield f"power        {len(usable)} usable of {len(found)} sources" if found else "power        no source found"
    yield from (f"  {_describe(rail)}" for rail in found)
    if not usable:
        yield "nothing of its own: a meter at the supply is read by `meter: scpi` or `meter: plug` (docs/power.md)"
        return
    yield "for farm.yaml or the profile:"
    yield f"  {propose(usable, root=root)}"


def propose(usable: list[RailSeen], *, root: str = "") -> str:
    """Write the `power:` line for the rail that sees most; where only parts are seen, one that names them all."""
    counters = [rail for rail in usable if rail.quantity == "energy"]
    whole = next((rail for rail in [*counters, *usable] if rail.scope in _WHOLE), None)
    first = whole or (counters or usable)[0]
    parts = [rail for rail in usable if (rail.meter, rail.quantity) == (first.meter, first.quantity)]
    if whole is not None or first.meter == "pmic":
        names = [] if first.meter == "pmic" else [_name(first, usable)]
    else:
        names = [_name(rail, usable) for rail in parts]
    rail = f", rail: '{'+'.join(names)}'" if names else ""
    rail += f", root: {root}" if root not in {"", "/sys"} else ""
    scope = first.scope if whole else "rails"
    hint = "" if whole else "  # parts of the board: keep the rails that the model loads"
    return f"power: {{meter: {first.meter}{rail}, scope: {scope}}}{hint}"


def _name(rail: RailSeen, usable: list[RailSeen]) -> str:
    """Return the shortest name that fits this rail alone."""
    others = [other for other in usable if other is not rail and other.meter == rail.meter]
    taken = {name.lower() for other in others for name in _names(other)}
    fitting = (name for name in _names(rail) if name and name.lower() not in taken)
    return neutral(next(fitting, f"{rail.chip}/{rail.channel}"))


def _names(rail: RailSeen) -> list[str]:
    """Give the names that a rail answers to on the board, the best one first."""
    chip = f"{rail.chip}@{rail.place}" if rail.place else rail.chip
    return [rail.label, rail.chip, chip, f"{rail.chip}/{rail.channel}", f"{chip}/{rail.channel}"]


def _describe(rail: RailSeen) -> str:
    dimension = Dimension.ENERGY if rail.quantity == "energy" else Dimension.POWER
    name = f"{rail.meter:9} {_names(rail)[-1]}" + (f" ({rail.label})" if rail.label else "")
    if rail.fault:
        return neutral(f"{name}: cannot be used: {rail.fault}", longest=300)
    said = "" if rail.reading is None else figure(rail.reading, dimension)
    window = f"averages {rail.window_s:.3g} s" if rail.window_s else "averaging unknown"
    step = f"step {figure(rail.step, dimension)}" if rail.step else "step unknown"
    return neutral(f"{name}: {said}, sees {rail.scope}, {window}, {step}", longest=300)
