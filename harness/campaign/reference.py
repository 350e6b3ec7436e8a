"""The reference: its outputs on the evaluation data, computed once on the controller and kept in the user's cache.

Owns the cache `references/<hash of model, data and build>.npz`. One process at a time computes; the others wait for it
and read.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import secrets
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.agent.message import SessionRequest
from harness.campaign.incident import UNUSABLE
from harness.campaign.plan import CellFiles
from harness.device.runtime import requirement_of
from harness.errors import InfraError, RecordError, RunCancelled
from harness.records.plan import PlannedCell

if TYPE_CHECKING:
    import numpy as np

    from harness.farm.boards import Boards, OpenBoard

CONTROLLER = "this machine"
"""Name of the lane that computes references; no board can have it, for its space."""


class ReferenceCache:
    """Outputs of references by what they follow from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, cell: PlannedCell, files: CellFiles) -> Path:
        """Name the cache file of a cell's reference."""
        assert cell.reference is not None
        build = requirement_of(files.reference_runtime, "")
        text = f"{cell.reference.sha256} {cell.data.sha256} {build} {cell.workload.batch}"
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()}.npz"

    def read(self, path: Path) -> Mapping[str, np.ndarray] | None:
        """Read outputs, or None when they are not there or not readable."""
        from harness.store.samples import unpack

        try:
            return unpack(path.read_bytes(), path.name)
        except (OSError, RecordError):
            return None

    def write(self, path: Path, outputs: Mapping[str, np.ndarray]) -> None:
        """Write outputs whole or not at all."""
        from harness.store.file import write_whole
        from harness.store.samples import pack

        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, pack(outputs))


def compute(board: OpenBoard, cell: PlannedCell, files: CellFiles) -> dict[str, np.ndarray]:
    """Run the reference on the controller.

    Returns:
        Arrays `output_0` …, float32, first axis = sample.

    Raises:
        InfraError: the reference does not run; without it nothing can be said about the candidate.
    """
    assert files.reference is not None
    family = files.reference_runtime
    runtime = board.ensure_runtime(family, requirement_of(family, ""))
    request = SessionRequest(
        nonce=secrets.token_hex(16),
        kind="accuracy",
        env=runtime.id,
        runtime=family,
        model=board.deploy(files.reference),
        suffix=files.reference.suffix,
        data=board.deploy(files.data),
        batch=cell.workload.batch,
        repeat=cell.workload.repeat,
        deadline_s=cell.workload.deadline_s,
        count_work=False,
    )
    seen = board.measure(request)
    if seen.reply.error is not None:
        raise InfraError(f"{files.reference.name}: {seen.reply.error.get('message', 'failed')}", code=UNUSABLE)
    return {name: array for name, array in seen.arrays.items() if name.startswith("output_")}


def read_labels(data: Path) -> np.ndarray | None:
    """Read the labels `y` of the evaluation data, or None when it has none."""
    import numpy as np

    try:
        with np.load(data, allow_pickle=False) as stored:
            return stored["y"].astype(np.int64) if "y" in stored.files else None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InfraError(f"cannot read {data.name}: {error}", code="data") from error


@contextlib.contextmanager
def controller(boards: Boards, root: Path, cancel: threading.Event) -> Iterator[OpenBoard]:
    """Open the controller as a board, one process of this user at a time."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "reference.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if cancel.is_set():
                    raise RunCancelled("the run was cancelled") from None
                time.sleep(0.1)
        with boards.open_local(root, progress=lambda _text: None) as board:
            yield board
