"""Frames: the unit of every exchange between controller and board, and between the agent and its children.

    b"FGT1" | header length u32 BE | payload length u64 BE | header: one JSON object, UTF-8 | payload: raw bytes

Owns lengths and their limits; knows nothing of what a header means. Both sides use it, so it is Python 3.8.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any, BinaryIO, NamedTuple

MAGIC = b"FGT1"
PREFIX = struct.Struct(">4sIQ")
MAX_HEADER = 1 << 20
MAX_CHUNK = 4 << 20
"""Longest payload that a controller may send in one frame (`put`)."""
MAX_PAYLOAD = 64 << 20
"""Longest payload that a board may answer with (arrays of one session)."""


class FrameError(Exception):
    """The bytes are no frame, or a frame beyond its limits; the stream cannot be used any more."""


class EndOfStream(FrameError):  # noqa: N818  the word that io uses
    """The other side closed the stream between two frames."""


class Frame(NamedTuple):
    """One header with its payload."""

    header: dict[str, Any]
    payload: bytes


def encode_head(header: dict[str, Any], payload_size: int) -> bytes:
    """Return everything of a frame that stands before its payload.

    Raises:
        ValueError: the header holds NaN or infinity, which JSON has no word for.
    """
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    return PREFIX.pack(MAGIC, len(text), payload_size) + text


def write_frame(stream: BinaryIO, header: dict[str, Any], payload: bytes = b"") -> None:
    """Write one frame and flush it."""
    stream.write(encode_head(header, len(payload)))
    if payload:
        stream.write(payload)
    stream.flush()


def send_frame(fd: int, header: dict[str, Any], payload: bytes = b"") -> None:
    """Write one frame to a file descriptor, whole."""
    for part in (encode_head(header, len(payload)), payload):
        left = memoryview(part)
        while left:
            left = left[os.write(fd, left) :]


def read_frame(stream: BinaryIO, *, max_header: int = MAX_HEADER, max_payload: int = MAX_PAYLOAD) -> Frame:
    """Read one frame from a blocking stream.

    Raises:
        EndOfStream: the stream ended before the first byte.
        FrameError: anything else that is not one frame within the limits.
    """
    prefix = _read_exactly(stream, PREFIX.size, at_start=True)
    header_size, payload_size = _parse_prefix(prefix, max_header, max_payload)
    header = _parse_header(_read_exactly(stream, header_size))
    return Frame(header, _read_exactly(stream, payload_size))


class FrameBuffer:
    """Takes bytes in pieces of any size, gives whole frames: for readers that must not block."""

    def __init__(self, *, max_header: int = MAX_HEADER, max_payload: int = MAX_PAYLOAD) -> None:
        self._limits = (max_header, max_payload)
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        """Append what was read."""
        self._data += data

    def take(self) -> Frame | None:
        """Return the next whole frame, or None while it is not there yet.

        Raises:
            FrameError: what has arrived cannot become a frame within the limits.
        """
        if len(self._data) < PREFIX.size:
            return None
        header_size, payload_size = _parse_prefix(bytes(self._data[: PREFIX.size]), *self._limits)
        start = PREFIX.size + header_size
        end = start + payload_size
        if len(self._data) < end:
            return None
        header = _parse_header(bytes(self._data[PREFIX.size : start]))
        payload = bytes(memoryview(self._data)[start:end])
        del self._data[:end]
        return Frame(header, payload)


def _parse_prefix(prefix: bytes, max_header: int, max_payload: int) -> tuple[int, int]:
    magic, header_size, payload_size = PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise FrameError(f"expected a frame, got {prefix[:16]!r}")
    if header_size > max_header:
        raise FrameError(f"header of {header_size} bytes is longer than {max_header}")
    if payload_size > max_payload:
        raise FrameError(f"payload of {payload_size} bytes is longer than {max_payload}")
    return header_size, payload_size


def _parse_header(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode(), parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicates)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise FrameError("header is not a JSON object")
    return header


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _read_exactly(stream: BinaryIO, size: int, *, at_start: bool = False) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = stream.read(min(size - len(data), 1 << 20))
        if not piece:
            if at_start and not data:
                raise EndOfStream("the other side closed the stream")
            raise FrameError(f"the stream ended after {len(data)} of {size} bytes of a frame")
        data += piece
    return bytes(data)
