"""Samples meet models by rank and type, or the mismatch is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.agent.refusal import Refusal
from harness.agent.runtimes import InputSpec, to_float
from harness.agent.samples import Samples

IMAGES = np.arange(5 * 4, dtype=np.float64).reshape(5, 2, 2)


def spec(*shape: int | None, name: str = "input", dtype: str = "float32", is_quantized: bool = False) -> InputSpec:
    """Return an input spec."""
    return InputSpec(name, shape, dtype, is_quantized)


def test_batches_of_a_free_model() -> None:
    """A model with a free first axis gets as many samples as asked, cast to its type."""
    samples = Samples({"x": IMAGES, "y": np.zeros(5, dtype=np.int64)})
    specs = [spec(None, 2, 2)]

    assert samples.fixed_batch(specs) == 0
    (array,) = samples.take(specs, 2, 3)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, IMAGES[2:5])


def test_last_batch_of_a_fixed_model_is_filled_up() -> None:
    """A model that takes four gets the last sample repeated."""
    samples = Samples({"x": IMAGES})
    specs = [spec(4, 2, 2)]

    assert samples.fixed_batch(specs) == 4
    (array,) = samples.take(specs, 4, 4)
    np.testing.assert_array_equal(array, np.stack([IMAGES[4]] * 4))


def test_model_without_batch_axis_takes_one_sample() -> None:
    """A sample that has the model's rank itself is given as it is."""
    samples = Samples({"x": IMAGES})

    assert samples.fixed_batch([spec(2, 2)]) == 1
    np.testing.assert_array_equal(samples.take([spec(2, 2)], 3, 1)[0], IMAGES[3])


def test_inputs_that_contradict_each_other_are_named() -> None:
    """A state whose first axis is no batch, given without one, does not end as a riddle about another input."""
    samples = Samples({"state": np.zeros((5, 2, 128)), "sr": np.full(5, 16000)})
    specs = [spec(2, None, 128, name="state"), spec(name="sr")]

    with pytest.raises(Refusal, match=r"sr \(\): 1, state \(2, any, 128\): 2.*\(samples, \*shape\)"):
        samples.fixed_batch(specs)


def test_inputs_are_found_by_name() -> None:
    """Several inputs take the arrays of their names, also without what converters add to them."""
    arrays = {"audio": np.ones((3, 8), np.float32), "state": np.zeros((3, 2), np.float32)}
    specs = [spec(1, 2, name="serving_default_state:0"), spec(1, 8, name="audio")]

    state, audio = Samples(arrays).take(specs, 0, 1)

    assert (state.shape, audio.shape) == ((1, 2), (1, 8))


def test_quantized_input_takes_real_values() -> None:
    """Data for a quantised input stays real: the runtime adapter knows scale and zero point."""
    (array,) = Samples({"x": IMAGES.astype(np.uint8)}).take([spec(1, 2, 2, dtype="int8", is_quantized=True)], 1, 1)

    assert array.dtype == np.float64
    (same,) = Samples({"x": IMAGES.astype(np.int8)}).take([spec(1, 2, 2, dtype="int8", is_quantized=True)], 1, 1)
    assert same.dtype == np.int8


@pytest.mark.parametrize(
    ("arrays", "wanted", "words"),
    [
        ({"x": IMAGES}, spec(1, 3, 2), r"takes \(1, 3, 2\), it would get \(1, 2, 2\)"),
        ({"x": IMAGES}, spec(1, 1, 1, 2, 2), "a sample is"),
        ({"x": IMAGES}, spec(1, 2, 2, dtype="int8"), "takes int8, the data is float64"),
        ({"z": IMAGES}, spec(1, 2, 2), "no array for input input, only z"),
    ],
    ids=["shape", "rank", "type", "name"],
)
def test_mismatch_names_both_sides(arrays: dict[str, Any], wanted: InputSpec, words: str) -> None:
    """What does not fit is an input error, never reshaped or cast by guess."""
    with pytest.raises(Refusal, match=words) as refused:
        Samples(arrays).take([wanted], 0, 1)

    assert refused.value.code == "input"


def test_pickles_are_not_read(tmp_path: Path) -> None:
    """An .npz that needs pickle is refused, and so is what is no .npz or holds no sample."""
    np.savez(tmp_path / "pickle.npz", x=np.array([{"a": 1}], dtype=object))
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "empty.npz", x=np.zeros((0, 3)))
    np.savez(tmp_path / "scalar.npz", x=np.float32(1))

    for name in ("pickle", "text", "empty", "scalar"):
        with pytest.raises(Refusal) as refused:
            Samples.read(str(tmp_path / f"{name}.npz"))
        assert refused.value.code == "input"


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (np.float64(1.5), "float32"),
        (np.float16(2), "float32"),
        (np.int64(2**40), "float64"),
        (np.bool_(True), "float32"),
    ],
)
def test_outputs_become_float(given: Any, dtype: str) -> None:
    """Outputs of any numeric type keep their value in float32, or in float64 where integers need it."""
    array = to_float(np.array([given]))

    assert array.dtype == dtype
    assert array[0] == given


def test_outputs_that_are_no_numbers_are_an_error() -> None:
    """Strings and maps cannot be compared: the model's output is refused."""
    for output in (np.array(["a"]), [{0: 0.5}]):
        with pytest.raises(TypeError):
            to_float(output)  # type: ignore[arg-type]
