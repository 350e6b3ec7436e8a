"""Samples -> estimates with intervals: pure numpy and scipy, no I/O, no limits."""

from harness.stats.comparison import Comparison, loss, worsening
from harness.stats.estimate import estimate, session_figures
from harness.stats.evidence import Evidence, Missing

__all__ = ["Comparison", "Evidence", "Missing", "estimate", "loss", "session_figures", "worsening"]
