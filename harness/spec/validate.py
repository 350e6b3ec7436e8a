"""From a YAML tree to a validated form, with every mistake named at its place in plain words.

pydantic does the checking; nothing of its vocabulary reaches the user. Knows no key of any format.
"""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, Protocol, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from harness.errors import Problem, SpecError
from harness.spec import tree
from harness.spec.tree import Document

MAX_PROBLEMS = 200
MAX_EXPLAINED = 10_000

FormT = TypeVar("FormT", bound=BaseModel)


class Refusal(ValueError):  # noqa: N818  not an error of the program
    """A validator's no: what is wrong, and what to write instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class _Named(Protocol):
    noun: str


def quoted(text: str) -> str:
    """Show a text of the user within a message: escaped, and no longer than a line."""
    return repr(text if len(text) <= 60 else text[:60] + "…")


def suggest(word: str, known: Iterable[str]) -> str:
    """Say what was probably meant, or else what there is to choose from."""
    names = list(known)
    folded = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean {folded[close[0]]!r}?"
    listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"known: {listed}" if names else ""


def validate(form: type[FormT], document: Document, problems: list[Problem]) -> FormT | None:
    """Check a document against a form.

    Args:
        form: the form of the whole file.
        document: the file.
        problems: every mistake is added here, except of values that the reader refused already.

    Returns:
        The filled form, or None when it has mistakes.
    """
    try:
        return form.model_validate(tree.plain(document.root))
    except ValidationError as refused:
        fresh = [error for error in refused.errors(include_url=False) if not isinstance(error["input"], tree.Refused)]
        problems.extend(_explain(error, form, document) for error in fresh[:MAX_EXPLAINED])
        return None


def finish(problems: list[Problem]) -> None:
    """Raise SpecError when there are problems; of very many only the first are told."""
    if not problems:
        return
    unique = sorted(set(problems))
    if len(unique) > MAX_PROBLEMS:
        last = unique[MAX_PROBLEMS - 1]
        rest = len(unique) - MAX_PROBLEMS
        unique = [*unique[:MAX_PROBLEMS], Problem(last.file, last.line, last.column + 1, f"… and {rest} more")]
    raise SpecError(unique)


def _explain(error: ErrorDetails, form: type[BaseModel], document: Document) -> Problem:
    where = [part for part in error["loc"] if part != "[key]"]
    at_key = error["type"] == "extra_forbidden" or "[key]" in error["loc"]
    node = document.find(where, key=at_key)
    name = str(where[-1]) if where else ""
    owner = _form_at(form, where[:-1])
    if error["type"] == "missing":
        return document.problem(node, f"{_noun(owner)} needs the key '{name}'", _example_of(owner, name))
    if error["type"] == "extra_forbidden":
        known = list(owner.model_fields) if owner is not None else []
        return document.problem(node, f"unknown key {quoted(name)} in {_noun(owner)}", suggest(name, known))
    context = error.get("ctx", {})
    if error["type"] == "value_error":
        refusal = context.get("error")
        return document.problem(node, _about(where, str(refusal)), getattr(refusal, "hint", ""))
    message, hint = _type_message(error["type"], context, error.get("input"))
    return document.problem(node, _about(where, message or error["msg"]), hint)


def _about(where: list[int | str], message: str) -> str:
    keys = [part for part in where if isinstance(part, str)]
    return f"{keys[-1]}: {message}" if keys and "'" + keys[-1] + "'" not in message else message


_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
}


def _type_message(kind: str, context: Mapping[str, Any], value: object) -> tuple[str, str]:
    if kind in _EXPECTED:
        hint = f'quote it: "{value}"' if kind == "string_type" and isinstance(value, int | float) else ""
        return f"expected {_EXPECTED[kind]}, found {_found(value)}", hint
    bounds = {
        "greater_than_equal": ("ge", "must be at least"),
        "less_than_equal": ("le", "must be at most"),
        "too_short": ("min_length", "too few entries: at least"),
        "too_long": ("max_length", "too many entries: at most"),
        "string_too_short": ("min_length", "too short: at least"),
        "string_too_long": ("max_length", "too long: at most"),
    }
    if kind == "string_pattern_mismatch":
        return f"{quoted(str(value))} has characters that cannot be here", f"pattern: {context.get('pattern')}"
    if kind in bounds:
        key, words = bounds[kind]
        number = "" if isinstance(value, list | dict | str) else f", found {value}"
        return f"{words} {context.get(key)}{number}", ""
    return "", ""


def _found(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    return "a list" if isinstance(value, list) else "keys and values"


def _noun(form: type[BaseModel] | None) -> str:
    return cast(_Named, form).noun if form is not None and hasattr(form, "noun") else "this part"


def _example_of(form: type[BaseModel] | None, name: str) -> str:
    field = form.model_fields.get(name) if form is not None else None
    examples = field.examples if field is not None else None
    return f"for example '{name}: {examples[0]}'" if examples else ""


def _form_at(form: type[BaseModel], where: list[int | str]) -> type[BaseModel] | None:
    """Follow a location through the annotations of a form to the form that owns it."""
    current: Any = form
    for part in where:
        current = _unwrapped(current)
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(part))
            current = field.annotation if field is not None else None
        elif typing.get_origin(current) in {dict, list}:
            current = typing.get_args(current)[-1]
        else:
            return None
    current = _unwrapped(current)
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _unwrapped(annotation: Any) -> Any:  # noqa: ANN401  annotations have no common type
    while True:
        origin = typing.get_origin(annotation)
        if origin is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
        elif origin in {typing.Union, UnionType}:
            annotation = next(part for part in typing.get_args(annotation) if part is not type(None))
        else:
            return annotation
