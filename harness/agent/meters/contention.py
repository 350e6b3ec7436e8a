"""How much other work got in the way of a timed loop, from the scheduler's own books.

A load average knows neither the core nor the moment. The kernel counts for each thread how long it stood ready and
waited for a processor (second field of /proc/PID/task/TID/schedstat, nanoseconds) and how often it was put aside.
"""

from __future__ import annotations

import os
import resource

_WAITED = 0.05
"""Share of the timed region spent waiting for a core above which the times are not the board's own …"""
_INTERRUPTED = 0.2
"""… if at least this share of the calls was interrupted: short calls between two interruptions are whole."""


class ContentionWatch:
    """Remembers the scheduler's counters at the start of a timed region."""

    def __init__(self) -> None:
        self._delay_s = _read_delay_s()
        self._usage = resource.getrusage(resource.RUSAGE_SELF)

    def scalars(self) -> dict[str, float]:
        """Return cpu_s, involuntary_switches and, where the kernel tells it, run_delay_s since the start."""
        usage, delay_s = resource.getrusage(resource.RUSAGE_SELF), _read_delay_s()
        found = {
            "cpu_s": usage.ru_utime + usage.ru_stime - self._usage.ru_utime - self._usage.ru_stime,
            "involuntary_switches": float(usage.ru_nivcsw - self._usage.ru_nivcsw),
        }
        if delay_s is not None and self._delay_s is not None:
            found["run_delay_s"] = max(0.0, delay_s - self._delay_s)
        return found


def flags_of(scalars: dict[str, float], *, wall_s: float, calls: int) -> list[str]:
    """Return `foreign-load` if other work took the core often enough and long enough to show in the figures.

    Args:
        scalars: of `ContentionWatch.scalars`.
        wall_s: length of the timed region, seconds.
        calls: inferences in it.
    """
    waited = scalars.get("run_delay_s", 0.0) / wall_s
    interrupted = scalars["involuntary_switches"] / calls
    return ["foreign-load"] if waited > _WAITED and interrupted > _INTERRUPTED else []


def _read_delay_s() -> float | None:
    total = 0
    try:
        for thread in os.listdir("/proc/self/task"):
            with open("/proc/self/task/" + thread + "/schedstat", "rb") as stream:
                total += int(stream.read(128).split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return total * 1e-9
