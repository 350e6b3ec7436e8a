"""Inputs for a model that nobody brought data for: drawn from a seed by the model's own input specs, as an .npz.

The same seed gives the same bytes on every board, Python and numpy: values come from the raw 64-bit words of PCG64,
whose stream is defined, and from exact arithmetic. They say nothing about accuracy: such data shows whether a model
runs, whether processors agree on its answers, and what it costs. Runs in sessions only (numpy).
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import numpy as np

from harness.agent.frame import MAX_PAYLOAD
from harness.agent.refusal import Refusal
from harness.agent.samples import plain_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.agent.runtimes import Array, InputSpec

SMALL = 10
"""Integers of inputs that are no quantised reals are below this: token numbers, lengths and switches stay valid."""


def draw(specs: list[InputSpec], count: int, seed: int, shapes: Mapping[str, list[int]]) -> dict[str, Array]:
    """Draw samples for every input.

    Args:
        specs: the model's inputs.
        count: samples.
        seed: of the draw, not negative.
        shapes: full shape of an input by its name, for those with free axes; a first axis that is free counts as 1.

    Returns:
        One array per input name, shape (count, *shape of the input): floats are uniform in [-1, 1), quantised inputs
        take every code of their type, other integers are 0 … 9.

    Raises:
        Refusal: `input` when a shape is missing or does not fit, or an input takes no numbers.
    """
    known = {name for spec in specs for name in (spec.name, plain_name(spec.name))}
    unknown = sorted(set(shapes) - known)
    if unknown:
        have = ", ".join(plain_name(spec.name) for spec in specs)
        raise Refusal("input", f"a shape is given for {', '.join(unknown)}, the model's inputs are {have}")
    words = np.random.PCG64(seed)
    return {spec.name: _draw_one(words, spec, (count, *_shape(spec, shapes))) for spec in specs}


def pack(arrays: Mapping[str, Array]) -> bytes:
    """Return arrays as an .npz whose bytes hang on nothing but the arrays (numpy's own carries the time of day)."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(name + ".npy"), part.getvalue())
    return whole.getvalue()


def _shape(spec: InputSpec, shapes: Mapping[str, list[int]]) -> tuple[int, ...]:
    name = plain_name(spec.name)
    wanted = shapes.get(spec.name, shapes.get(name))
    has = "(" + ", ".join("any" if size is None else str(size) for size in spec.shape) + ")"
    if wanted is None:
        open_ends = [axis for axis, size in enumerate(spec.shape) if size is None and axis]
        if open_ends:
            raise Refusal("input", f"input {name} takes {has}: say which shape it shall get")
        return tuple(1 if size is None else size for size in spec.shape)
    fits = len(wanted) == len(spec.shape) and all(
        size > 0 and have in (None, size)
        for size, have in zip(wanted, spec.shape)  # noqa: B905  Python 3.8
    )
    if not fits:
        raise Refusal("input", f"input {name} takes {has}, not ({', '.join(map(str, wanted))})")
    return tuple(wanted)


def _draw_one(words: np.random.PCG64, spec: InputSpec, shape: tuple[int, ...]) -> Array:
    try:
        dtype = np.dtype(spec.dtype)
    except TypeError:
        dtype = np.dtype(object)
    size = 1
    for length in shape:
        size *= length
    if dtype.kind not in "fiub":
        raise Refusal("input", f"input {spec.name} takes {spec.dtype}, which cannot be drawn: bring data")
    if size * 8 > MAX_PAYLOAD:
        raise Refusal("input", f"input {spec.name} of shape {shape} is too large to be drawn: bring data")
    raw = words.random_raw(size).reshape(shape)
    if dtype.kind == "f":
        # 24 bits: every value is exact as float32, the product and the difference are exact as float64.
        return ((raw >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1.0).astype(dtype)
    if dtype.kind == "b":
        return (raw & np.uint64(1)).astype(dtype)
    if spec.is_quantized and dtype.itemsize < 8:
        limits = np.iinfo(dtype)
        codes = raw % np.uint64(int(limits.max) - int(limits.min) + 1)
        return (codes.astype(np.int64) + int(limits.min)).astype(dtype)
    return (raw % np.uint64(SMALL)).astype(dtype)
