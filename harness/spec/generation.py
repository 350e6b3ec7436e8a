"""The `generation:` part of a workload: what a language model is asked to write, and on what text it is judged."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from harness import units
from harness.errors import Problem
from harness.spec.form import Form, one_of
from harness.spec.task_key import check_task_key
from harness.spec.tree import Document
from harness.spec.validate import Refusal, quoted
from harness.spec.workload import Generation
from harness.units import Dimension

GREEDY = "greedy"
TASK = "generation"
FAMILIES = ("onnxruntime", "llamacpp")
"""Runtimes that generate text."""
REPEAT, WARMUP = 3, 1
"""Defaults of a workload that generates: each repeat writes every prompt's whole continuation."""
MOST_TOKENS = 1 << 20
MOST_PROMPTS = 48 << 10
"""Bytes of all prompts as JSON: they travel in the request of each session, which holds 64 KiB."""


LONGEST_S = 86_400.0
_TOKENS = re.compile(r"([0-9]{1,9}) ?tokens?")
_CHECKER = re.compile(r"[^:]{1,400}\.py:[A-Za-z_][A-Za-z0-9_]{0,99}")


class SamplingForm(Form):
    """How tokens are drawn."""

    noun: ClassVar[str] = "sampling"
    temperature: float = Field(gt=0, le=100, description="Divides the scores before the softmax.", examples=[0.8])
    top_k: int = Field(default=0, ge=1, le=MOST_TOKENS, description="Only the so many most likely tokens.")


def _greedy(value: object) -> object:
    return None if value == GREEDY else value


def read_budget(text: str) -> tuple[int, float]:
    """Return (tokens, seconds) of a budget, one of them 0.

    Raises:
        Refusal: it is neither.
    """
    counted = _TOKENS.fullmatch(text)
    if counted:
        tokens = int(counted[1])
        if not 1 <= tokens <= MOST_TOKENS:
            raise Refusal(f"{quoted(text)} is impossible here", f"1 to {MOST_TOKENS} tokens")
        return tokens, 0.0
    try:
        seconds = units.parse(text, Dimension.TIME)
    except units.QuantityError:
        raise Refusal(f"{quoted(text)} is no budget", "write '1000 tokens' or '20 min'") from None
    if not 0 < seconds <= LONGEST_S:
        raise Refusal(f"{quoted(text)} is impossible here", "above 0 s, at most 24 h")
    return 0, seconds


def _budget(value: object) -> object:
    """Check a budget; a bare number is told what it lacks, what is neither is the form's to refuse."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        read_budget(str(value))
    return value


def _checker(value: str) -> str:
    if not _CHECKER.fullmatch(value):
        raise Refusal(f"{quoted(value)} names no checker", "write 'checks.py:function'")
    return value


class GenerationForm(Form):
    """What a language model is asked."""

    noun: ClassVar[str] = "generation"
    prompts: list[Annotated[str, Field(min_length=1, max_length=8192)]] = Field(
        default=[],
        description="Texts to continue; without: the beginning of the data, `prompt_tokens` long.",
        examples=[["In the beginning "]],
        max_length=64,
    )
    prompt_tokens: int = Field(
        default=0, ge=2, le=MOST_TOKENS, description="Every prompt is cut to so many tokens.", examples=[64]
    )
    new_tokens: int = Field(default=32, ge=1, le=MOST_TOKENS, description="Most tokens to write.", examples=[32])
    context: int = Field(default=512, ge=4, le=MOST_TOKENS, description="Positions of the cache.", examples=[512])
    sampling: Annotated[
        SamplingForm | None,
        BeforeValidator(_greedy, json_schema_input_type=str | SamplingForm),
        WithJsonSchema({"anyOf": [{"const": GREEDY}, {"type": "object"}]}),
    ] = Field(default=None, description="`greedy`, or `temperature` and `top_k`.", examples=[GREEDY])
    seed: int = Field(default=0, ge=0, lt=1 << 32, description="Of sampling.", examples=[1])
    stop: Annotated[str, one_of("word", ("end", "length")), WithJsonSchema({"enum": ["end", "length"]})] = Field(
        default="end",
        description="`end`: the model's end token ends a text. `length`: every text is `new_tokens` long.",
        examples=["length"],
    )
    tokenizing: Annotated[str, one_of("word", ("in", "out")), WithJsonSchema({"enum": ["in", "out"]})] = Field(
        default="out", description="Whether the time to the first token counts tokenizing too.", examples=["in"]
    )
    window: int = Field(default=128, ge=2, le=MOST_TOKENS, description="Tokens scored in one context.", examples=[128])
    tokens: int = Field(default=4096, ge=2, le=MOST_TOKENS, description="Most tokens of the data that are scored.")
    probes: int = Field(
        default=64, ge=4, le=4096, description="Tokens per position at which reference and artifact are compared."
    )
    questions: str = Field(
        default="",
        description="Questions beside the suite, one JSON object a line: `prompt` with `choices` and `answer`, with "
        "`regex`, with `text`, or for the `checker`; `kind` is `answer`, `format` or `refusal`.",
        examples=["questions.jsonl"],
        min_length=1,
    )
    checker: Annotated[str, AfterValidator(_checker), WithJsonSchema({"type": "string"})] = Field(
        default="",
        description="Python function beside the suite that gets a question's prompt and the text written, and returns "
        "whether it passes, or a score from 0 to 1.",
        examples=["checks.py:passes"],
    )
    budget: Annotated[str, BeforeValidator(_budget), WithJsonSchema({"type": "string"})] = Field(
        default="",
        description="Tokens or time for data and questions: evaluated in parts, until every gate on them is decided.",
        examples=["1000 tokens", "20 min"],
    )


def resolve(form: GenerationForm, folder: Path) -> Generation:
    """Give what a form says; files are relative to the suite's folder."""
    sampling = form.sampling
    tokens, seconds = read_budget(form.budget) if form.budget else (0, 0.0)
    return Generation(
        prompts=tuple(form.prompts),
        prompt_tokens=form.prompt_tokens,
        new_tokens=form.new_tokens,
        context=form.context,
        temperature=sampling.temperature if sampling else 0.0,
        top_k=sampling.top_k if sampling else 0,
        seed=form.seed,
        stops=form.stop == "end",
        tokenizing=form.tokenizing == "in",
        window=form.window,
        tokens=form.tokens,
        probes=form.probes,
        questions=str((folder / form.questions).absolute()) if form.questions else "",
        checker=str((folder / form.checker).absolute()) if form.checker else "",
        budget_tokens=tokens,
        budget_s=seconds,
    )


def check(document: Document, form: GenerationForm | None, problems: list[Problem]) -> None:
    """Add what is wrong with the generation of a suite that is otherwise well-formed."""
    problems += check_task_key(document, TASK, is_there=form is not None, example="{…}")
    if form is None:
        return
    for key, message in _contradictions(form):
        where = document.find(["workload", "generation", key])
        problems.append(document.problem(where, message))


def _contradictions(form: GenerationForm) -> list[tuple[str, str]]:
    """List (key, message) of values that do not go together."""
    found = []
    if not form.prompts and not form.prompt_tokens:
        found.append(("prompts", "without prompts, 'prompt_tokens' says how much of the data is continued"))
    if len(json.dumps(form.prompts)) > MOST_PROMPTS:
        words = f"the prompts are longer than {MOST_PROMPTS >> 10} KiB together"
        found.append(("prompts", f"{words}: name fewer, or take the beginning of the data by 'prompt_tokens'"))
    if form.prompt_tokens + form.new_tokens > form.context:
        words = f"{form.prompt_tokens} prompt tokens and {form.new_tokens} new ones do not fit into {form.context}"
        found.append(("context", words))
    if form.window >= form.context:
        found.append(("window", f"a window of {form.window} tokens needs a context of at least {form.window + 1}"))
    if form.tokens < form.window:
        found.append(("tokens", f"{form.tokens} tokens are less than one window of {form.window}"))
    return found
