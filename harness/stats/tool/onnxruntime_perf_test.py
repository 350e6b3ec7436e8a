"""onnxruntime_perf_test: its summary, and the percentiles that `-s` adds.

Source: onnxruntime/test/perftest/performance_runner.cc and performance_result.h, ONNX Runtime 1.10 to 1.32. The first
inference is printed in whole milliseconds: one that took less is not told.
"""

from __future__ import annotations

from harness.spec.workload import Tool
from harness.stats.tool.output import NUMBER, Output, Told, Unreadable

_LINES = {
    "tool.load.time": (rf"Session creation time cost: {NUMBER} s", 1.0),
    "tool.latency.first": (rf"First inference time cost: {NUMBER} ms", 1e-3),
    "tool.latency.mean": (rf"Average inference time cost(?: total)?: {NUMBER} ms", 1e-3),
    "tool.throughput": (rf"Number of inferences per second: {NUMBER}", 1.0),
    "tool.memory.peak": (rf"Peak working set size: {NUMBER} bytes", 1.0),
    "tool.latency.p50": (rf"P50 Latency: {NUMBER} s", 1.0),
    "tool.latency.p90": (rf"P90 Latency: {NUMBER} s", 1.0),
    "tool.latency.p95": (rf"P95 Latency: {NUMBER} s", 1.0),
    "tool.latency.p99": (rf"P99 Latency: {NUMBER} s", 1.0),
}
_RUNS = r"Total inference requests: (\d+)"


def read_onnxruntime_perf_test(output: Output, tool: Tool) -> Told:
    """Read what the summary says.

    Raises:
        Unreadable: it says no average.
    """
    del tool  # the format says all
    figures = {}
    for metric, (pattern, scale) in _LINES.items():
        found = output.find(pattern)
        if found is not None and float(found[1]) > 0:
            figures[metric] = float(found[1]) * scale
    if "tool.latency.mean" not in figures:
        raise Unreadable("onnxruntime_perf_test printed no 'Average inference time cost'")
    runs = output.find(_RUNS)
    return Told(figures, count=int(runs[1]) if runs else 0)
