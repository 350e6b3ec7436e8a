"""What a session of a tool promises, whatever the tool is: tried with small shell scripts on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.agent.frame import Frame
from harness.agent.tool import MAX_OUTPUT
from harness.testing.agent import LocalAgent

MODEL = b"a model\n"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAgent]:
    """This machine as a board."""
    with LocalAgent(tmp_path_factory.mktemp("board")) as agent:
        agent.hello()
        yield agent


def run(agent: LocalAgent, script: str, *argv: str, **fields: Any) -> Frame:
    """Send a shell script as the tool and run it once."""
    stored = agent.put(f"#!/bin/sh\n{script}\n".encode())
    return ask(agent, {"stored": stored, "argv": list(argv)}, **fields)


def ask(agent: LocalAgent, tool: dict[str, Any] | None, **fields: Any) -> Frame:
    """Ask for one session."""
    asked: dict[str, Any] = {
        "nonce": "n", "kind": "timing", "env": "system", "runtime": "command", "model": agent.put(MODEL),
        "suffix": ".onnx", "data": "", "repeat": 7, "warmup": 3, "deadline_s": 30.0, "tool": tool,
    }  # fmt: skip
    return agent.ask("session", **{**asked, **fields})


def output(reply: Frame, name: str) -> str:
    """Give one output of the tool."""
    assert reply.header["ok"], reply.header
    assert reply.header["error"] is None, reply.header["error"]
    spec = next((spec for spec in reply.header["arrays"] if spec["name"] == name), None)
    return reply.payload[spec["offset"] : spec["offset"] + spec["nbytes"]].decode() if spec else ""


def failure(reply: Frame) -> tuple[str, str]:
    """Give code and message of a session that failed."""
    assert reply.header["ok"], reply.header
    return reply.header["error"]["code"], reply.header["error"]["message"]


def test_both_outputs_come_back_whole(agent: LocalAgent) -> None:
    """Standard output and error are kept apart and as they are; an output that is empty is none."""
    reply = run(agent, "printf 'out\\n\\001'; printf err >&2")

    assert (output(reply, "stdout"), output(reply, "stderr")) == ("out\n\x01", "err")
    assert not output(run(agent, "true"), "stdout")


def test_placeholders_are_filled_in_and_no_shell_reads_them(agent: LocalAgent) -> None:
    """The tool gets the model's bytes under the user's suffix, the numbers, and every other word as it was written."""
    script = 'cat "$1"; echo "$1" | sed "s/.*model/model/"; shift; printf "%s\\n" "$@"'
    data = agent.put(b"data")
    words = ("--model={model}", "{threads}", "{repeat}/{warmup}", "$(id) ; {other}", '{"a": 1}')

    told = output(run(agent, script.replace('cat "$1"', 'cat "${1#--model=}"'), *words, data=data), "stdout")

    assert told.splitlines() == ["a model", "model.onnx", "1", "7/3", "$(id) ; {other}", '{"a": 1}']
    assert output(run(agent, 'cat "$1"', "{data}", data=data), "stdout") == "data"


def test_provenance_is_told(agent: LocalAgent) -> None:
    """The reply names the tool by its bytes, the model that it was given, and that no network was near."""
    header = run(agent, "true").header

    assert header["model_sha256"] == agent.put(MODEL)
    assert header["settings"]["tool_sha256"] == agent.put(b"#!/bin/sh\ntrue\n")
    assert header["runtime_version"] == f"sent sha256:{header['settings']['tool_sha256'][:12]}"
    assert (header["provider"], header["threads"]) == ("command", 1)
    assert header["scalars"]["elapsed_s"] > 0
    assert header["scalars"]["hwm_bytes"] > 100_000


def test_a_program_of_the_board_is_found_in_its_path(agent: LocalAgent) -> None:
    """A name is looked up in PATH; what is not there is the board's lack and no failure of the model."""
    assert output(ask(agent, {"program": "echo", "argv": ["hello"]}), "stdout") == "hello\n"

    code, message = failure(ask(agent, {"program": "no-such-tool", "argv": []}))
    assert code == "tool"
    assert "no-such-tool" in message


def test_failures_say_what_the_tool_said(agent: LocalAgent) -> None:
    """An exit status, a crash and a file that is no program are told apart, with the tool's last words."""
    code, message = failure(run(agent, "echo cannot read this; exit 3"))
    assert code == "run"
    assert "exit status 3" in message
    assert "cannot read this" in message
    assert failure(run(agent, "kill -SEGV $$"))[0] == "crash"
    assert failure(ask(agent, {"stored": agent.put(b"\x00\x01"), "argv": []}))[0] == "load"


def test_time_and_output_are_bounded(agent: LocalAgent) -> None:
    """A tool that never ends is ended at its deadline, one that writes without end at the limit; nothing is left."""
    assert failure(run(agent, "sleep 60", deadline_s=0.5))[0] == "timeout"
    code, message = failure(run(agent, "exec yes"))
    assert code == "run"
    assert "File too large" in message
    assert MAX_OUTPUT < 16 << 20
    assert not os.path.exists(Path(agent.root) / "active" / "tool")


@pytest.mark.parametrize(
    ("tool", "fields"),
    [
        (None, {}),
        ({"argv": []}, {}),
        ({"program": "true", "stored": "0" * 64, "argv": []}, {}),
        ({"program": "true", "argv": ["a\0b"]}, {}),
        ({"program": "true", "argv": [1]}, {}),
        ({"program": "true", "argv": []}, {"kind": "accuracy"}),
        ({"program": "true", "argv": []}, {"runtime": "onnxruntime"}),
    ],
)
def test_malformed_requests_are_refused(agent: LocalAgent, tool: dict[str, Any] | None, fields: dict[str, Any]) -> None:
    """A session without a tool, with two, or of another kind is no request."""
    assert ask(agent, tool, **fields).header["error"]["code"] == "request"


def test_data_that_nobody_named_is_the_users_mistake(agent: LocalAgent) -> None:
    """A tool that is to get {data} without data is not run."""
    assert failure(run(agent, "true", "{data}"))[0] == "input"
