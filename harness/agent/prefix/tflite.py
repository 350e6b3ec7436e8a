"""TFLite files cut after an operator, by their flatbuffer format (schema.fbs of TensorFlow Lite, field numbers below).

A cut file differs from the whole in three places: the number of operators, the place of the list of outputs, and the
new list at its end. Outputs of the cut are the values that later operators would have read: a delegate drops what
nobody reads. Values made of constants alone (weights of half precision made floats) are none: the runtime computes
them when it loads, and XNNPACK fails to hand them out.
"""

from __future__ import annotations

import struct

from harness.agent.prefix import MAX_OPERATORS, Operator, describe, shape_words

_SUBGRAPHS = 2
_TENSORS, _INPUTS, _OUTPUTS, _OPERATORS = 0, 1, 2, 3
_OPERATOR_INPUTS, _OPERATOR_OUTPUTS = 1, 2
_SHAPE, _NAME, _SIGNATURE = 0, 3, 7


class TflitePrefix:
    """A model of which any number of first operators can be had; only its main graph is cut.

    `outputs` are the numbers of the tensors that it returns.

    Raises:
        ValueError: the bytes are no TFLite model, or it has no operators or too many.
    """

    def __init__(self, model: bytes) -> None:
        self._bytes = model
        try:
            self._read()
        except (struct.error, IndexError) as error:
            raise ValueError(f"no TFLite file, or it is cut off: {error}") from error

    def _read(self) -> None:
        subgraphs = self._follow(self._field(self._unsigned(0), _SUBGRAPHS))
        graph = self._follow(subgraphs + 4)
        self._count_at = self._follow(self._field(graph, _OPERATORS))
        self._outputs_at = self._field(graph, _OUTPUTS)
        self._given = set(self._vector(self._field(graph, _INPUTS)))
        self.outputs = set(self._vector(self._outputs_at))
        found = self._tables(self._count_at)
        if not 0 < len(found) <= MAX_OPERATORS:
            raise ValueError(f"the graph has {len(found)} operators, a profile has 1 to {MAX_OPERATORS}")
        self._reads = [self._vector(self._field(each, _OPERATOR_INPUTS)) for each in found]
        self._makes = [self._vector(self._field(each, _OPERATOR_OUTPUTS)) for each in found]
        self._flow = self._given.copy()
        for reads, makes in zip(self._reads, self._makes):  # noqa: B905  Python 3.8
            if not self._flow.isdisjoint(reads):
                self._flow.update(makes)
        tensors = self._tables(self._follow(self._field(graph, _TENSORS)))
        self.operators = [
            self._operator(tensors, reads, makes)
            for reads, makes in zip(self._reads, self._makes)  # noqa: B905  Python 3.8
        ]

    def model(self, count: int) -> bytes:
        """Return the model of the first `count` operators."""
        made = self._given.union(*self._makes[:count]) & (self._flow | self.outputs)
        live = sorted(made & self.outputs.union(*self._reads[count:]))
        whole = bytearray(self._bytes) + bytes(-len(self._bytes) % 4)
        struct.pack_into("<I", whole, self._count_at, count)
        struct.pack_into("<I", whole, self._outputs_at, len(whole) - self._outputs_at)
        return bytes(whole) + struct.pack(f"<I{len(live)}i", len(live), *live)

    def _operator(self, tensors: list[int], reads: list[int], makes: list[int]) -> Operator:
        name = self._text(tensors[makes[0]]) if makes else ""
        inputs, outputs = ([self._shape(tensors[at]) for at in ids if at >= 0] for ids in (reads, makes))
        return describe(name, "", inputs, outputs)

    def _shape(self, tensor: int) -> str:
        sizes = self._vector(self._field(tensor, _SIGNATURE) or self._field(tensor, _SHAPE))
        return shape_words("?" if size < 0 else size for size in sizes)

    def _text(self, tensor: int) -> str:
        at = self._follow(self._field(tensor, _NAME))
        return self._bytes[at + 4 : at + 4 + self._unsigned(at)].decode("utf-8", "replace") if at else ""

    def _tables(self, vector: int) -> list[int]:
        size = self._unsigned(vector)
        if size * 4 > len(self._bytes):
            raise ValueError("no TFLite file: a list is longer than the file")
        return [self._follow(vector + 4 + 4 * index) for index in range(size)]

    def _vector(self, field: int) -> list[int]:
        at = self._follow(field)
        return list(struct.unpack_from(f"<{self._unsigned(at)}i", self._bytes, at + 4)) if at else []

    def _field(self, table: int, number: int) -> int:
        """Return where a field of a table lies, 0 when the table has none."""
        vtable = table - int(struct.unpack_from("<i", self._bytes, table)[0])
        (size,) = struct.unpack_from("<H", self._bytes, vtable)
        entry = 4 + 2 * number
        offset = int(struct.unpack_from("<H", self._bytes, vtable + entry)[0]) if entry < size else 0
        return table + offset if offset else 0

    def _follow(self, field: int) -> int:
        return field + self._unsigned(field) if field else 0

    def _unsigned(self, at: int) -> int:
        return int(struct.unpack_from("<I", self._bytes, at)[0])
