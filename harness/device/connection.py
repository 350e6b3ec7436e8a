"""An open connection to a board and what is known of the board behind it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.device.cancel import Cancellation
from harness.spec.model import MeterSpec
from harness.transport.endpoint import Endpoint
from harness.transport.protocol import Transport, load_transport


@dataclass(frozen=True, slots=True)
class Reach:
    """An open transport, whether what it leads to is known to be alive, and the emulator in words (empty: none)."""

    transport: Transport
    is_alive: Callable[[], bool] | None = None
    emulator: str = ""
    snapshot: str = ""
    """Id of the machine state that an emulated board started from."""
    meter: MeterSpec | None = None
    """Where the meter is that the farm started for the board; None: it is the one that the board's spec names."""


@contextlib.contextmanager
def connected(
    endpoint: Endpoint, cancellation: Cancellation, is_alive: Callable[[], bool] | None = None
) -> Iterator[Transport]:
    """Connect over SSH; a cancellation drops the connection at once."""
    transport = load_transport("ssh")(endpoint, cancel=cancellation.event, is_alive=is_alive)
    with cancellation.doing(transport.close), transport:
        yield transport
