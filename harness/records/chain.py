"""The chain of releases behind a baseline: how far each one is from its anchor, metric by metric.

Ratios can be carried where figures cannot: a time of another day says nothing, how much slower a release was than the
one that was measured beside it does.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Release:
    """One promoted model file."""

    model: str
    """Name of the file; its bytes are its identity."""
    sha256: str
    run_id: str
    """The run that was promoted; empty for a baseline file that was the first anchor without being promoted."""
    factor: float
    """Figure relative to the anchor's, as a worsening: 1.04 is 4 % worse, below 1 is better."""
    doubt: float
    """Half-width of the 90 % interval of ln(factor), the steps' own added as independent errors."""

    @property
    def name(self) -> str:
        """The file, and the run that released it."""
        return f"{self.model} (run {self.run_id})" if self.run_id else self.model


@dataclass(frozen=True, slots=True)
class Chain:
    """The releases of one metric on one device since the anchor, oldest first; the anchor's factor is 1."""

    anchor: str
    """SHA-256 of the anchor's model file."""
    releases: tuple[Release, ...]
    forgiven: float = 0.0
    """What the chain before this one had spent when somebody started a new one on purpose; 0.04 is 4 %."""

    def find(self, sha256: str) -> Release | None:
        """Give the release of these bytes, or None when the chain does not know them."""
        return next((release for release in self.releases if release.sha256 == sha256), None)
