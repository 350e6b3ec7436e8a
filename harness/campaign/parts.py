"""The parts of a long evaluation that were measured, kept until it is whole: an interrupted one is taken up again.

Owns the folder `evaluations/<hash of all that shapes the figures>`. What does not read back is measured again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.agent.message import SessionReply, SessionRequest
from harness.errors import RecordError

if TYPE_CHECKING:
    import numpy as np

_FREE = frozenset({"nonce", "deadline_s"})
"""Fields of a request that shape no figure."""
MOST_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class Part:
    """One session of an evaluation."""

    reply: SessionReply
    arrays: dict[str, np.ndarray]
    seconds: float
    measured_at: str
    """UTC, ISO 8601."""


def parts_key(request: SessionRequest, surroundings: Sequence[str]) -> str:
    """Hash the whole request (files, runtime environment, threads, what is asked) and what else must be the same."""
    fields = {name: value for name, value in dataclasses.asdict(request).items() if name not in _FREE}
    text = json.dumps([fields, list(surroundings)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class PartFolder:
    """The parts of one evaluation, in their order."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> list[Part]:
        """Read the parts up to the first that is not there or not whole."""
        parts: list[Part] = []
        while len(parts) < MOST_PARTS:
            part = self._read(len(parts))
            if part is None:
                return parts
            parts.append(part)
        return parts

    def add(self, number: int, part: Part) -> None:
        """Keep a part; it counts once its description is written."""
        from harness.store.file import write_whole
        from harness.store.samples import pack

        digest = write_whole(self._arrays(number), pack(part.arrays))
        reply = dataclasses.replace(part.reply, arrays=[])
        said = {"sha256": digest, "seconds": part.seconds, "measured_at": part.measured_at}
        write_whole(self._description(number), json.dumps({**said, "reply": dataclasses.asdict(reply)}).encode())

    def clear(self) -> None:
        """Forget them: the evaluation is whole."""
        shutil.rmtree(self._path, ignore_errors=True)

    def _read(self, number: int) -> Part | None:
        from harness.store.samples import unpack

        try:
            said = json.loads(self._description(number).read_bytes())
            data = self._arrays(number).read_bytes()
            if hashlib.sha256(data).hexdigest() != said["sha256"]:
                return None
            arrays = unpack(data, self._arrays(number).name)
            return Part(SessionReply(**said["reply"]), arrays, float(said["seconds"]), str(said["measured_at"]))
        except (OSError, ValueError, KeyError, TypeError, RecordError):
            return None

    def _arrays(self, number: int) -> Path:
        return self._path / f"{number:04}.npz"

    def _description(self, number: int) -> Path:
        return self._path / f"{number:04}.json"
