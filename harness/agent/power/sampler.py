"""Reads rails from a process of its own, beside what is measured, and stamps each reading.

Deadlines are absolute: reading k falls at a random moment of period k. A load that repeats in step with the sampling
would else show the same part of itself each time, and the energy would be wrong without a sign of it; with random
moments the mean is right and the scatter tells how far (stratified sampling). A sensor that says that it averages over
a whole period is read at even distances, so that it misses nothing. Readings are kept raw; one that fails is NaN, with
the first reason kept.
"""

from __future__ import annotations

import math
import mmap
import os
import random
import struct
import time
from typing import TYPE_CHECKING, NamedTuple

from harness.agent import process
from harness.agent.power.rail import Unreadable
from harness.agent.refusal import Refusal

if TYPE_CHECKING:
    from harness.agent.power.rail import Rail

_STOP = struct.Struct("=Q")
"""Written by the session alone: whether to stop."""
_TOLD = struct.Struct("=QQddd200s")
"""Written by the sampler alone: readings, late ones, sums of readings and of rivals, time spent, first fault."""
_HEAD = _STOP.size + _TOLD.size
_START_S = 10.0
"""Longest wait for the first sample; without one the trace is empty and says so itself."""
_RIVAL_EVERY = 16
_WHOLE = 0.8
"""Share of a period that a sensor must average over to miss nothing of it that matters."""


class PowerTrace(NamedTuple):
    """What a sampler saw, by the monotonic clock in seconds."""

    times_s: list[float]
    values: list[list[float]]
    """Per reading one number per rail: watts, or joules of a counter."""
    late: int
    """Readings whose deadline was missed by more than a period."""
    rival_ratio: float
    """What other files of the same sensor say, over what was read; 0: there are none."""
    read_s: float
    """Mean time that one reading took."""
    fault: str
    """Why the first NaN is none."""


class PowerSampler:
    """Samples rails in a child process from `start` to `stop`, for at most `longest_s`."""

    def __init__(self, rails: list[Rail], rate_hz: float, longest_s: float) -> None:
        self._rails = rails
        self._period_s = 1.0 / rate_hz
        self.is_regular = all(rail.window_s >= _WHOLE * self._period_s for rail in rails)
        self._capacity = int(longest_s * rate_hz) + 16
        self._record = struct.Struct("=" + "d" * (1 + len(rails)))
        # Shared memory: the sampler writes no file and allocates nothing while it runs.
        self._shared = mmap.mmap(-1, _HEAD + self._capacity * self._record.size)
        self._pid = 0

    def start(self, cores: set[int]) -> None:
        """Fork the sampler onto `cores` and wait for its first sample.

        Raises:
            Refusal: `sensor` when a file of the sensor cannot be opened.
        """
        try:
            for rail in self._rails:
                rail.probe.open()
                if rail.rival:
                    rail.rival.open()
        except Unreadable as error:
            raise Refusal("sensor", str(error)) from error
        self._pid = process.fork_beside(cores, self._sample)
        for rail in self._rails:
            rail.probe.close()
            if rail.rival:
                rail.rival.close()
        give_up = time.monotonic() + _START_S
        while not self._told()[0] and time.monotonic() < give_up:
            time.sleep(self._period_s / 4)

    def stop(self) -> PowerTrace:
        """End the sampler and return what it saw."""
        _STOP.pack_into(self._shared, 0, 1)
        os.waitpid(self._pid, 0)
        count, late, total, of_rivals, spent_s, fault = self._told()
        size = self._record.size
        records = [self._record.unpack_from(self._shared, _HEAD + k * size) for k in range(count)]
        ratio = of_rivals / total if total > 0 else 0.0
        words = fault.rstrip(b"\0").decode(errors="replace")
        times = [record[0] for record in records]
        return PowerTrace(times, [list(record[1:]) for record in records], late, ratio, spent_s / max(1, count), words)

    def mean_since(self, start: int) -> tuple[int, float]:
        """Return how many readings there are, and the mean power (W) of those from `start` on; NaN without any."""
        count, size = self._told()[0], self._record.size
        records = [self._record.unpack_from(self._shared, _HEAD + k * size) for k in range(start, count)]
        if len(records) < 2:
            return (start if records else count), float("nan")
        if self._rails[0].quantity == "power":
            return count, sum(sum(record[1:]) for record in records) / len(records)
        first, last = records[0], records[-1]
        joules = [later - before for before, later in zip(first[1:], last[1:])]  # noqa: B905  boards run Python 3.8
        # One that has started again tells nothing of this time.
        return count - 1, sum(joules) / (last[0] - first[0]) if min(joules) >= 0 else float("nan")

    def _told(self) -> tuple[int, int, float, float, float, bytes]:
        found: tuple[int, int, float, float, float, bytes] = _TOLD.unpack_from(self._shared, _STOP.size)
        return found

    def _sample(self) -> None:
        moment = random.Random(0).random  # noqa: S311  spreads readings; nothing to guess
        start = time.monotonic()
        late, total, of_rivals, spent_s, fault = 0, 0.0, 0.0, 0.0, b""
        for k in range(self._capacity):
            deadline = start + (k + (0.0 if self.is_regular else moment())) * self._period_s
            wait_s = deadline - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            elif wait_s < -self._period_s:
                late += 1
            before = time.monotonic()
            values, words = self._read_all()
            after = time.monotonic()
            fault = fault or words
            self._record.pack_into(self._shared, _HEAD + k * self._record.size, (before + after) / 2, *values)
            spent_s += after - before
            if k % _RIVAL_EVERY == 0:
                rival = self._read_rivals()
                total, of_rivals = (total + sum(values), of_rivals + rival) if rival > 0 else (total, of_rivals)
            # Asked before it is told: the reading that follows the request is the last one.
            is_last = _STOP.unpack_from(self._shared, 0)[0]
            _TOLD.pack_into(self._shared, _STOP.size, k + 1, late, total, of_rivals, spent_s, fault)
            if is_last:
                return

    def _read_all(self) -> tuple[list[float], bytes]:
        values, words = [], b""
        for rail in self._rails:
            try:
                values.append(rail.probe.read())
            except Unreadable as error:
                values.append(float("nan"))
                words = words or str(error).encode()[:200]
        return values, words

    def _read_rivals(self) -> float:
        """Return the sum of what other files say of the same rails; 0 unless every rail has them."""
        total = 0.0
        for rail in self._rails:
            try:
                total += rail.rival.read() if rail.rival else float("nan")
            except Unreadable:
                return 0.0
        return 0.0 if math.isnan(total) else total
