"""What whole files resolve to, and what is said of a broken one, compared with files that people have read."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest

from harness.errors import SpecError
from harness.spec import effective_limits, load_farm, load_suite
from harness.spec.model import Farm, Suite

FOLDER = Path(__file__).parent


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    """Stand in this folder, so that positions name the files without a path."""
    before = Path.cwd()
    os.chdir(FOLDER)
    yield
    os.chdir(before)


def as_json(value: Farm | Suite, folder: Path) -> object:
    """Turn a result into JSON in which `folder` is `<folder>`."""
    text = json.dumps(dataclasses.asdict(value), default=str, ensure_ascii=False)
    return json.loads(text.replace(str(folder), "<folder>"))


def expected(name: str) -> object:
    """Read a golden file."""
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def load_digits(folder: Path) -> Suite:
    """Load the suite of this folder from a copy that has its models and data."""
    for name in ("reference.onnx", "int8.onnx", "v1.onnx", "int8.tflite"):
        (folder / name).write_bytes(b"model")
    numpy.savez(folder / "data.npz", x=numpy.zeros((2, 3)), y=numpy.zeros(2, int))
    (folder / "digits.suite.yaml").write_bytes((FOLDER / "digits.suite.yaml").read_bytes())
    return load_suite(folder / "digits.suite.yaml")


def test_farm() -> None:
    """A farm with an emulated, a physical and a local board resolves to the golden file."""
    farm = load_farm(Path("good.farm.yaml"))

    found = as_json(dataclasses.replace(farm, scopes=()), FOLDER)

    assert found == expected("good.farm.json")


def test_suite(tmp_path: Path) -> None:
    """A suite with two artifacts and five scopes resolves to the golden file."""
    suite = load_digits(tmp_path)

    assert as_json(suite, tmp_path) == expected("digits.suite.json")


def test_effective_limits(tmp_path: Path) -> None:
    """Each limit comes from the strongest place that speaks of it."""
    farm, suite = load_farm(Path("good.farm.yaml")), load_digits(tmp_path)

    found = {
        device.name: [
            f"{limit.metric} {limit.kind} {limit.text} @ {Path(limit.origin.file).name}:{limit.origin.line}"
            for limit in effective_limits(suite, device)
        ]
        for device in farm.devices
    }

    assert found == expected("limits.json")


def test_broken_farm_text() -> None:
    """Everything that is wrong in one farm is told in one go, in words that say what to write."""
    with pytest.raises(SpecError) as caught:
        load_farm(Path("broken.farm.yaml"))

    assert f"{caught.value}\n" == (FOLDER / "broken.farm.txt").read_text(encoding="utf-8")
