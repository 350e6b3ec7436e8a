"""Write the network of suites/tinygpt as ONNX decoders with a cache, node by node.

Owns the graph and its compressed variants. Inputs `input_ids` and `position_ids` int64 (1, n) and, per layer,
`past_key_values.K.key` and `.value` (1, heads, past, head); outputs `logits` float32 (1, n, 257) and `present.K.key`,
`.value`. The metadata names the tokenizer (a token is a byte), the opening and the end token. Needs onnx, onnxruntime.
"""

from pathlib import Path

import numpy as np
import onnx
from network import EPSILON, OPEN, VOCABULARY, Shape, rotation
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

OPSET = 18
IR_VERSION = 9  # ONNX Runtime 1.16, the last for glibc < 2.27, refuses newer ones
METADATA = {"fleetgate.tokenizer": "bytes", "fleetgate.opening": str(OPEN), "fleetgate.ends": str(OPEN)}
INT4_BLOCK = 32


class Graph:
    """Nodes and constants of one file, in one floating type."""

    def __init__(self, weights: dict[str, np.ndarray], shape: Shape, kind: type) -> None:
        self.weights, self.shape, self.kind = weights, shape, kind
        self.elem = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def add(self, operator: str, *inputs: str, **attributes: object) -> str:
        """Add a node with one output; returns the output's name."""
        (output,) = self.add_many(operator, 1, *inputs, **attributes)
        return output

    def add_many(self, operator: str, count: int, *inputs: str, **attributes: object) -> list[str]:
        """Add a node with `count` outputs."""
        name = f"{operator}_{len(self.nodes)}"
        outputs = [f"{name}_out{k}" for k in range(count)]
        self.nodes.append(helper.make_node(operator, list(inputs), outputs, name=name, **attributes))
        return outputs

    def real(self, name: str, value: np.ndarray) -> str:
        """Keep a constant in the file's floating type."""
        self.constants[name] = np.ascontiguousarray(value, dtype=self.kind)
        return name

    def whole(self, *numbers: int) -> str:
        """Keep a list of whole numbers."""
        name = "i_" + "_".join(str(number) for number in numbers)
        self.constants[name] = np.array(numbers, dtype=np.int64)
        return name

    def linear(self, x: str, layer: str) -> str:
        """Multiply by a layer's weights, torch's transposed."""
        return self.add("MatMul", x, self.real(layer, self.weights[f"{layer}.weight"].T))

    def norm(self, x: str, layer: str) -> str:
        """Root mean square normalisation."""
        power = self.add("ReduceMean", self.add("Mul", x, x), self.whole(-1), keepdims=1)
        scale = self.add("Sqrt", self.add("Add", power, self.real("epsilon", np.array(EPSILON))))
        return self.add("Mul", self.add("Div", x, scale), self.real(layer, self.weights[f"{layer}.weight"]))

    def rotate(self, x: str, cos: str, sin: str) -> str:
        """Turn neighbouring pairs of (1, heads, n, head)."""
        shape = self.shape
        pairs = self.add("Reshape", x, self.whole(0, 0, 0, shape.head // 2, 2))
        parts = self.add_many("Split", 2, pairs, axis=-1, num_outputs=2)
        a, b = (self.add("Squeeze", part, self.whole(-1)) for part in parts)
        left = self.add("Sub", self.add("Mul", a, cos), self.add("Mul", b, sin))
        right = self.add("Add", self.add("Mul", a, sin), self.add("Mul", b, cos))
        parts = [self.add("Unsqueeze", part, self.whole(-1)) for part in (left, right)]
        return self.add("Reshape", self.add("Concat", *parts, axis=-1), self.whole(0, 0, 0, shape.head))

    def split(self, x: str) -> str:
        """(1, n, width) to (1, heads, n, head)."""
        parts = self.add("Reshape", x, self.whole(0, 0, self.shape.heads, self.shape.head))
        return self.add("Transpose", parts, perm=[0, 2, 1, 3])


def build(weights: dict[str, np.ndarray], shape: Shape, kind: type = np.float32) -> onnx.ModelProto:
    """Build the decoder in one floating type."""
    graph = Graph(weights, shape, kind)
    x = graph.add("Gather", graph.real("embedding", weights["embedding.weight"]), "input_ids")
    tables = rotation(shape, shape.context)
    cos, sin = (
        graph.add("Gather", graph.real(name, table.numpy()), "position_ids")
        for name, table in zip(("cos", "sin"), tables, strict=True)
    )
    cos, sin = (graph.add("Unsqueeze", table, graph.whole(1)) for table in (cos, sin))
    last = graph.add("ReduceMax", "position_ids", keepdims=0)
    end = graph.add("Add", last, graph.add("Squeeze", graph.whole(1)))
    keys = graph.add("Range", graph.add("Squeeze", graph.whole(0)), end, graph.add("Squeeze", graph.whole(1)))
    hidden = graph.add("Greater", keys, graph.add("Unsqueeze", "position_ids", graph.whole(1, 3)))
    far = graph.real("far", np.array(-30_000.0))
    mask = graph.add("Where", hidden, far, graph.real("zero", np.array(0.0)))
    for layer in range(shape.layers):
        x = block(graph, x, layer, (cos, sin, mask))
    logits = graph.add("MatMul", graph.norm(x, "norm"), graph.add("Transpose", "embedding", perm=[1, 0]))
    graph.nodes.append(helper.make_node("Cast", [logits], ["logits"], name="logits", to=TensorProto.FLOAT))
    return finish(graph)


def block(graph: Graph, x: str, layer: int, places: tuple[str, str, str]) -> str:
    """Add one layer; `places` are cosines, sines and the mask."""
    cos, sin, mask = places
    name = f"blocks.{layer}"
    h = graph.norm(x, f"{name}.attention_norm")
    q, k, v = (graph.split(graph.linear(h, f"{name}.{part}")) for part in "qkv")
    present = []
    for part, fresh in (("key", graph.rotate(k, cos, sin)), ("value", v)):
        output = f"present.{layer}.{part}"
        given = [f"past_key_values.{layer}.{part}", fresh]
        graph.nodes.append(helper.make_node("Concat", given, [output], name=output, axis=2))
        present.append(output)
    scale = graph.real("scale", np.array(graph.shape.head**-0.5))
    q = graph.add("Mul", graph.rotate(q, cos, sin), scale)
    scores = graph.add("MatMul", q, graph.add("Transpose", present[0], perm=[0, 1, 3, 2]))
    seen = graph.add("MatMul", graph.add("Softmax", graph.add("Add", scores, mask), axis=-1), present[1])
    merged = graph.add("Reshape", graph.add("Transpose", seen, perm=[0, 2, 1, 3]), graph.whole(0, 0, graph.shape.width))
    x = graph.add("Add", x, graph.linear(merged, f"{name}.o"))
    h = graph.norm(x, f"{name}.ffn_norm")
    gate = graph.linear(h, f"{name}.gate")
    gated = graph.add("Mul", graph.add("Mul", gate, graph.add("Sigmoid", gate)), graph.linear(h, f"{name}.up"))
    return graph.add("Add", x, graph.linear(gated, f"{name}.down"))


def finish(graph: Graph) -> onnx.ModelProto:
    """Make the file: inputs, outputs, constants, metadata."""
    shape, elem = graph.shape, graph.elem
    caches = [f"{k}.{part}" for k in range(shape.layers) for part in ("key", "value")]
    size = [1, shape.heads, "past", shape.head]
    tokens = ("input_ids", "position_ids")
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, [1, "n"]) for name in tokens]
    inputs += [helper.make_tensor_value_info(f"past_key_values.{name}", elem, size) for name in caches]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "n", VOCABULARY])]
    size = [1, shape.heads, "total", shape.head]
    outputs += [helper.make_tensor_value_info(f"present.{name}", elem, size) for name in caches]
    constants = [numpy_helper.from_array(value, name) for name, value in graph.constants.items()]
    made = helper.make_graph(graph.nodes, "tinygpt", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION, producer_name="tinygpt")
    helper.set_model_props(model, METADATA)
    onnx.checker.check_model(model)
    return model


def write_int8(source: Path, target: Path) -> None:
    """Quantize the weights to int8 per channel; activations at run time."""
    quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"])
    tidy(target)


def write_int4(source: Path, target: Path) -> None:
    """Quantize the weights to int4 in blocks, symmetric."""
    config = DefaultWeightOnlyQuantConfig(block_size=INT4_BLOCK, is_symmetric=True, op_types_to_quantize=("MatMul",))
    quantizer = MatMulNBitsQuantizer(onnx.load(source), algo_config=config)
    quantizer.process()
    quantizer.model.save_model_to_file(str(target))
    tidy(target)


def tidy(path: Path) -> None:
    """Give a quantized file the metadata and version of the others, and drop what its quantizer noted."""
    model = onnx.load(path)
    model.ir_version, model.producer_name, model.producer_version = IR_VERSION, "tinygpt", ""
    del model.metadata_props[:]
    helper.set_model_props(model, METADATA)
    onnx.save(model, path)
