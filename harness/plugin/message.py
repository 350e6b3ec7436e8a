"""What travels between the process that measures and the one that decides: frozen data, plain JSON under xdist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from harness.errors import Problem
from harness.records.cell import CellRecord
from harness.records.plan import Plan, PlannedCell
from harness.records.run import DeviceRecord
from harness.spec.model import Farm

if TYPE_CHECKING:
    import numpy as np

    from harness.farm.job import Progress

EVIDENCE = "fleetgate"
"""Name under which evidence travels in a report's user_properties; taken out before JUnit or a report log sees it."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What one process collected: the plan of its gate items, the board of each, and what is wrong."""

    plan: Plan
    boards: dict[str, str] = field(default_factory=dict)
    """Node id -> board."""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """One measured cell; `planned` is set by Python suites, whose cells are known in full only when they ran."""

    record: CellRecord
    planned: PlannedCell | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that one item brought; `item` is the key under which the plan knew it."""

    item: str
    cells: tuple[Measured, ...]
    device: DeviceRecord


@dataclass(frozen=True, slots=True)
class WorkerTask:
    """What the controller tells a worker."""

    farm: Farm
    devices: tuple[str, ...]
    """The boards of this worker."""
    channel: str
    """Folder for what cannot wait for the end of an item: collections, progress, cancellation."""
    folder: str
    """The run folder; the worker adds samples, nothing else."""


class Peer(Protocol):
    """The process that decides, as the one that measures sees it."""

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of the boards that are this process's to open."""

    def planned(self, collected: Collected) -> None:
        """Take the collected plan; raises pytest.UsageError when the deciding process is this one and it is wrong."""

    def keep(self, key: str, arrays: Mapping[str, np.ndarray]) -> str:
        """Store the raw arrays of a cell; return the sha256 of their file."""

    def show(self, progress: Progress) -> None:
        """Take the news of one board; called from any thread."""

    def tick(self) -> None:
        """Let the terminal breathe; called often from the main thread while it waits."""

    def left_over(self, evidence: Evidence) -> None:
        """Take evidence whose item did not run to its end."""

    def is_cancelled(self) -> bool:
        """Tell whether the deciding process stops the run."""
