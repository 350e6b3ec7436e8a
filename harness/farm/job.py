"""What the engine is given and what it says: jobs, their results, the news of a board. No threads here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from harness.errors import FleetgateError
from harness.farm.boards import OpenBoard


@dataclass(frozen=True, slots=True)
class JobResult:
    """What a job brought; `fatal` says that the board is lost and its other jobs must not be tried."""

    value: object
    fatal: FleetgateError | None = None
    explained: Callable[[FleetgateError], object] | None = None
    """Gives the value anew when `fatal` came of a link that was cut on purpose, from the true cause of it; for a job
    with a rest: the value if the rest can never be done."""
    rest: Job | None = None
    """What is left of the job: it is done after the jobs that wait, and only then the future has its value."""


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work on one board; `title` is what progress shows."""

    title: str
    deadline_s: float
    run: Callable[[OpenBoard, threading.Event], JobResult]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where one board is: `phase` is waiting, opening, measuring, done or lost."""

    device: str
    phase: str
    text: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A job of which a part is done."""

    job: Job
    future: Future[Any]
    explained: Callable[[FleetgateError], object] | None
