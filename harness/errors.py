"""Every exception of the harness.

    FleetgateError
    ├── SpecError          what was asked is wrong: all problems at once, pytest exit code 4
    ├── InfraError         the farm failed (link, lease, agent, image, worker): INFRA, never a verdict on a model
    │   ├── LinkLost       the connection to a board ended or fell silent
    │   ├── LeaseBusy      somebody else holds the board
    │   └── ImageError     the emulated board cannot be built or started
    ├── DeviceError        the board failed (disk, read-only file system, reboot, missing sensor): DEVICE
    ├── SecurityError      host key, signature, path escape, oversized answer: SECURITY, never retried
    ├── ArtifactError      the model failed on the board (does not load, crashes, no memory): FAIL of the gate `crash`
    ├── GraphError         a model file cannot be read on the controller: damaged, or its reader is not installed
    ├── RecordError        a run folder or baseline file cannot be read as what it claims to be
    └── RunCancelled       the user or CI stopped the run: CANCELLED

An exception says what happened and what to do next. A verdict is not an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class FleetgateError(Exception):
    """The root: `code` is a short stable word for records, the message is for people."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong in one place of one file; lines and columns count from 1, line 0 is no place in it.

    An option of the command line stands for a file: `--cpu`.
    """

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: error: {self.message}" + (f" ({self.hint})" if self.hint else "")


class SpecError(FleetgateError):
    """Everything that is wrong in what was asked, found in one pass."""

    code = "spec"

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InfraError(FleetgateError):
    """The farm failed; says nothing about a model."""

    code = "infra"


class LinkLost(InfraError):  # noqa: N818  the field's word
    """The connection to a board ended or fell silent."""

    code = "link"


class LeaseBusy(InfraError):  # noqa: N818
    """Somebody else holds the board; the message names the holder."""

    code = "busy"


class ImageError(InfraError):
    """The emulated board cannot be built or started; the message names the missing system package."""

    code = "image"


class DeviceError(FleetgateError):
    """The board itself is unfit."""

    code = "device"


class SecurityError(FleetgateError):
    """Something that could be an attack; never retried, never overridden."""

    code = "security"


class ArtifactError(FleetgateError):
    """The model or its runtime failed on the board; `code` is a word of `SessionReply.error`.

    `details` are the words of the board, for whoever knows enough of it to explain them.
    """

    code = "crash"

    def __init__(self, message: str, *, code: str | None = None, details: Mapping[str, str] | None = None) -> None:
        super().__init__(message, code=code)
        self.details: Mapping[str, str] = details or {}


class GraphError(FleetgateError):
    """A model file's graph cannot be read on the controller; nothing but a comparison of files depends on it."""

    code = "graph"


class RecordError(FleetgateError):
    """A run folder or a baseline file cannot be read as what it claims to be."""

    code = "record"


class RunCancelled(FleetgateError):  # noqa: N818
    """The user or CI stopped the run before this was done."""

    code = "cancelled"
