"""TFLite, by ai-edge-litert or tflite-runtime, whichever the environment holds.

Quantised inputs are made from real values by the input's scale and zero point and outputs are turned back, both outside
of the timed region, which is `set_tensor`, `invoke`, `get_tensor` as in a plain loop. Delegates are not supported.
"""

from __future__ import annotations

import base64
import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.agent.refusal import Refusal
from harness.agent.runtimes import InputSpec, to_float

if TYPE_CHECKING:
    from harness.agent.runtimes import Array, Decoder, Feed, Prefixes

_PACKAGES = ("ai_edge_litert", "tflite_runtime")
_PROBE = base64.b64decode(
    "CAAAAFRGTDPC////FAAAACAAAAAoAAAApAAAAAMAAAABAAAACAAAAAQABAAEAAAABQAAAHByb2JlAAAAAQAAABQAAAAAAA4AGAAU"
    "ABAADAAIAAQADgAAABQAAAAcAAAAHAAAACAAAAAkAAAABAAAAG1haW4AAAAAAAAAAAEAAAAAAAAAAQAAAAAAAAABAAAAEAAAAAwA"
    "DAAIAAAAAAAEAAwAAAAIAAAADAAAAAEAAAB4AAAAAQAAAAEAAAAAAAAA"
)
"""A model of one tensor and no operator: enough to build an interpreter."""


class TfLite:
    """The runtime port over the first TFLite package that is here."""

    def __init__(self) -> None:
        self._package, self._interpreter = _find_interpreter()

    def describe(self) -> dict[str, str]:
        """Return the versions in use."""
        version = getattr(importlib.import_module(self._package), "__version__", "") or _metadata_version(self._package)
        return {"runtime_version": f"{self._package.replace('_', '-')} {version}", "numpy": np.__version__}

    def probe(self) -> None:
        """Build an interpreter: tflite-runtime 2.14 imports beside numpy 2 and fails only here."""
        self._interpreter(model_content=_PROBE, num_threads=1).allocate_tensors()

    def load(self, path: str, provider: str, threads: int) -> TfLiteModel:
        """Build the interpreter and allocate its tensors; see the port."""
        if provider:
            raise Refusal("fallback", f"the tflite adapter runs the built-in kernels only, not {provider}")
        interpreter = self._interpreter(model_path=path, num_threads=threads)
        interpreter.allocate_tensors()
        return TfLiteModel(interpreter)

    def split(self, path: str, provider: str, threads: int, feed: Feed) -> Prefixes:
        """Prepare to cut the file; every part is delegated as the whole is; see the port."""
        # Imported in the session that needs it, so that the heap of all others stays as it is.
        from harness.agent.runtimes.tflite_prefix import TflitePrefixes

        return TflitePrefixes(path, lambda part: self.load(part, provider, threads), feed)

    def decode(self, path: str, provider: str, threads: int, context: int) -> Decoder:
        """Refuse; see the port."""
        raise Refusal("load", "TFLite files generate no text here: use onnxruntime or llamacpp")


class TfLiteModel:
    """One Interpreter."""

    def __init__(self, interpreter: Any) -> None:  # noqa: ANN401  two packages, none with types
        self._interpreter = interpreter
        self.provider = "builtin"
        self.settings = {"op_resolver": "auto"}

    def inputs(self) -> list[InputSpec]:
        """Return name, shape, dtype of each input; -1 in the signature is free."""
        return [
            InputSpec(
                detail["name"],
                tuple(int(size) if size > 0 else None for size in detail.get("shape_signature", detail["shape"])),
                np.dtype(detail["dtype"]).name,
                _is_quantized(detail),
            )
            for detail in self._interpreter.get_input_details()
        ]

    def bind(self, arrays: Sequence[Array]) -> Callable[[], Any]:
        """Quantise, resize where the model is free to, and bind the calls of one inference."""
        interpreter = self._interpreter
        feed = self.feed(arrays)
        outputs = [detail["index"] for detail in interpreter.get_output_details()]
        if len(feed) == 1 and len(outputs) == 1:
            return _bind_single(interpreter, feed[0], outputs[0])
        return _bind_many(interpreter, feed, outputs)

    def feed(self, arrays: Sequence[Array]) -> list[tuple[int, Array]]:
        """Quantise, resize where the model is free to, and return what goes into which tensor."""
        interpreter = self._interpreter
        details = interpreter.get_input_details()
        feed = [(d["index"], _quantize(array, d)) for d, array in zip(details, arrays)]  # noqa: B905  Python 3.8
        changed = [(i, a.shape) for (i, a), d in zip(feed, details) if a.shape != tuple(d["shape"])]  # noqa: B905
        for index, shape in changed:
            interpreter.resize_tensor_input(index, shape)
        if changed:
            interpreter.allocate_tensors()
        return feed

    def bind_blind(self, arrays: Sequence[Array]) -> Callable[[], Any]:
        """Bind the calls of one inference whose outputs nobody fetches."""
        interpreter, feed = self._interpreter, self.feed(arrays)

        def call() -> None:
            for index, array in feed:
                interpreter.set_tensor(index, array)
            interpreter.invoke()

        return call

    def operator_kinds(self) -> list[str]:
        """Return the type of every operator that the interpreter holds: the file's, then the delegates' partitions."""
        return [str(detail["op_name"]) for detail in self._interpreter._get_ops_details()]

    def outputs(self, raw: Any) -> list[Array]:  # noqa: ANN401
        """Dequantise and copy the outputs."""
        details = self._interpreter.get_output_details()
        return [_dequantize(array, detail) for array, detail in zip(raw, details)]  # noqa: B905  Python 3.8


def _bind_single(interpreter: Any, feed: tuple[int, Array], output: int) -> Callable[[], Any]:  # noqa: ANN401
    set_tensor, invoke, get_tensor = interpreter.set_tensor, interpreter.invoke, interpreter.get_tensor
    index, array = feed

    def call() -> list[Array]:
        set_tensor(index, array)
        invoke()
        return [get_tensor(output)]

    return call


def _bind_many(interpreter: Any, feed: list[tuple[int, Array]], outputs: list[int]) -> Callable[[], Any]:  # noqa: ANN401
    set_tensor, invoke, get_tensor = interpreter.set_tensor, interpreter.invoke, interpreter.get_tensor

    def call() -> list[Array]:
        for index, array in feed:
            set_tensor(index, array)
        invoke()
        return [get_tensor(index) for index in outputs]

    return call


def _is_quantized(detail: dict[str, Any]) -> bool:
    return bool(detail["quantization"][0]) and np.dtype(detail["dtype"]).kind in "iu"


def _quantize(array: Array, detail: dict[str, Any]) -> Array:
    """Return what the input takes: q = round(x / scale) + zero point, clipped to the type (TFLite's own rule)."""
    dtype = np.dtype(detail["dtype"])
    if array.dtype == dtype or not _is_quantized(detail):
        return np.ascontiguousarray(array, dtype=dtype)
    scale, zero_point = detail["quantization"]
    limits = np.iinfo(dtype)
    codes = np.round(array.astype(np.float64) / scale) + zero_point
    return np.ascontiguousarray(np.clip(codes, limits.min, limits.max), dtype=dtype)


def _dequantize(array: Array, detail: dict[str, Any]) -> Array:
    if not _is_quantized(detail):
        return to_float(array)
    scale, zero_point = detail["quantization"]
    real: Array = (array.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return real


def _find_interpreter() -> tuple[str, Any]:
    reasons = []
    for package in _PACKAGES:
        try:
            return package, importlib.import_module(f"{package}.interpreter").Interpreter
        except ImportError as error:
            reasons.append(f"{package}: {error}")
    raise ImportError("; ".join(reasons))


def _metadata_version(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package.replace("_", "-"))
    except metadata.PackageNotFoundError:
        return ""
