"""Opening a board: reached, its agent started, its lease taken, its clocks held; leaving gives all of it back.

Owns the order of these; what an open board can do is `harness.device.session`'s.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from harness.device.cancel import Cancellation
from harness.device.connection import Reach
from harness.device.reach import reach_board, reach_local
from harness.device.reply import Pinned, parse_reply
from harness.device.session import OpenDevice
from harness.device.start import Start, start_agent
from harness.device.turn import CONTROLLER, turn
from harness.errors import FleetgateError, InfraError
from harness.spec.model import PINNED, Device, Origin, Tier


def holder_name() -> str:
    """Name this process for whoever finds a board leased: `user@host pid 4711`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()} pid {os.getpid()}"


@contextlib.contextmanager
def open_device(
    spec: Device,
    *,
    builds: Collection[tuple[str, str]] = (),
    holder: str = "",
    progress: Callable[[str], None],
    cancel: threading.Event | None = None,
    fresh: bool = False,
) -> Iterator[OpenDevice]:
    """Reach a board, start its agent, take the lease and read its facts; leaving gives all of it back.

    Args:
        spec: the board.
        builds: (family, requirement) pairs that the plan needs there; an emulated board starts with them installed.
        holder: shown to whoever is refused meanwhile; empty: `holder_name()`.
        progress: gets a line for whatever takes longer than some seconds.
        cancel: set by another thread to end the board and the link at once.
        fresh: boot an emulated board from its image instead of restoring a snapshot.

    Raises:
        LeaseBusy, LinkLost, ImageError, InfraError: the farm failed.
        DeviceError: the board is unfit.
        SecurityError: the board's host key is unknown or has changed.
    """
    with Cancellation(cancel) as cancellation, contextlib.ExitStack() as stack:

        def visit(reach: Reach) -> contextlib.AbstractContextManager[OpenDevice]:
            return _agent(spec, reach, holder or holder_name(), progress, cancellation)

        try:
            with turn(spec, timed=False, cancel=cancellation.event):
                reach = stack.enter_context(
                    reach_board(
                        spec, builds=builds, progress=progress, cancellation=cancellation, visit=visit, fresh=fresh
                    )
                )
                device = stack.enter_context(visit(reach))
        except FleetgateError as error:
            raise _stopped(error, cancellation) from error
        yield device


@contextlib.contextmanager
def open_local(
    root: Path, *, progress: Callable[[str], None], cancel: threading.Event | None = None
) -> Iterator[OpenDevice]:
    """Open the controller itself as a board, to run references; `root` takes the place of a board's ~/.fleetgate.

    Raises:
        LeaseBusy: another run uses the same root at the moment.
    """
    spec = Device(
        name="controller",
        profile=CONTROLLER,
        lineage=(CONTROLLER,),
        tier=Tier.HARDWARE,
        origin=Origin("", 0, 0),
        python=sys.executable,
        root=str(root),
    )
    with (
        Cancellation(cancel) as cancellation,
        reach_local() as reach,
        _agent(spec, reach, holder_name(), progress, cancellation) as device,
    ):
        yield device


@contextlib.contextmanager
def _agent(
    spec: Device, reach: Reach, holder: str, progress: Callable[[str], None], cancellation: Cancellation
) -> Iterator[OpenDevice]:
    start = Start(spec.python, spec.root, holder, selftest=spec.selftest)
    client, _ = start_agent(reach.transport, start, is_alive=reach.is_alive)
    with cancellation.doing(client.abort), client:
        if spec.condition == PINNED:
            asked = {"cores": list(spec.cores), "frequency_hz": spec.frequency_hz}
            held = parse_reply(Pinned, client.request("condition", asked, deadline_s=30.0))
            progress(f"{spec.name}: pinned, {len(held.settings)} settings are put back at the end")
        yield OpenDevice(spec, client, reach, progress, cancellation.event)


def _stopped(error: FleetgateError, cancellation: Cancellation) -> FleetgateError:
    return InfraError("stopped", code="cancelled") if cancellation.event.is_set() else error
