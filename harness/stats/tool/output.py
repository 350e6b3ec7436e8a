"""The words of the readers: what a tool printed, what was found in it, and why nothing was."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from harness.spec.workload import Tool

SHOWN_LINES, SHOWN_SIGNS = 3, 120
NUMBER = r"([0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)"
"""A figure as tools print it: never negative."""


@dataclass(frozen=True, slots=True)
class Output:
    """Both outputs of a tool, decoded; tools log on either."""

    stdout: str
    stderr: str = ""

    @property
    def lines(self) -> list[str]:
        """All lines, those of standard output first."""
        return [*self.stdout.splitlines(), *self.stderr.splitlines()]

    def find(self, pattern: str) -> re.Match[str] | None:
        """Find the last line that holds a pattern: what a tool says of warming up it says before."""
        matches = (re.search(pattern, line) for line in self.lines)
        found = None
        for match in matches:
            found = match or found
        return found


@dataclass(frozen=True, slots=True)
class Told:
    """Figures of one run of a tool."""

    figures: Mapping[str, float] = field(default_factory=dict)
    """Metrics of `tool.*`, SI."""
    times_s: tuple[float, ...] = ()
    """Times of single inferences, where the tool prints them."""
    count: int = 0
    """Inferences behind the tool's own figures; 0: it does not say."""
    several: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Metrics that the tool reports more than once, and for what: none of them is the metric."""


class Unreadable(Exception):  # noqa: N818  what it is, not how it is raised
    """The output is not in the format that was promised."""


Reader: TypeAlias = Callable[[Output, Tool], Told]


def excerpt(output: Output) -> str:
    """Show the first lines of an output, escaped so that no terminal obeys them, and short."""
    shown = [line for line in output.lines if line.strip()][:SHOWN_LINES]
    if not shown:
        return "it printed nothing"
    cut = (ascii(line)[1:-1] for line in shown)
    return "it begins: " + " / ".join(line if len(line) <= SHOWN_SIGNS else f"{line[:SHOWN_SIGNS]}…" for line in cut)
