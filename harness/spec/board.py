"""What is said about using a board, by its profiles and by farm.yaml, merged into one set of settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import Problem
from harness.spec.form import BoardForm, PowerForm, check_build
from harness.spec.model import MeterSpec, Noise
from harness.spec.tree import Document, Location
from harness.spec.validate import Refusal, suggest


@dataclass(frozen=True, slots=True)
class Written:
    """A profile file or a device entry as written, and the file it stands in."""

    form: BoardForm
    document: Document
    where: Location = ()
    """Where in the document; empty: all of it."""


@dataclass(frozen=True, slots=True)
class BoardSettings:
    """What profile and device say together about using a board."""

    python: str
    root: str
    threads: int
    cores: tuple[int, ...]
    runtimes: dict[str, str]
    condition: str
    power: MeterSpec | None
    sessions: int
    noise: tuple[Noise, ...]


_SENSED = ("rate", "scope", "accuracy", "offset", "averaging", "range", "window")
_RATES = {"pmic": 10.0, "scpi": 10.0, "plug": 1.0}
"""Samples per second of a meter that nobody says more of: asking these takes long, or slows the board."""
_EXAMPLES = {
    "modelled": "idle: 1.9 W, per_instruction: 0.35 nJ",
    "scpi": "address: 'meter.lab:5025', queries: ['MEAS:POW?']",
    "plug": "address: 'plug.lab', make: shelly-gen2",
}


def check_board(form: BoardForm, document: Document, where: Location, problems: list[Problem]) -> None:
    """Check what no single field can: builds against their family, power against its meter, cores against repeats."""
    for family, build in form.runtimes.items():
        try:
            check_build(family, build)
        except Refusal as refusal:
            problems.append(document.problem(document.find([*where, "runtimes", family]), str(refusal), refusal.hint))
    if len(set(form.cores)) < len(form.cores):
        problems.append(document.problem(document.find([*where, "cores"]), "cores: a CPU is named twice"))
    if form.power is not None:
        _check_power(form.power, document, [*where, "power"], problems)


def _check_power(power: PowerForm, document: Document, where: Location, problems: list[Problem]) -> None:
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
    if meter == "modelled":
        return {"idle", "per_instruction"}, {"idle", "per_instruction"}
    if meter == "scpi":
        return {*_SENSED, "address", "queries", "setup"}, {"address", "queries"}
    if meter == "plug":
        return {*_SENSED, "address", "make", "channel"}, {"address", "make"}
    return {*_SENSED, "rail"} | (set() if meter == "pmic" else {"root"}), set()


def settle(chain: Sequence[Written]) -> BoardSettings:
    """Merge what is written about a board.

    Args:
        chain: the words, nearest (strongest) first. Scalars and lists replace, `runtimes` merge by family, `noise` by
            metric, `power` by key as long as the meter is the same.

    Returns:
        The settings, with the defaults where nothing is written.
    """
    said: dict[str, Any] = {name: field.default for name, field in BoardForm.model_fields.items()}
    runtimes: dict[str, str] = {}
    power: dict[str, Any] = {}
    noise: dict[str, Noise] = {}
    for written in reversed(chain):
        values = written.form.model_dump(include=set(BoardForm.model_fields), exclude_unset=True)
        runtimes |= values.pop("runtimes", {})
        more = values.pop("power", {})
        values.pop("noise", {})
        noise |= {item.metric: item for item in _noise(written)}
        power = {**power, **more} if not more or more["meter"] == power.get("meter") else more
        said |= values
    return BoardSettings(
        python=said["python"],
        root=said["root"],
        threads=said["threads"],
        cores=tuple(said["cores"]),
        runtimes=runtimes,
        condition=said["condition"],
        power=_meter(power) if power else None,
        sessions=said["sessions"],
        noise=tuple(noise.values()),
    )


def _noise(written: Written) -> Iterator[Noise]:
    for metric, entry in written.form.noise.items():
        origin = written.document.origin(written.document.find([*written.where, "noise", metric], key=True))
        yield Noise(metric, entry.sd, entry.tails == "heavy", f"stated in {origin}")


def _meter(power: dict[str, Any]) -> MeterSpec:
    form = PowerForm.model_construct(**power)
    return MeterSpec(
        kind=form.meter,
        rail=form.rail,
        root=form.root,
        rate_hz=power.get("rate", _RATES.get(form.meter, form.rate)),
        idle_w=form.idle,
        joule_per_instruction=form.per_instruction,
        scope=form.scope or ("wall" if form.meter == "plug" else ""),
        accuracy=form.accuracy,
        offset_w=form.offset,
        averaging_s=form.averaging,
        range_w=form.range,
        window_s=form.window,
        address=form.address,
        queries=tuple(form.queries),
        setup=tuple(form.setup),
        make=form.make,
        channel=form.channel,
    )
