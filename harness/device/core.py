"""A core for every emulated board at work: at most as many work at once as this machine has cores.

More would only slow each other down, until deadlines that are long enough for one board at work are too short. One more
than that may be open: it takes turns with the others between two jobs, so that three boards on two cores end together
and not two and then one. The rule holds between threads, xdist workers and runs of a user: a core is a lock in the
cache folder, and the kernel frees it when its holder dies. Knows nothing of boards, queues or deadlines.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.emulator.cache import cache_folder, is_locked
from harness.errors import RunCancelled

POLL_S = 0.1
SPARE_PLACES = 1
"""Boards that may be open, half way, beside those at work: each takes memory."""


class Core:
    """The claim of one board; its thread takes it to work and gives it while it idles, any number of times.

    Args:
        cores: how many there are; 0: as many as this process may use.
    """

    def __init__(self, *, cores: int = 0) -> None:
        self._cores = cores or len(os.sched_getaffinity(0))
        self._place = _Claim("place", self._cores + SPARE_PLACES)
        self._core = _Claim("core", self._cores)
        self._lock = threading.Lock()

    def take(self, cancel: threading.Event, tell: Callable[[str], None]) -> None:
        """Wait for a free core; one that is held already is kept.

        Args:
            cancel: set by another thread to give up waiting.
            tell: gets a line when there is none at once.

        Raises:
            RunCancelled: cancel was set while waiting.
        """
        if self._try():
            return
        running = "1 emulated board runs" if self._cores == 1 else f"{self._cores} emulated boards run"
        tell(f"waiting for a free core: {running}")
        while not self._try():
            with self._queueing():
                if cancel.wait(POLL_S):
                    raise RunCancelled("the run was cancelled")

    def share(self, cancel: threading.Event) -> None:
        """Between two jobs: if an open board waits for a core, let it have this one; `take` gets another."""
        if is_locked(_folder() / "queue"):
            with self._lock:
                self._core.free()
            cancel.wait(2 * POLL_S)  # those who wait look every POLL_S

    def give(self) -> None:
        """Let other boards have all of it, from any thread; without any this does nothing."""
        with self._lock:
            self._core.free()
            self._place.free()

    def _try(self) -> bool:
        with self._lock:
            return self._place.take() and self._core.take()

    @contextmanager
    def _queueing(self) -> Iterator[None]:
        """Show to `share` that an open board waits; one that waits for a place would not be helped by a core."""
        if not self._place.is_held:
            yield
            return
        handle = _open(_folder() / "queue")
        fcntl.flock(handle, fcntl.LOCK_SH)
        try:
            yield
        finally:
            os.close(handle)


class _Claim:
    """One of `count` locks of a kind, or none."""

    def __init__(self, kind: str, count: int) -> None:
        self._names = [f"{kind}-{number}" for number in range(count)]
        self._handle = -1

    @property
    def is_held(self) -> bool:
        """Whether it is one."""
        return self._handle >= 0

    def take(self) -> bool:
        """Keep the one that is held, else take a free one; False when there is none."""
        return self.is_held or any(self._lock(_folder() / name) for name in self._names)

    def free(self) -> None:
        """Hold none."""
        if self.is_held:
            os.close(self._handle)
            self._handle = -1

    def _lock(self, file: Path) -> bool:
        handle = _open(file)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._handle = handle
        return True


def _open(file: Path) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _folder() -> Path:
    folder = cache_folder() / "cores"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
