"""Samples an external meter from a thread while a board works, by this machine's monotonic clock.

A reading that fails is NaN, with the first reason kept; a lost connection is not opened again within a recording.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass

from harness.meters.port import Meter, MeterError

_WHOLE = 0.8
"""Share of a period that a meter must average over to miss nothing of it that matters."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a meter said: moments in seconds of this machine's monotonic clock, watts."""

    times_s: tuple[float, ...]
    watts: tuple[float, ...]
    late: int
    """Readings whose moment was missed by more than a period."""
    read_s: float
    """Longest time that a reading took: its moment is known no better."""
    is_regular: bool
    fault: str


class Recorder:
    """Reads an open meter at absolute moments from `start` to `stop`.

    Args:
        meter: open.
        rate_hz: readings per second.
        averaging_s: time over which the meter averages; 0: not known. One that averages over a period is read at even
            distances, any other at a random moment of each period, so that no load keeps in step with it.
    """

    def __init__(self, meter: Meter, rate_hz: float, averaging_s: float) -> None:
        self._meter = meter
        self._period_s = 1.0 / rate_hz
        self._is_regular = averaging_s >= _WHOLE * self._period_s
        self._end = threading.Event()
        self._times: list[float] = []
        self._watts: list[float] = []
        self._late, self._longest_s, self._fault = 0, 0.0, ""
        self._thread = threading.Thread(target=self._sample, name="fleetgate-meter", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> Recording:
        """End, after one more reading at most."""
        self._end.set()
        self._thread.join()
        return Recording(
            tuple(self._times), tuple(self._watts), self._late, self._longest_s, self._is_regular, self._fault
        )

    def _sample(self) -> None:
        moment = random.Random(0).random  # noqa: S311  spreads readings; nothing to guess
        start, k = time.monotonic(), 0
        while True:
            deadline = start + (k + (0.0 if self._is_regular else moment())) * self._period_s
            is_last = self._end.wait(max(0.0, deadline - time.monotonic()))
            self._late += time.monotonic() > deadline + self._period_s
            self._read()
            if is_last:
                return
            k += 1

    def _read(self) -> None:
        before = time.monotonic()
        try:
            watts = self._meter.read()
        except MeterError as error:
            watts, self._fault = float("nan"), self._fault or str(error)
        after = time.monotonic()
        self._times.append((before + after) / 2)
        self._watts.append(watts)
        self._longest_s = max(self._longest_s, after - before)
