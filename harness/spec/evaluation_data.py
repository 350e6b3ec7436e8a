"""The evaluation data of a suite, as far as its table of contents and array headers tell; no value is read."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO

from numpy.lib import format as npy

from harness.spec.validate import Refusal, quoted

LABELS, TOKENS = "y", "tokens"
_HEAD = 1 << 16
_SUFFIX = ".npy"
_KINDS = {"O": "Python objects", "U": "text", "S": "text"}
"""Kinds of numpy's types that no model takes; Python objects would be unpickled, which runs code."""


def check_data(path: Path, *, classified: bool) -> None:
    """Refuse data that no model can be judged on.

    Args:
        path: the .npz file.
        classified: whether labels are needed: one class per sample.

    Raises:
        Refusal: it is no .npz, or its arrays do not fit together.
    """
    name = quoted(path.name)
    try:
        shapes = _read_shapes(path)
    except Refusal:
        raise
    except (OSError, ValueError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile):  # also damaged or encrypted
        raise Refusal(f"{name} is not an .npz file inside", "numpy.savez_compressed makes one") from None
    held = f"it holds: {', '.join(sorted(shapes)[:12]) or 'nothing'}"
    if classified and LABELS not in shapes:
        raise Refusal(f"{name} has no labels 'y' for a classification", held)
    if not shapes.keys() - {LABELS}:
        raise Refusal(f"{name} has no inputs 'x'", held)
    counted = {array: shape for array, shape in shapes.items() if classified or array != LABELS}
    _check_samples(name, counted)
    if classified and len(shapes[LABELS]) != 1:
        hint = "one class per sample: of one-hot rows, y.argmax(1)"
        raise Refusal(f"{name}: the labels 'y' have the shape {shapes[LABELS]}", hint)


def check_text(path: Path) -> None:
    """Refuse data that no language model can be judged on: it is a text, or an .npz of `tokens`.

    Raises:
        Refusal: it is neither.
    """
    name = quoted(path.name)
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        shapes = _read_shapes(path) if head.startswith(b"PK") else {}
    except Refusal:
        raise
    except (OSError, ValueError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile):
        raise Refusal(f"{name} is not an .npz file inside", "numpy.savez_compressed makes one") from None
    if head.startswith(b"PK"):
        if len(shapes.get(TOKENS, ())) != 1:
            raise Refusal(f"{name} has no array '{TOKENS}' of shape (n,)", "token numbers, one text after the other")
        return
    try:
        text = head.decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        text = head[: error.start].decode() if len(head) == _HEAD and error.start > _HEAD - 4 else ""
    if not text.strip() or "\0" in text:
        raise Refusal(f"{name} is not UTF-8 text", "a text file, or an .npz of 'tokens'")


def _check_samples(name: str, shapes: dict[str, tuple[int, ...]]) -> None:
    for array, shape in sorted(shapes.items()):
        if not shape or not shape[0]:
            raise Refusal(f"{name}: {quoted(array)} holds no sample", "the first axis counts samples")
    if len({shape[0] for shape in shapes.values()}) > 1:
        counts = ", ".join(f"{array} has {shape[0]}" for array, shape in sorted(shapes.items()))
        raise Refusal(f"{name}: the arrays differ in their number of samples: {counts}")


def _read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    shapes = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.endswith(_SUFFIX):
                with archive.open(member) as stream:
                    array = member.removesuffix(_SUFFIX)
                    shapes[array] = _read_header(stream, f"{quoted(path.name)}: {quoted(array)}")
    return shapes


def _read_header(stream: IO[bytes], what: str) -> tuple[int, ...]:
    read = npy.read_array_header_1_0 if npy.read_magic(stream) == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.kind in _KINDS:
        raise Refusal(f"{what} holds {_KINDS[dtype.kind]}", "save plain numbers")
    return tuple(int(length) for length in shape)
