"""Questions to a language model: a file of JSON lines, and how each of them is judged.

| keys beside `prompt` | judged by | metric |
|---|---|---|
| `choices`, `answer` | which choice is most likely | llm.choice_accuracy, llm.choice_accuracy_norm |
| `regex`, or the suite's `checker` | a search in the text, or the function | by `kind`: llm.pass_rate, … |
| `text` | equality | llm.exact_match |

Owns the format. What is asked of a board is `harness.agent.language.questions`.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import Problem, SpecError
from harness.spec.generation import GenerationForm
from harness.spec.model import LimitSet
from harness.spec.tree import Document, Location
from harness.spec.validate import Refusal, quoted, suggest

CHOICE, EXACT = "choice", "exact"
KINDS = (CHOICE, "answer", "format", "refusal", EXACT)
"""Kinds of questions; records name them by their place here."""
METRIC_KINDS = {
    "llm.choice_accuracy": CHOICE,
    "llm.choice_accuracy_norm": CHOICE,
    "llm.pass_rate": "answer",
    "llm.format_rate": "format",
    "llm.refusal_rate": "refusal",
    "llm.exact_match": EXACT,
}
"""Metrics of questions and the kind that they count."""
MOST_BYTES = 16 << 20
MOST_LINES = 1 << 16
MOST_CHOICES = 64
_LONGEST = {"prompt": 32 << 10, "regex": 1000, "text": 32 << 10}
_KEYS = ("prompt", "choices", "answer", "regex", "text", "kind")
_WRITTEN = ("answer", "format", "refusal")


@dataclass(frozen=True, slots=True)
class Question:
    """One question; what is not said is empty, `answer` -1."""

    prompt: str
    kind: str
    choices: tuple[str, ...] = ()
    answer: int = -1
    regex: str = ""
    text: str = ""

    @property
    def needs_checker(self) -> bool:
        """Whether nothing in its line says what passes."""
        return self.kind in _WRITTEN and not self.regex


def read_questions(path: Path) -> tuple[Question, ...]:
    """Read a file of questions.

    Raises:
        SpecError: everything that is wrong in it, by line.
        OSError: it cannot be read.
    """
    name = path.name
    if path.stat().st_size > MOST_BYTES:
        raise SpecError([Problem(name, 1, 1, f"more than {MOST_BYTES >> 20} MiB of questions", "split the file")])
    problems: list[Problem] = []
    found = list(_parse(path.read_bytes(), name, problems))
    if not found and not problems:
        problems.append(Problem(name, 1, 1, "no question in it", 'one JSON object a line: {"prompt": …}'))
    if len(found) > MOST_LINES:
        problems.append(Problem(name, 1, 1, f"{len(found)} questions, at most {MOST_LINES}", "split the file"))
    if problems:
        raise SpecError(problems)
    return tuple(found)


def check(
    document: Document, form: GenerationForm | None, folder: Path, gates: tuple[LimitSet, ...], problems: list[Problem]
) -> None:
    """Add what is wrong with the questions and the checker of a suite, and gates that no question answers."""
    kinds = set()
    if form is not None and form.questions:
        questions = _read(document, form.questions, folder, problems)
        kinds = {question.kind for question in questions}
        if not form.checker and any(question.needs_checker for question in questions):
            at = next(number for number, question in enumerate(questions, 1) if question.needs_checker)
            words = f"question {at} has neither 'regex' nor 'text' nor 'choices'"
            problems.append(_problem(document, "questions", words, "add 'checker: file.py:function'"))
    if form is not None and form.checker:
        _check_checker(document, form, folder, problems)
    for limit in (limit for scope in gates for limit in scope.limits):
        kind = METRIC_KINDS.get(limit.metric, "")
        if kind and kind not in kinds:
            place = (limit.origin.file, limit.origin.line, limit.origin.column)
            hint = f"add 'questions: FILE' with questions of kind {kind!r}"
            problems.append(Problem(*place, f"no question answers {limit.metric}", hint))


def _read(document: Document, name: str, folder: Path, problems: list[Problem]) -> tuple[Question, ...]:
    try:
        return read_questions(folder / name)
    except SpecError as error:
        problems += error.problems
    except (OSError, ValueError) as error:
        problems.append(_problem(document, "questions", f"cannot read {quoted(name)}: {type(error).__name__}"))
    return ()


def _check_checker(document: Document, form: GenerationForm, folder: Path, problems: list[Problem]) -> None:
    file, _, function = form.checker.partition(":")
    if not form.questions:
        problems.append(_problem(document, "checker", "a checker without questions", "add 'questions: FILE'"))
    try:
        tree = ast.parse((folder / file).read_bytes())
    except (OSError, ValueError) as error:
        problems.append(_problem(document, "checker", f"cannot read {quoted(file)}: {type(error).__name__}"))
        return
    except (SyntaxError, RecursionError, MemoryError) as error:
        problems.append(_problem(document, "checker", f"{quoted(file)} is no Python: {type(error).__name__}"))
        return
    known = [item.name for item in tree.body if isinstance(item, ast.FunctionDef)]
    if function not in known:
        problems.append(_problem(document, "checker", f"{file} has no function {function!r}", suggest(function, known)))


def _problem(document: Document, key: str, message: str, hint: str = "") -> Problem:
    where: Location = ["workload", "generation", key]
    return document.problem(document.find(where), message, hint)


def _parse(data: bytes, name: str, problems: list[Problem]) -> Iterator[Question]:
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip() or len(problems) >= MOST_CHOICES:
            continue
        try:
            yield _question(json.loads(line.decode("utf-8")))
        except json.JSONDecodeError as error:
            problems.append(Problem(name, number, error.colno, f"not JSON: {error.msg}", "one object a line"))
        except Refusal as refusal:
            problems.append(Problem(name, number, 1, str(refusal), refusal.hint))
        except (UnicodeDecodeError, RecursionError) as error:
            problems.append(Problem(name, number, 1, f"not JSON: {type(error).__name__}", "one object a line"))


def _question(fields: object) -> Question:
    if not isinstance(fields, dict):
        raise Refusal("a question is an object", '{"prompt": …}')
    unknown = next((key for key in fields if key not in _KEYS), None)
    if unknown is not None:
        raise Refusal(f"unknown key {quoted(str(unknown))}", suggest(str(unknown), _KEYS))
    for key, longest in _LONGEST.items():
        if key in fields or key == "prompt":
            _check_text(fields.get(key), key, longest)
    judged = [key for key in ("choices", "regex", "text") if key in fields]
    if len(judged) > 1:
        raise Refusal(f"a question has one of {', '.join(judged)}")
    if judged == ["choices"] or "answer" in fields:
        return _choice(fields)
    kind = fields.get("kind", "answer")
    if kind not in _WRITTEN or (judged == ["text"] and "kind" in fields):
        raise Refusal(f"{quoted(str(kind))} is no kind of this question", f"known: {', '.join(_WRITTEN)}")
    if judged == ["text"]:
        return Question(fields["prompt"], EXACT, text=fields["text"])
    return Question(fields["prompt"], kind, regex=_regex(fields.get("regex", "")))


def _choice(fields: dict[str, object]) -> Question:
    prompt, choices, answer = fields["prompt"], fields.get("choices"), fields.get("answer")
    if "kind" in fields:
        raise Refusal("a question with choices has no kind")
    if not isinstance(choices, list) or not 2 <= len(choices) <= MOST_CHOICES:
        raise Refusal(f"'choices' are 2 to {MOST_CHOICES} texts")
    for choice in choices:
        _check_text(choice, "choices", _LONGEST["text"])
    if len(set(choices)) < len(choices):
        raise Refusal("two choices are equal")
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(choices):
        raise Refusal(f"'answer' is the place of the right choice, 0 to {len(choices) - 1}")
    return Question(str(prompt), CHOICE, tuple(choices), answer)


def _check_text(value: object, key: str, longest: int) -> None:
    if not isinstance(value, str) or not value or len(value.encode("utf-8", "replace")) > longest:
        raise Refusal(f"'{key}' is a text of 1 to {longest} bytes")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refusal(f"'{key}' has half a character (a lone surrogate)") from None


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise Refusal(f"'regex' is none: {error}") from None
    return text
