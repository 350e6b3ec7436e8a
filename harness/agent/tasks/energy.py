"""The energy session: idle, then inferences back to back for a whole window, then idle again, under a power sampler.

Window and samples are stamped by the same monotonic clock of the board. Integration, subtraction of idle and validity
are the controller's: here nothing is averaged.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import numpy as np

from harness.agent.meters.control import time_control_s
from harness.agent.meters.power import PowerSampler, find_rails
from harness.agent.meters.thermal import Thermometer
from harness.agent.refusal import Refusal
from harness.agent.tasks.load import bind_first, quiesce

if TYPE_CHECKING:
    from harness.agent.session import Session


def run(session: Session) -> None:
    """Sample power around and during a window of inferences.

    Arrays: power_t_s, power_w float64. Scalars: window_start_s, window_end_s, inference_count, idle_before_start_s,
    idle_before_end_s, idle_after_start_s, idle_after_end_s, power_late_count, power_rate_hz, control_before_s,
    control_after_s.

    Raises:
        Refusal: `sensor` when the meter is not there.
    """
    request = session.request
    if request.meter is None:
        raise Refusal("sensor", "an energy session needs a meter")
    sampler = PowerSampler(find_rails(request.meter), request.meter.rate_hz, request.deadline_s)
    session.scalars["control_before_s"] = time_control_s()
    model = session.load()
    call = bind_first(session, model)
    session.enter("run")
    for _ in range(max(1, request.warmup)):
        call()
    quiesce()
    thermometer = Thermometer(request.meter.root)
    sampler.start(_other_cores(session.cores))
    marks = {}
    marks["idle_before_start_s"], marks["idle_before_end_s"] = _idle(request.idle_s)
    count = 0
    clock = time.monotonic
    start = clock()
    end = start
    while count < request.repeat or end - start < request.window_s:
        call()
        count += 1
        end = clock()
    marks["idle_after_start_s"], marks["idle_after_end_s"] = _idle(request.idle_s)
    trace = sampler.stop()
    session.arrays["power_t_s"] = np.array(trace.times_s, dtype=np.float64)
    session.arrays["power_w"] = np.array(trace.watts, dtype=np.float64)
    session.scalars.update(
        marks,
        control_after_s=time_control_s(),
        window_start_s=start,
        window_end_s=end,
        inference_count=float(count),
        power_late_count=float(trace.late),
        power_rate_hz=request.meter.rate_hz,
        **thermometer.scalars(),
    )


def _idle(seconds: float) -> tuple[float, float]:
    start = time.monotonic()
    time.sleep(max(0.0, seconds))
    return start, time.monotonic()


def _other_cores(cores: list[int]) -> set[int]:
    """Return where the sampler runs: anywhere but on the session's cores, if the board has others."""
    count = os.cpu_count() or 1
    others = set(range(count)) - set(cores)
    return others or set(cores)
