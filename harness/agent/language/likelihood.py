"""The accuracy session of a language model: how likely it finds the data, and what it writes and answers.

The data is cut into windows; each is read in a fresh context behind the model's opening token. What is said of each
position comes back, what it means is not known here. A long evaluation is asked for in parts: then windows and
questions come in an order drawn from the seed, so that those of the first parts are a sample of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from harness.agent.frame import MAX_PAYLOAD
from harness.agent.language.probe import choose
from harness.agent.language.text import make_prompts, read_tokens
from harness.agent.language.writing import make_choice, table, write
from harness.agent.refusal import Refusal

if TYPE_CHECKING:
    from harness.agent.message import GenerationRequest
    from harness.agent.runtimes import Array, Decoder
    from harness.agent.session import Session

SCORES = 1 << 21
"""Scores that are held at a time: 8 MiB as float32."""
_ITEM = 4


class Window(NamedTuple):
    """What is read, and which tokens are to be predicted by its end: the last `len(targets)` positions."""

    read: list[int]
    targets: list[int]


def run(session: Session) -> None:
    """Score the data and continue the prompts.

    Arrays, for w windows of m scored tokens: tokens int32 (w, window); nll float32 (w, m), -log p of each; best int32
    (w, m), the most likely token; window_bytes int64 (w,), of the text of the scored tokens, 0 without a tokenizer;
    written int32 (prompts, new_tokens), -1 after the end; text uint8, what was written, texts joined by NUL.
    As a reference: probe_token int32, probe_logp, probe_weight float32 (w, m, k). Compared with one: probe_logq
    float32 (w, m, k). In parts: window_index int32 (w,), where each stands in the data. Scalars: load_s, window_count
    (of all the data), opening, vocabulary, text_tokens (scored here). With questions: see
    `harness.agent.language.questions`.

    Raises:
        Refusal: `input` when the data is too short, `tokens` when the reference has other tokens than this model.
    """
    asked = session.request.generation
    assert asked is not None
    decoder = session.decode(asked.context)
    data = session.stored(session.request.data)
    prompts = make_prompts(asked, data, decoder)
    windows = _cut(read_tokens(data, decoder, asked.tokens), asked, decoder.opening)
    session.scalars.update(
        window_count=float(len(windows)), opening=float(decoder.opening), vocabulary=float(decoder.vocabulary)
    )
    session.enter("run")
    _score(session, decoder, windows, asked)
    if asked.questions:
        # Imported where it is needed, so that the heap of other sessions stays as it is.
        from harness.agent.language import questions

        questions.answer(session, decoder, asked)
    if asked.writes:
        texts = [write(decoder, prompt.tokens, asked, make_choice(asked), lambda: None) for prompt in prompts]
        session.arrays["written"] = table(texts, asked.new_tokens)
        session.arrays["text"] = np.frombuffer(b"\0".join(decoder.detokenize(text) for text in texts), dtype=np.uint8)


def take_part(count: int, part: list[int], seed: int) -> list[int]:
    """Return which of `count` items a part [first, count] holds; all in their order where none is asked for."""
    if not part:
        return list(range(count))
    first, length = part
    return [int(item) for item in np.random.default_rng(seed).permutation(count)[first : first + length]]


def _score(session: Session, decoder: Decoder, windows: list[Window], asked: GenerationRequest) -> None:
    """Read the windows that are asked for."""
    chosen = take_part(len(windows), asked.windows, asked.seed)
    reference = _read_reference(session, asked, windows)
    if not chosen:
        return
    taken = [windows[index] for index in chosen]
    session.arrays["tokens"] = np.array([window.targets for window in taken], dtype=np.int32)
    if asked.windows:
        session.arrays["window_index"] = np.array(chosen, dtype=np.int32)
    judge = _Judge(asked, decoder.vocabulary, taken, {name: array[chosen] for name, array in reference.items()})
    for number, window in enumerate(taken):
        decoder.reset()
        for start, scores in _read(decoder, window):
            judge.hear(number, start, scores)
    session.arrays.update(judge.arrays)
    session.arrays["window_bytes"] = np.array([len(decoder.detokenize(item.targets)) for item in taken])
    session.scalars["text_tokens"] = float(sum(len(window.read) for window in taken))


class _Judge:
    """Keeps of each position's scores what is asked for."""

    def __init__(
        self, asked: GenerationRequest, vocabulary: int, windows: list[Window], reference: dict[str, Array]
    ) -> None:
        self._targets = np.array([window.targets for window in windows])
        self._reference = reference
        self._count = min(asked.probes, vocabulary) if not reference else 0
        self._generator = np.random.default_rng(asked.seed)
        shape = self._targets.shape
        width = reference["probe_token"].shape[2] if reference else self._count
        if shape[0] * shape[1] * (8 + 3 * _ITEM * width) > MAX_PAYLOAD // 2:
            words = f"{shape[0] * shape[1]} tokens with {width} probes each"
            raise Refusal("input", f"{words} are more than a session brings back: fewer `tokens` or `probes`")
        self.arrays = {"nll": np.zeros(shape, np.float32), "best": np.zeros(shape, np.int32)}
        names = ["probe_logq"] if reference else ["probe_token", "probe_logp", "probe_weight"] if self._count else []
        for name in names:
            self.arrays[name] = np.zeros((*shape, width), np.int32 if name == "probe_token" else np.float32)

    def hear(self, window: int, start: int, scores: Array) -> None:
        """Take scores of positions `start` … of a window."""
        at = (window, slice(start, start + len(scores)))
        top = scores.max(1, keepdims=True)
        total = np.exp(scores - top, dtype=np.float32).sum(1, keepdims=True, dtype=np.float64)
        logp = scores - top - np.log(total).astype(np.float32)
        rows = np.arange(len(scores))
        self.arrays["nll"][at] = -logp[rows, self._targets[at]]
        self.arrays["best"][at] = scores.argmax(1)
        if self._reference:
            self.arrays["probe_logq"][at] = np.take_along_axis(logp, self._reference["probe_token"][at], 1)
        elif self._count:
            found = choose(logp, self._count, self._generator)
            self.arrays["probe_token"][at], self.arrays["probe_logp"][at] = found.token, found.logp
            self.arrays["probe_weight"][at] = found.weight


def _cut(tokens: list[int], asked: GenerationRequest, opening: int) -> list[Window]:
    count = len(tokens) // asked.window
    if not count:
        raise Refusal("input", f"the data has {len(tokens)} tokens, a window takes {asked.window}")
    parts = [tokens[k * asked.window : (k + 1) * asked.window] for k in range(count)]
    if opening < 0:  # nothing stands before the first token, so that it cannot be predicted
        return [Window(part[:-1], part[1:]) for part in parts]
    return [Window([opening, *part[:-1]], part) for part in parts]


def _read(decoder: Decoder, window: Window) -> Iterator[tuple[int, Array]]:
    step = max(1, SCORES // decoder.vocabulary)
    for start in range(0, len(window.read), step):
        yield start, decoder.feed(window.read[start : start + step], every=True)


def _read_reference(session: Session, asked: GenerationRequest, windows: list[Window]) -> dict[str, Array]:
    """Read the probes of a reference, whose tokens must be this session's.

    Raises:
        Refusal: `tokens` when they are others, or the probes are none of this model's vocabulary.
    """
    if not asked.compared:
        return {}
    with np.load(session.stored(asked.compared), allow_pickle=False) as archive:
        theirs, probes = archive["tokens"], archive["probe_token"]
    ours = np.array([window.targets for window in windows], dtype=np.int32)
    if theirs.shape != ours.shape or not np.array_equal(theirs, ours):
        same = int((theirs == ours).sum()) if theirs.shape == ours.shape else 0
        words = f"the reference splits the data into other tokens ({same} of {theirs.size} are the same)"
        raise Refusal("tokens", f"{words}: this file has another tokenizer")
    return {"probe_token": probes}
