"""Limits: read from a document with their place, and merged for one device.

Strength, weakest first: profile budgets, suite `all`, suite per profile (farthest ancestor first), suite per device,
farm per device. The strongest word on one (metric, kind) wins whole, with its origin.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from harness import units
from harness.errors import Problem
from harness.spec.metric import METRICS, Metric, limit_dimension, limit_range
from harness.spec.model import MODELLED, SIMULATED, Device, Limit, LimitKind, LimitSet, Suite
from harness.spec.tree import Document, Location, Mapping, Node, Refused, Scalar
from harness.spec.validate import quoted

_KINDS = {kind.value: kind for kind in LimitKind}


def read_limits(document: Document, where: Location, problems: list[Problem]) -> tuple[Limit, ...]:
    """Read the mapping metric -> limits at `where`.

    Args:
        document: the file.
        where: location of the mapping.
        problems: limits that cannot be, with their places, are added here. What the form refuses anyway (unknown
            metrics and keys) is passed over.

    Returns:
        The good limits, in file order.
    """
    limits: list[Limit] = []
    for name, entry in document.keys(where):
        metric = METRICS.get(name.text)
        if metric is None or not isinstance(entry, Mapping):
            continue
        accept = _read_accept(document, metric, entry, problems)
        creep = _read_creep(document, metric, entry, problems)
        bounds = [(key, value) for key, value in entry.entries.values() if key.text in _KINDS]
        if not bounds and set(entry.entries) <= {"accept", "creep"}:
            possible = ", ".join(metric.kinds)
            problems.append(document.problem(name, f"{metric.name} has no limit", f"give it one of: {possible}"))
        for key, value in bounds:
            limit = _read_limit(document, metric, (key, value), accept, problems)
            if limit is not None:
                limits.append(replace(limit, creep=creep) if limit.kind is LimitKind.REGRESS else limit)
    return tuple(limits)


def read_scopes(document: Document, where: Location, problems: list[Problem]) -> tuple[LimitSet, ...]:
    """Read the mapping scope -> metric -> limits at `where`; like `read_limits` otherwise."""
    sets = []
    for scope, _ in document.keys(where):
        limits = read_limits(document, [*where, scope.text], problems)
        sets.append(LimitSet(scope.text, limits, document.origin(scope)))
    return tuple(sets)


def _read_accept(document: Document, metric: Metric, entry: Mapping, problems: list[Problem]) -> str:
    if "accept" not in entry.entries:
        return ""
    key, value = entry.entries["accept"]
    word = value.text if isinstance(value, Scalar) else ""
    is_sensed = word == SIMULATED
    able = [name for name, known in METRICS.items() if (known.needs == "energy" if is_sensed else known.modelled)]
    if word in {MODELLED, SIMULATED} and metric.name not in able:
        hint = f"'accept' makes sense on: {', '.join(able)}"
        problems.append(document.problem(key, f"{metric.name} is never {word}", hint))
    return word


def _read_creep(document: Document, metric: Metric, entry: Mapping, problems: list[Problem]) -> float | None:
    """Read the creep budget beside a `regress`; None when there is none, or none that can be."""
    if "creep" not in entry.entries:
        return None
    key, value = entry.entries["creep"]
    if "regress" not in entry.entries:
        problems.append(document.problem(key, "'creep' is a budget of 'regress', which is not here", "add 'regress:'"))
        return None
    _, step = entry.entries["regress"]
    budget, margin = (_ratio(document, node, problems if node is value else []) for node in (value, step))
    if budget is not None and margin is not None and budget < margin:
        said = f"a creep of {units.format(budget, units.Dimension.RATIO)} is less than one step may cost"
        problems.append(document.problem(value, said, "write at least the 'regress', or leave it out"))
        return None
    return budget


def _ratio(document: Document, node: Node, problems: list[Problem]) -> float | None:
    if isinstance(node, Refused):
        return None
    if not isinstance(node, Scalar):
        problems.append(document.problem(node, f"creep: expected {units.describe(units.Dimension.RATIO)}"))
        return None
    try:
        return units.parse(node.text, units.Dimension.RATIO)
    except units.QuantityError as error:
        problems.append(document.problem(node, error.message, error.hint))
        return None


def _read_limit(
    document: Document, metric: Metric, bound: tuple[Scalar, Node], accept: str, problems: list[Problem]
) -> Limit | None:
    key, value = bound
    if isinstance(value, Refused):
        return None
    kind = _KINDS[key.text]
    if kind not in metric.kinds:
        possible = ", ".join(metric.kinds)
        problems.append(document.problem(key, f"'{kind}' makes no sense on {metric.name}", f"it takes: {possible}"))
        return None
    dimension = limit_dimension(metric, kind)
    if not isinstance(value, Scalar):
        problems.append(document.problem(value, f"{kind}: expected {units.describe(dimension)}"))
        return None
    try:
        number = units.parse(value.text, dimension)
    except units.QuantityError as error:
        problems.append(document.problem(value, error.message, error.hint))
        return None
    impossible = _why_impossible(metric, kind, number)
    if impossible:
        said = f"{quoted(value.text)} is impossible for {kind} of {metric.name}"
        problems.append(document.problem(value, said, impossible))
        return None
    return Limit(metric.name, kind, number, " ".join(value.text.split()), document.origin(value), accept)


def _why_impossible(metric: Metric, kind: LimitKind, value: float) -> str:
    """Name the range of a limit that lies outside it; empty when it is inside."""
    low, high = limit_range(metric, kind)
    dimension = limit_dimension(metric, kind)
    closed = kind in {LimitKind.REGRESS, LimitKind.DROP} or metric.zero_is_possible
    if (low <= value if closed else low < value) and value <= high:
        return ""
    least = f"{'at least' if closed else 'above'} {units.format(low, dimension)}"
    return least if high == float("inf") else f"{least} and at most {units.format(high, dimension)}"


def effective_limits(suite: Suite, device: Device) -> tuple[Limit, ...]:
    """Merge all that is said about one device in one suite.

    Args:
        suite: the suite with its gates.
        device: the device, its profile's budgets and farm.yaml's gates included.

    Returns:
        One limit per (metric, kind), sorted by the catalogue's order; each keeps the origin of the place that won.
    """
    return limits_for(suite.gates, suite.name, device)


def limits_for(gates: Iterable[LimitSet], suite: str, device: Device) -> tuple[Limit, ...]:
    """Merge gates with what a device states of itself; as `effective_limits`, for gates that no suite file states.

    Args:
        gates: limits per scope, in file order.
        suite: name of the suite that the device's own limits may be meant for.
        device: the device, its profile's budgets and farm.yaml's gates included.
    """
    stated = tuple(gates)
    scopes = ["all", *reversed(device.lineage)]
    if device.name not in scopes:
        scopes.append(device.name)
    layers = [device.budgets]
    layers += [found.limits for scope in scopes for found in stated if found.scope == scope]
    layers += [found.limits for scope in ("all", suite) for found in device.overrides if found.scope == scope]
    return merge(layers)


def merge(layers: Iterable[Iterable[Limit]]) -> tuple[Limit, ...]:
    """Let the last layer that speaks of a (metric, kind) win."""
    winners = {(limit.metric, limit.kind): limit for layer in layers for limit in layer}
    kinds, metrics = list(LimitKind), list(METRICS)
    return tuple(winners[key] for key in sorted(winners, key=lambda key: (metrics.index(key[0]), kinds.index(key[1]))))
