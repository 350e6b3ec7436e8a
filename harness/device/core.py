"""A core for every emulated board at work: at most as many work at once as this machine has cores.

More would only slow each other down, until deadlines that are long enough for one board at work are too short. The rule
holds between threads, xdist workers and runs of a user: a core is a lock in the cache folder, and the kernel frees it
when its holder dies. Knows nothing of boards, queues or deadlines.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path

from harness.emulator.cache import cache_folder
from harness.errors import RunCancelled

POLL_S = 0.1


class Core:
    """The claim of one board; its thread takes it to work and gives it while it idles, any number of times.

    Args:
        cores: how many there are; 0: as many as this process may use.
    """

    def __init__(self, *, cores: int = 0) -> None:
        self._cores = cores or len(os.sched_getaffinity(0))
        self._held = -1
        self._lock = threading.Lock()

    def take(self, cancel: threading.Event, tell: Callable[[str], None]) -> None:
        """Wait for a free core; one that is held already is kept.

        Args:
            cancel: set by another thread to give up waiting.
            tell: gets a line when there is none at once.

        Raises:
            RunCancelled: cancel was set while waiting.
        """
        if self._held >= 0 or self._try():
            return
        running = "1 emulated board runs" if self._cores == 1 else f"{self._cores} emulated boards run"
        tell(f"waiting for a free core: {running}")
        while not self._try():
            if cancel.wait(POLL_S):
                raise RunCancelled("the run was cancelled")

    def give(self) -> None:
        """Let another board have it, from any thread; without one this does nothing."""
        with self._lock:
            if self._held >= 0:
                os.close(self._held)
                self._held = -1

    def _try(self) -> bool:
        folder = cache_folder() / "cores"
        folder.mkdir(mode=0o700, exist_ok=True)
        with self._lock:
            return any(self._claim(folder / str(number)) for number in range(self._cores))

    def _claim(self, file: Path) -> bool:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._held = handle
        return True
