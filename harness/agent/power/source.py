"""Which sources there are, and which rails of one of them are meant: the one place that knows all source files."""

from __future__ import annotations

import importlib
from typing import Any

from harness.agent.message import MeterRequest
from harness.agent.power.rail import Rail, Unreadable
from harness.agent.refusal import Refusal

SOURCES = {
    "hwmon": "harness.agent.power.hwmon",
    "iio": "harness.agent.power.iio",
    "ina3221x": "harness.agent.power.ina3221x",
    "pmic": "harness.agent.power.pmic",
    "supply": "harness.agent.power.supply",
    "counter": "harness.agent.power.counter",
}
"""Kind of meter -> module with `list_rails(root)`, and `join(rails)` where several are read at once."""


def find_rails(request: MeterRequest) -> list[Rail]:
    """Return the rails that are to be summed.

    Raises:
        Refusal: `sensor` when there is none, when the name is missing or fits several, or when it cannot be used.
    """
    if request.kind not in SOURCES:
        raise Refusal("sensor", f"the board cannot read a meter of kind {request.kind!r}")
    source = importlib.import_module(SOURCES[request.kind])
    known: list[Rail] = source.list_rails(request.root)
    if not known:
        raise Refusal("sensor", f"no power sensor of kind {request.kind!r} below {request.root}")
    chosen = _choose_all(request.rail, known)
    for rail in chosen:
        why = rail.fault or (rail.state() if rail.state else "")
        if why:
            raise Refusal("sensor", f"{rail.describe()} cannot be used: {why}")
    joined: list[Rail] = source.join(chosen) if hasattr(source, "join") else chosen
    return joined


def survey(root: str) -> list[dict[str, Any]]:
    """Describe every rail of every source, with one reading or the reason why there is none."""
    modules = {kind: importlib.import_module(path) for kind, path in SOURCES.items()}
    return [dict(_describe(rail), meter=kind) for kind in modules for rail in modules[kind].list_rails(root)]


def _describe(rail: Rail) -> dict[str, Any]:
    words = rail.fault or (rail.state() if rail.state else "")
    described: dict[str, Any] = {
        "chip": rail.chip,
        "place": rail.place,
        "channel": rail.channel,
        "label": rail.label,
        "quantity": rail.quantity,
        "scope": rail.scope,
        "window_s": rail.window_s,
        "step": rail.step,
        "range": rail.range,
        "reading": None,
    }
    try:
        rail.probe.open()
        described["reading"] = rail.probe.read()
    except Unreadable as error:
        words = words or str(error)
    finally:
        rail.probe.close()
    return dict(described, fault=words)


def _choose_all(names: str, known: list[Rail]) -> list[Rail]:
    choices = "; there are " + ", ".join(rail.describe() for rail in known[:32])
    if not names:
        if len(known) > 1 and known[0].label != "all":
            raise Refusal("sensor", "several rails can be measured: name one, or several joined by +" + choices)
        return known[:1]
    chosen = [_choose(name.strip(), known, choices) for name in names.split("+")]
    if len(set(chosen)) < len(chosen):
        raise Refusal("sensor", f"a rail is named twice in {names!r}")
    return chosen


def _choose(name: str, known: list[Rail], choices: str) -> Rail:
    fitting = [rail for rail in known if rail.answers_to(name)]
    if len(fitting) != 1:
        raise Refusal("sensor", (f"no rail {name!r}" if not fitting else f"several rails are {name!r}") + choices)
    return fitting[0]
