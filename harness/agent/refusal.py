"""The one exception of the agent: why an operation or a session did not give what was asked, as code and words."""

from __future__ import annotations

import errno

_DISK = {errno.ENOSPC: "disk", errno.EDQUOT: "disk", errno.EIO: "disk", errno.EROFS: "read_only"}
_DENIED = {errno.EACCES: "read_only", errno.EPERM: "read_only"}


class Refusal(Exception):  # noqa: N818  what it is, not how it is raised
    """`code` is a short stable word, `extra` further fields of the error object on the wire."""

    def __init__(self, code: str, message: str, **extra: object) -> None:
        super().__init__(message)
        self.code = code
        self.extra = extra

    def to_wire(self) -> dict[str, object]:
        """Return the error object of a reply."""
        return dict(self.extra, code=self.code, message=str(self))


def from_os_error(error: OSError, doing: str) -> Refusal:
    """Tell a full or read-only disk from other trouble with files; `doing` says what was tried."""
    code = {**_DISK, **_DENIED}.get(error.errno or 0, "os")
    return Refusal(code, f"{doing}: {error.strerror or error}")
