"""How long an energy session idles and runs, so that its meter says enough of it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.spec.model import MeterSpec

WINDOW_S = 10.0
"""Source: MLPerf Tiny's energy rule, at least 10 s under load."""
IDLE_S = 5.0
IDLE_SHARE, LEAD_SHARE = 0.5, 0.1
"""Of a short window that somebody declared."""
LEAD_S = 0.5
SAMPLES = 120
IDLE_SAMPLES = 20
AVERAGING_TIMES = 25
SLOW_MODEL_S = 60.0
"""Allowance for the last inference and the loading, beside the workload's own deadline."""


@dataclass(frozen=True, slots=True)
class EnergyTimes:
    """Seconds: under load, at rest on each side of it, and of load before and after the window."""

    window_s: float
    idle_s: float
    lead_s: float

    @property
    def longest_s(self) -> float:
        """How much longer a session takes for it."""
        return 2 * self.window_s + 2 * self.idle_s + 4 * self.lead_s + SLOW_MODEL_S if self.window_s else 0.0


NOT_METERED = EnergyTimes(0.0, 0.0, 0.0)


def energy_times(meter: MeterSpec) -> EnergyTimes:
    """Choose the times for a meter by its rate and what is declared of its averaging time."""
    window_s = meter.window_s or max(WINDOW_S, SAMPLES / meter.rate_hz, AVERAGING_TIMES * meter.averaging_s)
    idle_s = max(min(IDLE_S, IDLE_SHARE * window_s), IDLE_SAMPLES / meter.rate_hz, 5 * meter.averaging_s)
    lead_s = max(min(LEAD_S, LEAD_SHARE * window_s), 2 / meter.rate_hz, 2 * meter.averaging_s)
    return EnergyTimes(window_s, idle_s, lead_s)
