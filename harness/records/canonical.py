"""Records as bytes and back: one canonical JSON form, and a reader that trusts nothing.

Owns the encoding (sorted keys, UTF-8, one-space indent, trailing newline, no NaN and no infinity: an unbounded end of
an interval is null because its type says `float | None`). Knows no file: `source` only names one in messages.
"""

from __future__ import annotations

import hashlib
import json
import math
import numbers
import re
from collections.abc import Hashable
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from harness.errors import RecordError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from harness.records.plan import Plan

T = TypeVar("T")

MAX_DIGITS = 32
"""Longest integer that a record holds; the largest honest ones are byte and instruction counts."""


def to_json(record: object) -> bytes:
    """Encode a record dataclass as canonical JSON.

    Equal records give equal bytes: an int in a float field is written as the float that the reader will see, and
    text that is no valid Unicode (lone surrogates from a board's log) has its broken characters replaced by `?`.

    Raises:
        RecordError: a figure is NaN or infinite, or the record does not fit its own type.
    """
    name = type(record).__name__
    raw = json.dumps(_plain(record, name), allow_nan=False).encode()
    return dump(_plain(_build(type(record), raw, name), name))


def from_json(kind: type[T], data: bytes, *, source: str = "record") -> T:
    """Decode canonical (or any honest) JSON into `kind`.

    Args:
        kind: a record dataclass.
        data: the bytes of the file; the caller bounds their number.
        source: name of the file for messages.

    Raises:
        RecordError: not UTF-8, not JSON, a duplicate or unknown or missing key, NaN, infinity, an endless number,
            nesting without end, or a value of the wrong type.
    """
    raw = parse(data, source)
    record = _build(kind, data, source)
    _reject_unknown(raw, _plain(record, source), source)
    return record


def parse(data: bytes, source: str) -> object:
    """Parse JSON strictly: no duplicate key, no NaN or infinity, bounded numbers and nesting.

    Raises:
        RecordError: anything else; the message names `source`.
    """
    try:
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_reject_constant,
            parse_float=_finite,
            parse_int=_bounded,
        )
    except RecursionError as error:
        raise RecordError(f"{source}: nested too deeply for a record") from error
    except ValueError as error:
        raise RecordError(f"{source}: not readable as JSON: {str(error)[:200]}") from error


def plan_sha256(plan: Plan) -> str:
    """Hash a plan over the canonical JSON of all but its `sha256`."""
    return hashlib.sha256(to_json(replace(plan, sha256=""))).hexdigest()


def slug(cell_key: str) -> str:
    """Turn a cell key into a file name that is safe everywhere and unique: readable part, then 16 digits of a hash."""
    readable = re.sub(r"[^A-Za-z0-9._]+", "-", cell_key).strip("-.")[:60]
    digest = hashlib.sha256(cell_key.encode("utf-8", "backslashreplace")).hexdigest()[:16]
    return f"{readable or 'cell'}-{digest}"


def schema(kind: type) -> dict[str, Any]:
    """Describe the JSON of a record type (`RunRecord`, `Judgement`) as JSON Schema."""
    return _adapter(kind).json_schema()


def dump(plain: object) -> bytes:
    """Write plain JSON data (dicts, lists, text, finite numbers) in the canonical form."""
    text = json.dumps(plain, allow_nan=False, sort_keys=True, ensure_ascii=False, indent=1, separators=(",", ": "))
    return text.encode() + b"\n"


@lru_cache(maxsize=32)
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(cast(Any, kind))


def _build(kind: type[T], data: bytes, source: str) -> T:
    from pydantic import ValidationError

    try:
        return cast(T, _adapter(cast(Hashable, kind)).validate_json(data, strict=True))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "top"
        raise RecordError(f"{source}: {where}: {first['msg']} ({error.error_count()} problems in all)") from error


def _plain(value: object, where: str) -> object:
    """Reduce dataclasses, enums, tuples and numpy scalars to what JSON has."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, where)
    if isinstance(value, str):
        return str(value) if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, numbers.Real):
        return _plain_number(value, where)
    return _plain_container(value, where)


def _plain_number(value: numbers.Real, where: str) -> int | float:
    if isinstance(value, numbers.Integral):
        return int(value)
    number = float(value)
    if not math.isfinite(number):
        raise RecordError(f"{where}: {number} cannot be recorded; a figure is finite or absent")
    return number


def _plain_container(value: object, where: str) -> object:
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name), f"{where}.{item.name}") for item in fields(value)}
    if isinstance(value, dict):
        return {str(_plain(str(key), where)): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item, where) for item in value]
    raise RecordError(f"{where}: {type(value).__name__} is not a type that records hold")


def _reject_unknown(raw: object, known: object, where: str) -> None:
    if isinstance(raw, dict) and isinstance(known, dict):
        extra = sorted(set(raw) - set(known))
        if extra:
            raise RecordError(f"{where}: unknown key {extra[0]!r} (written by another version, or edited)")
        for key, item in raw.items():
            _reject_unknown(item, known[key], f"{where}.{key}")
    elif isinstance(raw, list) and isinstance(known, list):
        for index, (item, other) in enumerate(zip(raw, known, strict=True)):
            _reject_unknown(item, other, f"{where}[{index}]")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} stands twice")
    return found


def _reject_constant(text: str) -> float:
    raise ValueError(f"{text} is not a figure")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is beyond every figure")
    return number


def _bounded(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)
