"""Files of the store: written whole or not at all, read within bounds."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

from harness.errors import RecordError


def write_whole(path: Path, data: bytes) -> str:
    """Write a file so that a reader sees all of it or nothing, also after a power cut.

    Returns:
        The SHA-256 of the bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return hashlib.sha256(data).hexdigest()


def record_path(root: Path, suite: str, artifact: str, board: str) -> Path:
    """Name the committed record of an artifact on a board or a kind of board: `<root>/<suite>/<artifact>.<board>.json`.

    Raises:
        RecordError: a name is no plain file name.
    """
    for name in (suite, artifact, board):
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,100}", name):
            raise RecordError(f"{name!r} is no plain file name")
    return root / suite / f"{artifact}.{board}.json"


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """Read a regular file of at most `most_bytes`.

    Raises:
        RecordError: it is missing, no regular file, unreadable or larger.
    """
    if not path.exists():
        raise RecordError(f"{path}: does not exist; is this a run folder of fleetgate?")
    if not path.is_file():
        raise RecordError(f"{path}: is no regular file")
    try:
        with path.open("rb") as stream:
            data = stream.read(most_bytes + 1)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > most_bytes:
        raise RecordError(f"{path}: larger than {most_bytes} bytes")
    return data
