"""The port through which a run opens boards, and its real implementation.

The plugin's hook `pytest_fleetgate_boards` replaces it: rehearsals and tests bring boards that need no hardware.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np

    from harness.agent.message import SessionReply, SessionRequest
    from harness.errors import FleetgateError
    from harness.records.run import DeviceRecord
    from harness.spec.model import Device


class SessionSeen(Protocol):
    """What one session of a board brought: the validated reply and its arrays by name."""

    @property
    def reply(self) -> SessionReply:
        """The envelope, complete and checked."""

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Raw arrays by name."""

    @property
    def cut_short(self) -> FleetgateError | None:
        """What ended the session before its time, although something of it is left."""

    @property
    def seconds(self) -> float:
        """What it cost the board, without the time that it waited for its turn."""


class RuntimeEnvironment(Protocol):
    """A runtime deployed to a board."""

    @property
    def id(self) -> str:
        """Hash of the deployed wheels, or `system`."""


class OpenBoard(Protocol):
    """One connected, leased board."""

    @property
    def record(self) -> DeviceRecord:
        """The board as it was met."""

    def deploy(self, path: Path) -> str:
        """Bring a file to the board; return its sha256."""

    def ensure_runtime(self, family: str, build: str) -> RuntimeEnvironment:
        """Bring a runtime to the board; ArtifactError when it does not run on the board's processor."""

    def measure(self, request: SessionRequest) -> SessionSeen:
        """Run one session."""


class Boards(Protocol):
    """How boards are opened; leaving the context releases the board and everything on it."""

    def open(
        self,
        spec: Device,
        *,
        builds: Collection[tuple[str, str]],
        holder: str,
        progress: Callable[[str], None],
        cancel: threading.Event,
    ) -> AbstractContextManager[OpenBoard]:
        """Open one board of the farm; `builds` are the (family, requirement) pairs that the plan needs on it."""

    def open_local(self, root: Path, *, progress: Callable[[str], None]) -> AbstractContextManager[OpenBoard]:
        """Open the controller itself, which computes references."""


class RealBoards:
    """Boards over SSH and emulated ones.

    Args:
        fresh: boot emulated boards from their image instead of restoring snapshots.
    """

    def __init__(self, *, fresh: bool = False) -> None:
        self._fresh = fresh

    def open(
        self,
        spec: Device,
        *,
        builds: Collection[tuple[str, str]],
        holder: str,
        progress: Callable[[str], None],
        cancel: threading.Event,
    ) -> AbstractContextManager[OpenBoard]:
        """Open one board of the farm."""
        from harness.device import open_device

        return open_device(
            spec, builds=builds, holder=holder, progress=progress, cancel=cancel, fresh=self._fresh
        )  # fmt: skip

    def open_local(self, root: Path, *, progress: Callable[[str], None]) -> AbstractContextManager[OpenBoard]:
        """Open the controller itself."""
        from harness.device import open_local

        return open_local(root, progress=progress)
