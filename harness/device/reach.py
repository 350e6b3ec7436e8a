"""The way to a board: an SSH host, the machine's own sshd, an emulated board started for it, or a subprocess."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator

from harness.device.cancel import Cancellation
from harness.device.connection import Reach, connected
from harness.device.emulated import EmulatedBoards, Visit
from harness.spec.model import Device, Ssh
from harness.transport.endpoint import resolve
from harness.transport.protocol import load_transport
from harness.transport.sshd import LocalSshd


@contextlib.contextmanager
def reach_local() -> Iterator[Reach]:
    """Reach the controller itself."""
    with load_transport("local")() as transport:
        yield Reach(transport)


@contextlib.contextmanager
def reach_board(
    spec: Device,
    *,
    builds: Collection[tuple[str, str]],
    progress: Callable[[str], None],
    cancellation: Cancellation,
    visit: Visit,
    fresh: bool = False,
) -> Iterator[Reach]:
    """Reach a board by what its spec says; see `harness.device.opening.open_device`."""
    with contextlib.ExitStack() as stack:
        if spec.emulation is not None:
            boards = EmulatedBoards(spec, spec.emulation, progress, cancellation, visit)
            yield stack.enter_context(boards.start(builds, fresh=fresh))
            return
        if spec.own_sshd:
            endpoint = stack.enter_context(LocalSshd()).endpoint(spec.name)
        else:
            endpoint = resolve(spec.ssh or Ssh(spec.name), label=spec.name)
        yield Reach(stack.enter_context(connected(endpoint, cancellation)))
