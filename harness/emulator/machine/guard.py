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
    controller = os.pidfd_open(os.getppid())
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    child = _start(command, folder, channel)
    os.close(channel)
    print(child.pid, flush=True)  # noqa: T201  the controller reads it
    try:
        order_given = _wait(child, controller)
    except _Stopped:
        order_given = True
    if child.poll() is None:
        child.kill()
    code = child.wait()
    if order_given:
        shutil.rmtree(folder, ignore_errors=True)
    return code if code >= 0 else 128 - code


class _Stopped(Exception):  # noqa: N818  an order, not an error
    """A signal asks the guard to end."""


def _stop(_number: int, _frame: object) -> None:
    raise _Stopped


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


def _wait(child: subprocess.Popen[bytes], controller: int) -> bool:
    """Wait for the end of QEMU (False) or of the controller (True)."""
    poll = select.poll()
    ended = os.pidfd_open(child.pid)
    poll.register(ended, select.POLLIN)
    poll.register(controller, select.POLLIN)
    poll.register(0, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if ended in ready:
            return controller in ready
        if controller in ready or (0 in ready and not os.read(0, 1)):
            return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
