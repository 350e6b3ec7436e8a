"""A native program as what is measured: one session of kind `binary` on an open board."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.agent.message import SessionRequest
from harness.agent.spawn import NATIVE
from harness.device.runtime import SYSTEM

ELF = b"\x7fELF"
VARYING = "output-differs"
"""Flag of a session whose runs wrote different bytes."""


def is_program(path: Path) -> bool:
    """Whether a file is an ELF executable or library, by its first bytes."""
    with path.open("rb") as file:
        return file.read(len(ELF)) == ELF


def program_request(
    program: str, argv: Sequence[str] = (), *, repeat: int = 3, deadline_s: float = 300.0
) -> SessionRequest:
    """Compose the session of a program: several runs, each in a fresh process, after one that warms up.

    Args:
        program: SHA-256 of the program, for the board's architecture, in the board's store.
        argv: arguments after its name.
        repeat: runs that count, >= 1.
        deadline_s: for all runs together.

    Returns:
        The request. What answers it has `arrays["instructions"]` int64 (repeat,), where the board counts;
        `arrays["peak_bytes"]` int64 (repeat,); `reply.settings["output_sha256"]` of standard output and error together;
        `reply.log`: their end; `reply.flags`: `output-differs`, `no-counter:E`, `no-trace:E`, `note-network` (it could
        reach the network); `reply.error` when it failed: illegal_instruction, crash, run (exit status), load, memory,
        killed or timeout.
    """
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
