"""Frames: whole or refused, in pieces of any size."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent.frame import PREFIX, EndOfStream, FrameBuffer, FrameError, encode_head, read_frame, write_frame

HEADERS = st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8) | st.none(), max_size=5)


def packed(header: bytes, payload_size: int = 0, magic: bytes = b"FGT1") -> bytes:
    """Return a frame whose header is any bytes."""
    return PREFIX.pack(magic, len(header), payload_size) + header


@given(header=HEADERS, payload=st.binary(max_size=200), cut=st.integers(0, 300))
def test_frame_survives_any_cut(header: dict[str, object], payload: bytes, cut: int) -> None:
    """A frame that arrives in two pieces is the frame that was written."""
    data = encode_head(header, len(payload)) + payload
    buffer = FrameBuffer()

    buffer.feed(data[:cut])
    first = buffer.take()
    buffer.feed(data[cut:])
    frame = first or buffer.take()

    assert frame is not None
    assert (frame.header, frame.payload) == (header, payload)
    buffer.feed(data)
    assert buffer.take() == frame, "nothing of it was left"


def test_frames_follow_each_other() -> None:
    """Two frames in one stream come out in order, then the end is told apart from a break."""
    stream = io.BytesIO()
    write_frame(stream, {"id": 1}, b"abc")
    write_frame(stream, {"id": 2})
    stream.seek(0)

    assert read_frame(stream) == ({"id": 1}, b"abc")
    assert read_frame(stream) == ({"id": 2}, b"")
    with pytest.raises(EndOfStream):
        read_frame(stream)


@pytest.mark.parametrize(
    "data",
    [
        packed(b"{}", magic=b"HTTP"),
        packed(b"[1]"),
        packed(b"{"),
        packed(b'{"a":1,"a":2}'),
        packed(b'{"a":NaN}'),
        packed(b"\xff\xfe"),
        packed(b"[" * 100_000),
        PREFIX.pack(b"FGT1", 1 << 30, 0),
        PREFIX.pack(b"FGT1", 2, 1 << 40),
        packed(b"{}", payload_size=10) + b"short",
        b"FGT1\x00",
    ],
    ids=[
        "magic", "not-an-object", "not-json", "key-twice", "nan", "not-utf8", "deep", "long-header", "long-payload",
        "cut-payload", "cut-prefix",
    ],
)  # fmt: skip
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    """Anything that is not one frame within the limits is a FrameError, before memory is spent on it."""
    with pytest.raises(FrameError):
        read_frame(io.BytesIO(data))


@given(data=st.binary(max_size=100))
def test_buffer_never_fails_otherwise(data: bytes) -> None:
    """Random bytes give a frame, nothing yet, or a FrameError."""
    buffer = FrameBuffer()
    buffer.feed(data)

    try:
        frame = buffer.take()
    except FrameError:
        return
    assert frame is None or isinstance(frame.header, dict)


def test_nan_cannot_be_written() -> None:
    """A header with NaN is refused by the writer, too."""
    with pytest.raises(ValueError, match="JSON"):
        encode_head({"a": float("nan")}, 0)
