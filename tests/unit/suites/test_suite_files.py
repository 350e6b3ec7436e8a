"""The committed suites: every file is the one that ORIGIN.md describes, and the models do what the suites claim."""

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from harness.spec import load_suite

SUITES = Path(__file__).resolve().parents[3] / "suites"
FOLDERS = ("digits", "face", "nogo", "tinygpt")
ROW = re.compile(r"^\| (\S+) \| ([\d ]+) \| `([0-9a-f]{64})` \|$", re.MULTILINE)
FloatArray = npt.NDArray[np.float32]


def committed(folder: str) -> list[Path]:
    """Return the model and data files of one suite."""
    return sorted(
        path
        for path in (SUITES / folder).iterdir()
        if path.suffix in {".onnx", ".tflite", ".npz", ".gguf", ".txt", ".jsonl", ".pte"}
    )


def answer(model: Path, images: FloatArray) -> FloatArray:
    """Run an ONNX model on all images in one call; shape (n, 10)."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    outputs: list[Any] = session.run(["logits"], {"image": images})
    return np.asarray(outputs[0], np.float32)


@pytest.fixture(scope="module")
def held_out() -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """The 719 digits that nothing was trained on, with their labels."""
    with np.load(SUITES / "digits" / "digits_eval.npz", allow_pickle=False) as archive:
        return archive["x"], archive["y"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_origin_names_every_file_with_its_hash(folder: str) -> None:
    """ORIGIN.md lists exactly the committed models and data, with their sizes and SHA-256."""
    table = ROW.findall((SUITES / folder / "ORIGIN.md").read_text(encoding="utf-8"))

    listed = {name: (int(size.replace(" ", "")), digest) for name, size, digest in table}
    found = {
        path.name: (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()) for path in committed(folder)
    }

    assert listed == found


@pytest.mark.parametrize("folder", FOLDERS)
def test_models_carry_no_path_of_the_machine_that_made_them(folder: str) -> None:
    """An exporter's notes would leak the paths of a person's machine into every release."""
    leaks = [path.name for path in committed(folder) if re.search(rb"/(home|tmp|work|root|usr)/", path.read_bytes())]

    assert leaks == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_suite_file_is_valid_and_names_existing_files(folder: str) -> None:
    """The suite of each folder loads and carries the folder's name."""
    suite = load_suite(SUITES / folder / f"{folder}.suite.yaml")

    assert suite.name == folder
    assert suite.reference


def test_evaluation_data_is_what_the_models_take(held_out: tuple[FloatArray, npt.NDArray[np.int64]]) -> None:
    """The images are float32 in [0, 1], the labels are digits, and there are 719 of each."""
    images, labels = held_out

    assert images.dtype == np.float32
    assert images.shape == (719, 1, 8, 8)
    assert (images.min(), images.max()) == (0.0, 1.0)
    assert labels.dtype == np.int64
    assert set(labels.tolist()) == set(range(10))


@pytest.mark.parametrize(
    ("name", "lowest"),
    [
        ("digits_fp32", 0.985),
        ("digits_int8_qdq", 0.985),
        ("digits_int8_v1", 0.985),
        ("digits_int8_dynamic", 0.985),
        ("digits_pruned", 0.982),
    ],
)
def test_digits_model_is_right(name: str, lowest: float, held_out: tuple[FloatArray, npt.NDArray[np.int64]]) -> None:
    """Every good file keeps its accuracy, within a point of fp32."""
    images, labels = held_out

    right = answer(SUITES / "digits" / f"{name}.onnx", images).argmax(axis=1) == labels

    assert right.mean() >= lowest


@pytest.mark.parametrize("name", ["slower_int8", "bigger_int8"])
def test_costly_candidate_answers_like_the_good_file(
    name: str, held_out: tuple[FloatArray, npt.NDArray[np.int64]]
) -> None:
    """The slower and the bigger candidate are wrong in one way only: their answers are the good file's, to the bit."""
    images, _ = held_out

    ours, good = (
        answer(SUITES / "nogo" / f"{name}.onnx", images),
        answer(SUITES / "digits" / "digits_int8_qdq.onnx", images),
    )

    np.testing.assert_array_equal(ours, good)


def test_flipped_candidate_is_wrong_but_not_absurd(held_out: tuple[FloatArray, npt.NDArray[np.int64]]) -> None:
    """The damaged weights leave a model that mostly works, so only an accuracy or parity gate can see it."""
    images, labels = held_out

    accuracy = float((answer(SUITES / "nogo" / "flipped_int8.onnx", images).argmax(axis=1) == labels).mean())

    assert 0.6 <= accuracy <= 0.9


def test_broken_candidate_does_not_load() -> None:
    """The truncated file is refused by the runtime."""
    with pytest.raises(Exception, match="INVALID_PROTOBUF"):
        onnxruntime.InferenceSession(SUITES / "nogo" / "broken_int8.onnx", providers=["CPUExecutionProvider"])
