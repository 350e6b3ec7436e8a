"""The agent's handle on a zygote: starts it, sends it sessions, hears of their end, kills it.

One zygote per environment, runtime and determinism; what it does inside is `harness.agent.zygote`.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
from typing import NamedTuple

from harness.agent import process
from harness.agent.crash import Crash, CrashPage
from harness.agent.env import SYSTEM, env_path
from harness.agent.message import SessionRequest, make_request
from harness.agent.refusal import Refusal

NATIVE = "native"
"""The runtime of native programs: none."""
TOOL = "command"
"""The runtime of tools that measure a model by their own means."""
MAX_MESSAGE = 64 << 10
PAGE = 4 << 10
"""All messages are as long as this or a multiple: the heap of a zygote remembers how long the last one was."""
_TAIL = 8 << 10
_READS = 32
"""Reads of 64 KiB at a time: more than a pipe holds, and an end for who writes without end."""
_END_S = 2.0
"""From the end of a process's socket to the end of the process."""
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR")
RUNTIME_SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "PYTHONUNBUFFERED": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}
"""Environment of every session: no idle thread pools of numpy, one heap, output that a crash does not lose, and nothing
sent anywhere: onnxruntime 1.29 and newer report models to Microsoft by default, from a thread that moves the heap."""


class ZygoteKey(NamedTuple):
    """What a zygote has loaded, and how its memory is laid out."""

    env: str
    runtime: str
    deterministic: bool


class Tail:
    """The last 8 KiB of a pipe that must never block its writer; `fd` is -1 once it has ended."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self._data = b""

    def drain(self) -> None:
        """Read what is there, within reason."""
        for _ in range(_READS):
            if self.fd < 0:
                return
            try:
                piece = os.read(self.fd, 1 << 16)
            except BlockingIOError:
                return
            if not piece:
                self.close()
                return
            self._data = (self._data + piece)[-_TAIL:]

    def close(self) -> None:
        """Stop reading."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def text(self) -> str:
        """Return what is kept."""
        return self._data.decode(errors="replace")


class Zygote:
    """A running zygote; `described` is what it said of its runtime once it was ready."""

    def __init__(self, root: str, key: ZygoteKey, lease_fd: int) -> None:
        self.key = key
        self.described: dict[str, str] = {}
        self.is_lost = False
        if key.env != SYSTEM and not os.path.isdir(env_path(root, key.env)):
            raise Refusal("missing", f"environment {key.env[:20]} is not installed")
        self._crashes = CrashPage()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        read_end, write_end = os.pipe()
        try:
            self._process = subprocess.Popen(
                _command(root, key, theirs.fileno(), self._crashes.fd),
                stdin=subprocess.DEVNULL,
                stdout=write_end,
                stderr=write_end,
                pass_fds=[fd for fd in (theirs.fileno(), lease_fd, self._crashes.fd) if fd >= 0],
                env=_environment(deterministic=key.deterministic),
                cwd=root,
                start_new_session=True,
                # The agent has one thread.
                preexec_fn=_Prepare(os.getpid(), deterministic=key.deterministic),  # noqa: PLW1509
            )
        finally:
            theirs.close()
            os.close(write_end)
        self.control = ours
        self.control.setblocking(False)
        self.log = Tail(read_end)

    @property
    def is_ready(self) -> bool:
        """Whether it can take a session."""
        return bool(self.described)

    def send(self, message: bytes, fds: list[int]) -> None:
        """Hand over a session request with the write ends of its log and its result."""
        self._crashes.clear()
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds))
        self.control.sendmsg([message], [rights])

    def receive(self) -> list[tuple[str, str]]:
        """Return the messages that have come as (word, rest); (`gone`, ``) when the zygote has ended."""
        found: list[tuple[str, str]] = []
        while True:
            try:
                data = self.control.recv(MAX_MESSAGE)
            except BlockingIOError:
                return found
            except ConnectionError:
                data = b""
            word, _, rest = data.decode(errors="replace").partition(" ")
            if word == "ready":
                self.described = json.loads(rest)
            found.append((word or "gone", rest))
            if word in {"failed", ""}:
                self.is_lost = True
                return found

    def read_crash(self, pid: int = 0) -> Crash | None:
        """Return what a session, or the zygote itself, told of its fatal signal."""
        return self._crashes.read(pid or self._process.pid)

    def read_end(self) -> int:
        """Return the wait status of a zygote that is gone; 0 when it has only closed its socket."""
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return 0
        return -code if code < 0 else code << 8

    def kill(self) -> None:
        """Kill it and wait for its end; its sessions die with it."""
        self.is_lost = True
        process.kill_group(self._process.pid)
        self._process.wait()
        self.log.drain()
        self.log.close()
        self.control.close()
        self._crashes.close()


def encode_request(request: dict[str, object]) -> bytes:
    """Return the message that carries a session request to a zygote, filled up to a whole `PAGE`.

    Raises:
        Refusal: `request` when it is longer than a message may be.
    """
    message = json.dumps(request).encode()
    message = message.ljust(-(-len(message) // PAGE) * PAGE)
    if len(message) > MAX_MESSAGE:
        raise Refusal("request", f"a session request of {len(message)} bytes is longer than {MAX_MESSAGE}")
    return message


def decode_request(message: bytes) -> SessionRequest:
    """Return the session request that `encode_request` has encoded."""
    return make_request(json.loads(message))


def _command(root: str, key: ZygoteKey, fd: int, crash_fd: int) -> list[str]:
    # -S: nothing of the board's site-packages beside an environment of ours. -B: no writes into the board's own.
    flags = ["-s", "-B"] if key.env == SYSTEM else ["-s", "-S"]
    return [sys.executable, *flags, sys.argv[0], "zygote", root, key.env, key.runtime, str(fd), str(crash_fd)]


def _environment(*, deterministic: bool) -> dict[str, str]:
    # A fixed list: SSH_CONNECTION and the like change with every run, and their length moves the stack.
    env = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    env.update(RUNTIME_SETTINGS)
    if deterministic:
        env["PYTHONHASHSEED"] = "0"
    return env


class _Prepare:
    """What happens between fork and exec of a zygote."""

    def __init__(self, parent: int, *, deterministic: bool) -> None:
        self._parent = parent
        self._deterministic = deterministic

    def __call__(self) -> None:
        process.die_with_parent(self._parent)
        if self._deterministic:
            process.fix_layout()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
