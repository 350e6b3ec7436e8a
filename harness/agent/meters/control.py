"""A fixed piece of work without any model: how fast the board is at this moment.

It runs before a timed session loads its model and after the last timed call. If it takes another time beside the
candidate than beside the baseline, the board has changed and not the model. Hashing keeps a core busy, copying the
memory; both are the same code on every board and need nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import time

_HASHED = 256 << 10
_COPIED = 1 << 20
_REPEATS = 15


def time_control_s() -> float:
    """Return the median time of one piece of the control work, in seconds."""
    source = memoryview(bytes(_COPIED))
    target = memoryview(bytearray(_COPIED))
    times = []
    for _ in range(_REPEATS + 1):
        before = time.perf_counter_ns()
        hashlib.sha256(source[:_HASHED]).digest()
        target[:] = source
        times.append(time.perf_counter_ns() - before)
    # The first one touches the memory for the first time.
    return sorted(times[1:])[_REPEATS // 2] * 1e-9
