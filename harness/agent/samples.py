"""The data of a session: an .npz with `x`, or one array per input of the model, first axis = sample.

Turns samples into what a model takes, by rank and type, without guessing: what does not fit is an error that names both
sides. Runs in sessions only (numpy).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from harness.agent.refusal import Refusal

if TYPE_CHECKING:
    from harness.agent.runtimes import Array, InputSpec

_LABELS = "y"


class Samples:
    """Arrays by name, all with the same number of samples."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        self._arrays = arrays
        self.count = min((len(array) for name, array in arrays.items() if name != _LABELS), default=0)

    @classmethod
    def read(cls, path: str, limit: int | None = None) -> Samples:
        """Read the first `limit` samples (None: all) of an .npz.

        Raises:
            Refusal: `input` when it is no .npz of plain arrays, or holds no sample.
        """
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except (OSError, ValueError, EOFError, AttributeError) as error:
            raise Refusal("input", f"the data is not an .npz of plain arrays: {error}") from error
        scalars = sorted(name for name, array in arrays.items() if array.ndim == 0)
        if scalars:
            raise Refusal("input", f"{', '.join(scalars)}: the first axis must count samples, these have none")
        samples = cls({name: array[:limit].copy() for name, array in arrays.items()})
        if samples.count == 0:
            raise Refusal("input", "the data holds no sample")
        return samples

    def fixed_batch(self, specs: list[InputSpec]) -> int:
        """Return how many samples one call must take; 0 when the model is free.

        Raises:
            Refusal: `input` when the inputs contradict each other.
        """
        fixed = {}
        for spec in specs:
            array = self._find(spec, len(specs))
            if array.ndim == len(spec.shape) and array.ndim and spec.shape[0]:
                fixed[spec.shape[0]] = spec
            elif array.ndim == len(spec.shape) + 1:
                fixed[1] = spec
        if len(fixed) > 1:
            words = ", ".join(f"{spec.name} {_words(spec.shape)}: {count}" for count, spec in sorted(fixed.items()))
            hint = "where the first axis of an input is no batch, give a whole array per sample: (samples, *shape)"
            raise Refusal("input", f"the inputs ask for different numbers of samples in one call ({words}); {hint}")
        return next(iter(fixed), 0)

    def take(self, specs: list[InputSpec], start: int, count: int) -> list[Array]:
        """Return one array per input with samples start … start + count - 1; the last sample fills a batch up.

        Raises:
            Refusal: `input` when data and model do not fit.
        """
        index = np.minimum(np.arange(start, start + count), self.count - 1)
        return [self._take_one(spec, len(specs), index) for spec in specs]

    def _take_one(self, spec: InputSpec, inputs: int, index: Array) -> Array:
        array = self._find(spec, inputs)
        if array.ndim == len(spec.shape) + 1 and len(index) == 1:
            part = array[index[0]]
        elif array.ndim == len(spec.shape):
            part = array[index]
        else:
            sample = _words(array.shape[1:])
            raise Refusal("input", f"input {spec.name} takes {_words(spec.shape)}, a sample is {sample}")
        fits = all(want is None or want == have for want, have in zip(spec.shape, part.shape))  # noqa: B905
        if not fits:
            raise Refusal("input", f"input {spec.name} takes {_words(spec.shape)}, it would get {_words(part.shape)}")
        return _cast(part, spec)

    def _find(self, spec: InputSpec, inputs: int) -> Array:
        for name in (spec.name, plain_name(spec.name)):
            if name in self._arrays:
                return self._arrays[name]
        if inputs == 1 and "x" in self._arrays:
            return self._arrays["x"]
        have = ", ".join(sorted(self._arrays))
        raise Refusal("input", f"the data has no array for input {spec.name}, only {have}")


def plain_name(name: str) -> str:
    """Return a TFLite input's name as its author wrote it: `serving_default_audio:0` is `audio`."""
    return re.sub(r":\d+\Z", "", re.sub(r"\Aserving_default_", "", name))


def _cast(array: Array, spec: InputSpec) -> Array:
    wanted = np.dtype(spec.dtype)
    if array.dtype == wanted:
        return np.ascontiguousarray(array)
    if spec.is_quantized:
        return np.ascontiguousarray(array, dtype=np.float64)
    if not np.can_cast(array.dtype, wanted, "same_kind"):
        raise Refusal("input", f"input {spec.name} takes {wanted}, the data is {array.dtype}")
    return np.ascontiguousarray(array, dtype=wanted)


def _words(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
