"""What may be gated on which fidelity tier; the rules are checked when the plan is made, and again by the judge.

An emulated board is honest about memory, answers and bytes; with an instruction clock also about work. It says nothing
about the time or power of a physical board.
"""

from __future__ import annotations

import math

from harness.records.plan import PlannedCell
from harness.spec.metric import METRICS
from harness.spec.model import MODELLED, SIMULATED, Device, Limit, LimitKind, Tier
from harness.stats.likelihood import DIVERGENCES, SURPRISES
from harness.stats.noise import noise_of
from harness.stats.outlook import RESOLVES, resolvable
from harness.stats.pair import in_pairs
from harness.stats.questions import ANSWERED
from harness.stats.told import TOLD_MEMORY, TOLD_TIMES
from harness.stats.writing import TOKEN_TIMES
from harness.units import Dimension, format

_ANYWHERE = (
    *("memory.", TOLD_MEMORY, "storage.", "accuracy.", "parity.", "conformance."),
    *(*SURPRISES, *DIVERGENCES, *ANSWERED),
)
_TIMED = ("latency.", "load.", "throughput", "sustained.", *TOKEN_TIMES, *TOLD_TIMES)
_OF_HEAT = ("sustained.fade", "sustained.time_to_throttle", "sustained.temperature")
_SENSED = ("power.", "energy.", "thermal.")
_NO_P99 = (
    "the ratio of two p99 scatters by 7 % even over 1000 calls, so that pairs cannot decide it; "
    "gate latency.p99 with `max` (its share of calls over the limit), or latency.p95 with `regress`"
)


def forbidden(limit: Limit, device: Device) -> str:
    """Say why this limit cannot be gated on this device and what to gate instead.

    Args:
        limit: one limit of the effective set.
        device: the board, with its tier and power source.

    Returns:
        A sentence with the alternative; empty when the limit may be gated.
    """
    metric = limit.metric
    if metric not in METRICS:
        return f"{metric} is no metric"
    if metric.startswith(_ANYWHERE) or device.tier is Tier.REPLAYED:
        return ""
    if metric == "latency.p99" and limit.kind is LimitKind.REGRESS and device.tier is Tier.HARDWARE:
        return _NO_P99
    if metric.startswith(_OF_HEAT) and device.tier is not Tier.HARDWARE:
        return (
            f"{metric} cannot be gated on {device.name} ({device.tier}): an emulated board gets no warmer; "
            "gate it on hardware"
        )
    if metric.startswith(_SENSED):
        return _forbidden_power(limit, device)
    if device.tier is Tier.FUNCTIONAL:
        return _forbidden_functional(metric, device)
    return ""


def unresolvable(limit: Limit, device: Device, planned: PlannedCell | None = None) -> str:
    """Say why a margin cannot be decided by a reasonable number of pairs on a board whose noise is known.

    Asked when a run is planned; what was measured all the same is judged as it is.

    Args:
        limit: one limit of the effective set.
        device: the board.
        planned: the cell, with its calibration; None where there is none.

    Returns:
        A sentence with the margin that the board can resolve; empty when it can resolve this one.
    """
    known = noise_of(planned, device, limit.metric)
    if limit.kind is not LimitKind.REGRESS or known is None or not in_pairs(limit.metric, device):
        return ""
    if known.sd <= RESOLVES * math.log1p(limit.value):
        return ""
    noise, least = (format(share, Dimension.RATIO, digits=2) for share in (known.sd, resolvable(known.sd)))
    return (
        f"{device.name} cannot resolve a margin of {limit.text} in {limit.metric}: its noise is {noise} "
        f"({known.source}); allow at least {least}"
    )


def _forbidden_functional(metric: str, device: Device) -> str:
    if metric.startswith(_TIMED):
        return (
            f"{metric} cannot be gated on {device.name} ({device.tier}): the time of an emulated board is the host's; "
            "gate work.instructions on an emulated-deterministic board, or the time on hardware"
        )
    return (
        f"{metric} cannot be gated on {device.name} ({device.tier}): without an instruction clock it counts nothing; "
        "use a profile with `icount: true`, or hardware"
    )


def _forbidden_power(limit: Limit, device: Device) -> str:
    metric, power = limit.metric, device.power
    if metric.startswith("thermal."):
        if device.tier is Tier.HARDWARE:
            return ""
        return f"{metric} cannot be gated on {device.name} ({device.tier}): it has no temperature; gate it on hardware"
    if power is None:
        return f"{metric} cannot be gated on {device.name}: it names no power source; add `power:` to the device"
    if power.kind == MODELLED:
        return _forbidden_model(limit, device)
    if power.kind == SIMULATED:
        return _forbidden_simulation(limit, device)
    if device.tier is Tier.HARDWARE:
        return ""
    return (
        f"{metric} cannot be gated on {device.name} ({device.tier}): an emulated board draws no power; "
        "gate it on hardware, or declare a modelled source and `accept: modelled`"
    )


def _forbidden_model(limit: Limit, device: Device) -> str:
    if not METRICS[limit.metric].modelled:
        return f"{limit.metric} is never modelled; gate energy.per_inference with `accept: modelled`, or use a sensor"
    if device.tier is Tier.FUNCTIONAL:
        return (
            f"{limit.metric} cannot be modelled on {device.name} ({device.tier}): the model needs instruction counts; "
            "use a profile with `icount: true`"
        )
    if limit.accept != MODELLED:
        return (
            f"{limit.metric} of {device.name} is computed from a declared model, not measured; "
            "write `accept: modelled` beside the limit, or gate it on a board with a sensor"
        )
    return ""


def _forbidden_simulation(limit: Limit, device: Device) -> str:
    if device.tier is not Tier.FUNCTIONAL:
        return (
            f"{limit.metric} of {device.name} ({device.tier}) has no simulated meter: it needs a clock that runs like "
            "ours; use a profile with `icount: false`"
        )
    if limit.accept != SIMULATED:
        return (
            f"{limit.metric} of {device.name} is told by a simulated meter, not measured; "
            "write `accept: simulated` beside the limit, or gate it on a board with a sensor"
        )
    return ""
