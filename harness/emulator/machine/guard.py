"""The parent of one QEMU: ends it, and removes its folder, when the controller goes away in whatever manner.

Run as a program by its path, standard library only, importing nothing of harness: `guard.py FOLDER CHANNEL COMMAND…`,
CHANNEL being the descriptor of QEMU's control channel.

Standard input is a pipe that the controller holds open; its end (closed on purpose, or by any death of the controller)
is the order to stop. The death of the controller is watched as well, because a child that the controller forked may
still hold the pipe. Should the guard itself be killed, the kernel kills QEMU (parent-death signal: safe here, since
this process has one thread, while in the controller it would fire with the thread that started the board).
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Run COMMAND in FOLDER until it ends (its exit code is returned) or the controller does (FOLDER is removed)."""
    folder, channel, command = arguments[0], int(arguments[1]), arguments[2:]
    orders = [0, os.pidfd_open(os.getppid()), _signals()]
    child = _start(command, folder, channel)
    os.close(channel)
    print(child.pid, flush=True)  # noqa: T201  the controller reads it
    is_ordered = _wait(child, orders)
    if child.poll() is None:
        child.kill()
    code = child.wait()
    if is_ordered:
        shutil.rmtree(folder, ignore_errors=True)
    return code if code >= 0 else 128 - code


def _signals() -> int:
    """Turn the signals that ask for an end into bytes on a descriptor: no moment is a wrong one for them to come."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)
    return reading


def _start(command: list[str], folder: str, channel: int) -> subprocess.Popen[bytes]:
    guard = os.getpid()
    libc = ctypes.CDLL(None)

    def die_with_guard() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(1)

    with open(os.path.join(folder, "qemu.log"), "wb") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(channel,),
            preexec_fn=die_with_guard,  # noqa: PLW1509  one thread
        )


def _wait(child: subprocess.Popen[bytes], orders: list[int]) -> bool:
    """Wait for the end of QEMU (False) or for an order to stop (True): one of the descriptors becomes readable.

    Nothing is ever written to standard input, so that it is readable only at its end.
    """
    poll = select.poll()
    ended = os.pidfd_open(child.pid)
    for descriptor in (ended, *orders):
        poll.register(descriptor, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll()}
    return not ready.isdisjoint(orders)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
