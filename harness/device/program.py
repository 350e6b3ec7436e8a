"""A native program as what is measured: one session of kind `binary` on an open board."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from harness.agent.message import SessionRequest
from harness.agent.spawn import NATIVE
from harness.device.envelope import SessionResult
from harness.device.runtime import SYSTEM

ELF = b"\x7fELF"
VARYING = "output-differs"
"""Flag of a session whose runs wrote different bytes."""


class Executing(Protocol):
    """What is needed of an open board."""

    def deploy(self, path: Path) -> str:
        """Bring a file to the board; return its sha256."""

    def measure(self, request: SessionRequest) -> SessionResult:
        """Run one session."""


def is_program(path: Path) -> bool:
    """Whether a file is an ELF executable or library, by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(ELF)) == ELF


def run_program(
    board: Executing, path: Path, argv: Sequence[str] = (), *, repeat: int = 3, deadline_s: float = 300.0
) -> SessionResult:
    """Run a program several times on a board, each time in a fresh process after one that warms up.

    Args:
        board: an open board.
        path: the program, for the board's architecture.
        argv: arguments after its name.
        repeat: runs that count, >= 1.
        deadline_s: for all runs together.

    Returns:
        `arrays["instructions"]` int64 (repeat,), where the board counts; `arrays["peak_bytes"]` int64 (repeat,);
        `reply.settings["output_sha256"]` of standard output and error together; `reply.log`: their end;
        `reply.flags`: `output-differs`, `no-counter:E`, `no-trace:E`, `note-network` (it could reach the network).
        `reply.error` when it failed: illegal_instruction, crash, run (exit status), load, memory, killed or timeout.

    Raises:
        LinkLost, InfraError, DeviceError: as a session of a model.
    """
    return board.measure(program_request(board.deploy(path), argv, repeat=repeat, deadline_s=deadline_s))


def program_request(
    program: str, argv: Sequence[str] = (), *, repeat: int = 3, deadline_s: float = 300.0
) -> SessionRequest:
    """Compose the session of `run_program` for a program that is on the board by its SHA-256."""
    return SessionRequest(
        nonce="",
        kind="binary",
        env=SYSTEM,
        runtime=NATIVE,
        model=program,
        suffix="",
        data="",
        warmup=1,
        repeat=repeat,
        deadline_s=deadline_s,
        argv=list(argv),
    )
