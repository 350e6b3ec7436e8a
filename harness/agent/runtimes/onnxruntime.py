"""onnxruntime, as its users call it: one InferenceSession, `run(None, feed)`.

One thread unless asked, no spinning, graph optimisation as the library has it by default. onnxruntime replaces a
provider that does not come up by another one and only logs it: here that is an error.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from harness.agent.refusal import Refusal
from harness.agent.runtimes import InputSpec, to_float

if TYPE_CHECKING:
    from harness.agent.runtimes import Array, Decoder, Feed, Prefixes

_CPU = "CPUExecutionProvider"
_LOG_FATAL_ONLY = 3
_DTYPES = {"float": "float32", "double": "float64"}


class OnnxRuntime:
    """The runtime port over the `onnxruntime` package of this environment."""

    def describe(self) -> dict[str, str]:
        """Return the versions in use."""
        return {"runtime_version": f"onnxruntime {onnxruntime.__version__}", "numpy": np.__version__}

    def probe(self) -> None:
        """Ask for the providers: the native library answers only when it is whole."""
        onnxruntime.set_default_logger_severity(_LOG_FATAL_ONLY)
        if _CPU not in onnxruntime.get_available_providers():
            raise ImportError("this onnxruntime has no CPU provider")

    def load(self, path: str, provider: str, threads: int) -> OnnxModel:
        """Create the session; see the port."""
        options = make_options(threads)
        session, used = open_session(path, options, provider)
        return OnnxModel(session, used, options)

    def split(self, path: str, provider: str, threads: int, feed: Feed) -> Prefixes:
        """Let onnxruntime optimise the model and prepare to cut what came of it; see the port."""
        # Imported in the session that needs it, so that the heap of all others stays as it is.
        from harness.agent.runtimes.onnxruntime_prefix import OnnxPrefixes

        return OnnxPrefixes(path, provider, threads, feed)

    def decode(self, path: str, provider: str, threads: int, context: int) -> Decoder:
        """Create the session and look for tokens, cache and scores among its inputs and outputs; see the port."""
        from harness.agent.runtimes.onnxruntime_decoder import OnnxDecoder

        session, used = open_session(path, make_options(threads), provider)
        return OnnxDecoder(session, used, context)


def make_options(threads: int) -> Any:  # noqa: ANN401  the library has no types
    """Return the options of every session: so many threads, no spinning, silent."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _LOG_FATAL_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def open_session(model: str | bytes, options: Any, provider: str) -> tuple[Any, str]:  # noqa: ANN401
    """Create an InferenceSession on the provider asked for (empty: the CPU) and no other; return it and the provider.

    Raises:
        Refusal: `fallback` when the provider would not compute the model.
    """
    asked = provider or _CPU
    available = onnxruntime.get_available_providers()
    if asked not in available:
        raise Refusal("fallback", f"{asked} is not in this build, which has {', '.join(available)}")
    session = onnxruntime.InferenceSession(model, options, providers=[asked], enable_fallback=0)
    session.disable_fallback()
    used = session.get_providers()
    if not used or used[0] != asked:
        raise Refusal("fallback", f"{asked} was asked for, the session uses {', '.join(used) or 'nothing'}")
    return session, used[0]


class OnnxModel:
    """One InferenceSession."""

    def __init__(self, session: Any, provider: str, options: Any) -> None:  # noqa: ANN401  the library has no types
        self._session = session
        self.provider = provider
        self.settings = {
            "graph_optimization_level": str(options.graph_optimization_level).rpartition(".")[2],
            "execution_mode": str(options.execution_mode).rpartition(".")[2],
            "cpu_mem_arena": str(bool(options.enable_cpu_mem_arena)).lower(),
            "mem_pattern": str(bool(options.enable_mem_pattern)).lower(),
            "allow_spinning": "0",
        }

    def inputs(self) -> list[InputSpec]:
        """Return name, shape and dtype of each input."""
        return [InputSpec(node.name, _shape(node.shape), _dtype(node.type)) for node in self._session.get_inputs()]

    def bind(self, arrays: Sequence[Array]) -> Callable[[], Any]:
        """Bind `session.run(None, feed)`."""
        names = [node.name for node in self._session.get_inputs()]
        feed = {name: np.ascontiguousarray(array) for name, array in zip(names, arrays)}  # noqa: B905  Python 3.8
        return functools.partial(self._session.run, None, feed)

    def outputs(self, raw: Any) -> list[Array]:  # noqa: ANN401
        """Copy the outputs to float."""
        return [to_float(array) for array in raw]


def _shape(shape: list[Any]) -> tuple[int | None, ...]:
    return tuple(size if isinstance(size, int) and size > 0 else None for size in shape)


def _dtype(kind: str) -> str:
    """Translate `tensor(float)`.

    Raises:
        TypeError: not a tensor.
    """
    if not kind.startswith("tensor("):
        raise TypeError(f"an input is {kind}, not a tensor")
    name = kind[len("tensor(") : -1]
    return _DTYPES.get(name, name)
