"""The energy session: idle, then inferences back to back for a whole window, then idle again, under a power sampler.

The load begins some time before the window and ends after it, so that no edge of the window is an edge of the power: a
sensor that averages would smear that one. How fast the same loop runs unsampled is measured before and after. Window
and samples are stamped by the same monotonic clock of the board. Integration, subtraction of idle and validity are the
controller's: here nothing is averaged.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from harness.agent.message import EXTERNAL
from harness.agent.meters.control import time_control_s
from harness.agent.meters.thermal import Thermometer
from harness.agent.refusal import Refusal
from harness.agent.tasks.load import bind_first, quiesce

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.agent.message import MeterRequest
    from harness.agent.meters.follower import Follower
    from harness.agent.power.rail import Rail
    from harness.agent.power.sampler import PowerSampler, PowerTrace
    from harness.agent.session import Session

_PLAIN_S = 1.0
"""Longest time for which the loop runs unsampled, before and after."""
_SIGNS_S = 0.5
"""Between two readings of heat and clock."""
_SETTLED = 0.3
"""Share of it that is not timed: the clock frequency may still rise."""


class Loop(NamedTuple):
    """Inferences back to back, by the monotonic clock."""

    start_s: float
    end_s: float
    calls: int


class Load(NamedTuple):
    """What is repeated in the window, and what alone after it; None: nothing."""

    call: Callable[[], Any]
    part: Callable[[], Any] | None = None


def run(session: Session) -> None:
    """Sample power around and during a window of inferences of sample 0; see `sample`."""
    sample(session, lambda: Load(bind_first(session, session.load())))


def sample(session: Session, bind: Callable[[], Load]) -> None:
    """Sample power around and during a window of a load, and during one of a part of it.

    Arrays, unless the meter is external: power_t_s float64 (n,) and power_w (n,), with several rails also rail_w
    (n, rails); of counters instead energy_j (n, counters) and energy_range_j (counters,), 0 where it is not known.
    What the board tells of heat and clock: signs_t_s (m,), temperature_c, frequency_hz, throttled.
    Scalars: load_start_s, window_start_s, window_end_s, load_end_s, inference_count, idle_{before,after}_{start,end}_s,
    plain_{before,after}_s per inference while nobody samples, power_late_count, power_rate_hz, control_before_s,
    control_after_s, with a part part_start_s, part_end_s and part_count, and of what the sensor tells: power_window_s,
    power_step_w, power_range_w, power_rival_ratio, power_read_s, power_is_regular. Settings: power_source, power_scope,
    power_fault.

    Raises:
        Refusal: `sensor` when the meter is not there.
    """
    request = session.request
    if request.meter is None:
        raise Refusal("sensor", "an energy session needs a meter")
    rails = find_rails(session, request.meter)
    sampler = make_sampler(rails, request.meter.rate_hz, request.deadline_s)
    session.scalars["control_before_s"] = time_control_s()
    load = bind()
    call = load.call
    session.enter("run")
    for _ in range(max(1, request.warmup)):
        call()
    quiesce()
    thermometer = Thermometer(request.meter.root)
    session.scalars["plain_before_s"] = _time_plain(call, request.window_s)
    if sampler:
        sampler.start(other_cores(session.cores))
    follower = _follow(session, request.meter)
    window = _measure(session, load)
    session.arrays.update(follower.stop())
    if sampler:
        _keep(session, rails, sampler.stop())
        session.scalars["power_is_regular"] = float(sampler.is_regular)
    session.scalars["plain_after_s"] = _time_plain(call, request.window_s)
    if changed := _say_states(rails):
        session.flags.append("supply-changed")
        session.settings["power_fault"] = changed[0]
    session.scalars.update(
        control_after_s=time_control_s(),
        window_start_s=window.start_s,
        window_end_s=window.end_s,
        inference_count=float(window.calls),
        power_rate_hz=request.meter.rate_hz,
        **thermometer.scalars(),
    )


def find_rails(session: Session, meter: MeterRequest) -> list[Rail]:
    """Find what the board itself reads, and note it in the settings; nothing where the controller reads the meter.

    Raises:
        Refusal: `sensor` when it is not there.
    """
    if meter.kind == EXTERNAL:
        return []
    # Only here: no other session shall carry the sources in its memory.
    from harness.agent.power import source

    rails = source.find_rails(meter)
    session.settings["power_source"] = "+".join(rail.describe() for rail in rails)[:400]
    session.settings["power_scope"] = "+".join(sorted({rail.scope for rail in rails}))
    return rails


def make_sampler(rails: list[Rail], rate_hz: float, longest_s: float) -> PowerSampler | None:
    """Return a sampler of the rails, None without any."""
    if not rails:
        return None
    from harness.agent.power.sampler import PowerSampler

    return PowerSampler(rails, rate_hz, longest_s)


def _follow(session: Session, meter: MeterRequest) -> Follower:
    """Watch heat and clock beside it, so that a change of power can be explained."""
    from harness.agent.meters.follower import Follower
    from harness.agent.meters.signs import find_signs

    follower = Follower(find_signs(meter.root, session.cores), _SIGNS_S, session.request.deadline_s)
    follower.start(other_cores(session.cores))
    return follower


def _measure(session: Session, load: Load) -> Loop:
    """Idle, load before the window, window, load after it, idle; a part has a window of its own. Idle is noted, too."""
    request, scalars, call = session.request, session.scalars, load.call
    _idle(request.lead_s)
    scalars["idle_before_start_s"], scalars["idle_before_end_s"] = _idle(request.idle_s)
    scalars["load_start_s"] = _loop(call, 0, request.lead_s).start_s
    window = _loop(call, request.repeat, request.window_s)
    if load.part:
        _loop(load.part, 0, request.lead_s)
        part = _loop(load.part, request.repeat, request.window_s)
        scalars.update(part_start_s=part.start_s, part_end_s=part.end_s, part_count=float(part.calls))
    scalars["load_end_s"] = _loop(load.part or call, 0, request.lead_s).end_s
    _idle(request.lead_s)
    scalars["idle_after_start_s"], scalars["idle_after_end_s"] = _idle(request.idle_s)
    return window


def _loop(call: Callable[[], Any], fewest: int, shortest_s: float) -> Loop:
    clock, count = time.monotonic, 0
    start = end = clock()
    while count < fewest or end - start < shortest_s:
        call()
        count += 1
        end = clock()
    return Loop(start, end, count)


def _time_plain(call: Callable[[], Any], window_s: float) -> float:
    span_s = min(_PLAIN_S, window_s)
    _loop(call, 1, _SETTLED * span_s)
    done = _loop(call, 1, span_s)
    return (done.end_s - done.start_s) / done.calls


def _keep(session: Session, rails: list[Rail], trace: PowerTrace) -> None:
    values = np.array(trace.values, dtype=np.float64).reshape(len(trace.times_s), len(rails))
    session.arrays["power_t_s"] = np.array(trace.times_s, dtype=np.float64)
    if rails[0].quantity == "energy":
        session.arrays["energy_j"] = values
        session.arrays["energy_range_j"] = np.array([rail.range for rail in rails], dtype=np.float64)
    else:
        session.arrays["power_w"] = values.sum(axis=1)
        if len(rails) > 1:
            session.arrays["rail_w"] = values
    if trace.fault:
        session.settings["power_fault"] = trace.fault
    # What is not known of one rail is not known of their sum.
    windows = [rail.window_s for rail in rails]
    steps, ranges = [rail.step for rail in rails], [rail.range for rail in rails]
    told = {"power_rival_ratio": trace.rival_ratio, "power_window_s": max(windows) if all(windows) else 0.0}
    if rails[0].quantity == "power":
        told["power_step_w"] = max(steps) if all(steps) else 0.0
        told["power_range_w"] = sum(ranges) if all(ranges) else 0.0
    session.scalars.update({name: value for name, value in told.items() if value})
    session.scalars.update(power_late_count=float(trace.late), power_read_s=trace.read_s)


def _say_states(rails: list[Rail]) -> list[str]:
    return [words for words in (rail.state() for rail in rails if rail.state) if words]


def _idle(seconds: float) -> tuple[float, float]:
    start = time.monotonic()
    time.sleep(max(0.0, seconds))
    return start, time.monotonic()


def other_cores(cores: list[int]) -> set[int]:
    """Return where the sampler runs: anywhere but on the session's cores, if the board has others."""
    count = os.cpu_count() or 1
    others = set(range(count)) - set(cores)
    return others or set(cores)
