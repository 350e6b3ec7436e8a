"""The tree of a YAML file: nodes that know their line and column.

Knows neither how YAML is read (`harness.spec.yaml`) nor any key of any format.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.errors import Problem
from harness.spec import scalar
from harness.spec.model import Origin

Location = Sequence[str | int]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text, number, boolean or null; `quoted` scalars are always text."""

    line: int
    column: int
    text: str
    quoted: bool
    size: int = 1


@dataclass(frozen=True, slots=True)
class Items:
    """A YAML sequence."""

    line: int
    column: int
    items: tuple[Node, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """A YAML mapping: keys are unique, in file order."""

    line: int
    column: int
    entries: dict[str, tuple[Scalar, Node]]
    size: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A value that the reader has reported already: whoever meets it says no more about it."""

    line: int
    column: int
    size: int = 1


Node = Scalar | Items | Mapping | Refused


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML file whose root is a mapping; `file` is what problems call it."""

    file: str
    root: Mapping

    def find(self, where: Location, *, key: bool = False) -> Node:
        """Go down as far as `where` leads; with `key`, give the key of the last mapping entry, not its value."""
        node: Node = self.root
        found: Node = node
        for part in where:
            step = _child(node, part)
            if step is None:
                return node
            name, node = step
            found = name if key else node
        return found

    def keys(self, where: Location) -> Iterator[tuple[Scalar, Node]]:
        """Give the entries of the mapping at `where`; nothing when there is none."""
        node: Node = self.root
        for part in where:
            step = _child(node, part)
            if step is None:
                return
            node = step[1]
        if isinstance(node, Mapping):
            yield from node.entries.values()

    def text(self, where: Location) -> str:
        """Give the text of the scalar at `where`; empty when there is none."""
        node: Node = self.root
        for part in where:
            step = _child(node, part)
            if step is None:
                return ""
            node = step[1]
        return node.text if isinstance(node, Scalar) else ""

    def problem(self, node: Node, message: str, hint: str = "") -> Problem:
        """Say what is wrong with a node; what the file says is escaped, so that no terminal obeys it."""
        return Problem(self.file, node.line, node.column, _printable(message), _printable(hint))

    def origin(self, node: Node) -> Origin:
        """Name the place of a node."""
        return Origin(self.file, node.line, node.column)


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def _child(node: Node, part: str | int) -> tuple[Node, Node] | None:
    if isinstance(node, Mapping):
        return node.entries.get(str(part))
    if isinstance(node, Items) and isinstance(part, int) and part < len(node.items):
        return node.items[part], node.items[part]
    return None


def plain(node: Node) -> object:
    """Turn a tree into dicts, lists and values of the core schema; refused values stay what they are."""
    if isinstance(node, Refused):
        return node
    if isinstance(node, Scalar):
        return node.text if node.quoted else scalar.resolve(node.text)
    if isinstance(node, Items):
        return [plain(item) for item in node.items]
    return {key: plain(value) for key, (_, value) in node.entries.items()}
