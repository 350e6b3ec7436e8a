"""Changed copies of models, data and questions for a self-test: bytes in, bytes out, the same bytes every time.

Owns as much of the ONNX and TFLite formats as finding the weights takes; knows no board and no gate.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from harness.records.header import HEADERS
from harness.store.samples import pack

FEWEST_BYTES = 64
"""Smaller tensors are scales, shapes and zero points: a change of those is no change of a weight."""
_ONNX_SIZES = {1: 4, 2: 1, 3: 1, 10: 2, 11: 8, 16: 2}
"""TensorProto.DataType -> bytes per weight: float, uint8, int8, float16, double, bfloat16."""
_TFLITE_SIZES = {0: 4, 1: 2, 3: 1, 9: 1}
"""TensorType -> bytes per weight: float32, float16, uint8, int8."""
_NO_TEXT = r"\A(?!\A)"
"""An expression that nothing matches."""
_GRAPH, _DOC_STRING, _INITIALIZER = 7, 6, 5
_DATA_TYPE, _FLOAT_DATA, _RAW_DATA = 2, 4, 9
_LENGTH = 2
"""Wire type of what has a length before it."""


@dataclass(frozen=True, slots=True)
class _Weights:
    start: int
    end: int
    size: int
    """Bytes per weight."""


def flip_weights(model: bytes) -> bytes | None:
    """Flip the sign bit of a random half of all weights; None where no weights are found."""
    found = list(_guarded(_tflite_weights if is_tflite(model) else _onnx_weights, model))
    if not found:
        return None
    changed = np.frombuffer(model, np.uint8).copy()
    draw = np.random.default_rng(0)
    for weights in found:
        tops = changed[weights.start + weights.size - 1 : weights.end : weights.size]
        tops[draw.random(tops.size) < 0.5] ^= 0x80
    return changed.tobytes()


def pad(model: bytes, size: int) -> bytes:
    """Make a file `size` bytes long or a little longer, without changing what it computes."""
    missing = max(size - len(model), 1)
    if any(_guarded(_onnx_graphs, model)):
        return model + _varint(_DOC_STRING << 3 | _LENGTH) + _varint(missing) + b" " * missing
    return model + b" " * missing  # a flatbuffer is read by its offsets, and text ends where it ends


def tear(model: bytes) -> bytes:
    """Keep the first six tenths, as an upload that stopped does."""
    return model[: len(model) * 6 // 10]


def shuffle_labels(data: bytes) -> bytes | None:
    """Put the labels `y` of an .npz in another order; None where there are none."""
    arrays = _arrays(data)
    if "y" not in arrays:
        return None
    order = np.random.default_rng(0).permutation(len(arrays["y"]))
    return pack({**arrays, "y": arrays["y"][order]})


def spoil_key(questions: bytes) -> bytes:
    """Give questions another right answer, or demand of what is written what no text can be."""
    lines = [json.loads(line) for line in questions.splitlines() if line.strip()]
    return b"".join(json.dumps(_spoilt(line)).encode() + b"\n" for line in lines)


def shorten(data: bytes, samples: int) -> bytes:
    """Keep the first samples of an .npz: where answers are not judged, a few show as well that the model runs."""
    return pack({name: array[:samples] for name, array in _arrays(data).items()})


def is_tflite(model: bytes) -> bool:
    """Tell a TFLite file by its identifier."""
    return model[4:8] == b"TFL3"


def _spoilt(line: dict[str, object]) -> dict[str, object]:
    choices, answer = line.get("choices"), line.get("answer")
    if isinstance(choices, list) and isinstance(answer, int):
        return {**line, "answer": (answer + 1) % len(choices)}
    return {**line, "text": "\0"} if "text" in line else {**line, "regex": _NO_TEXT}


def _arrays(data: bytes) -> dict[str, np.ndarray]:
    try:
        with HEADERS, np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, zipfile.BadZipFile):
        return {}


def _guarded(find: Callable[[bytes], Iterator[_Weights]], model: bytes) -> Iterator[_Weights]:
    """Give what is found until the bytes stop making sense."""
    try:
        yield from find(model)
    except (IndexError, struct.error, ValueError):
        return


def _onnx_graphs(model: bytes) -> Iterator[_Weights]:
    for field, start, end in _fields(model, 0, len(model)):
        if field == _GRAPH:
            yield _Weights(start, end, 1)


def _onnx_weights(model: bytes) -> Iterator[_Weights]:
    for graph in _onnx_graphs(model):
        for field, start, end in _fields(model, graph.start, graph.end):
            if field == _INITIALIZER:
                yield from _onnx_tensor(model, start, end)


def _onnx_tensor(model: bytes, start: int, end: int) -> Iterator[_Weights]:
    kind, places = 0, []
    for field, first, last in _fields(model, start, end):
        if field == _DATA_TYPE:
            kind = first  # of a number, the number itself
        elif field in {_FLOAT_DATA, _RAW_DATA} and last - first >= FEWEST_BYTES:
            places.append((first, last))
    yield from (_Weights(first, last, _ONNX_SIZES[kind]) for first, last in places if kind in _ONNX_SIZES)


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Give (field, start, end) of what has a length, (field, value, value) of numbers.

    Source: protobuf.dev, Encoding.

    Raises:
        ValueError, IndexError: it is no protobuf.
    """
    while at < end:
        tag, at = _read_varint(data, at)
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _read_varint(data, at)
            yield field, value, value
        elif kind == _LENGTH:
            size, at = _read_varint(data, at)
            if at + size > end:
                raise ValueError("a field is longer than its message")
            yield field, at, at + size
            at += size
        elif kind in {1, 5}:
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"no wire type {kind}")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _tflite_weights(model: bytes) -> Iterator[_Weights]:
    """Find the constant tensors. Source: tensorflow/lite/schema.fbs, flatbuffers internals."""
    root = _int(model, 0, "<I")
    buffers = list(_vector(model, _field(model, root, 4)))
    for graph in _vector(model, _field(model, root, 2)):
        for tensor in _vector(model, _field(model, graph, 0)):
            kind, index = _field(model, tensor, 1), _field(model, tensor, 2)
            size = _TFLITE_SIZES.get(_int(model, kind, "<b") if kind else 0, 0)
            place = _field(model, buffers[_int(model, index, "<I") if index else 0], 0)
            if size and place:
                start = place + _int(model, place, "<I")
                length = _int(model, start, "<I")
                if length >= FEWEST_BYTES:
                    yield _Weights(start + 4, start + 4 + length, size)


def _field(model: bytes, table: int, number: int) -> int:
    """Return where a field of a table lies; 0: it has its default."""
    vtable = table - _int(model, table, "<i")
    slot = 4 + 2 * number
    offset = _int(model, vtable + slot, "<H") if slot < _int(model, vtable, "<H") else 0
    return table + offset if offset else 0


def _vector(model: bytes, place: int) -> Iterator[int]:
    """Give where the tables of a vector lie."""
    if not place:
        return
    start = place + _int(model, place, "<I")
    for index in range(_int(model, start, "<I")):
        at = start + 4 + 4 * index
        yield at + _int(model, at, "<I")


def _int(model: bytes, at: int, form: str) -> int:
    if at < 0:
        raise ValueError("an offset before the file")
    (value,) = struct.unpack_from(form, model, at)
    return int(value)
