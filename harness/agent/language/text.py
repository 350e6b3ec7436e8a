"""What a language session reads: its data as tokens, and its prompts.

The data is UTF-8 text for the model's own tokenizer, or an .npz with `tokens` of shape (n,).
"""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from harness.agent.refusal import Refusal

if TYPE_CHECKING:
    from harness.agent.message import GenerationRequest
    from harness.agent.runtimes import Decoder

_ZIP = b"PK\x03\x04"
_BYTES_PER_TOKEN = 16
"""Of the data so many bytes are read per token asked for: no tokenizer in use makes longer tokens on average."""
_MOST_PROMPT_BYTES = 1 << 20


class Prompt(NamedTuple):
    """Tokens to continue, opened as the model's texts are, and how long the text took to become them."""

    tokens: list[int]
    tokenize_s: float
    text: bytes = b""
    """Empty: it was given as tokens."""


def read_tokens(path: str, decoder: Decoder, most: int) -> list[int]:
    """Return the first `most` tokens of the data, without an opening token.

    Raises:
        Refusal: `input` when it is neither text nor tokens of this model.
    """
    with open(path, "rb") as file:
        head = file.read(len(_ZIP))
        data = head + file.read() if head == _ZIP else head + file.read(most * _BYTES_PER_TOKEN)
    if head == _ZIP:
        return _check(_unpack(data)[:most], decoder)
    text = data[: most * _BYTES_PER_TOKEN].decode("utf-8", "ignore")
    if not text:
        raise Refusal("input", "the data is not UTF-8 text")
    return _check(decoder.tokenize(text.encode())[:most], decoder)


def make_prompts(asked: GenerationRequest, path: str, decoder: Decoder) -> list[Prompt]:
    """Tokenize the prompts, or take the beginning of the data as the only one.

    Raises:
        Refusal: `input` when one is empty or does not fit into the context with what is to be generated.
    """
    opening = [decoder.opening] if decoder.opening >= 0 else []
    found = [_tokenize(text, asked, decoder) for text in asked.prompts]
    if not found:
        found = [Prompt(read_tokens(path, decoder, max(1, asked.prompt_tokens - len(opening))), 0.0)]
    prompts = [prompt._replace(tokens=opening + prompt.tokens) for prompt in found]
    for number, prompt in enumerate(prompts):
        length = len(prompt.tokens)
        if length < max(1, asked.prompt_tokens):
            raise Refusal("input", f"prompt {number} has {length} tokens, {max(1, asked.prompt_tokens)} were asked for")
        if length + asked.new_tokens > asked.context:
            words = f"{length} tokens and {asked.new_tokens} new ones do not fit into a context of {asked.context}"
            raise Refusal("input", f"prompt {number}: {words}")
    return prompts


def _tokenize(text: str, asked: GenerationRequest, decoder: Decoder) -> Prompt:
    given = text.encode()[:_MOST_PROMPT_BYTES]
    start = time.perf_counter()
    tokens = decoder.tokenize(given)
    elapsed_s = time.perf_counter() - start
    opened = 1 if decoder.opening >= 0 else 0
    kept = tokens[: asked.prompt_tokens - opened] if asked.prompt_tokens else tokens
    return Prompt(kept, elapsed_s, given)


def _unpack(data: bytes) -> list[int]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            tokens = archive["tokens"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise Refusal("input", f"the data is no .npz with an array `tokens`: {error}") from error
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        raise Refusal("input", f"`tokens` is {tokens.dtype} of shape {tokens.shape}, not whole numbers of shape (n,)")
    return [int(token) for token in tokens]


def _check(tokens: list[int], decoder: Decoder) -> list[int]:
    wrong = next((token for token in tokens if not 0 <= token < decoder.vocabulary), None)
    if wrong is not None:
        raise Refusal("input", f"token {wrong} of the data is none of the model's {decoder.vocabulary}")
    return tokens
