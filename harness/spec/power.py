"""`power:` of a board as written: where its power is read, which keys go with which meter, and what it all means.

Knows the names of the meters that come with Fleetgate; those of packages are `harness.spec.outside`'s.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, WithJsonSchema

from harness.errors import Problem
from harness.spec.form import Form, Joules, Name, Rate, Ratio, RemotePath, Seconds, Watts, one_of
from harness.spec.model import MODELLED, SIMULATED, MeterSpec
from harness.spec.tree import Document, Location
from harness.spec.validate import suggest

METERS = ("hwmon", "iio", "ina3221x", "pmic", "supply", "counter", "scpi", "plug", MODELLED, SIMULATED)
SCOPES = ("wall", "board", "module", "rails")
PLUGS = ("shelly-gen1", "shelly-gen2", "tasmota")
_SENSED = ("rate", "scope", "accuracy", "offset", "averaging", "range", "window")
_RATES = {"pmic": 10.0, "scpi": 10.0, "plug": 1.0}
"""Samples per second of a meter that nobody says more of: asking these takes long, or slows the board."""
_OUTSIDE_RATE = 10.0
_EXAMPLES = {
    MODELLED: "idle: 1.9 W, per_instruction: 0.35 nJ",
    SIMULATED: "idle: 0.5 W, busy: 2.5 W",
    "scpi": "address: 'meter.lab:5025', queries: ['MEAS:POW?']",
    "plug": "address: 'plug.lab', make: shelly-gen2",
}
OptionName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
OptionText = Annotated[str, Field(max_length=200)]


class PowerForm(Form):
    """Where the power of a board is read."""

    noun: ClassVar[str] = "power"
    meter: Annotated[Name, WithJsonSchema({"anyOf": [{"enum": list(METERS)}, {"type": "string"}]})] = Field(
        description="Read by the board: `hwmon`, `iio`, `ina3221x` (JetPack 4), `pmic` (Raspberry Pi 5), `supply` "
        "(battery), `counter` (joules). Read by the controller: `scpi`, `plug`, and what an installed package adds. "
        "For emulated boards: `modelled`, computed from `idle` and `per_instruction`; `simulated`, an instrument that "
        "exists only on loopback. See docs/power.md; `fleetgate doctor` proposes one."
    )
    rail: str = Field(
        default="",
        description="Label of the rail that the board reads, or several joined by `+`.",
        examples=["VDD_IN"],
        max_length=200,
    )
    root: RemotePath = Field(default="/sys", description="Root of the board's sysfs tree.", examples=["/sys"])
    rate: Rate = Field(
        default=50.0,
        description="Samples per second; without: 50, of `pmic` and `scpi` 10, of `plug` 1.",
        examples=["50 /s"],
    )
    scope: Annotated[str, one_of("scope", SCOPES), WithJsonSchema({"enum": list(SCOPES)})] = Field(
        default="", description="What the meter sees; without: what the source is known to see, `wall` for `plug`."
    )
    accuracy: Ratio = Field(
        default=0.0, description="Bound of the relative error; without: 5 % is assumed and said.", examples=["1 %"]
    )
    offset: Watts = Field(default=0.0, description="Bound of the error that does not scale.", examples=["10 mW"])
    averaging: Seconds = Field(
        default=0.0,
        description="Time over which a reading is an average; stronger than the board's word.",
        examples=["1 s"],
    )
    range: Watts = Field(default=0.0, description="Power at which the sensor is at its end.", examples=["15 W"])
    window: Seconds = Field(
        default=0.0,
        description="Shortest time under load; without: 10 s, or as long as 120 samples and 25 averaging times take.",
        examples=["30 s"],
    )
    address: str = Field(
        default="",
        description="scpi, plug, meters of packages: host and port of the meter, or what else names it.",
        examples=["meter.lab:5025"],
        max_length=255,
        pattern=r"^\[?[A-Za-z0-9_.:-]*\]?(:[0-9]{1,5})?$",
    )
    queries: list[Annotated[str, Field(min_length=1, max_length=120)]] = Field(
        default=[],
        description="scpi: what asks for the power, or two that ask for volts and amperes.",
        examples=[["MEAS:POW?"], ["MEAS:VOLT?", "MEAS:CURR?"]],
        max_length=2,
    )
    setup: list[Annotated[str, Field(min_length=1, max_length=120)]] = Field(
        default=[], description="scpi: sent once, before the first query.", examples=[["SENS:RANG 15"]], max_length=32
    )
    make: Annotated[str, one_of("make", PLUGS), WithJsonSchema({"enum": list(PLUGS)})] = Field(
        default="", description="plug: whose words it speaks."
    )
    channel: int = Field(default=0, ge=0, le=15, description="plug, meters of packages: which of its outputs.")
    options: dict[OptionName, OptionText] = Field(
        default={}, description="Meters of packages: what they want to know.", examples=[{"current_range": "auto"}]
    )
    idle: Watts = Field(default=0.0, description="modelled, simulated: power of the board at rest.", examples=["1.9 W"])
    per_instruction: Joules = Field(
        default=0.0, description="modelled: energy of one instruction on top of idle.", examples=["0.35 nJ"]
    )
    busy: Watts = Field(
        default=0.0,
        description="simulated: power on top of idle while the emulator computes without a pause.",
        examples=["2.5 W"],
    )


def check_power(power: PowerForm, document: Document, where: Location, problems: list[Problem]) -> None:
    """Check that the keys are those of the meter.

    Args:
        power: as written.
        document: the file.
        where: of `power:` in it.
        problems: every mistake is added here.
    """
    own, needed = _keys_of(power.meter)
    for key in sorted(power.model_fields_set - own - {"meter"}):
        node = document.find([*where, key], key=True)
        problems.append(
            document.problem(node, f"'{key}' is nothing of the meter '{power.meter}'", suggest(key, sorted(own)))
        )
    for key in sorted(needed - power.model_fields_set):
        said = f"a meter '{power.meter}' needs the key '{key}'"
        problems.append(document.problem(document.find(where), said, _EXAMPLES[power.meter]))


def _keys_of(meter: str) -> tuple[set[str], set[str]]:
    """Return the keys that a meter may have, and those that it must have."""
    if meter == MODELLED:
        return {"idle", "per_instruction"}, {"idle", "per_instruction"}
    if meter == SIMULATED:
        return {"idle", "busy", "rate", "accuracy", "window"}, {"idle", "busy"}
    if meter == "scpi":
        return {*_SENSED, "address", "queries", "setup"}, {"address", "queries"}
    if meter == "plug":
        return {*_SENSED, "address", "make", "channel"}, {"address", "make"}
    if meter not in METERS:
        return {*_SENSED, "address", "channel", "options"}, set()
    return {*_SENSED, "rail"} | (set() if meter == "pmic" else {"root"}), set()


def meter_spec(power: dict[str, Any]) -> MeterSpec:
    """Make the power source of a board from the keys of its `power:`, profile and device merged."""
    form = PowerForm.model_construct(**power)
    usual_hz = form.rate if form.meter in METERS else _OUTSIDE_RATE
    rate_hz = power.get("rate", _RATES.get(form.meter, usual_hz))
    return MeterSpec(
        kind=form.meter,
        rail=form.rail,
        root=form.root,
        rate_hz=rate_hz,
        idle_w=form.idle,
        busy_w=form.busy,
        joule_per_instruction=form.per_instruction,
        scope=form.scope or {"plug": "wall", SIMULATED: "board"}.get(form.meter, ""),
        accuracy=form.accuracy,
        offset_w=form.offset,
        # The simulated instrument averages from one reading to the next.
        averaging_s=1.0 / rate_hz if form.meter == SIMULATED else form.averaging,
        range_w=form.range,
        window_s=form.window,
        address=form.address,
        queries=tuple(form.queries),
        setup=tuple(form.setup),
        make=form.make,
        channel=form.channel,
        options=dict(form.options),
    )
