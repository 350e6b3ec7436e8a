"""Two ways to compare models on this machine: by its clock, and by valgrind's count of instructions.

Each figure is a fresh process that runs a few lines of onnxruntime and nothing of the harness: what somebody without it
would write, done carefully.
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gated_board import teller

PROCESSES = 3
"""Fresh processes per file and comparison by the clock."""
LOAD = """
import gc, sys, time
import numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
feed = {session.get_inputs()[0].name: np.load(sys.argv[2])["x"]}
gc.collect(); gc.freeze(); gc.disable()
"""
TIMED = (
    LOAD
    + """
for _ in range(100):
    session.run(None, feed)
times = []
for _ in range(1000):
    start = time.perf_counter_ns(); session.run(None, feed); times.append(time.perf_counter_ns() - start)
print(sorted(times)[500])
"""
)
# A client request of valgrind is a no-op sequence of rotations that its translator knows (valgrind.h, amd64); the
# numbers of callgrind's requests are those of callgrind.h.
COUNTED = (
    LOAD
    + """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("4889f831d248c1c70348c1c70d48c1c73d48c1c7334887db4889d0c3"))
send = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
requests = [(ctypes.c_uint64 * 6)((ord("C") << 24 | ord("T") << 16) + number) for number in range(6)]
dump, zero, _, _, start, stop = (ctypes.addressof(request) for request in requests)
for _ in range(3):
    session.run(None, feed)
send(start)
for _ in range(2):
    session.run(None, feed)
for _ in range(11):
    send(zero); session.run(None, feed); send(dump)
send(stop)
"""
)
FIXED = {
    "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1",
    "ORT_DISABLE_TELEMETRY": "1",
}  # fmt: skip
"""What the harness fixes on its boards too."""


class WallClock:
    """Median time of a call: fresh processes in turns, pinned to one core."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._tell = teller("wall clock")

    def ratios(self, baseline: Path, candidate: Path, tries: int) -> list[float]:
        """Compare `tries` times; return candidate / baseline."""
        found = []
        for number in range(tries):
            pairs = [(self._time(baseline), self._time(candidate)) for _ in range(PROCESSES)]
            old, new = (statistics.median(arm) for arm in zip(*pairs, strict=True))
            found.append(new / old)
            self._tell(f"{candidate.stem} {number + 1} of {tries}: {new / old - 1:+.3%}")
        return found

    def _time(self, model: Path) -> float:
        core = max(os.sched_getaffinity(0))
        command = ["taskset", "-c", str(core), sys.executable, "-c", TIMED, str(model), str(self._data)]
        return float(_run(command))


class Valgrind:
    """Median count of a call under callgrind, collected between two client requests, as many at once as cores."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._tell = teller("valgrind")

    @staticmethod
    def missing() -> str:
        """Say what is missing for it; empty when nothing is."""
        if platform.machine() != "x86_64":
            return "its client requests are written here for x86_64"
        needed = ("valgrind", "setarch")
        lost = [program for program in needed if shutil.which(program) is None]
        return f"install {' and '.join(lost)} (apt-get install valgrind util-linux)" if lost else ""

    def ratios(self, baseline: Path, candidate: Path, tries: int) -> list[float]:
        """Compare `tries` times; return candidate / baseline."""
        found = []
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            counts = pool.map(self._count, [baseline, candidate] * tries)
            for number, (old, new) in enumerate(zip(counts, counts, strict=True)):
                found.append(new / old)
                self._tell(f"{candidate.stem} {number + 1} of {tries}: {new:.0f}, {new / old - 1:+.4%}")
        return found

    def _count(self, model: Path) -> float:
        with tempfile.TemporaryDirectory() as folder:
            tool = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out"]
            _run(["setarch", "-R", *tool, sys.executable, "-c", COUNTED, str(model), str(self._data)])
            return statistics.median(_total(file) for file in Path(folder).glob("out.*"))


def _total(file: Path) -> float:
    line = next(line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("totals:"))
    return float(line.split()[1])


def _run(command: list[str]) -> str:
    environment = {**os.environ, **FIXED}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
