"""The first operators of a model file, as a model of its own: an operator costs what it adds to those before it.

Pure bytes in, bytes out, standard library only. No runtime is known here, and nothing is measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

MAX_OPERATORS = 4096
MAX_NAME = 200
MAX_SHAPES = 400


class Operator(NamedTuple):
    """One operator in the order of the file."""

    name: str
    kind: str
    shapes: str
    """Of inputs and outputs: `[1,8,8,32] [64,32,3,3] -> [1,8,8,64]`; `?` where nobody tells."""


def describe(name: str, kind: str, inputs: Iterable[str], outputs: Iterable[str]) -> Operator:
    """Make an operator of shapes in words, each text cut to what a profile carries."""
    shapes = f"{' '.join(inputs)} -> {' '.join(outputs)}".strip()
    return Operator(name[:MAX_NAME], kind[:MAX_NAME], shapes[:MAX_SHAPES])


def shape_words(sizes: Iterable[int | str]) -> str:
    """Write a shape: `[1,8,8,32]`; a scalar is `[]`."""
    return f"[{','.join(map(str, sizes))}]"
