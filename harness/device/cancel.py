"""Stopping at once: runs actions (kill the machine, drop the link) as soon as an event is set by another thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

POLL_S = 0.1


class Cancellation:
    """Watches an event while its context is open; `None` means that nobody ever cancels."""

    def __init__(self, event: threading.Event | None) -> None:
        self.event = event or threading.Event()
        self._actions: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="fleetgate-cancel", daemon=True)

    def __enter__(self) -> Cancellation:
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watcher.join()

    @contextlib.contextmanager
    def doing(self, action: Callable[[], None]) -> Iterator[None]:
        """Have `action` run when the event is set within this block; at once when it is set already."""
        with self._lock:
            self._actions.append(action)
        try:
            yield
        finally:
            with self._lock:
                self._actions.remove(action)

    def _watch(self) -> None:
        while not self._over.is_set():
            if self.event.wait(POLL_S):
                with self._lock:
                    actions = list(reversed(self._actions))
                for action in actions:
                    action()
                self._over.wait(POLL_S)
