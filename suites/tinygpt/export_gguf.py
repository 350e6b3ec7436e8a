"""Write the network of suites/tinygpt as GGUF files of architecture `llama`, for llama.cpp.

Owns the names of tensors there and the tokenizer: byte pairs without any pair, so that a token is a byte, as in the
ONNX files. Needs the package gguf.
"""

from pathlib import Path

import gguf
import numpy as np
from gguf.quants import quantize
from network import EPSILON, OPEN, ROPE_BASE, VOCABULARY, Shape

NAMES = {
    "attention_norm": "attn_norm", "q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output",
    "ffn_norm": "ffn_norm", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down",
}  # fmt: skip
TYPES = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (gguf.GGMLQuantizationType.Q4_0, gguf.LlamaFileType.MOSTLY_Q4_0),
}


def write(weights: dict[str, np.ndarray], shape: Shape, kind: str, path: Path) -> None:
    """Write one file; matrices in `kind`, norms in float32."""
    quantization, file_type = TYPES[kind]
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tinygpt")
    writer.add_file_type(file_type)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_vocab_size(VOCABULARY)
    add_tokenizer(writer)
    for name, value in weights.items():
        is_matrix = value.ndim == 2
        given = value.astype(np.float32)
        data = quantize(given, quantization) if is_matrix else given
        writer.add_tensor(rename(name), data, raw_dtype=quantization if is_matrix else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tokenizer(writer: gguf.GGUFWriter) -> None:
    """Describe tokens that are bytes, in the printable stand-ins that GPT-2's tokenizer has for them."""
    tokens = [stand_in(byte) for byte in range(OPEN)] + ["<|open|>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * OPEN + [gguf.TokenType.CONTROL])
    writer.add_token_merges(["\u0120 \u0120\u0120"])  # llama.cpp wants a list; no token is the result of this pair
    writer.add_bos_token_id(OPEN)
    writer.add_eos_token_id(OPEN)
    writer.add_add_bos_token(True)


def stand_in(byte: int) -> str:
    """Return GPT-2's character for a byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [number for number in range(256) if number not in printable]
    return chr(byte) if byte in printable else chr(256 + others.index(byte))


def rename(name: str) -> str:
    """Translate a torch name: `blocks.0.q.weight` is `blk.0.attn_q.weight`."""
    if name.startswith("blocks."):
        _, layer, part, _ = name.split(".")
        return f"blk.{layer}.{NAMES[part]}.weight"
    return {"embedding.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}[name]
