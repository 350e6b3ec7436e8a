"""ExecuTorch without torch, as users of executorch-numpy-runtime call it: one method of a .pte, `method(inputs)`.

A .pte is a finished program: what computes it was decided when it was exported, and the runtime reads only files of its
own ExecuTorch version. It sizes its thread pool by the machine and has no word for it: sessions are pinned to as many
cores as they have threads, and `thread_pool` in the settings says how many there were.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import executorch_numpy_runtime as executorch
import numpy as np

from harness.agent.refusal import Refusal
from harness.agent.runtimes import InputSpec, to_float

if TYPE_CHECKING:
    from harness.agent.runtimes import Array, Decoder, Feed, Prefixes

_METHOD = "forward"
_PORTABLE = "portable"
"""Provider of a program that no backend took part of: ExecuTorch's own kernels."""
_DTYPES = {
    0: "uint8", 1: "int8", 2: "int16", 3: "int32", 4: "int64", 5: "float16", 6: "float32", 7: "float64", 11: "bool",
}  # fmt: skip
"""numpy's names of torch's scalar types (c10/core/ScalarType.h)."""


class ExecuTorch:
    """The runtime port over the `executorch_numpy_runtime` package of this environment."""

    def describe(self) -> dict[str, str]:
        """Return the versions in use."""
        package, core = executorch.__version__, executorch.__et_version__
        return {
            "runtime_version": f"executorch-numpy-runtime {package} (ExecuTorch {core})",
            "numpy": np.__version__,
        }

    def probe(self) -> None:
        """Ask for the kernels: the native library answers only when it is whole."""
        if not executorch.runtime_info()["operators"]:
            raise ImportError("this executorch-numpy-runtime has no kernels")

    def load(self, path: str, provider: str, threads: int) -> ExecuTorchModel:
        """Load the program and its method; see the port. The threads are those of the cores that it is pinned to."""
        program = executorch.Runtime.get().load_program(path)
        if _METHOD not in program.method_names:
            raise Refusal("load", f"it has no method {_METHOD!r}, only {', '.join(program.method_names) or 'none'}")
        used = _find_backends(program)
        if provider and provider not in used:
            raise Refusal("fallback", f"{provider} was asked for, the file was exported for {', '.join(used)}")
        return ExecuTorchModel(program.load_method(_METHOD), "+".join(used))

    def split(self, path: str, provider: str, threads: int, feed: Feed) -> Prefixes:
        """Refuse: a program that was lowered to a backend cannot be cut."""
        raise Refusal("profile", "executorch runs a finished program, which cannot be taken apart")

    def decode(self, path: str, provider: str, threads: int, context: int) -> Decoder:
        """Refuse: this runtime generates no text here."""
        raise Refusal("load", "executorch generates no text here: use onnxruntime or llamacpp")


class ExecuTorchModel:
    """The method `forward` of a program."""

    def __init__(self, method: Any, provider: str) -> None:  # noqa: ANN401  the library has no types
        self._method = method
        self.provider = provider
        self.settings = {"executorch": executorch.__et_version__, "thread_pool": str(_count_threads())}

    def inputs(self) -> list[InputSpec]:
        """Return position, shape and dtype of each input: a program has no names for them."""
        told = self._method.metadata["inputs"]
        return [InputSpec(f"input_{at}", tuple(spec["shape"]), _dtype(spec, at)) for at, spec in enumerate(told)]

    def bind(self, arrays: Sequence[Array]) -> Callable[[], Any]:
        """Bind `method(inputs)`."""
        return functools.partial(self._method, [np.ascontiguousarray(array) for array in arrays])

    def outputs(self, raw: Any) -> list[Array]:  # noqa: ANN401
        """Copy the outputs to float."""
        return [to_float(array) for array in raw]


def _find_backends(program: Any) -> list[str]:  # noqa: ANN401  the library has no types
    """Name the backends that the method was lowered to."""
    # The package has no public word for it.
    known = executorch.runtime_info()["backends"]
    return [name for name in known if program._rt.method_uses_backend(_METHOD, name)] or [_PORTABLE]


def _count_threads() -> int:
    """Count the threads of this process, its own included: nothing but the runtime starts any."""
    return len(os.listdir("/proc/self/task"))


def _dtype(spec: dict[str, Any], at: int) -> str:
    """Translate a scalar type.

    Raises:
        TypeError: numpy has none like it.
    """
    kind = spec["scalar_type"]
    if kind not in _DTYPES:
        raise TypeError(f"input {at} is of torch's scalar type {kind}, which numpy does not have")
    return _DTYPES[kind]
