"""Whose turn it is on this machine: timed sessions of the `host` board run alone, what is emulated here waits.

An emulated board computes on the controller's own cores. While the controller itself is being timed, as a board, no
session of an emulated board and no reference may run there. The rule holds between threads, workers and runs of a user.
"""

from __future__ import annotations

import contextlib
import fcntl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from harness.emulator.cache import cache_folder
from harness.errors import RunCancelled
from harness.spec.model import Device

POLL_S = 0.02
HOST = "host"
"""The profile of the machine that the controller runs on."""
CONTROLLER = "controller"
"""The profile under which the controller computes references."""
_held = threading.local()


@contextlib.contextmanager
def turn(spec: Device, *, timed: bool, cancel: threading.Event) -> Iterator[None]:
    """Hold this machine for a while, alone if its own times are being measured; a thread may nest it.

    Args:
        spec: the board at work; boards that are other machines wait for nobody.
        timed: whether figures depend on the time that it takes.
        cancel: set by another thread to give up waiting.

    Raises:
        RunCancelled: cancel was set while waiting.
    """
    is_host = spec.own_sshd or HOST in spec.lineage
    is_here = is_host or spec.emulation is not None or spec.profile == CONTROLLER
    if not is_here or getattr(_held, "turn", False) or (is_host and not timed):
        yield
        return
    with contextlib.ExitStack() as stack:
        _take(stack, cache_folder(), alone=is_host, cancel=cancel)
        _held.turn = True
        stack.callback(setattr, _held, "turn", False)
        yield


def _take(stack: contextlib.ExitStack, folder: Path, *, alone: bool, cancel: threading.Event) -> None:
    """Take two locks: whoever wants to be alone closes the gate first, so that a stream of others cannot starve it."""
    mode = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    with contextlib.ExitStack() as passing:
        gate = passing.enter_context((folder / "turn.gate").open("a"))
        _lock(gate, mode, cancel)
        machine = stack.enter_context((folder / "turn.lock").open("a"))
        _lock(machine, mode, cancel)


def _lock(file: IO[str], mode: int, cancel: threading.Event) -> None:
    while True:
        try:
            fcntl.flock(file, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            if cancel.is_set():
                raise RunCancelled("the run was cancelled") from None
            time.sleep(POLL_S)
        else:
            return
