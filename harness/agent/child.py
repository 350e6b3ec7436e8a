"""A child that becomes a native program once it is followed: without input, shell or, if the kernel allows it, network.

Knows nothing of sessions and of what a program is run for.
"""

from __future__ import annotations

import os
import resource
from typing import IO, NoReturn

from harness.agent import process
from harness.agent.crash import Crash, explain_crash


class Child:
    """A process that becomes the program at `go`, or says why it cannot.

    Args:
        argv: path of the program, then its arguments.
        folder: where it runs.
        outputs: files for its standard output and its standard error; one may be both.
        most_bytes: longest file that it may write, its outputs included.
        isolate: whether to leave the network.
    """

    def __init__(
        self, argv: list[str], folder: str, outputs: tuple[IO[bytes], IO[bytes]], *, most_bytes: int, isolate: bool
    ) -> None:
        wait_fd, self._go_fd = os.pipe()
        self._said_fd, say_fd = os.pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._go_fd)
            process.die_with_parent(parent)
            _prepare(folder, outputs, most_bytes, say_fd)
            _become(argv, (wait_fd, say_fd), isolate=isolate)
        os.close(wait_fd)
        os.close(say_fd)

    def go(self) -> None:
        """Let it become the program."""
        os.write(self._go_fd, b"g")
        os.close(self._go_fd)

    def read_refusal(self) -> str:
        """Return why the program was not executed; empty when it was."""
        with open(self._said_fd, "rb") as said:
            return said.read(4096).decode(errors="replace")


def explain_end(status: int, crash: Crash | None, *, is_oom: bool, tail: bytes, when: str) -> dict[str, object] | None:
    """Return the error object of a program that failed, None when it did not.

    Args:
        status: its wait status.
        crash: of the fatal signal that it met.
        is_oom: whether the kernel killed for memory meanwhile.
        tail: end of what it wrote.
        when: words that follow the failure.
    """
    last = tail.decode(errors="replace").strip().splitlines()[-3:]
    when += f"; it wrote: {' / '.join(last)[-500:]}" if last else ""
    if status == 0:
        return None
    if os.WIFEXITED(status):
        return {"code": "run", "message": f"exit status {os.WEXITSTATUS(status)} {when}"}
    if os.WTERMSIG(status) == 9:
        return dict(process.explain_kill(when, is_oom=is_oom))
    return dict(explain_crash(crash, status, when))


def _prepare(folder: str, outputs: tuple[IO[bytes], IO[bytes]], most_bytes: int, say_fd: int) -> None:
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(outputs[0].fileno(), 1)
        os.dup2(outputs[1].fileno(), 2)
        os.chdir(folder)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    except OSError as error:
        os.write(say_fd, str(error.strerror or error).encode())
        os._exit(127)


def _become(argv: list[str], ends: tuple[int, int], *, isolate: bool) -> NoReturn:
    """Wait until the parent follows and counts, then be the program."""
    wait_fd, say_fd = ends
    try:
        if isolate:
            process.leave_network()
        os.read(wait_fd, 1)
        os.execv(argv[0], argv)  # noqa: S606  a shell would be one more program
    except OSError as error:
        os.write(say_fd, str(error.strerror or error).encode())
    finally:
        os._exit(127)
