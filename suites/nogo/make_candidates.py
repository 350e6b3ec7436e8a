"""Make the release candidates that are wrong on purpose: `python suites/nogo/make_candidates.py`.

Each is one mistake that releases really contain, made on the good files of suites/digits, so that exactly one kind of
gate should name it. Needs onnx and ai-edge-quantizer; running the suite needs neither. It must not know of boards or
gates. Every ONNX candidate keeps the input `image` and the output `logits` of the good file.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from ai_edge_quantizer import quantizer, recipe
from onnx import helper, numpy_helper

HERE = Path(__file__).resolve().parent
DIGITS = HERE.parent / "digits"
SEED = 0
VIEWS = 3
ROWS_PER_PIXEL = 1638  # of ten float32: 4 MiB for 64 pixels
FLIPPED_SHARE = 0.1


def make_slower(model: onnx.ModelProto) -> None:
    """Leave the test-time augmentation in: the network runs on three copies of the image and one answer is kept."""
    graph = model.graph
    for node in graph.node:
        node.input[:] = ["views" if name == "image" else name for name in node.input]
        node.output[:] = ["all_logits" if name == "logits" else name for name in node.output]
    graph.node.insert(0, helper.make_node("Concat", ["image"] * VIEWS, ["views"], "stack_views", axis=0))
    graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "zero"))
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
    graph.node.append(helper.make_node("Shape", ["image"], ["batch"], "count_images", start=0, end=1))
    graph.node.append(
        helper.make_node("Slice", ["all_logits", "zero", "batch", "zero", "one"], ["logits"], "keep_first_view")
    )


def make_bigger(model: onnx.ModelProto) -> None:
    """Leave a feature in that was never switched on: a 4 MiB table of corrections by brightest pixel, all zero."""
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["plain_logits" if name == "logits" else name for name in node.output]
    constants = {
        "flat": np.array([-1, 64], np.int64),
        "rows_per_pixel": np.array(ROWS_PER_PIXEL, np.int64),
        "corrections": np.zeros((64 * ROWS_PER_PIXEL, 10), np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    graph.node.extend(
        [
            helper.make_node("Reshape", ["image", "flat"], ["pixels"], "flatten_image"),
            helper.make_node("ArgMax", ["pixels"], ["brightest"], "find_brightest", axis=1, keepdims=0),
            helper.make_node("Mul", ["brightest", "rows_per_pixel"], ["row"], "find_row"),
            helper.make_node("Gather", ["corrections", "row"], ["correction"], "look_up", axis=0),
            helper.make_node("Add", ["plain_logits", "correction"], ["logits"], "correct"),
        ]
    )


def make_flipped(model: onnx.ModelProto) -> None:
    """Flip the sign bit of one weight in ten of the second convolution, as bad flash or a bad transfer does."""
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "conv2.weight_quantized")
    values = numpy_helper.to_array(weights).view(np.uint8).copy()
    chosen = np.random.default_rng(SEED).random(values.shape) < FLIPPED_SHARE
    values[chosen] ^= 0x80
    weights.CopyFrom(numpy_helper.from_array(values.view(np.int8), weights.name))


CANDIDATES: dict[str, Callable[[onnx.ModelProto], None]] = {
    "slower_int8.onnx": make_slower,
    "bigger_int8.onnx": make_bigger,
    "flipped_int8.onnx": make_flipped,
}


def main() -> None:
    """Write all candidates and print their SHA-256."""
    good = DIGITS / "digits_int8_qdq.onnx"
    for name, spoil in CANDIDATES.items():
        model = onnx.load(good)
        spoil(model)
        onnx.checker.check_model(model)
        onnx.save(model, HERE / name)
    content = good.read_bytes()
    (HERE / "broken_int8.onnx").write_bytes(content[: len(content) * 6 // 10])  # an upload that stopped
    # Right on ai-edge-litert 2.3, one constant row on tflite-runtime 2.14: dense layers quantized per channel.
    dynamic = quantizer.Quantizer(str(DIGITS / "digits_fp32.tflite"), recipe.dynamic_wi8_afp32()).quantize()
    dynamic.export_model(str(HERE / "runtime_dependent_int8.tflite"), overwrite=True)
    for path in sorted([*HERE.glob("*.onnx"), *HERE.glob("*.tflite")]):
        path.chmod(0o644)
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size, path.name)


if __name__ == "__main__":
    main()
