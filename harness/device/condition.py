"""Whether a board was fit while it was measured: compares what it says before and after a session. Pure.

A flag does not change a figure; it says that a timed session cannot decide. Foreign load is seen by the session itself,
on its own core and in its own moment (`harness.agent.meters.contention`).
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.errors import DeviceError
from harness.records.run import Facts

FREQUENCY_RATIO = 0.05
_COUNTS = ("_event_cnt", "_throttle_count")
THROTTLED_NOW = 0xF
"""Bits of Raspberry Pi's word: under-voltage, frequency capped, throttled, soft temperature limit. Bits 16-19 say the
same "since boot": only a change of them during the session counts."""


def compare(before: Facts, after: Facts, *, where: str) -> tuple[str, ...]:
    """Return the validity flags of a session that ran between two readings.

    Args:
        before: read when the session started.
        after: read when it had ended.
        where: the board in words.

    Raises:
        DeviceError: the board was started anew in between.
    """
    if before.boot_id and after.boot_id and before.boot_id != after.boot_id:
        raise DeviceError(f"{where} was started anew while it was measured", code="reboot")
    flags = []
    if _is_throttled(before.throttled, after.throttled) or _shows(before.throttle_signs, after.throttle_signs):
        flags.append("throttled")
    if before.governor != after.governor:
        flags.append("governor-changed")
    if before.governor in {"performance", "userspace"} and _has_moved(before.frequencies_hz, after.frequencies_hz):
        # Under an on-demand governor an idle core slows down between sessions: that says nothing.
        flags.append("frequency-changed")
    return tuple(flags)


def _is_throttled(before: str, after: str) -> bool:
    if not after:
        return False
    now, was = int(after, 16), int(before or "0", 16)
    return bool(now & THROTTLED_NOW) or bool(now & ~was & (THROTTLED_NOW << 16))


def _shows(before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    """Whether an event was counted in between, or an alarm or a cooled CPU stands at either end."""
    counted = any(after.get(name, 0.0) > count for name, count in before.items() if name.endswith(_COUNTS))
    standing = (value for signs in (before, after) for name, value in signs.items() if not name.endswith(_COUNTS))
    return counted or any(standing)


def _has_moved(before: tuple[float, ...], after: tuple[float, ...]) -> bool:
    pairs = zip(before, after, strict=False)
    return any(abs(new - old) > FREQUENCY_RATIO * max(old, 1.0) for old, new in pairs)
