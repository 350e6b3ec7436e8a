"""The `tool:` part of a workload: a program that measures a model by its own means, and what its output says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, WithJsonSchema

from harness import units
from harness.errors import Problem
from harness.spec.form import Form, MetricName, check_remote_path, one_of
from harness.spec.metric import METRICS, TOOL
from harness.spec.task_key import check_task_key
from harness.spec.tree import Document, Location
from harness.spec.validate import Refusal, quoted, suggest
from harness.spec.workload import ToldFigure, Tool
from harness.units import Dimension

FAMILY = "command"
"""The runtime of artifacts that a tool measures."""
JSON = "json"
FORMATS = (JSON, "llama-bench", "benchmark_model", "onnxruntime_perf_test", "trtexec")
"""How a tool prints what it found; `harness.stats.tool` reads them."""
PLACEHOLDERS = ("model", "data", "threads", "repeat", "warmup")
_BRACED = re.compile("{([a-z_]+)}")
_PATH = re.compile(r"[^.\s]+(?:\.[^.\s]+)*")
_MOST_ARGV = 16 << 10
"""Bytes: they travel in the request of each session."""


class ToldForm(Form):
    """Where a figure stands in the JSON of a tool."""

    noun: ClassVar[str] = "a figure"
    path: str = Field(
        description="Keys and indices joined by dots; `*`: of every element.",
        examples=["timings.mean_us", "runs.*.ms"],
        min_length=1,
        max_length=400,
    )
    unit: str = Field(description="Unit of the tool's figure.", examples=["us", "/s"], min_length=1, max_length=8)


class ToolForm(Form):
    """A tool on the board, or one that the suite brings."""

    noun: ClassVar[str] = "a tool"
    program: str = Field(
        default="",
        description="Name in the board's PATH (a device may say where, under `tools:`), or path on the board.",
        examples=["llama-bench"],
        min_length=1,
    )
    file: str = Field(
        default="", description="Executable beside the suite, which is sent.", examples=["bench.py"], min_length=1
    )
    argv: list[Annotated[str, Field(max_length=4096)]] = Field(
        default=[],
        description="Arguments; {model}, {data}, {threads}, {repeat} and {warmup} are filled in. No shell reads them.",
        examples=[["-m", "{model}", "-t", "{threads}", "-r", "{repeat}", "-o", "json"]],
        max_length=256,
    )
    format: Annotated[str, one_of("format", FORMATS), WithJsonSchema({"type": "string", "enum": list(FORMATS)})] = (
        Field(description="What its output is: `json` with `figures` or `samples`, or a tool whose output is known.")
    )
    figures: dict[MetricName, ToldForm] = Field(
        default={},
        description="`format: json`: where each metric of `tool.*` stands.",
        examples=[{"tool.latency.p95": {"path": "p95", "unit": "ms"}}],
    )
    samples: ToldForm | None = Field(
        default=None,
        description="`format: json`: where the times of single inferences stand; mean and quantiles are computed.",
        examples=[{"path": "runs.*.ms", "unit": "ms"}],
    )


def resolve(form: ToolForm, folder: Path) -> Tool:
    """Give what a form says; it was checked."""
    told = [_figure(metric, entry) for metric, entry in form.figures.items()]
    if form.samples is not None:
        told.append(_figure("", form.samples))
    return Tool(
        format=form.format,
        argv=tuple(form.argv),
        program=form.program,
        file=str((folder / form.file).absolute()) if form.file else "",
        figures=tuple(told),
    )


def check(document: Document, form: ToolForm | None, problems: list[Problem]) -> None:
    """Add what is wrong with the tool of a suite that is otherwise well-formed."""
    problems += check_task_key(document, TOOL, is_there=form is not None, example="{program: …, format: …}")
    if form is None:
        return
    if any(key.text == "sustain" for key, _ in document.keys(["workload"])):
        where = document.find(["workload", "sustain"], key=True)
        problems.append(document.problem(where, "a tool decides itself how long it runs", "remove the key"))
    has_data = bool(document.text(["workload", "data"]))
    for place, message, hint in (*_program_mistakes(form), *_argv_mistakes(form, has_data), *_format_mistakes(form)):
        problems.append(document.problem(document.find(["workload", "tool", *place]), message, hint))


_Mistakes = list[tuple[Location, str, str]]


def _program_mistakes(form: ToolForm) -> _Mistakes:
    if bool(form.program) == bool(form.file):
        return [((), "a tool is named by 'program' or by 'file'", "one of both")]
    if not form.program:
        return []
    try:
        check_remote_path(form.program)
    except Refusal as refusal:
        return [(["program"], str(refusal), refusal.hint)]
    return []


def _argv_mistakes(form: ToolForm, has_data: bool) -> _Mistakes:
    found: _Mistakes = []
    for at, word in enumerate(form.argv):
        if "\0" in word:
            found.append((["argv", at], "an argument holds no NUL", ""))
        for name in _BRACED.findall(word):
            if name not in PLACEHOLDERS:
                found.append((["argv", at], f"unknown placeholder {quoted(name)}", suggest(name, PLACEHOLDERS)))
            if name == "data" and not has_data:
                found.append((["argv", at], "{data} is filled in by the key 'data' of the workload", "data: FILE"))
    if not any("{model}" in word for word in form.argv):
        found.append((["argv"], "the tool is not told which model", "write {model} into an argument"))
    if sum(len(word) for word in form.argv) > _MOST_ARGV:
        found.append((["argv"], f"the arguments are longer than {_MOST_ARGV >> 10} KiB together", ""))
    return found


def _format_mistakes(form: ToolForm) -> _Mistakes:
    told = bool(form.figures) or form.samples is not None
    if form.format != JSON:
        mistake = (["format"], f"what {form.format} prints is known: 'figures' and 'samples' are for json", "")
        return [mistake] if told else []
    if not told:
        return [(["format"], "json needs 'figures' or 'samples'", "figures: {tool.latency.p95: {path: …, unit: ms}}")]
    found: _Mistakes = []
    for metric, entry in form.figures.items():
        if not METRICS[metric].told:
            found.append((["figures", metric], f"a tool does not report {metric}", "use tool.*"))
        else:
            found += _told_mistakes(["figures", metric], entry, METRICS[metric].dimension)
    if form.samples is not None:
        found += _told_mistakes(["samples"], form.samples, Dimension.TIME)
    return found


def _told_mistakes(place: list[str], entry: ToldForm, dimension: Dimension) -> _Mistakes:
    found: _Mistakes = []
    if not _PATH.fullmatch(entry.path):
        found.append(([*place, "path"], f"{quoted(entry.path)} is no path", "keys and indices joined by dots"))
    try:
        units.parse(f"1 {entry.unit}", dimension)
    except units.QuantityError as error:
        found.append(([*place, "unit"], error.message, error.hint))
    return found


def _figure(metric: str, entry: ToldForm) -> ToldFigure:
    dimension = METRICS[metric].dimension if metric else Dimension.TIME
    return ToldFigure(metric, entry.path, units.parse(f"1 {entry.unit}", dimension))
