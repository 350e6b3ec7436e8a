"""Which reader reads which format, and the one way in."""

from __future__ import annotations

import math

from harness.spec.tool import JSON
from harness.spec.workload import Tool
from harness.stats.tool.benchmark_model import read_benchmark_model
from harness.stats.tool.json_path import read_json
from harness.stats.tool.llama_bench import read_llama_bench
from harness.stats.tool.onnxruntime_perf_test import read_onnxruntime_perf_test
from harness.stats.tool.output import Output, Reader, Told, Unreadable, excerpt
from harness.stats.tool.trtexec import read_trtexec

READERS: dict[str, Reader] = {
    JSON: read_json,
    "llama-bench": read_llama_bench,
    "benchmark_model": read_benchmark_model,
    "onnxruntime_perf_test": read_onnxruntime_perf_test,
    "trtexec": read_trtexec,
}
"""By the names of `harness.spec.tool.FORMATS`."""


def read_output(tool: Tool, stdout: bytes, stderr: bytes) -> Told:
    """Read what a tool printed.

    Raises:
        Unreadable: it is not what the suite says; with its first lines.
    """
    output = Output(stdout.decode(errors="replace"), stderr.decode(errors="replace"))
    try:
        told = READERS[tool.format](output, tool)
    except Unreadable as error:
        raise Unreadable(f"{error}; {excerpt(output)}") from error
    wrong = next((name for name, value in told.figures.items() if not _is_sound(value)), "")
    if wrong or not all(_is_sound(value) for value in told.times_s):
        raise Unreadable(f"{wrong or 'a time of one inference'} is no positive figure; {excerpt(output)}")
    return told


def _is_sound(value: float) -> bool:
    return math.isfinite(value) and value > 0
