"""The agent's view of a session under way in a zygote's child, and of the start of a zygote.

Owns deadlines, the bounded reading of what the child writes, and the words for how it ended. The select loop of
`harness.agent.main` asks for `fds()`, calls `step()`, and takes `answer` once it is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time

from harness.agent import process
from harness.agent.crash import explain_crash
from harness.agent.frame import MAX_HEADER, MAX_PAYLOAD, Frame, FrameBuffer, FrameError
from harness.agent.message import SessionReply, SessionRequest
from harness.agent.refusal import Refusal
from harness.agent.spawn import Tail, Zygote
from harness.agent.task import Answer, refuse

_START_S = 600.0
"""Longest start of a zygote: a cold import takes over 40 s on an emulated board."""
_READS = 128
"""Reads before the loop looks at the clock again: more than a pipe holds, and an end for who writes without end."""
_MOST_PROGRESS = 64
"""Frames of progress that wait for the controller's next ping; more than its silence may hold."""
_STAGES = {"start": "starting", "load": "loading", "run": "running"}


class Warming:
    """The start of a zygote, and nothing more."""

    def __init__(self, zygote: Zygote) -> None:
        self.answer: Answer | None = None
        self.zygote = zygote
        self._deadline = time.monotonic() + _START_S
        if zygote.is_ready:
            self._set_ready()

    def fds(self) -> list[int]:
        """Return what to wait for."""
        return _open_fds([self.zygote.control.fileno(), self.zygote.log.fd])

    def remaining_s(self) -> float:
        """Return the time left, in seconds."""
        return self._deadline - time.monotonic()

    def step(self) -> None:
        """Hear the zygote; set `answer` once it is ready or has failed."""
        self.zygote.log.drain()
        for word, rest in self.zygote.receive():
            if word == "ready":
                self._set_ready()
            elif word in {"failed", "gone"}:
                self.answer = refuse(explain_start(self.zygote, rest))
        if self.answer is None and self.remaining_s() <= 0:
            self.answer = refuse(Refusal("runtime", f"the runtime was not loaded within {_START_S:g} s"))

    def kill(self) -> None:
        """Nothing to do: whoever owns the zygote kills it."""

    def _set_ready(self) -> None:
        self.answer = Answer(dict(self.zygote.described, ok=True))


class Watch:
    """One session, from the request to its envelope."""

    def __init__(self, request: SessionRequest, message: bytes, zygote: Zygote) -> None:
        self.answer: Answer | None = None
        self.request = request
        self.zygote = zygote
        self._message = message
        self._deadline = time.monotonic() + _START_S
        self._result = FrameBuffer(max_header=MAX_HEADER, max_payload=MAX_PAYLOAD)
        self._frame: Frame | None = None
        self._stage = "start"
        self._killed_for = ""
        self._progress: list[dict[str, object]] = []
        self._pid = 0
        self._log: Tail | None = None
        self._result_fd = -1
        self._oom_kills = process.count_oom_kills()
        if zygote.is_ready:
            self._send()

    def fds(self) -> list[int]:
        """Return what to wait for."""
        log_fd = self._log.fd if self._log else -1
        return _open_fds([self.zygote.control.fileno(), self.zygote.log.fd, log_fd, self._result_fd])

    def remaining_s(self) -> float:
        """Return the time left until the deadline, in seconds."""
        return self._deadline - time.monotonic()

    def step(self) -> None:
        """Read everything that is there; kill at the deadline; set `answer` at the end."""
        self._read()
        for word, rest in self.zygote.receive():
            self._hear(word, rest)
        if self.answer is None and self.remaining_s() <= 0:
            self._expire()

    def take_progress(self) -> list[dict[str, object]]:
        """Return what the session has told of itself since the last call."""
        told, self._progress = self._progress, []
        return told

    def kill(self) -> None:
        """End the session unfinished."""
        if self._pid:
            process.kill_group(self._pid)
        self._close()

    def _send(self) -> None:
        log_read, log_write = os.pipe()
        result_read, result_write = os.pipe()
        self._log = Tail(log_read)
        os.set_blocking(result_read, False)
        self._result_fd = result_read
        try:
            self.zygote.send(self._message, [log_write, result_write])
        finally:
            os.close(log_write)
            os.close(result_write)
        self._deadline = time.monotonic() + self.request.deadline_s

    def _hear(self, word: str, rest: str) -> None:
        if word == "ready":
            self._send()
        elif word == "pid":
            self._pid = int(rest)
        elif word == "exit":
            self._read()
            self._finish(int(rest))
        elif self.answer is None:
            self._close()
            self.answer = refuse(explain_start(self.zygote, rest))

    def _read(self) -> None:
        self.zygote.log.drain()
        if self._log:
            self._log.drain()
        for _ in range(_READS):
            if self._result_fd < 0:
                return
            try:
                piece = os.read(self._result_fd, 1 << 20)
            except BlockingIOError:
                return
            if not piece:
                os.close(self._result_fd)
                self._result_fd = -1
            self._take(piece)

    def _take(self, piece: bytes) -> None:
        self._result.feed(piece)
        try:
            frame = self._result.take()
            while frame is not None:
                if "stage" in frame.header:
                    self._stage = str(frame.header["stage"])
                elif isinstance(frame.header.get("progress"), dict):
                    self._progress = [*self._progress, frame.header["progress"]][-_MOST_PROGRESS:]
                else:
                    self._frame = frame
                frame = self._result.take()
        except FrameError as error:
            self._result = FrameBuffer()
            self._abort(f"it wrote what is no result: {error}")

    def _expire(self) -> None:
        if not self.zygote.is_ready:
            self.answer = refuse(Refusal("runtime", f"the runtime was not loaded within {_START_S:g} s"))
            return
        # The zygote reports the end of the child that is killed here; a second silence means that it hangs itself.
        if self._killed_for:
            self.zygote.kill()
            self.answer = refuse(Refusal("runtime", "a session could not be killed"))
            return
        self._abort("timeout")

    def _abort(self, reason: str) -> None:
        self._killed_for = self._killed_for or reason
        self._deadline = time.monotonic() + 30.0
        if self._pid:
            process.kill_group(self._pid)

    def _finish(self, status: int) -> None:
        frame = self._frame
        log = self._log.text() if self._log else ""
        self._close()
        reply = SessionReply(nonce=self.request.nonce, wait_status=status, sha256="", end=True, log=log)
        payload = b""
        if frame is not None and status == 0 and not self._killed_for:
            payload = frame.payload
            reply = SessionReply(**dict(vars(reply), **frame.header))
        else:
            reply.error = self._explain(status, log)
        reply.sha256 = hashlib.sha256(payload).hexdigest()
        header = dict(_to_wire(reply), ok=True)
        if self.request.plant is not None:
            from harness.agent.plant.reply import spoil_reply

            header, payload = spoil_reply(self.request.plant.fault, header, payload)
        self.answer = Answer(header, payload)

    def _explain(self, status: int, log: str) -> dict[str, str]:
        stage = _STAGES.get(self._stage, self._stage)
        last = log.strip().splitlines()[-3:]
        tail = f"; it wrote: {' / '.join(last)[-500:]}" if last else ""
        if self._killed_for == "timeout":
            return {"code": "timeout", "message": f"still {stage} after {self.request.deadline_s:g} s{tail}"}
        if self._killed_for:
            return {"code": "crash", "message": f"{self._killed_for}, while {stage}{tail}"}
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            return process.explain_kill(f"while {stage}{tail}", is_oom=self._was_oom())
        crash = self.zygote.read_crash(self._pid)
        return explain_crash(crash, status, f"while {stage}{tail}")

    def _was_oom(self) -> bool:
        return process.count_oom_kills() > self._oom_kills >= 0

    def _close(self) -> None:
        if self._log:
            self._log.drain()
            self._log.close()
        if self._result_fd >= 0:
            os.close(self._result_fd)
            self._result_fd = -1


def explain_start(zygote: Zygote, failed: str) -> Refusal:
    """Say why a zygote did not start or ended: the environment's fault, never a model's.

    The code is `runtime`, or `illegal_instruction` when the runtime does not run on this processor.
    """
    last = " / ".join(zygote.log.text().strip().splitlines()[-3:])
    tail = f"; it wrote: {last}" if last else ""
    try:
        return Refusal("runtime", f"{zygote.key.runtime} cannot be used: {json.loads(failed)['message']}{tail}")
    except (ValueError, KeyError, TypeError):
        status = zygote.read_end()
    when = f"while {'serving' if zygote.is_ready else 'being imported'}{tail}"
    error = explain_crash(zygote.read_crash(), status, when)
    code = "runtime" if zygote.is_ready or error["code"] == "crash" else error["code"]
    extra = {name: text for name, text in error.items() if name not in {"code", "message"}}
    return Refusal(code, f"{zygote.key.runtime} cannot be used: {error['message']}", **extra)


def _to_wire(reply: SessionReply) -> dict[str, object]:
    fields = dict(vars(reply))
    fields["arrays"] = [spec if isinstance(spec, dict) else vars(spec) for spec in reply.arrays]
    return fields


def _open_fds(fds: list[int]) -> list[int]:
    return [fd for fd in fds if fd >= 0]
