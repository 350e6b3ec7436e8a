"""Files onto a board's content-addressed store: what is there is not sent, what was interrupted goes on.

Owns chunk sizes and resuming; the board hashes, syncs and renames. Knows nothing of what a file means.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.agent.frame import MAX_CHUNK
from harness.device.client import AgentClient
from harness.device.reply import Has, Put, parse_reply
from harness.errors import DeviceError, FleetgateError, InfraError

FIRST_CHUNK = 256 * 1024
SMALLEST_CHUNK = 32 * 1024
CHUNK_S = 2.0
"""A chunk is made as large as goes in about this time, so that a slow link still shows that it moves."""
PUBLISH_S = 300.0
"""Hashing and syncing a large file on a slow card."""
TRIES = 2


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def deploy(client: AgentClient, paths: Sequence[Path], *, progress: Callable[[str], None]) -> tuple[str, ...]:
    """Bring files onto the board and return their digests, in order; files that are there are not sent.

    Raises:
        DeviceError: the board's disk is full or read-only.
        InfraError: `integrity` when a file arrived damaged twice; the link's errors.
    """
    digests = {path: hash_file(path) for path in dict.fromkeys(paths)}
    has = parse_reply(Has, client.request("has", {"digests": sorted(set(digests.values()))}, deadline_s=60.0))
    missing = set(has.missing)
    for path, digest in digests.items():
        if digest in missing:
            _send(client, path, digest, has.partial.get(digest, 0), progress)
            missing.discard(digest)
    return tuple(digests[path] for path in paths)


def _send(client: AgentClient, path: Path, digest: str, start: int, progress: Callable[[str], None]) -> None:
    """Send one file, from where an interrupted transfer ended; once more from the start if it arrived damaged."""
    size = path.stat().st_size
    for attempt in range(TRIES):
        try:
            _Upload(client, path, digest, size, progress).run(start if start <= size else 0)
        except InfraError as error:
            if error.code not in {"integrity", "offset"} or attempt == TRIES - 1:
                raise _explain(error, path) from error
            start = 0
        except DeviceError as error:
            raise _explain(error, path) from error
        else:
            return


class _Upload:
    """One file on its way."""

    def __init__(
        self, client: AgentClient, path: Path, digest: str, size: int, progress: Callable[[str], None]
    ) -> None:
        self._client = client
        self._path = path
        self._digest = digest
        self._size = size
        self._progress = progress

    def run(self, offset: int) -> None:
        chunk_size = FIRST_CHUNK
        said = time.monotonic()
        with self._path.open("rb") as file:
            done = False
            while not done:
                file.seek(offset)
                chunk = file.read(chunk_size)
                began = time.monotonic()
                reply = self._put(offset, chunk)
                offset, done = offset + len(chunk), reply.done
                if reply.received != offset or done != (offset == self._size):
                    raise InfraError("the board counts other bytes than were sent", code="envelope")
                chunk_size = _next_size(chunk_size, time.monotonic() - began)
                if time.monotonic() - said > 2.0:
                    said = time.monotonic()
                    self._progress(f"sending {self._path.name}: {offset * 100 // max(self._size, 1)} %")

    def _put(self, offset: int, chunk: bytes) -> Put:
        fields = {"digest": self._digest, "size": self._size, "offset": offset}
        is_last = offset + len(chunk) >= self._size
        patience_s = PUBLISH_S if is_last else 60.0
        return parse_reply(Put, self._client.request("put", fields, chunk, deadline_s=600.0, silence_s=patience_s))


def _next_size(size: int, took_s: float) -> int:
    fitting = int(size * min(4.0, max(0.25, CHUNK_S / max(took_s, 0.001))))
    return max(SMALLEST_CHUNK, min(MAX_CHUNK, fitting))


def _explain(error: FleetgateError, path: Path) -> FleetgateError:
    return type(error)(f"{path.name}: {error}", code=error.code)
