"""What measuring tools printed, as their documentation and their users show it, and the figures that are read from it.

Sources: tools/llama-bench/README.md of llama.cpp; performance summaries and logs that users published of trtexec 8.4
and 10, benchmark_model (2021, and a build with quantiles), onnxruntime_perf_test on Arm (learning paths of Arm).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.spec.workload import Tool
from harness.stats.tool import Told, Unreadable, read_output

FOLDER = Path(__file__).parent / "tool"
MIB = 1 << 20
LATENCY = "tool.latency."

OUTPUTS = [
    ("llama_bench_json", {"tool.prefill_rate": 7100.002165, "tool.decode_rate": 118.881588}, 0),
    ("llama_bench_table", {"tool.prefill_rate": 7340.20, "tool.decode_rate": 120.60}, 0),
    ("llama_bench_table_2023", {"tool.prefill_rate": 23.18, "tool.decode_rate": 12.22}, 0),
    (
        "benchmark_model",
        {
            "tool.load.time": 5.579e-3, LATENCY + "first": 1.357602, LATENCY + "mean": 1.24027,
            LATENCY + "p50": 1.239807, LATENCY + "p95": 1.247415,
        },
        50,
    ),
    (
        "benchmark_model_2021",
        {
            "tool.load.time": 16.242e-3, LATENCY + "first": 0.360262, LATENCY + "mean": 0.249684,
            "tool.memory.peak": 138.809 * MIB,
        },
        50,
    ),
    (
        "onnxruntime_perf_test",
        {
            "tool.load.time": 0.0102016, LATENCY + "first": 2e-3, LATENCY + "mean": 1.85739e-3,
            "tool.throughput": 538.184, "tool.memory.peak": 36696064.0, LATENCY + "p50": 1.85674e-3,
            LATENCY + "p90": 1.87215e-3, LATENCY + "p95": 1.87393e-3, LATENCY + "p99": 1.90312e-3,
        },
        100,
    ),
    (
        "onnxruntime_perf_test_total",
        {
            "tool.load.time": 0.217932, LATENCY + "first": 0.196, LATENCY + "mean": 98.961997e-3,
            "tool.throughput": 10.104, "tool.memory.peak": 271122432.0, LATENCY + "p50": 0.0995086,
            LATENCY + "p90": 0.101519, LATENCY + "p95": 0.101519, LATENCY + "p99": 0.101519,
        },
        5,
    ),
    (
        "trtexec",
        {
            "tool.throughput": 32.7494, LATENCY + "mean": 30.8066e-3, LATENCY + "p50": 30.7695e-3,
            LATENCY + "p90": 30.8008e-3, LATENCY + "p95": 31.1944e-3, LATENCY + "p99": 31.5444e-3,
        },
        101,
    ),
    (
        "trtexec_2022",
        {
            "tool.throughput": 2.54521e6, LATENCY + "mean": 16.5801e-3, LATENCY + "p50": 11.6239e-3,
            LATENCY + "p99": 47.6256e-3,
        },
        0,
    ),
]  # fmt: skip


def format_of(name: str) -> str:
    """Tell the format of a golden file by its name."""
    formats = {"llama_bench": "llama-bench", "benchmark_model": "benchmark_model", "trtexec": "trtexec"}
    return next((known for start, known in formats.items() if name.startswith(start)), "onnxruntime_perf_test")


def read(name: str, *, as_stderr: bool = False) -> Told:
    """Read a golden file, printed on one output or the other."""
    data = (FOLDER / f"{name}.txt").read_bytes()
    return read_output(Tool(format_of(name)), b"" if as_stderr else data, data if as_stderr else b"")


@pytest.mark.parametrize(("name", "figures", "count"), OUTPUTS, ids=[row[0] for row in OUTPUTS])
def test_figures_are_those_that_were_printed(name: str, figures: dict[str, float], count: int) -> None:
    """Every figure that a tool prints is found, in SI, and no other."""
    told = read(name)

    assert dict(told.figures) == pytest.approx(figures)
    assert told.count == count
    assert not told.times_s


@pytest.mark.parametrize("name", ["benchmark_model", "onnxruntime_perf_test", "trtexec", "llama_bench_table"])
def test_a_log_may_stand_on_standard_error(name: str) -> None:
    """Where a build logs on the other output, the figures are the same."""
    assert read(name, as_stderr=True) == read(name)


def test_several_tests_of_one_kind_are_no_metric() -> None:
    """At two depths there are two prefill rates: neither is taken, both are named."""
    told = read("llama_bench_table_depths")

    assert not told.figures
    assert told.several["tool.prefill_rate"] == ("pp512", "pp512 @ d512")
    assert told.several["tool.decode_rate"] == ("tg128", "tg128 @ d512")


@pytest.mark.parametrize("name", [row[0] for row in OUTPUTS])
def test_a_cut_output_is_read_or_refused(name: str) -> None:
    """After any of its lines an output gives some of the same figures, or a refusal: never another figure."""
    data, whole = (FOLDER / f"{name}.txt").read_bytes(), read(name)
    for end in range(0, len(data), max(1, len(data) // 40)):
        try:
            told = read_output(Tool(format_of(name)), data[: data.rfind(b"\n", 0, end) + 1], b"")
        except Unreadable:
            continue
        assert told.figures.items() <= whole.figures.items()
