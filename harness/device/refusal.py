"""What an agent's refusal means here: its error codes mapped to the exceptions of the harness. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.device.crash import ILLEGAL
from harness.errors import ArtifactError, DeviceError, FleetgateError, InfraError, LeaseBusy
from harness.transport.protocol import printable

MESSAGE_CHARS = 2000
_DEVICE = {
    "disk": "has no room left or its disk fails",
    "read_only": "cannot be written to",
    "os": "has trouble with its files",
    "sensor": "lacks a sensor",
    "condition": "cannot be pinned",
}


def refusal(where: str, op: str, error: Mapping[str, Any]) -> FleetgateError:
    """Return the exception for the error object of a reply.

    Args:
        where: the board in words.
        op: what was asked.
        error: `code`, `message` and extras, as they came: not trusted.
    """
    code = _words(error.get("code"), 40) or "unnamed"
    message = _words(error.get("message"), MESSAGE_CHARS) or "no reason given"
    if code == "lease_busy":
        return LeaseBusy(f"{where}: {message}", code="busy")
    if code in _DEVICE:
        return DeviceError(f"{where} {_DEVICE[code]}: {message}", code=code)
    if code == ILLEGAL:
        details = {name: _words(error.get(name), MESSAGE_CHARS) for name in ("code", "message", "instruction", "where")}
        return ArtifactError(f"{where}: {message}", code=code, details=details)
    return InfraError(f"{where}: the agent refused {op!r} ({code}): {message}", code=code)


def _words(value: object, limit: int) -> str:
    return printable(str(value)[:limit].encode(errors="backslashreplace")) if value else ""
