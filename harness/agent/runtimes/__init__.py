"""The runtime port: what a session needs of onnxruntime, TFLite or whatever comes next.

Adapters stand in one literal dict; each is imported only in a process that serves it. numpy and the runtime exist in
zygotes and sessions alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np

    from harness.agent.prefix import Operator

    Array = np.ndarray[Any, Any]
    Feed = Callable[["list[InputSpec]"], "list[Array]"]

RUNTIMES = {
    "onnxruntime": "harness.agent.runtimes.onnxruntime.OnnxRuntime",
    "tflite": "harness.agent.runtimes.tflite.TfLite",
    "llamacpp": "harness.agent.runtimes.llamacpp.LlamaCpp",
    "executorch": "harness.agent.runtimes.executorch.ExecuTorch",
}


class InputSpec(NamedTuple):
    """One input of a model; a None in `shape` is free. A quantised input takes real values, too."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    is_quantized: bool = False


class Model(Protocol):
    """A loaded model."""

    provider: str
    """What really computes it."""

    settings: dict[str, str]
    """Options that shape its figures."""

    def inputs(self) -> list[InputSpec]:
        """Return its inputs, in the order that `bind` expects."""

    def bind(self, arrays: Sequence[Array]) -> Callable[[], Any]:
        """Prepare one inference outside of any timed region.

        Args:
            arrays: one array per input, of the input's rank; real values for quantised inputs.

        Returns:
            A callable that does exactly what a plain loop of this runtime does, and returns its raw outputs.
        """

    def outputs(self, raw: Any) -> list[Array]:  # noqa: ANN401  each runtime has its own
        """Turn raw outputs into arrays of float32 (float64 for wide integers), dequantised and owned by the caller."""


class Prefixes(Protocol):
    """A model whose first operators can be run alone, as the runtime runs them in the whole model."""

    operators: list[Operator]
    """What really runs, in its order."""

    provider: str
    settings: dict[str, str]
    notes: list[str]
    """What a reader of figures per operator should know (operators that a delegate took over)."""

    def open(self, count: int) -> Callable[[], Any]:
        """Load the first `count` operators and return one inference of them; its outputs are not fetched."""

    def close(self) -> None:
        """Remove what was left in the file system."""


class Decoder(Protocol):
    """A language model with its tokenizer and a cache of what it has read."""

    provider: str
    settings: dict[str, str]
    vocabulary: int
    """Number of its tokens."""
    opening: int
    """The token that opens every text; -1: none."""
    ends: frozenset[int]
    """Tokens that end a text."""

    def tokenize(self, text: bytes) -> list[int]:
        """Return the tokens of a text, without an opening one.

        Raises:
            Refusal: `input` when the model has no tokenizer.
        """

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Return the text of some tokens; nothing when the model has no tokenizer."""

    def reset(self) -> None:
        """Forget what was read."""

    def rewind(self, count: int) -> bool:
        """Forget all but the first `count` tokens that were read; False, and nothing is changed, where it cannot."""

    def feed(self, tokens: Sequence[int], *, every: bool) -> Array:
        """Read on, and return what may follow.

        Args:
            tokens: not empty, each below `vocabulary`.
            every: whether to answer after each token, or only after the last.

        Returns:
            float32 scores before the softmax, shape (tokens or 1, vocabulary); valid until the next call.

        Raises:
            Refusal: `run` when the model cannot read on.
        """

    def cache_bytes(self) -> int:
        """Return the size of a full cache."""


class Runtime(Protocol):
    """A runtime that is imported in this process."""

    def describe(self) -> dict[str, str]:
        """Return `runtime_version` and `numpy`."""

    def probe(self) -> None:
        """Raise when it cannot run models here, although it could be imported."""

    def load(self, path: str, provider: str, threads: int) -> Model:
        """Load a model.

        Args:
            path: of the file, with the suffix that the user's file has.
            provider: execution provider or delegate asked for; empty: the runtime's CPU.
            threads: of one inference, calling thread included.

        Raises:
            Refusal: `fallback` when the provider asked for would not compute the model.
            Exception: whatever the runtime raises for a model that it cannot load.
        """

    def split(self, path: str, provider: str, threads: int, feed: Feed) -> Prefixes:
        """Prepare a model to be run in parts, after the runtime's own optimisation of the whole.

        Args:
            path: as for `load`; not read any more when this returns.
            provider: as for `load`.
            threads: as for `load`.
            feed: gives one array per input of the model.

        Raises:
            Refusal: `profile` when this runtime or model cannot be taken apart.
            Exception: whatever the runtime raises for a model that it cannot load.
        """

    def decode(self, path: str, provider: str, threads: int, context: int) -> Decoder:
        """Load a language model.

        Args:
            path: as for `load`.
            provider: as for `load`.
            threads: as for `load`.
            context: positions that its cache holds.

        Raises:
            Refusal: `load` when this runtime or file generates no text, `memory` when the cache does not fit.
            Exception: whatever the runtime raises for a model that it cannot load.
        """


def load_runtime(name: str) -> Runtime:
    """Import an adapter and its runtime.

    Raises:
        KeyError: no such adapter.
        ImportError: the runtime is not installed here.
    """
    module, _, attribute = RUNTIMES[name].rpartition(".")
    adapter: Runtime = getattr(importlib.import_module(module), attribute)()
    return adapter


def to_float(array: Array) -> Array:
    """Copy any numeric output to float32, or to float64 where its integers do not fit.

    Raises:
        TypeError: the output is no array of numbers (strings, sequences, maps).
    """
    import numpy as np

    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise TypeError(f"an output is {type(array).__name__}, not an array of numbers")
    wide = array.dtype.kind in "iu" and array.dtype.itemsize > 2
    return np.array(array, dtype=np.float64 if wide else np.float32, order="C")
