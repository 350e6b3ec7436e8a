"""The agent's end of the channel: frames in without blocking, frames out unless the controller stalls for too long."""

from __future__ import annotations

import os
import select
import time

from harness.agent.frame import MAX_CHUNK, MAX_HEADER, EndOfStream, Frame, FrameBuffer, encode_head
from harness.agent.message import VERSION

_STALL_S = 60.0
"""Longest time without a byte taken by the controller while an answer is on its way."""


class Channel:
    """Two file descriptors that speak frames; both become non-blocking."""

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self._sink = sink
        self._buffer = FrameBuffer(max_header=MAX_HEADER, max_payload=MAX_CHUNK)
        os.set_blocking(source, False)
        os.set_blocking(sink, False)

    def receive(self) -> list[Frame]:
        """Return the frames that are complete by now.

        Raises:
            EndOfStream: the controller closed the channel.
            FrameError: what came is no frame.
        """
        try:
            data = os.read(self.source, 1 << 20)
        except BlockingIOError:
            return []
        if not data:
            raise EndOfStream("the controller closed the channel")
        self._buffer.feed(data)
        frames = []
        frame = self._buffer.take()
        while frame is not None:
            frames.append(frame)
            frame = self._buffer.take()
        return frames

    def send(self, number: int, header: dict[str, object], payload: bytes = b"") -> None:
        """Write one reply.

        Raises:
            TimeoutError: the controller takes nothing any more.
            OSError: the channel is broken.
        """
        head = dict(header, v=VERSION, id=number)
        self._write(encode_head(head, len(payload)))
        self._write(payload)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        deadline = time.monotonic() + _STALL_S
        while left:
            try:
                written = os.write(self._sink, left[: 1 << 18])
            except BlockingIOError:
                if not select.select([], [self._sink], [], max(0.0, deadline - time.monotonic()))[1]:
                    raise TimeoutError("the controller takes no answer") from None
                continue
            left = left[written:]
            deadline = time.monotonic() + _STALL_S
