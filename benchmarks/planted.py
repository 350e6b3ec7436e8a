"""Models with a known small change: the digits CNN on a batch of eight, with more and more operators planted into it.

Every planted node is an `Abs` of numbers that are not negative: the answers stay the same to the bit and only the work
grows, which is how a regression of an exporter or a runtime looks. No optimiser of a runtime removes them. The names of
the files are equally long: a path lies on the stack and on the heap.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "suites" / "digits" / "digits_fp32.onnx"
BATCH = 8
SEED = 20250101


@dataclass(frozen=True, slots=True)
class Planted:
    """The files: the model, a copy of it, the changed ones by what was changed, and the inputs of all."""

    model: Path
    copy: Path
    changed: dict[str, Path]
    data: Path


def plant(folder: Path, nodes: list[int]) -> Planted:
    """Write the models and their inputs into `folder`.

    Args:
        folder: exists.
        nodes: how many nodes to plant, one model each.
    """
    data = folder / "inputs.npz"
    images = np.random.default_rng(SEED).random((BATCH, 1, 8, 8), np.float32)
    np.savez(data, x=images)
    model = _write(folder / "model_base.onnx", 0, "exported")
    return Planted(
        model,
        Path(shutil.copy(model, folder / "model_copy.onnx")),
        {
            "same graph, other words": _write(folder / "model_word.onnx", 0, "exported again, by another tool"),
            **{f"+{count} operators": _write(folder / f"model_p{count:03}.onnx", count, "exported") for count in nodes},
        },
        data,
    )


def _write(file: Path, nodes: int, words: str) -> Path:
    import onnx

    model = onnx.load(SOURCE)
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param:
                dimension.dim_value = BATCH
    at = next(index for index, node in enumerate(graph.node) if "relu_3" in node.output)
    first = name = graph.node[at].output[0]
    reader = next(node for node in graph.node if first in node.input)
    for number in range(nodes):
        planted = f"planted_{number}"
        graph.node.insert(at + 1 + number, onnx.helper.make_node("Abs", [name], [planted], name=planted))
        name = planted
    reader.input[list(reader.input).index(first)] = name
    model.doc_string = words
    onnx.checker.check_model(model)
    onnx.save(model, file)
    return file
