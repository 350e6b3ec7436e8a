"""The result envelope of a session: only a complete one counts, and nothing in it is believed unchecked. Pure."""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from harness.agent.message import ArraySpec, SessionReply, SessionRequest
from harness.errors import FleetgateError, InfraError

if TYPE_CHECKING:
    import numpy as np

DTYPES = frozenset(
    {"bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"}
)
MAX_ARRAYS = 64
MAX_DIMENSIONS = 8
MAX_ELEMENTS = 1 << 27
MAX_NUMBER = 1 << 31
"""Of wait statuses, threads and cores; a longer one would make a run.json that its own reader refuses."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class SessionResult:
    """One session as it came back: the validated reply and its arrays, C order, read-only."""

    reply: SessionReply
    arrays: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    seconds: float = 0.0
    """From the request to the reply, by the controller's clock."""
    cut_short: FleetgateError | None = None
    """What ended a sustained session before its time; then this is what it had told until then."""


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[SessionReply]:
    return TypeAdapter(SessionReply)


def open_envelope(header: dict[str, Any], payload: bytes, request: SessionRequest, *, where: str) -> SessionResult:
    """Check that a reply is complete, whole and an answer to `request`, and take its arrays out.

    Args:
        header: of the reply frame.
        payload: of the reply frame.
        request: what was asked.
        where: the board in words.

    Raises:
        InfraError: `envelope` when anything is missing, contradicts or lies outside; `integrity` when the payload or
            the model that the runtime opened has another hash.
    """
    fields = {name: value for name, value in header.items() if name in SessionReply.__dataclass_fields__}
    try:
        reply = _adapter().validate_json(json.dumps(fields), strict=True)
        _check_complete(reply, request)
        _check_hashes(reply, payload, request)
        return SessionResult(reply, unpack_arrays(reply.arrays, payload))
    except _Damaged as error:
        raise InfraError(f"{where}: no valid result: {error}", code="integrity") from error
    except ValidationError as error:
        first = error.errors()[0]
        words = f"{'.'.join(str(part)[:40] for part in first['loc'])}: {first['msg']}"
        raise InfraError(f"{where}: no valid result: {words}", code="envelope") from error
    except ValueError as error:
        raise InfraError(f"{where}: no valid result: {error}", code="envelope") from error


class _Damaged(Exception):  # noqa: N818  a signal inside this module
    """The reply is complete, and its bytes are not what they should be."""


def _check_complete(reply: SessionReply, request: SessionRequest) -> None:
    if not reply.end:
        raise ValueError("its end mark is missing")
    if reply.nonce != request.nonce:
        raise ValueError("it answers another request")
    if any(not math.isfinite(value) for value in reply.scalars.values()):
        raise ValueError("a figure in it is not finite")
    if any(abs(number) > MAX_NUMBER for number in (reply.wait_status, reply.threads, *reply.cores)):
        raise ValueError("a number in it is beyond all bounds")
    if reply.error is None and reply.wait_status:
        raise ValueError(f"the session ended with wait status {reply.wait_status} and no reason")
    if reply.error is not None and "code" not in reply.error:
        raise ValueError("its error has no code")


def _check_hashes(reply: SessionReply, payload: bytes, request: SessionRequest) -> None:
    if reply.sha256 != hashlib.sha256(payload).hexdigest():
        raise _Damaged("its payload has another hash than it says")
    if reply.error is None and reply.model_sha256 != request.model:
        raise _Damaged("the runtime opened another file than it was given")


def unpack_arrays(specs: list[ArraySpec], payload: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """Cut the payload into arrays.

    Raises:
        ValueError: a name, type, shape or place is not what it may be; the words say which.
    """
    import numpy as np

    if len(specs) > MAX_ARRAYS:
        raise ValueError(f"{len(specs)} arrays are more than {MAX_ARRAYS}")
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for spec in specs:
        _check(spec, len(payload))
        if spec.name in arrays:
            raise ValueError(f"array {spec.name!r} stands twice")
        kind = np.dtype(spec.dtype).newbyteorder("<")
        flat = np.frombuffer(payload, kind, math.prod(spec.shape), spec.offset)
        arrays[spec.name] = flat.reshape(spec.shape)
    return arrays


def _check(spec: ArraySpec, available: int) -> None:
    import numpy as np

    if not _NAME.match(spec.name):
        raise ValueError(f"{spec.name[:40]!r} is not a name of an array")
    if spec.dtype not in DTYPES:
        raise ValueError(f"array {spec.name!r} has the type {spec.dtype[:40]!r}")
    if len(spec.shape) > MAX_DIMENSIONS or any(size < 0 for size in spec.shape):
        raise ValueError(f"array {spec.name!r} has the shape {spec.shape[:9]}")
    elements = math.prod(spec.shape)
    if elements > MAX_ELEMENTS or elements * np.dtype(spec.dtype).itemsize != spec.nbytes:
        raise ValueError(f"array {spec.name!r}: {spec.nbytes} bytes do not hold the shape {spec.shape} of {spec.dtype}")
    if spec.offset < 0 or spec.offset + spec.nbytes > available:
        raise ValueError(f"array {spec.name!r} lies outside the payload")
