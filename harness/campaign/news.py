"""What boards do while a command waits for them, told as lines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from harness.farm.job import Progress
from harness.report.wording import neutral

PATIENCE_S = 2.0
"""What takes no longer than this is not worth a line."""


class News:
    """What the boards do, one line for whatever takes longer than PATIENCE_S."""

    def __init__(self, out: Callable[[str], None]) -> None:
        self._out = out
        self._latest: dict[str, tuple[str, float]] = {}
        self._said: dict[str, str] = {}
        self._lock = threading.Lock()

    def hear(self, progress: Progress) -> None:
        """Keep the news of a board; called from its thread."""
        count = f" ({progress.done + 1} of {progress.total})" if progress.phase == "measuring" else ""
        with self._lock:
            self._latest[progress.device] = (progress.text + count, time.monotonic())

    def tell(self) -> None:
        """Print what has lasted."""
        now = time.monotonic()
        with self._lock:
            lasting = {name: text for name, (text, since) in self._latest.items() if now - since >= PATIENCE_S}
        for name, text in lasting.items():
            if self._said.get(name) != text:
                self._said[name] = text
                self._out(neutral(f"{name}: {text}", longest=160))
