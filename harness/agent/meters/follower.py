"""Follows the board's condition beside what is measured, from a process of its own, and passes on what there is so far.

Rows lie in memory that both share: nothing is written to a file and nothing is allocated for it while the load runs.
The load leaves its own rows, one per window of time, in the same way.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
import time
from typing import TYPE_CHECKING

import numpy as np

from harness.agent import process
from harness.agent.frame import encode_head

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.agent.meters.signs import Signs
    from harness.agent.runtimes import Array

_ARRAYS = ("signs_t_s", "temperature_c", "frequency_hz", "throttled", "mean_w")
_COUNT = struct.Struct("=Q")
_STEP_S = 0.25
"""Longest sleep before the follower looks whether it is to end."""
_REPORT_S = 2.0


class Rows:
    """A table of numbers in shared memory that one process appends to and others read; full, it takes no more."""

    def __init__(self, columns: int, capacity: int) -> None:
        self._row = struct.Struct("=" + "d" * columns)
        self._capacity = capacity
        self._shared = mmap.mmap(-1, _COUNT.size + capacity * self._row.size)
        self._count = 0

    def append(self, *values: float) -> None:
        """Add one row."""
        if self._count < self._capacity:
            self._row.pack_into(self._shared, _COUNT.size + self._count * self._row.size, *values)
            self._count += 1
            _COUNT.pack_into(self._shared, 0, self._count)

    def read(self, start: int = 0) -> list[tuple[float, ...]]:
        """Return the rows from `start` on."""
        count = _COUNT.unpack_from(self._shared, 0)[0]
        places = range(_COUNT.size + start * self._row.size, _COUNT.size + count * self._row.size, self._row.size)
        return [self._row.unpack_from(self._shared, place) for place in places]


class Follower:
    """Reads signs once per period; rows are (time, temperature, frequency, throttled, watts), NaN what is not told.

    Args:
        signs: of the board.
        period_s: between two readings.
        longest_s: the longest that it may run.
        read_w: returns the mean power since its last call, NaN if unknown.
        tell: file that gets progress every two seconds, as frames with `progress`; -1: none does.
        windows: what the load has left so far, passed on with the progress.
    """

    def __init__(
        self,
        signs: Signs,
        period_s: float,
        longest_s: float,
        *,
        read_w: Callable[[], float] = lambda: math.nan,
        tell: int = -1,
        windows: Rows | None = None,
    ) -> None:
        self._signs, self._period_s, self._read_w = signs, period_s, read_w
        self._tell, self._windows = tell, windows
        self._rows = Rows(len(_ARRAYS), int(longest_s / period_s) + 16)
        self._stop = mmap.mmap(-1, 1)
        self._passed_on = (0, 0)
        self._pid = 0

    def start(self, cores: set[int]) -> None:
        """Fork the follower onto `cores`."""
        self._pid = process.fork_beside(cores, self._follow)

    def stop(self) -> dict[str, Array]:
        """End the follower; return what it saw as float64 arrays of shape (n,), without what was never told."""
        self._stop[0] = 1
        os.waitpid(self._pid, 0)
        table = np.array(self._rows.read(), dtype=np.float64).reshape(-1, len(_ARRAYS))
        columns = {name: table[:, column] for column, name in enumerate(_ARRAYS)}
        return {name: column for name, column in columns.items() if np.isfinite(column).any()}

    def _follow(self) -> None:
        start = told = time.monotonic()
        due = start
        while not self._stop[0]:
            now = time.monotonic()
            if now < due:
                time.sleep(min(due - now, _STEP_S))
                continue
            self._rows.append(now, *self._signs.read(), self._read_w())
            due = start + (math.floor((now - start) / self._period_s) + 1) * self._period_s
            if self._tell >= 0 and now - told >= _REPORT_S:
                told = now
                self._pass_on()

    def _pass_on(self) -> None:
        from_window, from_row = self._passed_on
        windows, rows = self._windows.read(from_window) if self._windows else [], self._rows.read(from_row)
        self._passed_on = from_window + len(windows), from_row + len(rows)
        progress = {"windows": [list(row) for row in windows], "signs": [_plain(row) for row in rows]}
        frame = encode_head({"progress": progress}, 0)
        while frame:
            frame = frame[os.write(self._tell, frame) :]


def _plain(row: tuple[float, ...]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in row]
