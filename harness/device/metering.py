"""An energy session whose meter the controller reads: record beside it, align the clocks, put both together.

The board gives the marks of its windows; here they get the meter's readings, on the board's clock. Whether these are
worth a number is said later, as of every other trace.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable

import numpy as np

from harness.agent.message import SessionReply
from harness.device.clock import Offset, measure_offset, to_board_clock
from harness.device.envelope import SessionResult
from harness.meters.port import MeterError, make_meter
from harness.meters.recorder import Recorder, Recording
from harness.spec.model import MeterSpec


def measure_externally(
    meter: MeterSpec,
    ask_clock: Callable[[], float],
    run: Callable[[], SessionResult],
    *,
    nonce: str,
    most: int | None = None,
) -> SessionResult:
    """Run a session while its meter is recorded.

    Args:
        meter: of the board; read by this machine.
        ask_clock: returns the board's monotonic clock, one round trip.
        run: runs the session.
        nonce: of the session, for the answer that is given without running it.
        most: so many means are kept of the readings; a session that only has its power beside it then also runs
            without the meter. None: every reading is kept, and without the meter there is no session.

    Returns:
        The session with power_t_s and power_w added, or with the error `sensor` when the meter is not there.

    Raises:
        InfraError: `clock` when the board's clock was stepped meanwhile; what `run` raises.
    """
    with contextlib.ExitStack() as stack:
        try:
            opened = stack.enter_context(make_meter(meter))
        except MeterError as error:
            if most is not None:
                result = run()
                result.reply.settings["power_fault"] = str(error)[:400]
                return result
            words = {"code": error.code, "message": str(error)}
            return SessionResult(SessionReply(nonce=nonce, wait_status=0, sha256="", end=True, error=words))
        first = measure_offset(ask_clock)
        recorder = Recorder(opened, meter.rate_hz, meter.averaging_s)
        recorder.start()
        try:
            result = run()
        finally:
            recording = recorder.stop()
        described = opened.describe()
    if result.reply.error is not None or result.cut_short is not None:
        return result
    joined = _join(result, recording, (first, measure_offset(ask_clock)), described, meter)
    return joined if most is None else dataclasses.replace(joined, arrays=_thinned(joined.arrays, most))


def _thinned(arrays: dict[str, np.ndarray], most: int) -> dict[str, np.ndarray]:
    """Replace a long trace of power by the means of at most `most` stretches of equal length."""
    step = -(-len(arrays["power_t_s"]) // most)
    if step < 2:
        return arrays
    whole = len(arrays["power_t_s"]) // step * step
    means = {name: arrays[name][:whole].reshape(-1, step).mean(axis=1) for name in ("power_t_s", "power_w")}
    return {**arrays, **means}


def _join(
    result: SessionResult, recording: Recording, offsets: tuple[Offset, Offset], described: str, meter: MeterSpec
) -> SessionResult:
    times_s, unsure_s = to_board_clock(np.array(recording.times_s, dtype=np.float64), *offsets)
    # Within a reading the meter looked at its input at a moment that nobody tells.
    clock_s = math.hypot(unsure_s, recording.read_s / math.sqrt(12.0))
    result.reply.scalars.update(
        power_clock_u_s=clock_s,
        power_late_count=float(recording.late),
        power_read_s=recording.read_s,
        power_is_regular=float(recording.is_regular),
    )
    result.reply.settings.update(power_source=described, power_scope=meter.scope or "unknown")
    if recording.fault:
        result.reply.settings["power_fault"] = recording.fault
    arrays = {"power_t_s": times_s, "power_w": np.array(recording.watts, dtype=np.float64)}
    return dataclasses.replace(result, arrays={**result.arrays, **arrays})
