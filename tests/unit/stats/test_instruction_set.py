"""Instruction sets compared: which differences are told, as what, and against whom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from harness.records.instruction_set import FindingCode
from harness.stats.grid import is_on_a_grid
from harness.stats.instruction_set import AnyArray, Sighting, contrast, outputs_sha256

FLOATS = np.random.default_rng(1).normal(size=(8, 10)).astype(np.float32)
CODES = (np.random.default_rng(2).integers(-128, 128, (8, 10)) * np.float32(0.037)).astype(np.float32)
OLD = Sighting("cortex-a53", outputs=(FLOATS,), output_types=("float32",), instructions=1000.0)
NEW = replace(OLD, cpu="cortex-a76")


def changed(array: npt.NDArray[Any], by: float) -> AnyArray:
    """Give a copy with one value moved."""
    copy = array.copy()
    copy.flat[3] = copy.flat[3] + by
    return copy


def codes(*seen: Sighting, **more: object) -> list[FindingCode]:
    """Give the kinds of findings."""
    return [finding.code for finding in contrast("m.onnx", seen, **more).findings]  # type: ignore[arg-type]


def test_equal_answers_and_work_give_no_finding() -> None:
    """The second row has the first one's hash, distance 0 and ratio 1."""
    found = contrast("m.onnx", [OLD, NEW])

    assert found.findings == ()
    assert found.rows[1].outputs_sha256 == found.rows[0].outputs_sha256
    assert (found.rows[1].max_abs, found.rows[1].max_rel, found.rows[1].ratio) == (0.0, 0.0, 1.0)


def test_rounding_is_no_finding_and_more_is() -> None:
    """A float that moves by 1e-6 of the range is the order of additions; 1 % is told, with its size."""
    scale = float(np.abs(FLOATS).max())
    near, far = (replace(NEW, outputs=(changed(FLOATS, share * scale),)) for share in (1e-6, 1e-2))

    assert codes(OLD, near) == []
    found = contrast("m.onnx", [OLD, far])
    assert [item.code for item in found.findings] == [FindingCode.FLOATS]
    assert found.rows[1].max_rel == pytest.approx(1e-2, rel=1e-3)
    assert "cortex-a76 (by up to" in found.findings[0].text


@pytest.mark.parametrize(
    ("outputs", "types"),
    [
        (CODES, ("float32",)),
        (CODES, ("int8",)),
        (np.arange(8, dtype=np.float64), ("int64",)),
        (FLOATS, ("uint8",)),
    ],
)
def test_integer_answers_must_be_equal(outputs: AnyArray, types: tuple[str, ...]) -> None:
    """One code that moves by one step is told, whether the runtime returned integers or dequantised ones."""
    old = replace(OLD, outputs=(outputs,), output_types=types)
    new = replace(old, cpu="max", outputs=(changed(outputs, 0.037 if outputs is CODES else 1.0),))

    assert codes(old, new) == [FindingCode.INTEGERS]


def test_a_number_that_is_none_and_another_shape_are_told() -> None:
    """NaN on one CPU alone, and an output of another length; NaN at the same place is no difference."""
    broken = replace(NEW, outputs=(changed(FLOATS, np.nan),))

    assert codes(OLD, broken) == [FindingCode.NOT_FINITE]
    assert codes(OLD, replace(NEW, outputs=(FLOATS[:4],))) == [FindingCode.SHAPE]
    assert codes(broken, replace(broken, cpu="max")) == []


def test_another_kernel_is_told_once_per_group() -> None:
    """CPUs that agree within 1 % stand together; each other group is compared with the first."""
    seen = [
        replace(OLD, cpu=cpu, instructions=count)
        for cpu, count in (("cortex-a35", 1000.0), ("cortex-a53", 1002.0), ("cortex-a76", 490.0), ("max", 491.0))
    ]

    (finding,) = contrast("m.onnx", seen).findings

    assert finding.text == (
        "another kernel on cortex-a76 and max: 0.49 of the instructions of cortex-a35 and cortex-a53"
    )
    assert finding.cpus == ("cortex-a76", "max")


def test_a_file_that_costs_more_than_another_is_told_where() -> None:
    """Only CPUs on which it is dearer are named, with the ratio."""
    int8 = [
        replace(OLD, instructions=1460.0),
        replace(NEW, instructions=1462.0),
        replace(OLD, cpu="max", instructions=700.0),
    ]
    fp32 = [
        replace(OLD, instructions=1000.0),
        replace(NEW, instructions=1000.0),
        replace(OLD, cpu="max", instructions=1000.0),
    ]

    found = contrast("int8.onnx", int8, "fp32.onnx", fp32)

    text = [item.text for item in found.findings if item.code is FindingCode.DEARER]
    assert text == ["int8.onnx costs 1.46 times the instructions of fp32.onnx on cortex-a53 and cortex-a76"]
    assert [row.against for row in found.rows] == [1000.0] * 3


def test_a_crash_is_the_files_and_a_lost_board_is_not() -> None:
    """Both rows say why; the next CPU that ran is what others are compared with."""
    crashed = Sighting("cortex-a35", failure="illegal instruction: sdot")
    lost = Sighting("cortex-a57", lost="QEMU ended")

    found = contrast("m.onnx", [crashed, lost, OLD, replace(NEW, instructions=500.0)])

    assert [item.code for item in found.findings] == [FindingCode.CRASH, FindingCode.BOARD, FindingCode.KERNEL]
    assert [row.failure for row in found.rows[:2]] == ["illegal instruction: sdot", "QEMU ended"]
    assert [row.ratio for row in found.rows] == [None, None, 1.0, 0.5]


def test_a_count_that_did_not_come_back_is_the_boards() -> None:
    """The answers stand; the work is unknown, and the sentence says so."""
    found = contrast("m.onnx", [OLD, replace(NEW, instructions=None, uncounted="it counted 7 and 8")])

    assert [(item.code, item.text) for item in found.findings] == [
        (FindingCode.BOARD, "m.onnx has no count on cortex-a76: it counted 7 and 8")
    ]
    assert found.rows[1].ratio is None


def test_nothing_that_ran_compares_with_nothing() -> None:
    """Where no CPU gave answers there is no difference to tell, only the failures."""
    assert codes(Sighting("max", failure="crash"), Sighting("cortex-a53", lost="link")) == [
        FindingCode.CRASH,
        FindingCode.BOARD,
    ]


def test_grids_are_told_from_free_numbers() -> None:
    """Codes times a scale, also with few levels in use; no draw of real numbers passes for them."""
    rng = np.random.default_rng(3)

    assert is_on_a_grid(CODES)
    assert is_on_a_grid(np.float32(0.11) * np.array([-7, 0, 3, 90, 94, -60], np.float32))
    assert is_on_a_grid(np.array([0.0, 1.0]))
    assert not is_on_a_grid(np.array([np.nan]))
    assert not any(is_on_a_grid(rng.normal(size=size).astype(np.float32)) for size in range(1, 100) for _ in range(20))


def test_hashes_know_type_shape_and_order() -> None:
    """Equal bytes under another shape or in another order are other answers."""
    one, two = np.zeros((2, 3), np.float32), np.ones((1,), np.float32)

    hashes = {outputs_sha256(outputs) for outputs in ((one,), (one.T,), (one, two), (two, one), (one.view(np.int32),))}

    assert len(hashes) == 5
    assert outputs_sha256(()) == ""


def test_a_program_is_compared_by_what_it_writes() -> None:
    """Other bytes are told as such; what differs from run to run is not compared."""
    first = Sighting("cortex-a53", written_sha256="aa", instructions=100.0)
    other = replace(first, cpu="cortex-a76", written_sha256="bb")
    random = replace(first, cpu="max", written_sha256="", varies=True)

    found = contrast("tool", [first, other, random])

    assert [(item.code, item.text) for item in found.findings] == [
        (FindingCode.VARIES, "what tool writes differs from run to run on max: it cannot be compared"),
        (FindingCode.BYTES, "it writes other bytes than on cortex-a53: cortex-a76"),
    ]
    assert [row.outputs_sha256 for row in found.rows] == ["aa", "bb", ""]
