"""Make every model of suites/tinygpt from trained weights: `python suites/tinygpt/make_models.py WEIGHTS.pt`.

Owns which variants there are. ORIGIN.md says what wrote the committed files. Needs torch, onnx, onnxruntime, gguf.
"""

import hashlib
import logging
import sys
from pathlib import Path

import export_gguf
import export_onnx
import numpy as np
import onnx
import torch
from network import Shape

HERE = Path(__file__).resolve().parent
PRUNED = 0.5
"""Share of each matrix's weights, the smallest, that the pruned variant loses; nothing is tuned afterwards."""


def prune(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Set the smallest weights of each layer's matrices to zero; the embedding stays whole."""
    pruned = {}
    for name, value in weights.items():
        is_matrix = value.ndim == 2 and name.startswith("blocks.")
        edge = np.quantile(np.abs(value), PRUNED) if is_matrix else 0.0
        pruned[name] = np.where(np.abs(value) < edge, np.float32(0), value)
    return pruned


def main() -> None:
    logging.disable(logging.WARNING)  # quantizers tell of every node
    state = torch.load(sys.argv[1], weights_only=True)
    weights = {name: value.numpy() for name, value in state.items()}
    shape = Shape()
    fp32 = HERE / "tinygpt_fp32.onnx"
    onnx.save(export_onnx.build(weights, shape), fp32)
    onnx.save(export_onnx.build(weights, shape, np.float16), HERE / "tinygpt_fp16.onnx")
    onnx.save(export_onnx.build(prune(weights), shape), HERE / "tinygpt_pruned.onnx")
    export_onnx.write_int8(fp32, HERE / "tinygpt_int8.onnx")
    export_onnx.write_int4(fp32, HERE / "tinygpt_int4.onnx")
    for kind in export_gguf.TYPES:
        export_gguf.write(weights, shape, kind, HERE / f"tinygpt_{kind}.gguf")
    for path in sorted([*HERE.glob("*.onnx"), *HERE.glob("*.gguf"), HERE / "eval.txt"]):
        print(f"| {path.name} | {path.stat().st_size} | `{hashlib.sha256(path.read_bytes()).hexdigest()}` |")


if __name__ == "__main__":
    main()
