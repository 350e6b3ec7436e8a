"""What the controller computes itself: outputs of the reference, and of a candidate where its board is to be compared.

Owns the cache `references/<hash of model, data and build>.npz`. One process at a time computes; the others wait for it
and read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import secrets
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.agent.message import SessionRequest
from harness.campaign.arm import generation_request
from harness.campaign.cell_files import CellFiles
from harness.campaign.incident import NO_WHEEL, UNUSABLE
from harness.device.runtime import requirement_of
from harness.errors import InfraError, RecordError, RunCancelled
from harness.records.header import HEADERS
from harness.records.plan import PlannedCell
from harness.spec.workload import Workload

if TYPE_CHECKING:
    import numpy as np

    from harness.farm.boards import Boards, OpenBoard, RuntimeEnvironment

Arrays = Mapping[str, "np.ndarray"]

WRITTEN = ("tokens", "nll", "best", "window_bytes", "probe_", "question_", "choice_", "check_")
"""What is kept of a language model's answers."""
CONTROLLER = "this machine"
"""Name of the lane that computes references; no board can have it, for its space."""


@dataclass(frozen=True, slots=True)
class Computation:
    """One model file on the evaluation data of a cell, in the default build of its runtime family."""

    model: Path
    sha256: str
    family: str
    data: Path
    data_sha256: str
    workload: Workload
    questions: Path | None = None
    questions_sha256: str = ""

    @property
    def build(self) -> str:
        """The requirement that provides the runtime on the controller."""
        return requirement_of(self.family, "")


@dataclass(frozen=True, slots=True)
class Computed:
    """What the controller computes: `outputs` waits for arrays `output_0` … or raises FleetgateError when it cannot."""

    build: str
    outputs: Callable[[], Arrays]
    path: Path = Path()
    """Where they lie, in the form of an .npz, once `outputs` has returned."""


@dataclass(frozen=True, slots=True)
class Controller:
    """What a cell may ask of the controller: the reference (None: no limit needs it), and its own artifact."""

    reference: Computed | None = None
    candidate: Computed | None = None


def of_reference(cell: PlannedCell, files: CellFiles) -> Computation:
    """Describe the computation of a cell's reference, which it must have."""
    assert cell.reference is not None
    assert files.reference is not None
    return _computation(cell, files, files.reference, cell.reference.sha256, files.reference_runtime)


def of_candidate(cell: PlannedCell, files: CellFiles) -> Computation:
    """Describe the computation of a cell's own artifact."""
    return _computation(cell, files, files.model, cell.model.sha256, cell.runtime)


def _computation(cell: PlannedCell, files: CellFiles, model: Path, sha256: str, family: str) -> Computation:
    questions = cell.questions.sha256 if cell.questions else ""
    return Computation(
        model, sha256, family, files.data, cell.data.sha256, cell.workload, files.questions, questions
    )  # fmt: skip


class ReferenceCache:
    """Outputs by what they follow from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, computation: Computation) -> Path:
        """Name the cache file of a computation."""
        text = f"{computation.sha256} {computation.data_sha256} {computation.build} {computation.workload.batch}"
        asked = generation_request(
            computation.workload,
            compared="",
            questions=computation.questions_sha256,
            probes=_probes(computation.workload),
        )
        if asked is not None:
            text += json.dumps(dataclasses.asdict(asked), sort_keys=True)
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


def compute(board: OpenBoard, computation: Computation) -> dict[str, np.ndarray]:
    """Run a model on the controller.

    Returns:
        Arrays `output_0` …, float32, first axis = sample; of a language model those of `WRITTEN`.

    Raises:
        InfraError: it does not run there.
    """
    runtime = _ensure_runtime(board, computation)
    workload = computation.workload
    asked = computation.questions
    questions = _deploy(board, asked, computation.questions_sha256) if asked else ""
    request = SessionRequest(
        nonce=secrets.token_hex(16),
        kind="accuracy",
        env=runtime.id,
        runtime=computation.family,
        model=_deploy(board, computation.model, computation.sha256),
        suffix=computation.model.suffix,
        data=_deploy(board, computation.data, computation.data_sha256),
        batch=workload.batch,
        repeat=workload.repeat,
        deadline_s=workload.deadline_s,
        count_work=False,
        generation=generation_request(workload, compared="", questions=questions, probes=_probes(workload)),
    )
    seen = board.measure(request)
    if seen.reply.error is not None:
        raise InfraError(f"{computation.model.name}: {seen.reply.error.get('message', 'failed')}", code=UNUSABLE)
    kept = ("output_",) if workload.generation is None else WRITTEN
    return {name: array for name, array in seen.arrays.items() if name.startswith(kept)}


def _probes(workload: Workload) -> int:
    return workload.generation.probes if workload.generation else 0


def _ensure_runtime(board: OpenBoard, computation: Computation) -> RuntimeEnvironment:
    """Bring the runtime; one that has no build for this machine takes this computation away, not the others."""
    try:
        return board.ensure_runtime(computation.family, computation.build)
    except InfraError as error:
        raise InfraError(str(error), code=UNUSABLE if error.code == NO_WHEEL else error.code) from error


def _deploy(board: OpenBoard, path: Path, planned_sha256: str) -> str:
    digest = board.deploy(path)
    if digest != planned_sha256:
        raise InfraError(f"{path.name} was changed after it was planned", code="integrity")
    return digest


def read_labels(data: Path) -> np.ndarray | None:
    """Read the labels `y` of the evaluation data, or None when it has none."""
    import numpy as np

    try:
        with HEADERS, np.load(data, allow_pickle=False) as stored:
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
