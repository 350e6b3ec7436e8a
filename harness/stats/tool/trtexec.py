"""trtexec of TensorRT: its performance summary.

`Latency` is from host to host, transfers included, as TensorRT defines it; `GPU Compute Time`, `H2D Latency` and the
others are not it. Source: samples/common/sampleReporting.cpp, TensorRT 8.0 to 10.
"""

from __future__ import annotations

import re

from harness.spec.workload import Tool
from harness.stats.tool.output import NUMBER, Output, Told, Unreadable

_LATENCY = r"(?:^|\] )Latency: (.*)$"
_PARTS = {
    "tool.latency.mean": "mean",
    "tool.latency.p50": "median",
    "tool.latency.p90": "percentile(90%)",
    "tool.latency.p95": "percentile(95%)",
    "tool.latency.p99": "percentile(99%)",
}
_THROUGHPUT = rf"(?:^|\] )Throughput: {NUMBER} qps"
_RUNS = r"Timing trace has (\d+) queries"


def read_trtexec(output: Output, tool: Tool) -> Told:
    """Read throughput and latency.

    Raises:
        Unreadable: there is no summary.
    """
    del tool  # the format says all
    latency = output.find(_LATENCY)
    if latency is None:
        raise Unreadable("trtexec printed no line 'Latency' of a performance summary")
    figures = {}
    for metric, word in _PARTS.items():
        found = re.search(rf"{re.escape(word)} = {NUMBER} ms", latency[1])
        if found is not None:
            figures[metric] = float(found[1]) * 1e-3
    throughput, runs = output.find(_THROUGHPUT), output.find(_RUNS)
    if throughput is not None:
        figures["tool.throughput"] = float(throughput[1])
    return Told(figures, count=int(runs[1]) if runs else 0)
