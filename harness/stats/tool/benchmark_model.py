"""benchmark_model of LiteRT (TensorFlow Lite): lines of its log, on either output, with `INFO: ` before them or not.

Source: tensorflow/lite/tools/benchmark/benchmark_model.cc and README.md; `count=` stands for warming up first and for
the measured runs after it; newer builds add `p5= median= p95=`. Times are microseconds, memory is in units of 2^20.
"""

from __future__ import annotations

from harness.spec.workload import Tool
from harness.stats.tool.output import NUMBER, Output, Told, Unreadable

_US, _MIB = 1e-6, float(1 << 20)
_TIMINGS = (
    rf"Inference timings in us: Init: {NUMBER}, First inference: {NUMBER}, "
    rf"Warmup \(avg\): {NUMBER}, Inference \(avg\): {NUMBER}"
)
_RUNS = r"count=(\d+) "
_QUANTILES = {"tool.latency.p50": rf"count=.* median={NUMBER}", "tool.latency.p95": rf"count=.* p95={NUMBER}"}
_PEAK = (
    r"(?:Overall peak memory footprint \(MB\) via periodic monitoring: |Peak memory footprint \(MB\): .*overall=)"
    rf"{NUMBER}"
)


def read_benchmark_model(output: Output, tool: Tool) -> Told:
    """Read load, first and mean times, quantiles and peak memory where the build prints them.

    Raises:
        Unreadable: the line of the inference timings is not there.
    """
    del tool  # the format says all
    timings = output.find(_TIMINGS)
    if timings is None:
        raise Unreadable("benchmark_model printed no 'Inference timings in us'")
    init, first, _, mean = (float(figure) for figure in timings.groups())
    figures = {"tool.load.time": init * _US, "tool.latency.first": first * _US, "tool.latency.mean": mean * _US}
    runs = output.find(_RUNS)
    for metric, pattern in _QUANTILES.items():
        found = output.find(pattern)
        if found is not None:
            figures[metric] = float(found[1]) * _US
    peak = output.find(_PEAK)
    if peak is not None:
        figures["tool.memory.peak"] = float(peak[1]) * _MIB
    return Told(figures, count=int(runs[1]) if runs else 0)
