"""Model files read on the controller: which operators, shapes, quantization and weights they hold. Nothing is run.

Owns the choice of the reader by the file's suffix, and that a damaged file or a missing package is a sentence. The
packages that know the formats come with the extra `graph`.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from pathlib import Path

from harness.errors import GraphError
from harness.records.graph import Graph

READERS = {".onnx": "harness.graph.onnx", ".tflite": "harness.graph.tflite"}
LARGEST_BYTES = 512 * 2**20


def read_graph(path: Path) -> Graph:
    """Read a model file.

    Raises:
        GraphError: no reader knows such files, its package is not installed, or the file is damaged or too large.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise GraphError(f"{path.name}: {error.strerror}") from error
    if state.st_size > LARGEST_BYTES:
        raise GraphError(f"{path.name}: files over {LARGEST_BYTES >> 20} MiB are not compared")
    return _read(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=32)
def _read(path: Path, mtime_ns: int, size: int) -> Graph:
    del mtime_ns, size  # they make the cache see a file that was replaced
    module = READERS.get(path.suffix.lower())
    if module is None:
        raise GraphError(f"{path.name}: no reader for files of this kind; known are {', '.join(READERS)}")
    try:
        reader = importlib.import_module(module)
    except ImportError as error:
        words = f"reading {path.suffix} files needs the package {error.name}"
        raise GraphError(f"{path.name}: {words}: pip install 'fleetgate[graph]'") from error
    graph: Graph = reader.read(path)
    return graph
