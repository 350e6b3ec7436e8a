"""How large a planted fault must be: a little more than a limit allows, and when that is not wise.

Pure; knows limits and tiers, no file and no board.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.campaign.selftest.catalogue import Fault
from harness.spec.model import Device, Limit, LimitKind, Tier
from harness.units import Dimension, format

LARGEST_BYTES = 256 * 2**20
"""A limit of bytes above this is not passed on purpose: the board's memory or disk might not bear it."""
HOTTEST_C = 140.0
"""A thermal zone above this is no reading."""
MULTIPLE, STEP = 1.2, 0.01
"""A figure that repeats is made worse by this multiple of the margin and this share more."""
NOISE = 0.10
"""One that scatters, by at least this share more than the margin."""
UNEVEN = 0.05
"""How much the work of sessions differs that are to differ."""
_OF_BYTES = frozenset({"ballast-peak", "ballast-model", "padded-file"})


@dataclass(frozen=True, slots=True)
class Amount:
    """The size of a fault: relative to what the figure is, or a figure in SI that is to be passed."""

    ratio: float = 0.0
    target: float = 0.0


def amount_of(fault: Fault, limit: Limit | None, device: Device) -> Amount:
    """Say how large a fault must be for the gate of this limit to see it; faults without a size are the same for all.

    Args:
        fault: one of the catalogue.
        limit: what it is to break; None for the gate "loads and runs".
        device: the board.
    """
    if fault.name == "unrepeatable-count":
        return Amount(ratio=UNEVEN)
    if limit is None or not fault.is_sized:
        return Amount()
    if limit.kind is LimitKind.REGRESS:
        return Amount(ratio=_ratio(limit.value, device))
    return Amount(target=_target(limit, device))


def why_not(fault: Fault, amount: Amount) -> str:
    """Say why a fault of this size is not planted although a gate is aimed at; empty when it is."""
    target = amount.target
    if fault.name in _OF_BYTES and target > LARGEST_BYTES:
        shown = format(target, Dimension.BYTES)
        return f"a limit of {shown} is not passed on purpose: the board might not bear it"
    if fault.name == "hot-board" and target > HOTTEST_C:
        return f"no thermal zone reads more than a limit of {format(target, Dimension.TEMPERATURE)}"
    return ""


def _ratio(margin: float, device: Device) -> float:
    if device.tier is Tier.HARDWARE:
        return margin + max(margin, NOISE)
    return MULTIPLE * margin + STEP


def _target(limit: Limit, device: Device) -> float:
    """Turn a limit into what a fault can be measured by: seconds of a rate, counts of a modelled energy."""
    if limit.metric == "throughput":
        return 1.0 / limit.value
    if limit.metric == "energy.per_inference" and device.power is not None and device.power.joule_per_instruction:
        return limit.value / device.power.joule_per_instruction
    return limit.value
