"""A session of a tool: a native program that measures a model by its own means, run once in a process of its own.

What it printed comes back as it is; what it means is for the controller to say. The tool lies on the board, or was sent
with the suite. The zygote of this session has no runtime and no numpy.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from typing import IO, NamedTuple

from harness.agent import process
from harness.agent.child import Child, explain_end
from harness.agent.message import SessionRequest, ToolRequest
from harness.agent.native import serve
from harness.agent.refusal import Refusal
from harness.agent.spawn import RUNTIME_SETTINGS, TOOL, decode_request
from harness.agent.store import Store, hash_fd
from harness.agent.trace import Traced

MAX_OUTPUT = 4 << 20
"""Longest file that a tool may write, each of its outputs included."""
PLACEHOLDERS = ("model", "data", "threads", "repeat", "warmup")
_PLACEHOLDER = re.compile("{(" + "|".join(PLACEHOLDERS) + ")}")
_TAIL = 4 << 10


class Ran(NamedTuple):
    """What came of the tool: both outputs whole, the peak of its own process, the time from its start to its end."""

    stdout: bytes
    stderr: bytes
    peak_bytes: int
    elapsed_s: float


class Tool:
    """One run of a tool with one model."""

    def __init__(self, request: SessionRequest, root: str) -> None:
        assert request.tool is not None
        self._request = request
        self._asked: ToolRequest = request.tool
        self._store = Store(root)
        self._folder = os.path.join(root, "active", "tool")
        self.flags: list[str] = []
        self.settings = dict(RUNTIME_SETTINGS)
        self.version = TOOL
        self.model_sha256 = ""
        self.ran: Ran | None = None

    def measure(self) -> dict[str, object] | None:
        """Run it; return the error object of its failure.

        Raises:
            Refusal: `tool` when the board has no such program, `integrity`, `load` when it cannot be executed.
        """
        shutil.rmtree(self._folder, ignore_errors=True)
        os.mkdir(self._folder, 0o700)
        model = self._link(self._request.model, "model" + self._suffix())
        self.model_sha256 = self._request.model
        program = self._find()
        words = {**self._numbers(), "model": model}
        if self._request.data:
            words["data"] = self._link(self._request.data, "data")
        argv = [program, *(_PLACEHOLDER.sub(lambda found: _word(words, found[1]), word) for word in self._asked.argv)]
        self._describe(program)
        return self._run(argv)

    def describe(self) -> dict[str, object]:
        """Return the fields of SessionReply."""
        return {
            "flags": self.flags,
            "settings": self.settings,
            "provider": TOOL,
            "threads": self._request.threads,
            "runtime_version": self.version,
            "model_sha256": self.model_sha256,
            "python": ".".join(map(str, sys.version_info[:3])),
        }

    def pack(self, header: dict[str, object]) -> bytes:
        """Add the outputs and the scalars to the header; return the payload."""
        ran = self.ran
        assert ran is not None
        specs, payload = [], b""
        for name, data in (("stdout", ran.stdout), ("stderr", ran.stderr)):
            if data:
                length = len(data)
                spec = {"name": name, "dtype": "uint8", "shape": [length], "offset": len(payload), "nbytes": length}
                specs.append(spec)
                payload += data
        scalars = {"elapsed_s": ran.elapsed_s}
        if ran.peak_bytes:
            scalars["hwm_bytes"] = float(ran.peak_bytes)
        header.update(arrays=specs, scalars=scalars)
        return payload

    def close(self) -> None:
        """Remove its files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _suffix(self) -> str:
        return self._request.suffix if self._request.suffix.replace(".", "").isalnum() else ""

    def _numbers(self) -> dict[str, str]:
        asked = self._request
        return {"threads": str(asked.threads), "repeat": str(asked.repeat), "warmup": str(asked.warmup)}

    def _link(self, digest: str, name: str) -> str:
        """Give a stored object a name beside the tool, on the same inode, and check its bytes."""
        path, stored = os.path.join(self._folder, name), self._store.path(digest)
        try:
            os.link(stored, path)
        except OSError:
            os.symlink(stored, path)
        return self._checked(path, digest)

    def _copy(self, digest: str) -> str:
        """Copy the tool out of the store, where nothing may be executed."""
        path = os.path.join(self._folder, "program")
        shutil.copyfile(self._store.path(digest), path)
        os.chmod(path, 0o500)
        return self._checked(path, digest)

    def _checked(self, path: str, digest: str) -> str:
        found = _hash(path)
        if found != digest:
            self._store.discard(digest)
            raise Refusal("integrity", f"the stored {os.path.basename(path)} is {found[:12]}, not {digest[:12]}")
        return path

    def _find(self) -> str:
        if self._asked.stored:
            return self._copy(self._asked.stored)
        found = shutil.which(os.path.expanduser(self._asked.program))
        if found is None:
            raise Refusal("tool", f"the board has no program {self._asked.program!r} (PATH {os.environ.get('PATH')})")
        return os.path.abspath(found)

    def _describe(self, program: str) -> None:
        """Say what the figures come from: the tool's name and bytes."""
        name = os.path.basename(self._asked.program) or "sent"
        digest = _hash(program)
        self.version = f"{name} sha256:{digest[:12]}"
        self.settings.update(tool=self._asked.program or "sent", tool_sha256=digest)

    def _run(self, argv: list[str]) -> dict[str, object] | None:
        ooms = process.count_oom_kills()
        isolate = process.succeeds(process.leave_network)
        self.settings["network"] = "none" if isolate else "shared"
        with tempfile.TemporaryFile(dir=self._folder) as stdout, tempfile.TemporaryFile(dir=self._folder) as stderr:
            child = Child(argv, self._folder, (stdout, stderr), most_bytes=MAX_OUTPUT, isolate=isolate)
            traced = Traced(child.pid)
            started = time.monotonic()
            child.go()
            status = traced.wait()
            elapsed_s = time.monotonic() - started
            refused = child.read_refusal()
            process.sweep()
            told, more = _read(stdout), _read(stderr)
        if refused:
            raise Refusal("load", f"{argv[0]} cannot be executed on this board: {refused}")
        if traced.refusal:
            self.flags.append(f"no-trace:{traced.refusal}")
        is_oom = process.count_oom_kills() > ooms >= 0
        tail = (told + more)[-_TAIL:]
        self.ran = Ran(told, more, traced.peak_bytes, elapsed_s)
        return explain_end(status, traced.crash, is_oom=is_oom, tail=tail, when="while it ran the model")


def run(message: bytes, result_fd: int, root: str) -> None:
    """Do what `message` (a SessionRequest as JSON) asks, and write the result frame to `result_fd`."""
    request = decode_request(message)
    serve(request, result_fd, Tool(request, root), "running the tool")


def _word(words: dict[str, str], name: str) -> str:
    if name not in words:
        raise Refusal("input", f"the tool is to get {{{name}}}, and the suite names no data")
    return words[name]


def _hash(path: str) -> str:
    with open(path, "rb") as file:
        return hash_fd(file.fileno())


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()
