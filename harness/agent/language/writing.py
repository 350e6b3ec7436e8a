"""Writing: one token after the other until the model ends the text or the cap is reached.

Owns the choice of tokens and nothing of how long it took; a watch hears of every token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from harness.agent.message import GenerationRequest
    from harness.agent.runtimes import Array, Decoder

    Choose = Callable[[Array], int]
    Watch = Callable[[], None]


def make_choice(asked: GenerationRequest) -> Choose:
    """Return what chooses a token from scores of shape (1, vocabulary): the largest, or drawn by the seed."""
    if asked.temperature == 0:
        return _largest
    generator = np.random.default_rng(asked.seed)

    def draw(scores: Array) -> int:
        row = scores[0].astype(np.float64) / asked.temperature
        if asked.top_k and asked.top_k < len(row):
            row[row < np.partition(row, -asked.top_k)[-asked.top_k]] = -np.inf
        weights = np.exp(row - row.max())
        return int(generator.choice(len(row), p=weights / weights.sum()))

    return draw


def write(decoder: Decoder, prompt: Sequence[int], asked: GenerationRequest, choose: Choose, watch: Watch) -> list[int]:
    """Continue a prompt; `watch` is called after each token, the first included.

    Returns:
        At most `asked.new_tokens` tokens, the end token included if the model wrote one.
    """
    decoder.reset()
    ends = decoder.ends if asked.stops else frozenset()
    tokens = [choose(decoder.feed(prompt, every=False))]
    watch()
    while len(tokens) < asked.new_tokens and tokens[-1] not in ends:
        tokens.append(choose(decoder.feed(tokens[-1:], every=False)))
        watch()
    return tokens


def table(texts: Sequence[Sequence[int]], width: int) -> Array:
    """Return texts as rows of int32, filled up with -1."""
    rows = np.full((len(texts), width), -1, dtype=np.int32)
    for row, text in zip(rows, texts):  # noqa: B905  Python 3.8
        row[: len(text)] = text
    return rows


def _largest(scores: Array) -> int:
    return int(scores[0].argmax())
