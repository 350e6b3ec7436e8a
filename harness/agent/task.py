"""Answers, and operations that take long: done by a forked child, so that the agent keeps answering pings."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from harness.agent import process
from harness.agent.refusal import Refusal, from_os_error


class Answer(NamedTuple):
    """What goes back to the controller: a header without id, and a payload."""

    header: dict[str, object]
    payload: bytes = b""


def refuse(refusal: Refusal) -> Answer:
    """Return the answer that says why not."""
    return Answer({"ok": False, "error": refusal.to_wire()})


class Task:
    """One operation under way in a child of its own; `answer` is there at its end."""

    def __init__(self, work: Callable[[], dict[str, object]]) -> None:
        self.answer: Answer | None = None
        read_end, write_end = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(read_end)
            _work_and_exit(work, write_end, parent)
        os.close(write_end)
        os.set_blocking(read_end, False)
        self._fd = read_end
        self._data = b""

    def fds(self) -> list[int]:
        """Return what to wait for."""
        return [self._fd] if self._fd >= 0 else []

    def remaining_s(self) -> float:
        """Return the time left, in seconds; the operation bounds itself."""
        return 3600.0

    def step(self) -> None:
        """Read; set `answer` at the end."""
        if self.answer is not None:
            return
        try:
            piece = os.read(self._fd, 1 << 20)
        except BlockingIOError:
            return
        self._data += piece
        if not piece:
            self._end()

    def kill(self) -> None:
        """End it unfinished."""
        process.kill_group(self._pid)
        self._end()

    def _end(self) -> None:
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        status = os.waitpid(self._pid, 0)[1]
        try:
            self.answer = Answer(json.loads(self._data.decode()))
        except ValueError:
            self.answer = refuse(Refusal("agent", f"the operation's process ended: {process.describe_status(status)}"))


def _work_and_exit(work: Callable[[], dict[str, object]], fd: int, parent: int) -> NoReturn:
    status = 70
    try:
        os.setpgid(0, 0)
        process.die_with_parent(parent)
        header = _work(work)
        with open(fd, "wb") as sink:
            sink.write(json.dumps(header).encode())
        status = 0
    finally:
        os._exit(status)


def _work(work: Callable[[], dict[str, object]]) -> dict[str, object]:
    try:
        return dict(work(), ok=True)
    except Refusal as refusal:
        return refuse(refusal).header
    except OSError as error:
        return refuse(from_os_error(error, error.filename or "the operation")).header
    except (KeyError, TypeError, ValueError) as error:
        return refuse(Refusal("request", f"{type(error).__name__}: {error}")).header
