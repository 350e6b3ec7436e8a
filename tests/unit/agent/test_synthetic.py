"""Drawn inputs: the same bytes from the same seed everywhere, shapes and types as the model says."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest

from harness.agent.refusal import Refusal
from harness.agent.runtimes import InputSpec
from harness.agent.synthetic import draw, pack

IMAGE = InputSpec("serving_default_image:0", (None, 3, 4), "float32")
CODES = InputSpec("codes", (1, 300), "int8", is_quantized=True)
TOKENS = InputSpec("tokens", (2,), "int64")
SWITCH = InputSpec("switch", (), "bool")


def test_bytes_are_fixed() -> None:
    """The .npz of a seed never changes: counts that were taken with it stay comparable."""
    data = pack(draw([IMAGE, CODES, TOKENS, SWITCH], 2, 1, {}))

    assert hashlib.sha256(data).hexdigest() == "a08b6a9d816f393b1bbb3ec093a1d53c61d78d79cc9163577747b460f38e83b2"
    assert data != pack(draw([IMAGE, CODES, TOKENS, SWITCH], 2, 2, {}))


def test_values_fit_their_types() -> None:
    """Floats lie in [-1, 1), quantised codes use their whole range, other integers are small and not negative."""
    arrays = draw([IMAGE, CODES, TOKENS, SWITCH], 8, 7, {})

    image, codes, tokens, switch = arrays.values()
    assert (image.dtype, image.shape) == (np.float32, (8, 1, 3, 4))
    assert -1.0 <= image.min() < -0.5 < 0.5 < image.max() < 1.0
    assert (codes.dtype, codes.min(), codes.max()) == (np.int8, -128, 127)
    assert tokens.min() >= 0
    assert tokens.max() < 10
    assert (switch.dtype, switch.shape) == (np.bool_, (8,))


def test_the_archive_is_a_plain_npz() -> None:
    """An .npz reader gives it back under the input's full name."""
    stored = np.load(io.BytesIO(pack(draw([IMAGE], 2, 3, {}))), allow_pickle=False)

    assert stored["serving_default_image:0"].shape == (2, 1, 3, 4)


def test_free_axes_need_a_shape() -> None:
    """A first axis counts as one; any other must be told, by the name that the model's author gave."""
    free = InputSpec("serving_default_text:0", (None, None), "int32")

    with pytest.raises(Refusal, match=r"input text takes \(any, any\): say which shape"):
        draw([free], 1, 0, {})
    (array,) = draw([free], 1, 0, {"text": [1, 128]}).values()
    assert array.shape == (1, 1, 128)


@pytest.mark.parametrize(
    ("spec", "shapes", "words"),
    [
        (IMAGE, {"image": [1, 3]}, r"takes \(any, 3, 4\), not \(1, 3\)"),
        (IMAGE, {"image": [1, 3, 5]}, r"takes \(any, 3, 4\), not \(1, 3, 5\)"),
        (IMAGE, {"image": [0, 3, 4]}, r"not \(0, 3, 4\)"),
        (IMAGE, {"picture": [1, 3, 4]}, "a shape is given for picture, the model's inputs are image"),
        (InputSpec("s", (1,), "string"), {}, "takes string, which cannot be drawn"),
        (InputSpec("x", (1 << 20, 1 << 12), "float32"), {}, "too large"),
    ],
)
def test_what_cannot_be_drawn_is_refused(spec: InputSpec, shapes: dict[str, list[int]], words: str) -> None:
    """A shape that does not fit and inputs that take no numbers are named."""
    with pytest.raises(Refusal, match=words) as refused:
        draw([spec], 1, 0, shapes)

    assert refused.value.code == "input"
