"""The agent's main process: one thread, one select loop, one controller.

It ends with the channel, at `bye`, or when the holder of the lease has been silent for longer than the lease lives (not
while a session runs within its deadline). It never loads a runtime and never touches a model, so that no model can take
it down.
"""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING

from harness.agent import process
from harness.agent.channel import Channel
from harness.agent.frame import Frame, FrameError
from harness.agent.message import VERSION
from harness.agent.operation import Operations
from harness.agent.refusal import Refusal
from harness.agent.task import Answer, refuse
from harness.agent.watch import Watch

if TYPE_CHECKING:
    from harness.agent.operation import Work

_MAX_WAITING = 64


class Agent:
    """State of one connection; `serve` runs until the channel or the lease ends."""

    def __init__(self, root: str, channel: Channel) -> None:
        self._channel = channel
        self._operations = Operations(root)
        self._work: Work | None = None
        self._work_id = 0
        self._waiting: list[int] = []
        self._ended = ""

    def serve(self) -> str:
        """Answer until the end; return why it came."""
        try:
            while not self._ended:
                self._turn()
        except (FrameError, OSError) as error:
            self._ended = f"{type(error).__name__}: {error}"
        finally:
            self._stop()
        return self._ended

    def _turn(self) -> None:
        fds = [self._channel.source, *(self._work.fds() if self._work else [])]
        ready = select.select(fds, [], [], max(0.0, self._patience_s()))[0]
        if self._channel.source in ready:
            for frame in self._channel.receive():
                self._answer(frame)
        if self._work:
            self._work.step()
            self._settle()
        if not isinstance(self._work, Watch) and self._operations.lease.remaining_s() <= 0:
            self._ended = self._ended or "the holder of the lease fell silent"

    def _patience_s(self) -> float:
        if isinstance(self._work, Watch):
            return self._work.remaining_s()
        lease_s = self._operations.lease.remaining_s()
        return min(lease_s, self._work.remaining_s()) if self._work else lease_s

    def _answer(self, frame: Frame) -> None:
        self._operations.lease.renew()
        found = frame.header.get("id")
        number = found if isinstance(found, int) else 0
        try:
            result = self._perform(number, frame)
        except Refusal as refusal:
            result = refuse(refusal)
        if isinstance(result, Answer):
            self._channel.send(number, *result)
        elif result is not None:
            self._work, self._work_id = result, number

    def _perform(self, number: int, frame: Frame) -> Answer | Work | None:
        op = frame.header.get("op")
        if frame.header.get("v") != VERSION:
            raise Refusal("version", f"this agent speaks version {VERSION}, not {frame.header.get('v')!r}")
        if op == "bye":
            self._stop()
            self._ended = "bye"
            return Answer({"ok": True})
        if op == "ping" and isinstance(self._work, Watch):
            if self._work.request.deterministic:
                self._waiting = [*self._waiting, number][-_MAX_WAITING:]
                return None
            told = self._work.take_progress()
            return Answer({"ok": True, "progress": told} if told else {"ok": True})
        if self._work and op != "ping":
            raise Refusal("busy", "another operation is under way")
        return self._operations.perform(frame)

    def _settle(self) -> None:
        """Send the answer of the work under way if it is there, then those of the pings that had to wait for it."""
        if self._work is None or self._work.answer is None:
            return
        answer, self._work = self._work.answer, None
        # The controller was silent because it waited: its time to live starts when it hears the answer.
        self._operations.lease.renew()
        self._channel.send(self._work_id, *answer)
        waiting, self._waiting = self._waiting, []
        for number in waiting:
            self._channel.send(number, {"ok": True})

    def _stop(self) -> None:
        if self._work:
            self._work.kill()
            self._work = None
        self._operations.stop()


def main() -> None:
    """Be the agent (`--root ROOT`) or one of its zygotes (`zygote ROOT ENV RUNTIME FD CRASH_FD`)."""
    argv = sys.argv[1:]
    if len(argv) == 6 and argv[0] == "zygote":
        from harness.agent.zygote import serve

        serve(argv[1], argv[2], argv[3], int(argv[4]), int(argv[5]))
    elif len(argv) == 2 and argv[0] == "--root":
        _serve_channel(os.path.abspath(os.path.expanduser(argv[1])))
    else:
        sys.exit("usage: agent.pyz --root ROOT")


def _serve_channel(root: str) -> None:
    os.makedirs(root, mode=0o700, exist_ok=True)
    # What a session leaves when it took its zygote down comes to the agent.
    process.adopt_orphans()
    # Whatever prints to stdout by accident must not get between the frames.
    sink = os.dup(1)
    os.dup2(2, 1)
    reason = Agent(root, Channel(0, sink)).serve()
    sys.stderr.write(f"fleetgate agent ends: {reason}\n")
