"""Shapes and quantization parameters in words, the same for every format, each bounded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

LONGEST = 400
_NAMED = 200


def shapes_text(inputs: Iterable[str], outputs: Iterable[str]) -> str:
    """Write `[1,8,8,32] [64] -> [1,8,8,64]`."""
    return f"{' '.join(inputs)} -> {' '.join(outputs)}".strip()[:LONGEST]


def shape_text(sizes: Iterable[int | str]) -> str:
    """Write `[1,8,8,32]`."""
    return f"[{','.join(map(str, sizes))}]"


def quantization_text(scales: Sequence[float], zeros: Sequence[int]) -> str:
    """Write `scale 0.0321, zero 128`, or the range of several: `scale 0.01 to 0.2 (32 channels), zero 0`."""
    if not len(scales):
        return ""
    scale = _range([f"{float(value):.6g}" for value in (min(scales), max(scales))])
    channels = f" ({len(scales)} channels)" if len(scales) > 1 else ""
    zero = _range([str(int(value)) for value in (min(zeros), max(zeros))]) if len(zeros) else "0"
    return f"scale {scale}{channels}, zero {zero}"


def name_text(name: str) -> str:
    """Cut a name to what records hold."""
    return name[:_NAMED]


def _range(ends: list[str]) -> str:
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
