"""The sustained session: inferences for minutes, flat out or at a rate, beside which the board's condition is followed.

The load keeps a row per window of time: how many inferences ended in it, and how long they took. At most about a
thousand windows make a session, however long it is: what comes back is small, and nothing is averaged over more.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.agent.message import EXTERNAL
from harness.agent.meters.contention import ContentionWatch
from harness.agent.meters.control import time_control_s
from harness.agent.meters.follower import Follower, Rows
from harness.agent.meters.signs import find_signs
from harness.agent.refusal import Refusal
from harness.agent.tasks.energy import find_rails, make_sampler, other_cores
from harness.agent.tasks.load import bind_first, quiesce

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.agent.power.sampler import PowerSampler
    from harness.agent.runtimes import Array
    from harness.agent.session import Session

_WINDOWS = 1200
_SHORTEST_S, _SIGNS_S = 0.25, 0.5
"""Shortest window, and shortest time between two readings of the board's condition."""
_KEPT = 2048
"""Times of a window that its median is of: of very short inferences the last ones."""
_WAITED = 0.03
"""Share of the time on or before a core that other work may have taken."""
_POWER_HZ = 10.0
"""Only means over a second and more are kept of the power."""
_WINDOW_ARRAYS = ("window_end_s", "window_calls", "window_median_s", "window_longest_s")


def run(session: Session) -> None:
    """Load the board for a time and follow what becomes of it.

    Arrays, one entry per window: window_end_s float64 (n,) by the monotonic clock, window_calls, window_median_s and
    window_longest_s of single inferences. One entry per reading: signs_t_s (m,), temperature_c, frequency_hz (mean of
    the session's cores), throttled (1, 0, or NaN), mean_w (over the time since the reading before); what a board tells
    never once is left out. Scalars: load_start_s, sustain_s, rate_hz, late_count (inferences that began later than
    planned by more than a period), control_before_s, control_after_s, cpu_s and run_delay_s.

    Raises:
        Refusal: `request` when nothing says how long.
    """
    request = session.request
    if request.sustain is None:
        raise Refusal("request", "a sustained session needs to know how long")
    asked = request.sustain
    if not request.deterministic:
        session.scalars["control_before_s"] = time_control_s()
    call = bind_first(session, session.load())
    session.enter("run")
    for _ in range(max(1, request.warmup)):
        call()
    quiesce()
    session.scalars.update(sustain_s=asked.time_s, rate_hz=asked.rate_hz)
    session.tell({"described": session.describe()})
    width_s = max(_SHORTEST_S, asked.time_s / _WINDOWS)
    windows = Rows(len(_WINDOW_ARRAYS), int(asked.time_s / width_s) + 8)
    sampler = _start_sampler(session)
    follower = _start_follower(session, sampler, windows, max(_SIGNS_S, width_s))
    watch = ContentionWatch()
    load = _Load(call, windows, width_s)
    session.scalars["load_start_s"] = load.run(asked.time_s, asked.rate_hz)
    contention = watch.scalars()
    signs = follower.stop()
    if sampler:
        fault = sampler.stop().fault
        session.settings.update({"power_fault": fault} if fault else {})
    session.arrays.update({**_arrays_of(windows), **signs})
    session.scalars.update(late_count=float(load.late), **contention)
    if not request.deterministic:
        session.scalars["control_after_s"] = time_control_s()
        session.flags += _flags_of(contention)


def _start_follower(session: Session, sampler: PowerSampler | None, windows: Rows, period_s: float) -> Follower:
    request = session.request
    assert request.sustain is not None
    follower = Follower(
        find_signs(request.sustain.root, session.cores),
        period_s,
        request.deadline_s,
        read_w=_MeanPower(sampler).read if sampler else lambda: math.nan,
        tell=-1 if request.deterministic else session.progress_fd,
        windows=windows,
    )
    follower.start(other_cores(session.cores))
    return follower


class _Load:
    """Inferences for a time; each window's row is left as soon as it is over."""

    def __init__(self, call: Callable[[], Any], windows: Rows, width_s: float) -> None:
        self._call, self._windows, self._width_s = call, windows, width_s
        self.calls = 0
        self.late = 0

    def run(self, time_s: float, rate_hz: float) -> float:
        """Infer until `time_s` are over; return when it began."""
        call, clock, period_s = self._call, time.monotonic, 1.0 / rate_hz if rate_hz else 0.0
        start = clock()
        end, edge = start + time_s, start + self._width_s
        taken: list[float] = []
        after, first = start, 0
        while after < end:
            if period_s:
                self._wait(start + self.calls * period_s, period_s)
            before = clock()
            call()
            after = clock()
            self.calls += 1
            if len(taken) < _KEPT:
                taken.append(after - before)
            else:
                taken[self.calls % _KEPT] = after - before
            if after >= edge:
                self._close(after, self.calls - first, taken)
                first, taken = self.calls, []
                edge = start + (math.floor((after - start) / self._width_s) + 1) * self._width_s
        return start

    def _wait(self, due: float, period_s: float) -> None:
        wait_s = due - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        elif wait_s < -period_s:
            self.late += 1

    def _close(self, end: float, calls: int, taken: list[float]) -> None:
        taken.sort()
        self._windows.append(end, calls, taken[len(taken) // 2], taken[-1])


class _MeanPower:
    """Means of what a power sampler has read since the last question; used by the follower alone."""

    def __init__(self, sampler: PowerSampler) -> None:
        self._sampler, self._seen = sampler, 0

    def read(self) -> float:
        """Return watts; NaN when nothing was read meanwhile."""
        self._seen, watts = self._sampler.mean_since(self._seen)
        return watts


def _flags_of(contention: dict[str, float]) -> list[str]:
    """Return `foreign-load` if other work took a share of the core that shows: here the whole time counts."""
    waited_s = contention.get("run_delay_s", 0.0)
    return ["foreign-load"] if waited_s > _WAITED * (waited_s + contention["cpu_s"]) else []


def _start_sampler(session: Session) -> PowerSampler | None:
    """Start reading power where the board has a meter of its own; one that is not there takes nothing else away."""
    request = session.request
    if request.meter is None or request.meter.kind == EXTERNAL:
        return None
    try:
        rails = find_rails(session, request.meter)
        sampler = make_sampler(rails, min(request.meter.rate_hz, _POWER_HZ), request.deadline_s)
        if sampler:
            sampler.start(other_cores(session.cores))
        return sampler
    except Refusal as refusal:
        session.settings["power_fault"] = str(refusal)[:400]
        return None


def _arrays_of(windows: Rows) -> dict[str, Array]:
    table = np.array(windows.read(), dtype=np.float64).reshape(-1, len(_WINDOW_ARRAYS))
    return {name: table[:, column] for column, name in enumerate(_WINDOW_ARRAYS)}
