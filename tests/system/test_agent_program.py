"""Native programs on this machine: counted, hashed and followed to their end, whatever that is."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.agent.frame import Frame
from harness.testing.agent import LocalAgent
from harness.testing.native import EXITS, ILLEGAL, LOOPS, SAYS_HI, elf

HERE = platform.machine()
OTHER = {"x86_64": "aarch64", "aarch64": "x86_64"}

pytestmark = [pytest.mark.system, pytest.mark.skipif(HERE not in EXITS, reason="no machine code for this architecture")]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAgent]:
    """An agent on this machine."""
    with LocalAgent(tmp_path_factory.mktemp("board") / "root") as agent:
        agent.hello()
        yield agent


def execute(agent: LocalAgent, program: bytes, **fields: Any) -> Frame:
    """Run a program."""
    asked = {
        "nonce": "n", "kind": "binary", "env": "system", "runtime": "native", "suffix": "", "data": "",
        "model": agent.put(program), "warmup": 1, "repeat": 3, "deadline_s": 60.0,
    }  # fmt: skip
    reply = agent.ask("session", **{**asked, **fields})
    assert reply.header["ok"], reply.header
    return reply


def array(reply: Frame, name: str) -> Any:
    """Decode one array."""
    (spec,) = [spec for spec in reply.header["arrays"] if spec["name"] == name]
    return np.frombuffer(reply.payload, spec["dtype"], spec["shape"][0], spec["offset"])


def test_program_is_run_and_its_output_hashed(agent: LocalAgent) -> None:
    """Each run's peak is the program's own, not that of the Python that started it."""
    reply = execute(agent, elf(HERE, SAYS_HI[HERE]))

    assert reply.header["error"] is None, reply.header
    # printf 'hi\n' | sha256sum
    said = "98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4"
    assert reply.header["settings"]["output_sha256"] == said
    assert reply.header["log"] == "hi\n"
    assert array(reply, "peak_bytes").shape == (3,)
    assert 0 < array(reply, "peak_bytes").max() < 1 << 20


def test_real_program_gets_its_arguments(agent: LocalAgent) -> None:
    """A program with libraries of the board runs; its instructions are counted, or it is said why not."""
    reply = execute(agent, Path("/bin/cat").read_bytes(), argv=["/proc/net/dev"])

    assert reply.header["error"] is None, reply.header
    assert ("eth0" in reply.header["log"]) <= ("note-network" in reply.header["flags"])
    counted = [spec["name"] for spec in reply.header["arrays"]]
    assert ("instructions" in counted) != any(flag.startswith("no-counter:E") for flag in reply.header["flags"])


@pytest.mark.parametrize(
    ("program", "code", "words"),
    [
        (elf(HERE, ILLEGAL.get(HERE, b"")), "illegal_instruction", "signal 4 (SIGILL)"),
        (elf(HERE, LOOPS.get(HERE, b"")), "timeout", "still running after 2 s"),
        (elf(HERE, b"\0" * 16 if HERE == "x86_64" else b"\x00\x00\x40\xf9" * 4), "crash", "(SIGSEGV)"),
        (elf(OTHER.get(HERE, "aarch64"), b"\0" * 8), "load", "Exec format error"),
        (b"no program", "load", "Exec format error"),
        (Path("/bin/false").read_bytes(), "run", "exit status 1"),
    ],
    ids=["illegal", "endless", "fault", "other-machine", "text", "status"],
)
def test_program_that_fails_says_how(agent: LocalAgent, program: bytes, code: str, words: str) -> None:
    """The agent lives on and runs the next one."""
    reply = execute(agent, program, deadline_s=2.0 if code == "timeout" else 60.0).header

    assert reply["error"]["code"] == code, reply
    assert words in reply["error"]["message"]
    assert reply["arrays"] == []
    assert execute(agent, elf(HERE, EXITS[HERE])).header["error"] is None


def test_illegal_instruction_of_a_program_is_read_by_who_follows_it(agent: LocalAgent) -> None:
    """The word at the program counter and the file come along."""
    error = execute(agent, elf(HERE, ILLEGAL[HERE])).header["error"]

    assert error["instruction"].startswith(ILLEGAL[HERE].hex())
    assert error["pc"] == "0x400078"
    assert error["where"].endswith("+0x78")


def test_arguments_are_checked(agent: LocalAgent) -> None:
    """What cannot be an argument is refused before anything runs."""
    digest = agent.put(elf(HERE, EXITS[HERE]))
    asked: dict[str, Any] = {"nonce": "n", "kind": "binary", "env": "system", "runtime": "native", "data": ""}

    reply = agent.ask("session", **asked, suffix="", model=digest, argv=["a\0b"]).header

    assert reply["error"]["code"] == "request"
