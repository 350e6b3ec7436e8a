"""ONNX files cut after an operator, by their protobuf wire format (onnx.proto3, field numbers below).

The cut model keeps everything but the later nodes. Its only output is a constant: the values that the later nodes would
have read simply end, so that nothing is copied out or placed otherwise than in the whole model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from harness.agent.prefix import MAX_OPERATORS, Operator, describe, shape_words

_GRAPH = 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 1, 5, 11, 12, 13
_INT64 = 7
_END = b"fleetgate_end"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_COUNTER = re.compile(r"_token_\d+\Z")


class _Node(NamedTuple):
    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def describe(self, shapes: Mapping[str, str]) -> Operator:
        inputs, outputs = ([shapes.get(name, "?") for name in names if name] for names in (self.inputs, self.outputs))
        return describe(self.name, self.kind, inputs, outputs)


class _Field(NamedTuple):
    number: int
    value: int
    content: memoryview
    raw: memoryview


class OnnxPrefix:
    """A model of which any number of first nodes can be had.

    Raises:
        ValueError: the bytes are no ONNX model, or it has no nodes or too many.
    """

    def __init__(self, model: bytes) -> None:
        self._before, graph, self._after = _split(memoryview(model))
        self._parts = list(_fields(graph))
        nodes = [field for field in self._parts if field.number == _NODE]
        if not 0 < len(nodes) <= MAX_OPERATORS:
            raise ValueError(f"the graph has {len(nodes)} nodes, a profile has 1 to {MAX_OPERATORS}")
        self._nodes = [_node(field.content) for field in nodes]
        self._shapes = dict(_shapes(self._parts))

    @property
    def operators(self) -> list[Operator]:
        """The nodes, with the shapes that the file tells or `observe` brought."""
        return [node.describe(self._shapes) for node in self._nodes]

    def observe(self, given: Mapping[str, str], made: Mapping[tuple[str, str], Iterator[tuple[str, ...]]]) -> None:
        """Take over the shapes of a real run.

        Args:
            given: shapes of the model's inputs by name.
            made: shapes of a node's outputs, by its name and type; of several alike in their order.
        """
        self._shapes.update(given)
        for node in self._nodes:
            outputs = next(made.get((node.name, node.kind), iter(())), ())
            self._shapes.update(zip(filter(None, node.outputs), outputs))  # noqa: B905  Python 3.8

    def model(self, count: int) -> bytes:
        """Return the model of the first `count` nodes."""
        kept, graph = 0, bytearray()
        for field in self._parts:
            kept += field.number == _NODE
            if field.number != _OUTPUT and (field.number != _NODE or kept <= count):
                graph += field.raw
        constant = _number(2, _INT64) + _message(8, _END) + _message(9, bytes(8))
        scalar = _message(1, _number(1, _INT64) + _message(2, b""))
        graph += _message(_INITIALIZER, constant) + _message(_OUTPUT, _message(1, _END) + _message(2, scalar))
        return self._before + _message(_GRAPH, bytes(graph)) + self._after


def plain_name(name: str) -> str:
    """Return a node's name without the number that onnxruntime gives to what it fuses: it says nothing about it."""
    return _COUNTER.sub("", name)


def _split(model: memoryview) -> tuple[bytes, memoryview, bytes]:
    before, graph, after = bytearray(), None, bytearray()
    for field in _fields(model):
        if field.number == _GRAPH and graph is None:
            graph = field.content
        else:
            (before if graph is None else after).extend(field.raw)
    if graph is None:
        raise ValueError("the file holds no graph")
    return bytes(before), graph, bytes(after)


def _node(node: memoryview) -> _Node:
    texts: dict[int, list[str]] = {1: [], 2: [], 3: [], 4: []}
    for field in _fields(node):
        if field.number in texts:
            texts[field.number].append(_text(field.content))
    name = next((text for text in (*texts[3], *texts[2]) if text), "")
    return _Node(plain_name(name), next(iter(texts[4]), ""), tuple(texts[1]), tuple(texts[2]))


def _shapes(graph: list[_Field]) -> Iterator[tuple[str, str]]:
    """Give (name, shape) of every value that the file describes."""
    for field in graph:
        if field.number in {_INPUT, _OUTPUT, _VALUE_INFO}:
            parts = {part.number: part.content for part in _fields(field.content)}
            tensor = _child(parts.get(2), 1)
            shape = _child(tensor, 2)
            if shape is not None:
                yield _text(parts.get(1)), shape_words([_dimension(dim.content) for dim in _fields(shape)])
        elif field.number == _INITIALIZER:
            yield _initializer(field.content)


def _initializer(tensor: memoryview) -> tuple[str, str]:
    sizes: list[int] = []
    name = ""
    for field in _fields(tensor):
        if field.number == 8:
            name = _text(field.content)
        elif field.number == 1:
            sizes += list(_packed(field.content)) if field.content else [field.value]
    return name, shape_words(sizes)


def _dimension(dim: memoryview) -> str:
    for field in _fields(dim):
        return str(field.value) if field.number == 1 else _text(field.content) or "?"
    return "?"


def _child(message: memoryview | None, number: int) -> memoryview | None:
    if message is None:
        return None
    return next((field.content for field in _fields(message) if field.number == number), None)


def _text(content: memoryview | None) -> str:
    return "" if content is None else bytes(content).decode("utf-8", "replace")


def _packed(content: memoryview) -> Iterator[int]:
    at = 0
    while at < len(content):
        value, at = _read_varint(content, at)
        yield value


def _fields(message: memoryview) -> Iterator[_Field]:
    """Walk the fields of a message.

    Raises:
        ValueError: it is no protobuf message, or cut off.
    """
    at = 0
    while at < len(message):
        start = at
        key, at = _read_varint(message, at)
        kind, value, content = key & 7, 0, message[:0]
        if kind == _VARINT:
            value, at = _read_varint(message, at)
        elif kind == _BYTES:
            size, at = _read_varint(message, at)
            content, at = message[at : at + size], at + size
        elif kind in {_FIXED32, _FIXED64}:
            at += 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"no ONNX file: wire type {kind}")
        if at > len(message):
            raise ValueError("the ONNX file is cut off")
        yield _Field(key >> 3, value, content, message[start:at])


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("the ONNX file is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("no ONNX file: a number without end")


def _write_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def _number(field: int, value: int) -> bytes:
    return _write_varint(field << 3 | _VARINT) + _write_varint(value)


def _message(field: int, content: bytes) -> bytes:
    return _write_varint(field << 3 | _BYTES) + _write_varint(len(content)) + content
