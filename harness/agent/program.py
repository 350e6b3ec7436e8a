"""A session of kind `binary`: a native program, run several times in fresh processes that are followed to their ends.

Each run has its instructions counted from its first to its last, its peak of memory read and its output hashed; it gets
no input, no network where the kernel allows that, and a limit for what it writes. The zygote of this session has no
runtime and no numpy.
"""

from __future__ import annotations

import array
import hashlib
import os
import shutil
import sys
import tempfile
from typing import IO, NamedTuple

from harness.agent import process
from harness.agent.child import Child, explain_end
from harness.agent.crash import Crash
from harness.agent.message import SessionRequest
from harness.agent.meters.work import InstructionCounter, NoCounter
from harness.agent.native import serve
from harness.agent.refusal import Refusal, from_os_error
from harness.agent.spawn import RUNTIME_SETTINGS, decode_request
from harness.agent.store import Store, hash_fd
from harness.agent.trace import Traced

MAX_OUTPUT = 64 << 20
"""Longest file that a program may write, its output included."""
_TAIL = 4 << 10


class Run(NamedTuple):
    """One process of the program."""

    status: int
    instructions: int
    """User mode, all threads and children; -1 where they are not counted."""
    peak_bytes: int
    output_sha256: str
    output_tail: bytes
    crash: Crash | None
    is_oom: bool


class Program:
    """The runs of one program."""

    def __init__(self, request: SessionRequest, root: str) -> None:
        self._request = request
        self._root = root
        # The same name in every session: it lies on the program's stack.
        self._folder = os.path.join(root, "active", "program")
        self._isolate = process.succeeds(process.leave_network)
        self.flags: dict[str, None] = {}
        self.runs: list[Run] = []

    def measure(self) -> dict[str, object] | None:
        """Run it: warm-up, then the runs that count; return the error object of the first that fails.

        Raises:
            Refusal: it is not there as it was sent, or is no program for this board.
        """
        path = self._copy()
        for number in range(self._request.warmup + self._request.repeat):
            run = self._run(path)
            failed = explain_end(
                run.status, run.crash, is_oom=run.is_oom, tail=run.output_tail, when=f"in run {number + 1}"
            )
            if failed is not None:
                return failed
            if number >= self._request.warmup:
                self.runs.append(run)
        if len({run.output_sha256 for run in self.runs}) > 1:
            self.flags["output-differs"] = None
        return None

    def close(self) -> None:
        """Remove its files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def describe(self) -> dict[str, object]:
        """Return the fields of SessionReply."""
        last = self.runs[-1] if self.runs else None
        settings = {"network": "shared" if "note-network" in self.flags else "none", **RUNTIME_SETTINGS}
        if last is not None:
            settings["output_sha256"] = last.output_sha256
        return {
            "flags": list(self.flags),
            "settings": settings,
            "provider": "cpu",
            "threads": self._request.threads,
            "model_sha256": self._request.model,
            "python": ".".join(map(str, sys.version_info[:3])),
        }

    def pack(self, header: dict[str, object]) -> bytes:
        """Add the arrays and scalars of the runs to the header; return the payload."""
        payload, specs, runs = b"", [], self.runs
        figures = {"instructions": [run.instructions for run in runs], "peak_bytes": [run.peak_bytes for run in runs]}
        known = {name: array.array("q", values) for name, values in figures.items() if min(values) > 0}
        for name, values in known.items():
            data = values.tobytes() if sys.byteorder == "little" else _swapped(values)
            spec = {"name": name, "dtype": "int64", "shape": [len(values)], "offset": len(payload), "nbytes": len(data)}
            specs.append(spec)
            payload += data
        header.update(arrays=specs, scalars={"repeat_count": float(len(runs))})
        os.write(1, runs[-1].output_tail)
        return payload

    def _copy(self) -> str:
        """Copy the program out of the store, where nothing may be executed or changed, and check its bytes."""
        path = os.path.join(self._folder, "program")
        try:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.mkdir(self._folder, 0o700)
            shutil.copyfile(Store(self._root).path(self._request.model), path)
            os.chmod(path, 0o500)
            with open(path, "rb") as file:
                digest = hash_fd(file.fileno())
        except OSError as error:
            raise from_os_error(error, "copying the program") from error
        if digest != self._request.model:
            Store(self._root).discard(self._request.model)
            raise Refusal("integrity", f"the stored program is {digest[:12]}, not {self._request.model[:12]}")
        return path

    def _run(self, path: str) -> Run:
        ooms = process.count_oom_kills()
        with tempfile.TemporaryFile(dir=self._folder) as output:
            child = Child(
                [path, *self._request.argv],
                self._folder,
                (output, output),
                most_bytes=MAX_OUTPUT,
                isolate=self._isolate,
            )
            traced = Traced(child.pid)
            counter = self._count(child.pid)
            child.go()
            status = traced.wait()
            refused = child.read_refusal()
            process.sweep()
            count = counter.read() if counter else -1
            if counter:
                counter.close()
            digest, tail = _read_output(output)
        if refused:
            raise Refusal("load", f"cannot be executed on this board: {refused}")
        if traced.refusal:
            self.flags[f"no-trace:{traced.refusal}"] = None
        if not self._isolate:
            self.flags["note-network"] = None
        is_oom = process.count_oom_kills() > ooms >= 0
        return Run(status, count, traced.peak_bytes, digest, tail, traced.crash, is_oom)

    def _count(self, pid: int) -> InstructionCounter | None:
        if not self._request.count_work:
            return None
        try:
            return InstructionCounter(pid=pid)
        except NoCounter as reason:
            self.flags[f"no-counter:{reason}"] = None
            return None


def run(message: bytes, result_fd: int, root: str) -> None:
    """Do what `message` (a SessionRequest as JSON) asks, and write the result frame to `result_fd`."""
    request = decode_request(message)
    serve(request, result_fd, Program(request, root), "running the program")


def _swapped(values: array.array[int]) -> bytes:
    swapped = array.array("q", values)
    swapped.byteswap()
    return swapped.tobytes()


def _read_output(output: IO[bytes]) -> tuple[str, bytes]:
    digest = hashlib.sha256()
    output.seek(0)
    tail = b""
    while True:
        piece = output.read(1 << 20)
        if not piece:
            return digest.hexdigest(), tail
        digest.update(piece)
        tail = (tail + piece)[-_TAIL:]
