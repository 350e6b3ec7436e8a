"""Questions to a language model: which of some answers it finds likely, or what it writes.

One JSON object a line: {"prompt", "choices", …} is answered by log-likelihoods, {"prompt", …} by writing. Which answer
is right is not known here; other keys are the controller's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from harness.agent.frame import MAX_PAYLOAD
from harness.agent.language.likelihood import SCORES, take_part
from harness.agent.language.writing import make_choice, write
from harness.agent.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.agent.message import GenerationRequest
    from harness.agent.runtimes import Array, Decoder
    from harness.agent.session import Session

_MOST_FILE = 16 << 20
_MOST_LINES = 1 << 16


class Question(NamedTuple):
    """A prompt, and the answers to choose from; none: the model writes."""

    prompt: bytes
    choices: tuple[bytes, ...]


def answer(session: Session, decoder: Decoder, asked: GenerationRequest) -> None:
    """Answer the questions that are asked for.

    Arrays, for q questions of which c are to be chosen and t to be written: question_index int32 (q,), where each
    stands in the file; choice_count int32 (q,), 0 for those to be written; choice_logp float64, the log-likelihood in
    nats of every answer in turn; choice_bytes int32, of its text; check_length int64 (t,) and check_text uint8, what
    was written in turn. Scalars: question_count (of the file), question_tokens (read or written here).

    Raises:
        Refusal: `input` when a line is no question or does not fit into the context.
    """
    questions = _read(session.stored(asked.questions))
    chosen = take_part(len(questions), asked.lines, asked.seed)
    session.scalars["question_count"] = float(len(questions))
    if not chosen:
        return
    logps: list[float] = []
    texts: list[bytes] = []
    fed = 0
    for index in chosen:
        question = questions[index]
        if question.choices:
            found, spent = _weigh(question, decoder, asked, index)
            logps += found
        else:
            tokens = _fit(decoder.tokenize(question.prompt), asked.new_tokens, decoder, asked, index)
            wrote = write(decoder, tokens, asked, make_choice(asked), lambda: None)
            texts.append(decoder.detokenize([token for token in wrote if token not in decoder.ends]))
            spent = len(tokens) + len(wrote)
        fed += spent
    if sum(map(len, texts)) > MAX_PAYLOAD // 4:
        raise Refusal("input", "the answers are longer than a session brings back: ask fewer questions")
    session.scalars["question_tokens"] = float(fed)
    session.arrays.update(
        question_index=np.array(chosen, dtype=np.int32),
        choice_count=np.array([len(questions[index].choices) for index in chosen], dtype=np.int32),
        choice_logp=np.array(logps, dtype=np.float64),
        choice_bytes=np.array([len(text) for index in chosen for text in questions[index].choices], dtype=np.int32),
        check_length=np.array([len(text) for text in texts], dtype=np.int64),
        check_text=np.frombuffer(b"".join(texts), dtype=np.uint8),
    )


def _read(path: str) -> list[Question]:
    with open(path, "rb") as file:
        data = file.read(_MOST_FILE + 1)
    if len(data) > _MOST_FILE:
        raise Refusal("input", f"the questions are longer than {_MOST_FILE >> 20} MiB")
    lines = [line for line in data.splitlines() if line.strip()]
    if len(lines) > _MOST_LINES:
        raise Refusal("input", f"{len(lines)} questions are more than {_MOST_LINES}")
    return [_parse(number, line) for number, line in enumerate(lines)]


def _parse(number: int, line: bytes) -> Question:
    try:
        fields = json.loads(line)
        return Question(fields["prompt"].encode(), tuple(text.encode() for text in fields.get("choices", ())))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refusal("input", f"question {number}: {type(error).__name__}: {error}") from error


def _weigh(question: Question, decoder: Decoder, asked: GenerationRequest, index: int) -> tuple[list[float], int]:
    """Return the log-likelihood of each answer behind the prompt, and how many tokens were read for it.

    Text is split as a whole, as lm-evaluation-harness does; an answer begins where the first one's tokens differ from
    the prompt's, the same place for all answers of a question.
    """
    prompt = decoder.tokenize(question.prompt)
    wholes = [decoder.tokenize(question.prompt + choice) for choice in question.choices]
    common = min(_shared(prompt, whole) for whole in wholes)
    opened = 1 if decoder.opening >= 0 else 0
    if common + opened < 1 or any(len(whole) <= common for whole in wholes):
        raise Refusal("input", f"question {index}: an answer has no token behind the prompt")
    head = _fit(wholes[0][:common], max(len(whole) for whole in wholes) - common, decoder, asked, index)
    decoder.reset()
    first = _log_softmax(decoder.feed(head, every=False))[0]
    found, spent = [], len(head)
    for whole in wholes:
        tokens = whole[common:]
        total = float(first[tokens[0]])
        if len(tokens) > 1:
            spent += len(tokens) - 1 + _return_to(decoder, head)
            total += _read_on(decoder, tokens)
        found.append(total)
    return found, spent


def _return_to(decoder: Decoder, head: list[int]) -> int:
    """Have a decoder stand behind `head` again; return how many tokens had to be read for it."""
    if decoder.rewind(len(head)):
        return 0
    decoder.reset()
    decoder.feed(head, every=False)
    return len(head)


def _read_on(decoder: Decoder, tokens: list[int]) -> float:
    """Return the log-likelihood of tokens behind the first of them."""
    total, step = 0.0, max(1, SCORES // decoder.vocabulary)
    for start in range(0, len(tokens) - 1, step):
        wanted = tokens[start + 1 : start + step + 1]
        logp = _log_softmax(decoder.feed(tokens[start : start + len(wanted)], every=True))
        total += float(logp[np.arange(len(wanted)), wanted].sum())
    return total


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two texts begin with in common."""
    pairs = zip(one, other)  # noqa: B905  Python 3.8
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _fit(tokens: list[int], more: int, decoder: Decoder, asked: GenerationRequest, index: int) -> list[int]:
    """Put the opening token before a prompt, if `more` tokens after it still fit into the context."""
    opened = [decoder.opening, *tokens] if decoder.opening >= 0 else tokens
    if not opened:
        raise Refusal("input", f"question {index} has no token")
    if len(opened) + more > asked.context:
        words = f"{len(opened)} tokens and {more} more do not fit into a context of {asked.context}"
        raise Refusal("input", f"question {index}: {words}")
    return opened


def _log_softmax(scores: Array) -> Array:
    wide = scores.astype(np.float64)
    wide -= wide.max(1, keepdims=True)
    found: Array = wide - np.log(np.exp(wide).sum(1, keepdims=True))
    return found
