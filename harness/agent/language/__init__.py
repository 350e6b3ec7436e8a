"""The sessions of language models: how fast and at what cost they write, in how much memory, and how well they predict.

Owns their tasks; which runtime decodes is not known here.
"""

from __future__ import annotations

from harness.agent.language import energy, footprint, likelihood, speed

TASKS = {"timing": speed.run, "memory": footprint.run, "accuracy": likelihood.run, "energy": energy.run}
