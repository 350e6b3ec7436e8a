"""JSON of a tool whose figures the suite finds by path: `timings.mean_us`, `runs.*.ms`."""

from __future__ import annotations

import json

from harness.spec.workload import ToldFigure, Tool
from harness.stats.tool.output import Output, Told, Unreadable

EACH = "*"
MOST_TIMES = 1_000_000


def read_json(output: Output, tool: Tool) -> Told:
    """Read the figures that the suite names; the document is all of standard output, or its last line that is one.

    Raises:
        Unreadable: no JSON, or a path that leads to no number.
    """
    document = _parse(output.stdout)
    figures: dict[str, float] = {}
    times: tuple[float, ...] = ()
    for wanted in tool.figures:
        found = [value * wanted.scale for value in _numbers(document, wanted)]
        if not wanted.metric:
            times = tuple(found)
        elif len(found) == 1:
            figures[wanted.metric] = found[0]
        else:
            raise Unreadable(f"{wanted.path!r} leads to {len(found)} numbers, {wanted.metric} is one")
    return Told(figures, times)


def _parse(text: str) -> object:
    candidates = [text, *reversed([line for line in text.splitlines() if line.startswith("{")][-1:])]
    for candidate in candidates:
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError):
            continue
    raise Unreadable("the output of the tool is no JSON")


def _numbers(document: object, wanted: ToldFigure) -> list[float]:
    found: list[object] = [document]
    parts = wanted.path.split(".")
    for depth, part in enumerate(parts):
        found = [value for node in found for value in _step(node, part, ".".join(parts[: depth + 1]))]
        if len(found) > MOST_TIMES:
            raise Unreadable(f"{wanted.path!r} leads to more than {MOST_TIMES} values")
    if len(found) == 1 and isinstance(found[0], list):  # a list of numbers needs no star
        found = list(found[0])
    numbers = [float(value) for value in found if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(found) or not numbers:
        raise Unreadable(f"{wanted.path!r} leads to no number")
    return numbers


def _step(node: object, part: str, path: str) -> list[object]:
    if part == EACH and isinstance(node, list | dict):
        return list(node.values() if isinstance(node, dict) else node)
    if isinstance(node, dict) and part in node:
        return [node[part]]
    if isinstance(node, list) and part.isdecimal() and len(part) < 10 and int(part) < len(node):
        return [node[int(part)]]
    raise Unreadable(f"the JSON has nothing at {path!r}")
