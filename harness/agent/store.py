"""The content-addressed store of a board: `<root>/store/sha256/ab/abcd…`, and `<root>/incoming/abcd….part`.

A file is hashed from the disk after fsync, then renamed: what has its final name is whole. Knows digests, not meanings.
"""

from __future__ import annotations

import hashlib
import os
import re

from harness.agent.refusal import Refusal, from_os_error

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_RESERVE_BYTES = 16 << 20
"""Left free on the disk, so that logs and leases can still be written."""


class Store:
    """Objects below `root`, named by the SHA-256 of their bytes."""

    def __init__(self, root: str) -> None:
        self._objects = os.path.join(root, "store", "sha256")
        self._incoming = os.path.join(root, "incoming")

    def path(self, digest: str) -> str:
        """Return where the object of `digest` lies or will lie.

        Raises:
            Refusal: `request` when it is no SHA-256.
        """
        check_digest(digest)
        return os.path.join(self._objects, digest[:2], digest)

    def has(self, digest: str) -> bool:
        """Whether the object is there; its bytes are checked by whoever opens it."""
        return os.path.isfile(self.path(digest))

    def partial_size(self, digest: str) -> int:
        """Return how many bytes of an interrupted transfer are there."""
        try:
            return os.path.getsize(self._part(digest))
        except OSError:
            return 0

    def append(self, digest: str, size: int, offset: int, chunk: bytes) -> int:
        """Add the next chunk of an object; offset 0 starts anew.

        Returns:
            The bytes that are there now; `publish` is due when they are `size`.

        Raises:
            Refusal: `offset` (with `received`) when the chunk does not follow what is there, `disk`, `read_only`.
        """
        part = self._part(digest)
        try:
            os.makedirs(self._incoming, mode=0o700, exist_ok=True)
            if offset == 0:
                self._check_space(size)
            received = 0 if offset == 0 else self.partial_size(digest)
            if offset != received or offset + len(chunk) > size:
                raise Refusal("offset", f"{received} bytes are here, not {offset}", received=received)
            with open(part, "wb" if offset == 0 else "ab") as file:
                file.write(chunk)
        except OSError as error:
            raise from_os_error(error, f"storing {digest[:12]}") from error
        return offset + len(chunk)

    def publish(self, digest: str) -> None:
        """Hash what has arrived, from the disk, and give it its name.

        Raises:
            Refusal: `integrity` when the bytes are not those of `digest` (they are removed), `disk`, `read_only`.
        """
        part, final = self._part(digest), self.path(digest)
        try:
            sync(part)
            if hash_file(part) != digest:
                os.unlink(part)
                raise Refusal("integrity", f"what arrived is not {digest[:12]}")
            os.chmod(part, 0o444)
            os.makedirs(os.path.dirname(final), mode=0o700, exist_ok=True)
            os.rename(part, final)
            sync(os.path.dirname(final))
        except OSError as error:
            raise from_os_error(error, f"storing {digest[:12]}") from error

    def put(self, data: bytes) -> str:
        """Keep bytes that were made here; return their SHA-256."""
        digest = hashlib.sha256(data).hexdigest()
        if not self.has(digest):
            self.append(digest, len(data), 0, data)
            self.publish(digest)
        return digest

    def discard(self, digest: str) -> None:
        """Remove an object that turned out to be damaged, so that it is sent again."""
        try:
            os.unlink(self.path(digest))
        except FileNotFoundError:
            return

    def _part(self, digest: str) -> str:
        check_digest(digest)
        return os.path.join(self._incoming, digest + ".part")

    def _check_space(self, size: int) -> None:
        found = os.statvfs(self._incoming)
        free = found.f_bavail * found.f_frsize
        if free < size + _RESERVE_BYTES:
            raise Refusal("disk", f"{free >> 20} MiB free, {(size + _RESERVE_BYTES) >> 20} MiB needed")


def check_digest(digest: str) -> None:
    """Refuse whatever is not a SHA-256 in lower case: digests become file names."""
    if not isinstance(digest, str) or not _DIGEST.match(digest):
        raise Refusal("request", f"not a SHA-256: {str(digest)[:80]!r}")


def sync(path: str) -> None:
    """Flush a file or folder to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def hash_file(path: str) -> str:
    """Return the SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hash_fd(file.fileno())


def hash_fd(fd: int) -> str:
    """Return the SHA-256 of an open file's bytes, whatever its position."""
    digest = hashlib.sha256()
    offset = 0
    while True:
        piece = os.pread(fd, 1 << 20, offset)
        if not piece:
            return digest.hexdigest()
        digest.update(piece)
        offset += len(piece)
