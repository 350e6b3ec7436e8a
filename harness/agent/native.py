"""The frame of a session that runs a native program: stages, refusals, and the way back of what came of it.

Knows nothing of what the program is run for.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.agent import process
from harness.agent.frame import encode_head, send_frame
from harness.agent.refusal import Refusal, from_os_error

if TYPE_CHECKING:
    from harness.agent.message import SessionRequest
    from harness.agent.program import Program
    from harness.agent.tool import Tool


def serve(request: SessionRequest, result_fd: int, job: Program | Tool, doing: str) -> None:
    """Do a job and write its result frame to `result_fd`.

    Args:
        request: the session, with the cores to run on.
        result_fd: where its stage and its result go.
        job: what is done; it is closed in any case.
        doing: words for what the system refuses meanwhile.
    """
    os.set_inheritable(result_fd, False)
    error: dict[str, object] | None
    cores: list[int] = []
    try:
        cores = process.pin(request.cores, request.threads)
        os.write(result_fd, encode_head({"stage": "run"}, 0))
        error = job.measure()
    except Refusal as refusal:
        error = refusal.to_wire()
    except OSError as failure:
        error = from_os_error(failure, doing).to_wire()
    finally:
        job.close()
    header = dict(job.describe(), cores=cores, error=error, arrays=[], scalars={})
    send_frame(result_fd, header, job.pack(header) if error is None else b"")
