"""llama.cpp: GGUF files, their own tokenizer, a cache in half precision, everything else as the library has it."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np

from harness.agent.meters.memory import read_available
from harness.agent.refusal import Refusal
from harness.agent.runtimes.llamacpp_library import PACKAGE, Batch, ContextParams, Library

if TYPE_CHECKING:
    from harness.agent.runtimes import Array, Feed, Model, Prefixes

_CACHE_ITEM = 2
"""Bytes of a number in the cache: llama.cpp's default is f16."""
_Sequence = ctypes.POINTER(ctypes.c_int32)
_MEMORY_WORDS = ("alloc", "memory")


class LlamaCpp:
    """The runtime port over the `xllamacpp` package of this environment."""

    def __init__(self) -> None:
        self._library = Library()

    def describe(self) -> dict[str, str]:
        """Return the versions in use."""
        return {"runtime_version": f"{PACKAGE} {metadata.version(PACKAGE)}", "numpy": np.__version__}

    def probe(self) -> None:
        """Check that the build is one whose parameters are known."""
        self._library.check_layout()

    def load(self, path: str, provider: str, threads: int) -> Model:
        """Refuse: a GGUF file has no inputs and outputs but text; see the port."""
        raise Refusal("load", "llama.cpp runs language models only: use `task: generation`")

    def split(self, path: str, provider: str, threads: int, feed: Feed) -> Prefixes:
        """Refuse; see the port."""
        raise Refusal("profile", "llama.cpp's models cannot be taken apart")

    def decode(self, path: str, provider: str, threads: int, context: int) -> LlamaDecoder:
        """Load a GGUF file and make its cache; see the port."""
        library = self._library
        if provider:
            raise Refusal("fallback", f"{provider} was asked for, this build of llama.cpp has the CPU only")
        library.call("llama_backend_init")
        model = library.call(
            "llama_model_load_from_file", os.fsencode(path), library.call("llama_model_default_params")
        )
        if not model:
            raise Refusal("load", f"llama.cpp cannot load it: {library.log.take() or 'no reason given'}")
        decoder = LlamaDecoder(library, model, context)
        decoder.open(threads)
        return decoder


class LlamaDecoder:
    """One model with one context; neither is ever freed: the session's process ends."""

    provider = "CPU"

    def __init__(self, library: Library, model: object, context: int) -> None:
        self._library, self._model, self._size = library, model, context
        self._vocab = library.call("llama_model_get_vocab", model)
        self.vocabulary = library.number("llama_vocab_n_tokens", self._vocab)
        opens = library.call("llama_vocab_get_add_bos", self._vocab)
        self.opening = library.number("llama_vocab_bos", self._vocab) if opens else -1
        self._context: object = None
        self._position = 0
        self.settings = {
            "model": self._describe(),
            "cache_type": "f16",
            "context_trained": str(library.number("llama_model_n_ctx_train", model)),
            "system": library.text("llama_print_system_info"),
        }

    @functools.cached_property
    def ends(self) -> frozenset[int]:
        """Ask of every token; not while the model is loaded, which is timed."""
        call, vocab = self._library.call, self._vocab
        return frozenset(token for token in range(self.vocabulary) if call("llama_vocab_is_eog", vocab, token))

    def open(self, threads: int) -> None:
        """Make the context.

        Raises:
            Refusal: `memory` when its cache does not fit, `load` when it cannot be made for another reason.
        """
        library = self._library
        need, available = self.cache_bytes(), read_available()
        if need > available:
            raise Refusal("memory", f"a cache for {self._size} positions takes {need} bytes, {available} are available")
        params = library.call("llama_context_default_params")
        assert isinstance(params, ContextParams)
        params.n_ctx = self._size
        self._context = library.call("llama_init_from_model", self._model, params)
        if not self._context:
            said = library.log.take()
            code = "memory" if any(word in said for word in _MEMORY_WORDS) else "load"
            raise Refusal(code, f"llama.cpp cannot make a context of {self._size} positions: {said or 'no reason'}")
        library.call("llama_set_n_threads", self._context, threads, threads)
        self._batch = library.number("llama_n_batch", self._context)
        self.settings["context"] = str(library.number("llama_n_ctx", self._context))

    def tokenize(self, text: bytes) -> list[int]:
        """Ask the model's tokenizer; special tokens in the text are plain text."""
        room = len(text) + 16
        found = (ctypes.c_int32 * room)()
        count = self._library.number("llama_tokenize", self._vocab, text, len(text), found, room, False, False)
        if count < 0:
            raise Refusal("input", f"llama.cpp cannot tokenize the text: {self._library.log.take() or count}")
        return list(found[:count])

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Ask the model's tokenizer; special tokens vanish."""
        given = (ctypes.c_int32 * len(tokens))(*tokens)
        room = 64 * len(tokens) + 256
        text = ctypes.create_string_buffer(room)
        count = self._library.number("llama_detokenize", self._vocab, given, len(tokens), text, room, True, False)
        return text.raw[: max(0, count)]

    def reset(self) -> None:
        """Clear the cache."""
        self._library.call("llama_memory_clear", self._library.call("llama_get_memory", self._context), True)
        self._position = 0

    def rewind(self, count: int) -> bool:
        """Remove positions from the cache; models that keep a state instead cannot."""
        memory = self._library.call("llama_get_memory", self._context)
        is_done = bool(self._library.call("llama_memory_seq_rm", memory, 0, count, -1))
        self._position = count if is_done else self._position
        return is_done

    def feed(self, tokens: Sequence[int], *, every: bool) -> Array:
        """Decode in the library's own batches; see the port."""
        parts = [
            self._decode(tokens[start : start + self._batch], every=every, is_last=start + self._batch >= len(tokens))
            for start in range(0, len(tokens), self._batch)
        ]
        return parts[-1] if len(parts) == 1 or not every else np.concatenate(parts)

    def cache_bytes(self) -> int:
        """Compute it from the shapes of keys and values."""
        number, model = self._library.number, self._model
        heads = max(1, number("llama_model_n_head", model))
        head = number("llama_model_n_embd", model) // heads
        key, value = (self._told(f"attention.{name}_length", head) for name in ("key", "value"))
        per_position = number("llama_model_n_layer", model) * number("llama_model_n_head_kv", model) * (key + value)
        return self._size * per_position * _CACHE_ITEM

    def _decode(self, tokens: Sequence[int], *, every: bool, is_last: bool) -> Array:
        count = len(tokens)
        wanted = [1] * count if every else [0] * (count - 1) + [int(is_last)]
        own = (ctypes.c_int32 * 1)(0)
        batch = Batch(
            count,
            (ctypes.c_int32 * count)(*tokens),
            None,
            (ctypes.c_int32 * count)(*range(self._position, self._position + count)),
            (ctypes.c_int32 * count)(*[1] * count),
            (_Sequence * count)(*[ctypes.cast(own, _Sequence)] * count),
            (ctypes.c_int8 * count)(*wanted),
        )
        status = self._library.number("llama_decode", self._context, batch)
        if status:
            raise Refusal(
                "run", f"llama.cpp cannot decode at position {self._position}: {self._library.log.take() or status}"
            )
        self._position += count
        if not any(wanted):
            return np.empty((0, self.vocabulary), dtype=np.float32)
        scores = self._library.call("llama_get_logits", self._context)
        found = np.ctypeslib.as_array(scores, (sum(wanted), self.vocabulary))
        return found.copy() if every and not is_last else found

    def _told(self, key: str, otherwise: int) -> int:
        """Read a whole number of the file's metadata, below the name of its architecture."""
        architecture = self._read("general.architecture")
        text = self._read(f"{architecture}.{key}")
        return int(text) if text.isdigit() else otherwise

    def _read(self, key: str) -> str:
        text = ctypes.create_string_buffer(256)
        found = self._library.number("llama_model_meta_val_str", self._model, key.encode(), text, len(text))
        return text.value.decode(errors="replace") if found >= 0 else ""

    def _describe(self) -> str:
        text = ctypes.create_string_buffer(256)
        self._library.call("llama_model_desc", self._model, text, len(text))
        return text.value.decode(errors="replace")
