"""The files of a cell: where they lie on the controller, and by which hashes a plan names them.

Owns both; reads files only to hash them.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from harness.errors import Problem, SpecError
from harness.records.plan import FileIdentity
from harness.records.profile import Profile
from harness.spec.model import Artifact, Device, Origin, Suite
from harness.spec.workload import Generation, Workload

SUFFIX_RUNTIMES = {
    ".onnx": "onnxruntime",
    ".ort": "onnxruntime",
    ".tflite": "tflite",
    ".gguf": "llamacpp",
    ".pte": "executorch",
}


@dataclass(frozen=True, slots=True)
class CellFiles:
    """Where the files of a cell lie on the controller; the plan itself names them only by hash."""

    model: Path
    data: Path
    baseline: Path | None = None
    reference: Path | None = None
    reference_runtime: str = ""
    questions: Path | None = None
    checker: str = ""
    """`file.py:function`, the file absolute."""
    tool: Path | None = None
    """A tool that the suite brings."""
    recorded_profile: Profile | None = None
    """What each operator cost in the committed baseline, if it says so."""


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """The files of a cell as a plan names them: relative to the suite's folder, with hash and size."""

    model: FileIdentity
    data: FileIdentity
    baseline: FileIdentity | None
    reference: FileIdentity | None
    questions: FileIdentity | None
    checker: FileIdentity | None
    tool: FileIdentity | None

    def in_workload(self, workload: Workload, device: Device) -> Workload:
        """Name them in the workload, too, and say where on the board a tool lies that is not sent."""
        asked, tool = workload.generation, workload.tool
        if asked is not None:
            function = asked.checker.rpartition(":")[2]
            checker = f"{self.checker.name}:{function}" if self.checker else ""
            asked = replace(asked, questions=self.questions.name if self.questions else "", checker=checker)
        if tool is not None and self.tool is not None:
            tool = replace(tool, file=self.tool.name, sha256=self.tool.sha256)
        elif tool is not None:
            tool = replace(tool, program=device.tools.get(tool.program, tool.program))
        return replace(workload, data=self.data.name if workload.data else "", generation=asked, tool=tool)


def locate(suite: Suite, artifact: Artifact) -> CellFiles:
    """Say where the files of a cell lie.

    Raises:
        SpecError: no runtime is known for the reference.
    """
    asked, tool = suite.workload.generation or Generation(), suite.workload.tool
    reference = Path(suite.reference) if suite.reference else None
    return CellFiles(
        model=Path(artifact.file),
        # A tool may need no data: then it gets the model twice, and nothing more is sent.
        data=Path(suite.workload.data or artifact.file),
        baseline=Path(artifact.baseline) if artifact.baseline else None,
        reference=reference,
        reference_runtime=suite.reference_runtime or (runtime_of(reference) if reference else ""),
        questions=Path(asked.questions) if asked.questions else None,
        checker=asked.checker,
        tool=Path(tool.file) if tool and tool.file else None,
    )


def identify_files(paths: CellFiles, suite: Suite, artifact: Artifact) -> NamedFiles:
    """Hash the files of a cell.

    Raises:
        SpecError: one cannot be read, at the artifact's position.
    """
    folder = Path(suite.file).parent

    def named(path: Path | None) -> FileIdentity | None:
        return identify(path, folder, artifact.origin) if path else None

    program = paths.checker.rpartition(":")[0]
    return NamedFiles(
        model=identify(paths.model, folder, artifact.origin),
        data=identify(paths.data, folder, artifact.origin),
        baseline=named(paths.baseline),
        reference=named(paths.reference),
        questions=named(paths.questions),
        checker=named(Path(program) if program else None),
        tool=named(paths.tool),
    )


def runtime_of(model: Path) -> str:
    """Name the runtime family that takes a file of this suffix.

    Raises:
        SpecError: no family takes it.
    """
    family = SUFFIX_RUNTIMES.get(model.suffix.lower(), "")
    if not family:
        known = ", ".join(SUFFIX_RUNTIMES)
        raise SpecError([Problem(str(model), 1, 1, f"no runtime is known for {model.suffix!r}", f"known: {known}")])
    return family


def identify(path: Path, folder: Path, origin: Origin) -> FileIdentity:
    """Hash a file; its name is relative to the suite's folder.

    Raises:
        SpecError: it cannot be read.
    """
    try:
        state = path.stat()
        digest = _sha256(path, state.st_mtime_ns, state.st_size)
    except OSError as error:
        problem = Problem(origin.file, origin.line, origin.column, f"cannot read {path.name}: {error.strerror}")
        raise SpecError([problem]) from error
    name = Path(os.path.relpath(path, folder.resolve())).as_posix()
    return FileIdentity(name, digest, state.st_size)


@lru_cache(maxsize=4096)
def _sha256(path: Path, mtime_ns: int, size: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
