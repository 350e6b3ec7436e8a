"""llama.cpp's C functions in the shared object of the `xllamacpp` package, through ctypes.

Owns their signatures and the only fields of its structs that are set here, the first three of the context's: they have
lain there in every release, and `check_layout` refuses a build whose defaults say otherwise. Knows no model.
"""

from __future__ import annotations

import ctypes
import glob
import importlib.util
import os
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int8, c_int32, c_size_t, c_uint32, c_void_p

PACKAGE = "xllamacpp"
_ROOM = 1024
"""More than its structs take: what is passed or returned by value beyond them is not looked at."""
_DEFAULTS = (512, 2048, 512, 1)
"""n_ctx, n_batch, n_ubatch and n_seq_max of a context that nobody has set."""
_WARNING, _ERROR, _CONTINUED = 3, 4, 5
_KEPT_LINES = 12


class ModelParams(ctypes.Structure):
    """llama_model_params, of which nothing is set."""

    _fields_ = [("rest", ctypes.c_uint8 * _ROOM)]


class ContextParams(ctypes.Structure):
    """llama_context_params."""

    _fields_ = [
        ("n_ctx", c_uint32),
        ("n_batch", c_uint32),
        ("n_ubatch", c_uint32),
        ("n_seq_max", c_uint32),
        ("rest", ctypes.c_uint8 * _ROOM),
    ]


class Batch(ctypes.Structure):
    """llama_batch."""

    _fields_ = [
        ("n_tokens", c_int32),
        ("token", POINTER(c_int32)),
        ("embd", POINTER(c_float)),
        ("pos", POINTER(c_int32)),
        ("n_seq_id", POINTER(c_int32)),
        ("seq_id", POINTER(POINTER(c_int32))),
        ("logits", POINTER(c_int8)),
    ]


LogCallback = ctypes.CFUNCTYPE(None, ctypes.c_int, c_char_p, c_void_p)
_SIGNATURES = {
    "llama_backend_init": (None, []),
    "llama_log_set": (None, [LogCallback, c_void_p]),
    "llama_model_default_params": (ModelParams, []),
    "llama_context_default_params": (ContextParams, []),
    "llama_model_load_from_file": (c_void_p, [c_char_p, ModelParams]),
    "llama_init_from_model": (c_void_p, [c_void_p, ContextParams]),
    "llama_set_n_threads": (None, [c_void_p, c_int32, c_int32]),
    "llama_n_ctx": (c_uint32, [c_void_p]),
    "llama_n_batch": (c_uint32, [c_void_p]),
    "llama_model_get_vocab": (c_void_p, [c_void_p]),
    "llama_model_n_ctx_train": (c_int32, [c_void_p]),
    "llama_model_n_embd": (c_int32, [c_void_p]),
    "llama_model_n_layer": (c_int32, [c_void_p]),
    "llama_model_n_head": (c_int32, [c_void_p]),
    "llama_model_n_head_kv": (c_int32, [c_void_p]),
    "llama_model_meta_val_str": (c_int32, [c_void_p, c_char_p, c_char_p, c_size_t]),
    "llama_model_desc": (c_int32, [c_void_p, c_char_p, c_size_t]),
    "llama_vocab_n_tokens": (c_int32, [c_void_p]),
    "llama_vocab_bos": (c_int32, [c_void_p]),
    "llama_vocab_get_add_bos": (c_bool, [c_void_p]),
    "llama_vocab_is_eog": (c_bool, [c_void_p, c_int32]),
    "llama_tokenize": (c_int32, [c_void_p, c_char_p, c_int32, POINTER(c_int32), c_int32, c_bool, c_bool]),
    "llama_detokenize": (c_int32, [c_void_p, POINTER(c_int32), c_int32, c_char_p, c_int32, c_bool, c_bool]),
    "llama_get_memory": (c_void_p, [c_void_p]),
    "llama_memory_clear": (None, [c_void_p, c_bool]),
    "llama_memory_seq_rm": (c_bool, [c_void_p, c_int32, c_int32, c_int32]),
    "llama_decode": (c_int32, [c_void_p, Batch]),
    "llama_get_logits": (POINTER(c_float), [c_void_p]),
    "llama_print_system_info": (c_char_p, []),
}


class Log:
    """The last warnings and errors of the library; what it only reports is dropped."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._level = 0
        self.callback = LogCallback(self._hear)

    def _hear(self, level: int, text: bytes, _: object) -> None:
        self._level = self._level if level == _CONTINUED else level
        if self._level in {_WARNING, _ERROR} and text.strip():
            self._lines = [*self._lines, text.decode(errors="replace").strip()][-_KEPT_LINES:]

    def take(self) -> str:
        """Return what was said since the last time, the last words first."""
        said, self._lines = self._lines, []
        return "; ".join(dict.fromkeys(reversed(said)))[:800]


class Library:
    """The library, loaded; functions by their C names."""

    def __init__(self) -> None:
        self.path = _find()
        self._library = ctypes.CDLL(self.path)
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
        self.log = Log()
        self.call("llama_log_set", self.log.callback, None)

    def call(self, name: str, *arguments: object) -> object:
        """Call a function of `_SIGNATURES`."""
        return getattr(self._library, name)(*arguments)

    def number(self, name: str, *arguments: object) -> int:
        """Call a function that returns a whole number."""
        return int(getattr(self._library, name)(*arguments))

    def text(self, name: str) -> str:
        """Call a function that returns a text, of which the beginning is kept."""
        said: bytes | None = getattr(self._library, name)()
        return (said or b"").decode(errors="replace").strip()[:500]

    def check_layout(self) -> None:
        """Raise ImportError when this build's context parameters do not begin as they are known to."""
        params = self.call("llama_context_default_params")
        assert isinstance(params, ContextParams)
        found = (params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max)
        if found != _DEFAULTS:
            raise ImportError(f"this build of llama.cpp has other context parameters: {found}, expected {_DEFAULTS}")


def _find() -> str:
    spec = importlib.util.find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    found = sorted(path for folder in folders for path in glob.glob(os.path.join(folder, "*.so")))
    if not found:
        raise ImportError(f"no package {PACKAGE} with a shared object in this environment")
    return found[0]
