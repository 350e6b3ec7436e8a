"""Fleetgate: a release gate for compressed models on edge devices.

The public names, loaded when they are first used: importing `harness` costs nothing, since every pytest run does it.
"""

from __future__ import annotations

from importlib import import_module

_HOME = {
    "FleetgateError": "harness.errors",
    "SpecError": "harness.errors",
    "Farm": "harness.spec.model",
    "Device": "harness.spec.model",
    "Suite": "harness.spec.model",
    "Tier": "harness.spec.model",
    "load_farm": "harness.spec",
    "load_suite": "harness.spec",
    "METRICS": "harness.spec.metric",
    "RunRecord": "harness.records.run",
    "CellRecord": "harness.records.cell",
    "Outcome": "harness.records.outcome",
    "Verdict": "harness.records.verdict",
    "Judgement": "harness.records.verdict",
    "judge": "harness.gate",
    "load_run": "harness.store",
    "open_device": "harness.device.opening",
}
__all__ = sorted(_HOME)  # noqa: PLE0605  the one table says it once


def __getattr__(name: str) -> object:
    """Load a public name from its home."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
