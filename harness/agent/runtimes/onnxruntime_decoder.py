"""Decoder files of onnxruntime: token ids and a cache of keys and values in, scores and a longer cache out.

Reads what exporters agree on: `input_ids`, `past_key_values.*` beside `present.*`, `logits`; `attention_mask` and
`position_ids` where the file has them. A file may name its tokenizer in its metadata (`fleetgate.tokenizer: bytes`:
a token is a byte; `fleetgate.opening` and `fleetgate.ends`: token numbers); without, prompts and data are tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.agent.meters.memory import read_available
from harness.agent.refusal import Refusal

if TYPE_CHECKING:
    from harness.agent.runtimes import Array

TOKENIZER, OPENING, ENDS = "fleetgate.tokenizer", "fleetgate.opening", "fleetgate.ends"
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_CACHE_RANK = 4
_BYTES = 256


class OnnxDecoder:
    """One InferenceSession, fed through numpy: each call gets the cache that the last one returned."""

    def __init__(self, session: Any, provider: str, context: int) -> None:  # noqa: ANN401  the library has no types
        self._session, self._context, self.provider = session, context, provider
        self._inputs = {node.name: node for node in session.get_inputs()}
        self._pasts = [name for name in self._inputs if name.startswith("past")]
        outputs = session.get_outputs()
        self._presents = [node.name for node in outputs if node.name.startswith("present")]
        scores = next((node for node in outputs if node.name == "logits"), None)
        if "input_ids" not in self._inputs or scores is None or not self._pasts:
            raise Refusal("load", "no decoder with a cache: it needs input_ids, past…, logits and present…")
        if len(self._pasts) != len(self._presents):
            raise Refusal("load", f"{len(self._pasts)} caches go in and {len(self._presents)} come out")
        self._empty = {name: self._make_empty(name) for name in self._pasts}
        self._cache = dict(self._empty)
        self._position = 0
        told = session.get_modelmeta().custom_metadata_map
        self._is_bytes = told.get(TOKENIZER) == "bytes"
        self.vocabulary = scores.shape[-1] if isinstance(scores.shape[-1], int) else self._try_width()
        self.opening = int(told.get(OPENING, -1))
        self.ends = frozenset(int(word) for word in told.get(ENDS, "").split())
        self.settings = {
            "context": str(context),
            "cache_type": str(next(iter(self._empty.values())).dtype),
            "tokenizer": told.get(TOKENIZER, "none"),
        }
        need, available = self.cache_bytes(), read_available()
        if need > available:
            raise Refusal("memory", f"a cache for {context} positions takes {need} bytes, {available} are available")

    def tokenize(self, text: bytes) -> list[int]:
        """Return the bytes of a text; see the port."""
        if not self._is_bytes:
            raise Refusal("input", f"the file names no tokenizer ({TOKENIZER}): give tokens instead of text")
        return list(text)

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Return tokens that are bytes; nothing without a tokenizer."""
        return bytes(token for token in tokens if token < _BYTES) if self._is_bytes else b""

    def reset(self) -> None:
        """Start with an empty cache."""
        self._cache = dict(self._empty)
        self._position = 0

    def rewind(self, count: int) -> bool:
        """Cut the cache; see the port."""
        self._cache = {name: array[:, :, :count] for name, array in self._cache.items()}
        self._position = count
        return True

    def feed(self, tokens: Sequence[int], *, every: bool) -> Array:
        """Run the file once; see the port."""
        count, end = len(tokens), self._position + len(tokens)
        if end > self._context:
            raise Refusal("run", f"{end} positions do not fit into a context of {self._context}")
        given = {
            "input_ids": np.array([tokens]),
            "attention_mask": np.ones((1, end)),
            "position_ids": np.arange(self._position, end)[None],
        }
        feed = {name: value.astype(np.int64) for name, value in given.items() if name in self._inputs}
        found = self._session.run(["logits", *self._presents], dict(feed, **self._cache))
        self._cache = dict(zip(self._pasts, found[1:]))  # noqa: B905  Python 3.8
        self._position = end
        scores = found[0]
        if scores.shape[:1] + scores.shape[-1:] != (1, self.vocabulary) or scores.shape[1] not in {1, count}:
            raise Refusal("run", f"logits of shape {scores.shape} for {count} tokens of {self.vocabulary}")
        if every and scores.shape[1] != count:
            raise Refusal("run", "the file gives scores after the last token only: it cannot be judged on a text")
        rows = scores[0] if every else scores[0, -1:]
        return np.asarray(rows, dtype=np.float32)

    def cache_bytes(self) -> int:
        """Compute it from the shapes of the inputs."""
        per_position = sum(array.shape[1] * array.shape[3] * array.itemsize for array in self._empty.values())
        return self._context * int(per_position)

    def _make_empty(self, name: str) -> Array:
        node = self._inputs[name]
        shape = node.shape
        is_known = len(shape) == _CACHE_RANK and isinstance(shape[1], int) and isinstance(shape[3], int)
        if not is_known or node.type not in _TYPES:
            words = "(1, heads, positions, width) of float or float16"
            raise Refusal("load", f"the cache {name} is {node.type} {shape}, not {words} with known heads and width")
        return np.zeros((1, shape[1], 0, shape[3]), dtype=_TYPES[node.type])

    def _try_width(self) -> int:
        """Find out how many scores there are, where the file does not say."""
        token = {"input_ids": [[0]], "attention_mask": [[1]], "position_ids": [[0]]}
        feed = {name: np.array(value, dtype=np.int64) for name, value in token.items() if name in self._inputs}
        (scores,) = self._session.run(["logits"], dict(feed, **self._empty))
        return int(scores.shape[-1])
