"""What onnxruntime made of a model, taken apart: the optimised graph is saved, cut, and run as it is.

The cut parts are loaded without optimisation, because they are optimised: fused, laid out and partitioned as a whole.
onnxruntime's own profiler would need one session only, but its figure of a node holds the profiler: 26 µs each on an
emulated Cortex-A53, where a whole int8 digit takes 770 µs. It serves for the shapes alone.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import onnxruntime

from harness.agent.prefix import shape_words
from harness.agent.prefix.onnx import OnnxPrefix, plain_name
from harness.agent.refusal import Refusal
from harness.agent.runtimes.onnxruntime import OnnxModel, make_options, open_session

if TYPE_CHECKING:
    from harness.agent.runtimes import Array, Feed

_EVENT = "_kernel_time"
LARGEST = 256 << 20
"""Bytes of an optimised model: every part of it is read from memory."""


class OnnxPrefixes:
    """The optimised graph of one model, in parts."""

    def __init__(self, path: str, provider: str, threads: int, feed: Feed) -> None:
        self._provider = provider
        self._threads = threads
        self.notes: list[str] = []
        optimised = path + ".optimised.onnx"
        options = make_options(threads)
        options.optimized_model_filepath = optimised
        options.enable_profiling = True
        options.profile_file_prefix = path + ".trace"
        session, self.provider = open_session(path, options, provider)
        try:
            self._prefix = OnnxPrefix(_read(optimised))
        except OSError as error:
            raise Refusal("profile", f"onnxruntime saved no optimised graph of it: {error.strerror}") from error
        finally:
            _remove(optimised)
        model = OnnxModel(session, self.provider, options)
        self.settings = model.settings
        specs = model.inputs()
        arrays = feed(specs)
        self._feed: list[tuple[str, Array]] = [
            (spec.name, array)
            for spec, array in zip(specs, arrays)  # noqa: B905  Python 3.8
        ]
        model.bind(arrays)()
        given = {name: shape_words(array.shape) for name, array in self._feed}
        self._prefix.observe(given, _read_shapes(session.end_profiling()))
        self.operators = self._prefix.operators

    def open(self, count: int) -> Callable[[], Any]:
        """Create a session of the first `count` nodes; inputs are bound, nothing is copied in or out."""
        options = make_options(self._threads)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session, _ = open_session(self._prefix.model(count), options, self._provider)
        binding = session.io_binding()
        for name, array in self._feed:
            binding.bind_cpu_input(name, array)
        for output in session.get_outputs():
            binding.bind_output(output.name)
        return functools.partial(session.run_with_iobinding, binding)

    def close(self) -> None:
        """Nothing is left: parts live in memory."""


def _read_shapes(trace: str) -> dict[tuple[str, str], Iterator[tuple[str, ...]]]:
    """Take the shapes of every node's outputs out of a trace of one run, and remove the trace."""
    with open(trace, encoding="utf-8", errors="replace") as file:
        events = json.load(file)
    _remove(trace)
    found: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    for event in events:
        name, about = event["name"], event.get("args", {})
        if event.get("cat") == "Node" and name.endswith(_EVENT) and "output_type_shape" in about:
            shapes = tuple(shape_words(sizes) for shape in about["output_type_shape"] for sizes in shape.values())
            found.setdefault((plain_name(name[: -len(_EVENT)]), about["op_name"]), []).append(shapes)
    return {key: iter(shapes) for key, shapes in found.items()}


def _remove(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)


def _read(path: str) -> bytes:
    if os.path.getsize(path) > LARGEST:
        raise Refusal("profile", f"its optimised graph is larger than {LARGEST >> 20} MiB")
    with open(path, "rb") as file:
        return file.read()
