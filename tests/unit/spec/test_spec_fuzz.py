"""Damaged files: whatever is done to a good file, it is read or refused with positions, never a crash."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import Problem, SpecError
from harness.spec import load_farm, load_suite, yaml

FARM = (Path(__file__).parents[2] / "golden" / "spec" / "good.farm.yaml").read_text(encoding="utf-8")
SUITE = (Path(__file__).parents[2] / "golden" / "spec" / "digits.suite.yaml").read_text(encoding="utf-8")
PROFILE = (Path(__file__).parents[3] / "device_profiles" / "qemu-cortex-a53.yaml").read_text(encoding="utf-8")

SNIPPETS = [
    "on", "12:30", "010", "1e3", ".nan", "~", "''", "{}", "[]", "[[", "- ", ": ", "? ", "&a ", "*a", "!!str ", "<<: ",
    "---\n", "\t", "\n", "\n  ", " #", "|\n", '"', "'", "%", "-1", "0", "true", "\x00", "\ufeff", "é", "9" * 400, ",",
    "name: a53\n", "gates:\n", "max: 5 ms", "\u202e", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
]  # fmt: skip

MUTATIONS = st.lists(
    st.tuples(st.integers(0, 1500), st.integers(0, 40), st.one_of(st.sampled_from(SNIPPETS), st.text(max_size=4))),
    min_size=1,
    max_size=4,
)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def mutate(text: str, mutations: list[tuple[int, int, str]]) -> bytes:
    """Replace pieces of a text."""
    for start, length, new in mutations:
        at = start % (len(text) + 1)
        text = text[:at] + new + text[at + length :]
    return text.encode("utf-8", "surrogatepass")


def check(error: SpecError, data: bytes) -> None:
    """Every problem has a place within its file, and words."""
    lines = data.count(b"\n") + data.count(b"\r") + data.count(b"\xc2\x85") + data.count(b"\xe2\x80") + 2
    assert error.problems
    for problem in error.problems:
        assert problem.message
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
        assert "Input should" not in problem.message


@QUICK
@given(MUTATIONS)
def test_damaged_farm(tmp_path: Path, mutations: list[tuple[int, int, str]]) -> None:
    """A damaged farm gives a farm or a SpecError."""
    file = tmp_path / "farm.yaml"
    (tmp_path / "device_profiles").mkdir(exist_ok=True)
    (tmp_path / "device_profiles" / "camera.yaml").write_text("extends: rpi5\n", encoding="utf-8")
    data = mutate(FARM, mutations)
    file.write_bytes(data)

    try:
        farm = load_farm(file)
    except SpecError as error:
        check(error, data)
    else:
        assert farm.devices


@QUICK
@given(MUTATIONS)
def test_damaged_profile(tmp_path: Path, mutations: list[tuple[int, int, str]]) -> None:
    """A damaged profile gives a farm or a SpecError."""
    (tmp_path / "device_profiles").mkdir(exist_ok=True)
    data = mutate(PROFILE, mutations)
    (tmp_path / "device_profiles" / "mine.yaml").write_bytes(data)
    file = tmp_path / "farm.yaml"
    file.write_text("farm: t\ndevices: [{name: a, profile: mine}]\n", encoding="utf-8")

    try:
        farm = load_farm(file)
    except SpecError as error:
        check(error, data + b"\n\n")
    else:
        assert farm.devices[0].profile == "mine"


@QUICK
@given(MUTATIONS)
def test_damaged_suite(tmp_path: Path, mutations: list[tuple[int, int, str]]) -> None:
    """A damaged suite gives a suite or a SpecError."""
    for name in ("reference.onnx", "int8.onnx", "v1.onnx", "int8.tflite"):
        (tmp_path / name).write_bytes(b"model")
    data = mutate(SUITE.replace("task: classification", "task: parity"), mutations)
    file = tmp_path / "t.suite.yaml"
    file.write_bytes(data)

    try:
        load_suite(file)
    except SpecError as error:
        check(error, data)
    else:
        pytest.fail("a parity suite with accuracy gates and without data cannot be read")


@QUICK
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Any bytes give a document or a problem."""
    problems: list[Problem] = []

    document = yaml.compose(data, "f.yaml", problems)

    assert document is not None or problems
