"""Suites of tools: what they may say, and that each mistake is told at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.campaign.plan import plan_cell
from harness.campaign.session import sessions_of, wanted_by_limits
from harness.errors import SpecError
from harness.gate.tier import forbidden
from harness.records.cell import SessionKind
from harness.spec import load_farm, load_suite
from harness.spec.model import Device, Suite
from harness.spec.workload import ToldFigure, Tool

JSON = """{program: bench, argv: ["{model}", "-r", "{repeat}"], format: json,
    figures: {tool.load.time: {path: l.us, unit: us}}, samples: {path: runs.*.ms, unit: ms}}"""
BENCH = '{program: llama-bench, argv: ["-m", "{model}"], format: llama-bench}'
SUITE = f"""\
suite: t
workload:
  task: tool
  repeat: 20
  tool: {BENCH}
artifacts:
  a: {{file: a.gguf, runtime: command, baseline: b.gguf}}
gates:
  all:
    tool.decode_rate: {{min: 5 /s, regress: 5 %}}
    storage.size: {{max: 1 MiB}}
"""
FARM = """\
farm: f
devices:
  - {name: pi, profile: rpi5, ssh: pi, tools: {llama-bench: /opt/llama/llama-bench}}
  - {name: a72, profile: qemu-cortex-a72}
"""


def load(folder: Path, text: str = SUITE) -> Suite:
    """Read a suite beside its files."""
    for name in ("a.gguf", "b.gguf", "bench.sh", "reference.onnx"):
        (folder / name).write_bytes(name.encode())
    (folder / "t.suite.yaml").write_text(text)
    return load_suite(folder / "t.suite.yaml")


def boards(folder: Path) -> dict[str, Device]:
    """Read the farm."""
    (folder / "farm.yaml").write_text(FARM)
    return {device.name: device for device in load_farm(folder / "farm.yaml").devices}


def mistake(folder: Path, text: str) -> str:
    """Give what is said of a suite that is wrong."""
    with pytest.raises(SpecError) as caught:
        load(folder, text)
    return str(caught.value)


def test_a_tool_of_the_board(tmp_path: Path) -> None:
    """Program, arguments and format arrive; data may be absent."""
    suite = load(tmp_path)

    assert suite.workload.tool == Tool("llama-bench", ("-m", "{model}"), program="llama-bench")
    assert suite.workload.data == ""


def test_json_says_where_figures_stand(tmp_path: Path) -> None:
    """Paths and units become figures and their scale."""
    tool = load(tmp_path, SUITE.replace(BENCH, JSON)).workload.tool

    assert tool is not None
    assert tool.figures == (
        ToldFigure("tool.load.time", "l.us", 1e-6),
        ToldFigure("", "runs.*.ms", 1e-3),
    )


def test_a_plan_says_which_program_runs(tmp_path: Path) -> None:
    """A device may say where the tool lies; a file of the suite is planned by its bytes."""
    devices, suite = boards(tmp_path), load(tmp_path)
    sent = load(tmp_path, SUITE.replace("program: llama-bench", "file: bench.sh"))
    programs = []
    for device in devices.values():
        tool = plan_cell(suite, suite.artifacts[0], device, limits=())[0].workload.tool
        assert tool is not None
        programs.append(tool.program)

    planned, files = plan_cell(sent, sent.artifacts[0], devices["pi"], limits=())

    assert programs == ["/opt/llama/llama-bench", "llama-bench"]
    assert planned.workload.tool is not None
    assert (planned.workload.tool.file, len(planned.workload.tool.sha256)) == ("bench.sh", 64)
    assert files.tool == tmp_path / "bench.sh"
    assert (planned.build, planned.workload.data, planned.data.sha256) == ("system", "", planned.model.sha256)


def test_only_timing_and_memory_sessions_run_a_tool(tmp_path: Path) -> None:
    """A tool shows no answers, so that no accuracy session is asked for; its own runs say that the model loads."""
    suite, device = load(tmp_path), boards(tmp_path)["a72"]
    limits = tuple(limit for limit in suite.gates[0].limits if limit.metric == "storage.size")
    cell, _ = plan_cell(suite, suite.artifacts[0], device, limits=limits)

    kinds = {session.kind for session in sessions_of(cell, device, wanted_by_limits(cell))}

    assert kinds == {SessionKind.TIMING}


def test_a_time_that_a_tool_tells_is_a_time(tmp_path: Path) -> None:
    """Without an instruction clock an emulated board says nothing of it, however it was taken."""
    devices, limit = boards(tmp_path), load(tmp_path).gates[0].limits[0]

    assert "time of an emulated board is the host's" in forbidden(limit, devices["a72"])
    assert forbidden(limit, devices["pi"]) == ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  task: tool", "  task: parity", "'tool' goes with 'task: tool' alone"),
        (f"  tool: {BENCH}\n", "", "a tool suite needs the key 'tool'"),
        ("program: llama-bench, ", "", "named by 'program' or by 'file'"),
        ("program: llama-bench", "program: llama-bench, file: bench.sh", "named by 'program' or by 'file'"),
        ("program: llama-bench", "file: bnch.sh", "no such file"),
        ("program: llama-bench", 'program: "a; rm"', "is not a path on a board"),
        ('"{model}"', '"{modell}"', "unknown placeholder 'modell' (did you mean 'model'"),
        ('"{model}"', '"model"', "the tool is not told which model"),
        ('"{model}"', '"{model}", "{data}"', "{data} is filled in by the key 'data'"),
        ("format: llama-bench", "format: json", "json needs 'figures' or 'samples'"),
        ("format: llama-bench", "format: llama", "unknown format 'llama'"),
        (
            "format: llama-bench",
            "format: llama-bench, samples: {path: x, unit: ms}",
            "what llama-bench prints is known",
        ),
        (BENCH, JSON.replace("unit: us", "unit: B"), "'1 B' is not a time"),
        (BENCH, JSON.replace("l.us", "l..us"), "is no path"),
        (BENCH, JSON.replace("tool.load.time", "load.time"), "a tool does not report load.time"),
        ("  repeat: 20", "  sustain: 20 min", "a tool decides itself how long it runs"),
        ("runtime: command", "runtime: llamacpp", "llamacpp does not do 'task: tool'"),
        ("runtime: command", "runtime: command, provider: CUDA", "told its provider by its argv"),
        ("runtime: command", "runtime: command, build: x==1", "command is no package"),
        ("artifacts:", "reference: reference.onnx\nartifacts:", "no outputs to compare with a reference"),
        ("storage.size: {max: 1 MiB}", "latency.p50: {max: 1 s}", "latency.p50 is not measured by 'task: tool'"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Each mistake is one sentence with its place."""
    assert old in SUITE

    found = mistake(tmp_path, SUITE.replace(old, new))

    assert said in found
    assert "t.suite.yaml:" in found


def test_other_tasks_need_their_own_runtime_and_data(tmp_path: Path) -> None:
    """Neither does `command` classify, nor does a gate of a tool belong elsewhere, nor is data optional there."""
    text = SUITE.replace("task: tool", "task: parity").replace(f"  tool: {BENCH}\n", "")

    found = mistake(tmp_path, text)

    assert "command does not do 'task: parity'" in found
    assert "a workload needs the key 'data'" in found
    assert "tool.decode_rate is not measured by 'task: parity' (use 'task: tool')" in found
