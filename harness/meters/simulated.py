"""The power of an emulated board, as an instrument beside it would tell: a declared model of the emulator's work.

A board at rest draws `idle`; one whose emulator computes without a pause draws `busy` on top. What lies between is the
share of time for which QEMU had a processor, averaged from one reading of a connection to the next. No figure of it is
one of a physical board: it is there so that the way of an external meter is walked without one.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from harness.meters.instrument import Instrument, Reading
from harness.spec.model import SIMULATED, MeterSpec

IDENTITY = "FLEETGATE,SIMULATED METER,0,1"
_SOONEST_S = 1e-3
"""Two readings nearer than this are one."""


def busy_power(meter: MeterSpec, cpu_s: Callable[[], float], *, clock: Callable[[], float] = time.monotonic) -> Reading:
    """Make a reading: watts, averaged since the one before, or since this call.

    Args:
        meter: with `idle_w` and `busy_w`.
        cpu_s: returns the processor time that the emulator has used, seconds; OSError when it has ended.
        clock: seconds, to divide by.
    """
    seen_s, used_s, watts = clock(), _used(cpu_s), meter.idle_w

    def read() -> float:
        nonlocal seen_s, used_s, watts
        now_s, total_s = clock(), _used(cpu_s)
        if now_s - seen_s >= _SOONEST_S:
            watts = meter.idle_w + meter.busy_w * (total_s - used_s) / (now_s - seen_s)
            seen_s, used_s = now_s, total_s
        return watts

    return read


@contextlib.contextmanager
def simulated_meter(meter: MeterSpec | None, cpu_s: Callable[[], float]) -> Iterator[MeterSpec | None]:
    """Start the instrument of an emulated board whose power source is a simulated meter; others get none.

    Args:
        meter: what the board's spec names.
        cpu_s: as for `busy_power`.

    Yields:
        The spec of an SCPI meter at the instrument's address, or None.
    """
    if meter is None or meter.kind != SIMULATED:
        yield None
        return
    with Instrument(IDENTITY, lambda: busy_power(meter, cpu_s)) as instrument:
        yield replace(meter, kind="scpi", address=instrument.address, queries=("MEAS:POW?",))


def _used(cpu_s: Callable[[], float]) -> float:
    try:
        return cpu_s()
    except OSError:
        return math.nan
