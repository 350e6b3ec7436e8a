"""llama-bench of llama.cpp: `-o json`, `-o jsonl` and the Markdown table that it prints by default.

Source: tools/llama-bench/README.md (output formats) and llama-bench.cpp, builds of 2023 to 2026: tests are pp (a
prompt), tg (writing) and pg (both); JSON has `avg_ts`, the table a column `t/s` with `mean ± standard deviation`.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from harness.spec.workload import Tool
from harness.stats.tool.output import NUMBER, Output, Told, Unreadable

PREFILL, DECODE = "tool.prefill_rate", "tool.decode_rate"
_TEST = re.compile(r"(pp|tg) ?(\d+)( @ d\d+)?")
_RATE = re.compile(rf"{NUMBER}(?: ± {NUMBER})?")


class _Test(NamedTuple):
    """One test: which metric it is, what it was, tokens per second."""

    metric: str
    name: str
    rate: float


def read_llama_bench(output: Output, tool: Tool) -> Told:
    """Read the rates of prompts and of writing; of several tests of one kind none is the metric.

    Raises:
        Unreadable: neither JSON nor table, or no such test in it.
    """
    del tool  # the format says all
    text = output.stdout.strip()
    tests = _from_json(text) if text[:1] in {"[", "{"} else _from_table(output)
    if not tests:
        raise Unreadable("llama-bench reports no test of a prompt (pp) or of writing (tg)")
    by_metric: dict[str, list[_Test]] = {}
    for test in tests:
        by_metric.setdefault(test.metric, []).append(test)
    single = {metric: found[0].rate for metric, found in by_metric.items() if len(found) == 1}
    several = {metric: tuple(test.name for test in found) for metric, found in by_metric.items() if len(found) > 1}
    return Told(single, several=several)


def _from_json(text: str) -> list[_Test]:
    try:
        entries = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
        found = [_entry(entry) for entry in entries]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Unreadable(f"not the JSON of llama-bench ({type(error).__name__})") from error
    return [test for test in found if test is not None]


def _entry(entry: dict[str, object]) -> _Test | None:
    prompt, written, depth = (int(str(entry.get(name, 0))) for name in ("n_prompt", "n_gen", "n_depth"))
    rate = float(str(entry["avg_ts"]))
    if bool(prompt) == bool(written):  # pg: both in one figure
        return None
    name = f"pp{prompt}" if prompt else f"tg{written}"
    return _Test(PREFILL if prompt else DECODE, name + (f" @ d{depth}" if depth else ""), rate)


def _from_table(output: Output) -> list[_Test]:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in output.lines if "|" in line]
    head = next((row for row in rows if "test" in row and "t/s" in row), None)
    if head is None:
        raise Unreadable("neither the JSON nor the table of llama-bench")
    found = []
    for row in rows[rows.index(head) + 1 :]:
        if len(row) != len(head):
            continue
        test = _TEST.fullmatch(row[head.index("test")])
        rate = _RATE.fullmatch(row[head.index("t/s")])
        if test and rate:
            metric = PREFILL if test[1] == "pp" else DECODE
            found.append(_Test(metric, f"{test[1]}{test[2]}{test[3] or ''}", float(rate[1])))
    return found
