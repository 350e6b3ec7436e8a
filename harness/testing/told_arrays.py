"""The raw samples of a told run: timed calls, power, heat and a load that lasts, drawn and seeded.

Owns their shapes; which cell has which story is `harness.testing.record`'s.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.testing.board_record import digest
from harness.testing.story import Story

Arrays = dict[str, NDArray[np.generic]]
REPEAT = 200


def told_arrays(story: Story, key: str, *, power: bool) -> Arrays:
    """Draw the timed calls (s) of six sessions per arm (a floor, a tail, a session shift, stalls) and a power trace."""
    if not story.candidate_s:
        return {}
    rng = np.random.default_rng(int(digest(key)[:8], 16))
    arrays: Arrays = {}
    for order in range(12):
        middle = (story.baseline_s if order % 2 == 0 else story.candidate_s) * rng.normal(
            1, 0.035 if story.flags else 0.006
        )
        calls = middle * (1 + 0.03 * rng.gamma(1.6, 1.0, REPEAT) - 0.04)
        calls[rng.integers(0, REPEAT, 3)] *= rng.uniform(1.2, 1.5, 3)
        arrays[f"{order}/latency_s"] = calls
    if power:
        time_s = np.arange(100.0, 120.0, 0.02)
        busy = (time_s >= 105.0) & (time_s < 115.0)
        arrays["15/power_t_s"] = time_s
        arrays["15/power_w"] = np.where(busy, 5.1, 2.7) + rng.normal(0, 0.06, time_s.size)
        arrays |= {f"15/{name}": array for name, array in _signs(time_s[::25], busy[::25].astype(float)).items()}
        arrays |= {f"16/{name}": array for name, array in _lasting(story.candidate_s, rng).items()}
    return arrays


def _signs(time_s: NDArray[np.float64], load: NDArray[np.float64]) -> Arrays:
    """Tell heat and clock under a load, a share of the most at each time."""
    heat = np.cumsum(load - 0.3) / load.size
    return {"signs_t_s": time_s, "temperature_c": 46.0 + 20.0 * heat, "frequency_hz": np.where(load > 0, 1.5e9, 0.6e9)}


def _lasting(candidate_s: float, rng: np.random.Generator) -> Arrays:
    """Draw 20 minutes of load on a board that gets warm and throttles from minute seven on."""
    end_s = np.arange(1.0, 1201.0)
    hot = np.clip((end_s - 420.0) / 240.0, 0.0, 1.0)
    single_s = candidate_s * (1.0 + 0.35 * hot) * rng.normal(1.0, 0.008, end_s.size)
    return {
        "window_end_s": 500.0 + end_s, "window_calls": np.round(1.0 / single_s), "window_median_s": single_s,
        "window_longest_s": 1.4 * single_s, "signs_t_s": 499.5 + end_s,
        "temperature_c": 46.0 + 38.0 * (1.0 - np.exp(-end_s / 260.0)) + rng.normal(0, 0.2, end_s.size),
        "frequency_hz": 1.5e9 - 0.4e9 * np.round(4 * hot) / 4, "throttled": (hot > 0).astype(float),
        "mean_w": 5.1 - 1.2 * hot + rng.normal(0, 0.04, end_s.size),
    }  # fmt: skip
