"""What a board needs beside its link to work, and gives back while it idles: an emulated one a core of this machine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol


class Seat(Protocol):
    """A claim of one board; all calls may come any number of times, from the thread of the board."""

    def take(self, cancel: threading.Event, tell: Callable[[str], None]) -> None:
        """Wait for it; RunCancelled when `cancel` is set meanwhile. `tell` gets a line when it is not free."""

    def share(self, cancel: threading.Event) -> None:
        """Between two jobs: let another board that waits come first; a `take` follows."""

    def give(self) -> None:
        """Let another board have it."""


class Anywhere:
    """The seat of a board that is a machine of its own: always free."""

    def take(self, cancel: threading.Event, tell: Callable[[str], None]) -> None:
        """Return at once."""

    def share(self, cancel: threading.Event) -> None:
        """Nobody waits."""

    def give(self) -> None:
        """Keep nothing."""


ANYWHERE = Anywhere()
