"""YAML files as trees that remember where everything was written.

Owns reading, the limits against hostile files (size, depth, aliases, tags), duplicate keys and the traps of
`harness.spec.scalar`. It knows no key of any format: that is the business of the forms.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from harness.errors import Problem
from harness.spec import scalar
from harness.spec.tree import Document, Items, Mapping, Node, Refused, Scalar

MAX_BYTES = 16 << 20
MAX_DEPTH = 32
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
MAX_NODES = 2_000_000
MAX_ALIASED = 100_000
"""Nodes that aliases may add: 1 KB of nested aliases can stand for a billion nodes."""


def shown(path: Path) -> str:
    """Name a file as briefly as a terminal can still click: relative to the current folder where it lies below it."""
    if not path.is_absolute():
        return str(path)
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def read(path: Path, problems: list[Problem]) -> Document | None:
    """Read one YAML file.

    Args:
        path: the file.
        problems: everything that is wrong is added here.

    Returns:
        The document, or None when nothing useful could be read.
    """
    file = shown(path)
    try:
        if not path.is_file():
            raise OSError(_why_not_a_file(path))
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        problems.append(Problem(file, 1, 1, f"cannot be read: {getattr(error, 'strerror', None) or error}"))
        return None
    return compose(data, file, problems)


def _why_not_a_file(path: Path) -> str:
    if path.is_dir():
        return "is a folder, not a file"
    return "is not a regular file" if path.exists() else "no such file"


def compose(data: bytes, file: str, problems: list[Problem]) -> Document | None:
    """Build the tree of one file from its bytes; like `read` otherwise."""
    composer = _Composer(file, problems)
    text = ""
    try:
        text = _decode(data)
        for event in yaml.parse(text, Loader=_LOADER):
            composer.take(event)
    except _FatalError as error:
        problems.append(Problem(file, error.line, error.column, error.message, error.hint))
        return None
    except yaml.MarkedYAMLError as error:
        problems.append(_syntax_problem(error, text, composer))
        return None
    return composer.document()


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The pure loader serves where PyYAML was built without libyaml: ten times slower, same events."""


class _FatalError(Exception):
    """What stops the reading of a file."""

    def __init__(self, line: int, column: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.line, self.column, self.message, self.hint = line, column, message, hint


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise _FatalError(1, 1, f"the file is larger than {MAX_BYTES >> 20} MiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        line, column = _place(before, len(before))
        raise _FatalError(
            line, column, f"not UTF-8: byte 0x{data[error.start]:02x}", "save the file as UTF-8"
        ) from None
    control = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if control is not None:
        line, column = _place(text, control.start())
        raise _FatalError(line, column, f"control character U+{ord(control.group()):04X}", "remove it")
    return text


def _place(text: str, index: int) -> tuple[int, int]:
    return text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, composer: _Composer) -> Problem:
    said = error.problem or "not valid YAML"
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.split("\n")
    here = lines[line - 1][column - 1 : column] if line <= len(lines) else ""
    if here == "\t":
        return Problem(composer.file, line, column, "a tab character where YAML wants spaces", "indent with spaces")
    if "maximum nesting depth" in said:  # PyYAML >= 6.0.4 has a limit of its own and reads ahead of us
        return Problem(composer.file, line, column, _TOO_DEEP)
    at_end = not "".join(lines[line - 1 :])[column - 1 :].strip()
    if at_end or "document separator" in said:
        opened = error.context_mark if "scalar" in (error.context or "") else None
        frame = composer.stack[-1] if composer.stack else None
        if opened is not None:
            line, column = opened.line + 1, opened.column + 1
        elif frame is not None:
            line, column = frame.line, frame.column
        return Problem(composer.file, line, column, "what begins here is never closed", "a quote or bracket is missing")
    hint = "quote text that holds ':', '#', '{' or '['"
    if "did not find expected" in said:
        hint = f"indent it like the lines around it; {hint}"
    return Problem(composer.file, line, column, f"not valid YAML: {said}", hint)


@dataclass(slots=True)
class _Frame:
    """A sequence or mapping that is being read."""

    line: int
    column: int
    is_mapping: bool
    anchor: str | None
    items: list[Node] = field(default_factory=list)
    entries: dict[str, tuple[Scalar, Node]] = field(default_factory=dict)
    key: Scalar | None = None
    ignored: bool = False
    """The key was refused: its value is read and dropped."""
    refused: bool = False
    size: int = 1


class _Composer:
    """Makes nodes of events without recursion."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file, self.problems = file, problems
        self.stack: list[_Frame] = []
        self.anchors: dict[str, Node | None] = {}
        self.root: Node | None = None
        self.read = self.aliased = 0

    def take(self, event: yaml.Event) -> None:
        """Accept the next event."""
        mark = event.start_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        if isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            raise _FatalError(line, column, "a second document begins here", "one file holds one: remove '---'")
        if isinstance(event, yaml.NodeEvent):
            self._begin(event, line, column)
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            frame = self.stack.pop()
            node = self._close(frame)
            if frame.anchor:
                self.anchors[frame.anchor] = node
            self._add(node)

    def document(self) -> Document | None:
        """Give the finished tree, when it is a mapping."""
        if self.root is None or (isinstance(self.root, Scalar) and not self.root.text and not self.root.quoted):
            self.problems.append(Problem(self.file, 1, 1, "the file is empty", "see `fleetgate schema` for its keys"))
            return None
        if not isinstance(self.root, Mapping):
            found = "a list" if isinstance(self.root, Items) else "a single text"
            self._report(self.root, f"expected keys and values at the top, found {found}", "write 'key: value' lines")
            return None
        return Document(self.file, self.root)

    def _begin(self, event: yaml.NodeEvent, line: int, column: int) -> None:
        self.read += 1
        if self.read > MAX_NODES:
            raise _FatalError(line, column, f"more than {MAX_NODES} values in one file")
        if isinstance(event, yaml.AliasEvent):
            self._add(self._follow(event, line, column))
            return
        tag = getattr(event, "tag", None)
        if tag is not None:
            said = f"YAML tag {tag!r}"
            self.problems.append(Problem(self.file, line, column, said, "tags are not accepted: remove it"))
        if isinstance(event, yaml.ScalarEvent):
            written = Scalar(line, column, event.value, quoted=event.style in {"'", '"', "|", ">"})
            node = Refused(line, column) if tag is not None or self._is_trap(written) else written
            if event.anchor:
                self.anchors[event.anchor] = node
            self._add(node)
            return
        if len(self.stack) >= MAX_DEPTH:
            raise _FatalError(line, column, _TOO_DEEP)
        if event.anchor:
            self.anchors[event.anchor] = None
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self.stack.append(_Frame(line, column, is_mapping, event.anchor, refused=tag is not None))

    def _follow(self, event: yaml.AliasEvent, line: int, column: int) -> Node:
        node = self.anchors.get(event.anchor or "")
        if node is None:
            inside = event.anchor in self.anchors
            why = "contains itself" if inside else "is not defined above"
            raise _FatalError(line, column, f"alias '*{event.anchor}' {why}")
        self.aliased += node.size
        if self.aliased > MAX_ALIASED:
            raise _FatalError(line, column, f"aliases stand for more than {MAX_ALIASED} values")
        return node

    def _is_trap(self, node: Scalar) -> bool:
        trapped = None if node.quoted else scalar.trap(node.text)
        if trapped is not None:
            self._report(node, *trapped)
        return trapped is not None

    def _report(self, node: Node, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self.file, node.line, node.column, message, hint))

    def _close(self, frame: _Frame) -> Node:
        if frame.refused:
            return Refused(frame.line, frame.column)
        if frame.is_mapping:
            return Mapping(frame.line, frame.column, frame.entries, frame.size)
        return Items(frame.line, frame.column, tuple(frame.items), frame.size)

    def _add(self, node: Node) -> None:
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        frame.size += node.size
        if not frame.is_mapping:
            frame.items.append(self._with_value(node, "an item of this list", node))
        elif frame.key is None:
            self._take_key(frame, node)
        else:
            if not frame.ignored:
                frame.entries[frame.key.text] = (frame.key, self._with_value(node, repr(frame.key.text), frame.key))
            frame.key, frame.ignored = None, False

    def _with_value(self, node: Node, what: str, place: Scalar | Node) -> Node:
        """Refuse null: no format has a use for it, and an empty `gates:` must not read as none."""
        if not isinstance(node, Scalar) or node.quoted or scalar.resolve(node.text) is not None:
            return node
        comma = re.match(r"\d+( \S+)?$", place.text) if isinstance(place, Scalar) else None
        hint = "write a decimal point as '.', not ','" if comma else "give it one, or remove it"
        self._report(place, f"{what} has no value", hint)
        return Refused(node.line, node.column)

    def _take_key(self, frame: _Frame, node: Node) -> None:
        frame.key, frame.ignored = Scalar(node.line, node.column, "", quoted=True), True
        if isinstance(node, Refused):
            return
        if not isinstance(node, Scalar):
            self._report(node, "a key must be a single text", "write 'key: value'")
        elif not node.quoted and node.text == "<<":
            self._report(node, "the merge key '<<' is not part of YAML 1.2", "profiles inherit with 'extends:'")
        elif node.text in frame.entries:
            first = frame.entries[node.text][0].line
            self._report(node, f"duplicate key {node.text!r} (first on line {first})", "remove one of the two")
        else:
            frame.key, frame.ignored = node, False
