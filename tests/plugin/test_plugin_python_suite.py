"""Suites written in Python: the fixtures device, artifact, measure and gate."""

from __future__ import annotations

from pathlib import Path

from harness.testing.played import FakeModel
from harness.testing.rehearsal import SUITE, Rehearsal

TEST = """\
def test_budget(device, artifact, measure, gate):
    int8 = artifact("int8.onnx", runtime="onnxruntime", baseline="old.onnx")
    result = measure(int8, data="eval.npz", reference="fp32.onnx", repeat=20)
    assert result.value("memory.peak") > 1e6
    gate.check(result, "memory.peak", max="64 MiB", regress="5 %")
    gate.check(result, "accuracy.top1", min=0.9, drop="5 pp")

def test_name(device):
    assert device.name
"""


def _write(rehearsal: Rehearsal, text: str) -> None:
    (rehearsal.suite_folder / "digits.suite.yaml").unlink()
    (rehearsal.suite_folder / "test_budget.py").write_text(text)


def test_a_python_suite_enters_the_record_and_the_decision(rehearsal: Rehearsal) -> None:
    """Its measurements are cells of the plan, its checks are verdicts with the line that set them."""
    _write(rehearsal, TEST)

    finished = rehearsal.run("-n2")

    assert finished.code == 0, finished.text
    assert "6 passed" in finished.text
    cell = "digits/test_budget.py::test_budget[a72]"
    assert {kind for kind in finished.outcomes() if kind.startswith(cell)} == {
        f"{cell} crash runs",
        f"{cell} memory.peak max",
        f"{cell} memory.peak regress",
        f"{cell} accuracy.top1 min",
        f"{cell} accuracy.top1 drop",
    }
    assert set(finished.outcomes().values()) == {"PASS"}
    assert finished.verdicts["verdicts"][1]["origin"] == "digits/test_budget.py:5"
    assert finished.is_reproduced()


def test_all_failing_checks_are_reported_at_once(rehearsal: Rehearsal) -> None:
    """A test does not stop at its first broken limit."""
    _write(rehearsal, TEST)
    rehearsal.model("int8.onnx", FakeModel(peak_bytes=80 * 2**20, wrong=60))

    finished = rehearsal.run(devices="farm.yaml::here")

    assert finished.code == 1, finished.text
    failed = {gate.split("] ")[1] for gate, outcome in finished.outcomes().items() if outcome != "PASS"}
    assert failed == {"memory.peak max", "memory.peak regress", "accuracy.top1 min", "accuracy.top1 drop"}
    assert "FAIL: memory.peak 80" in finished.text


def test_a_test_that_measures_nothing_holds_the_release(rehearsal: Rehearsal) -> None:
    """A planned measurement that did not happen is NOT_RUN, whatever pytest thinks of a skipped or an empty test."""
    skipped = "def test_skipped(device, measure):\n    pytest.skip('not today')\n"
    _write(rehearsal, f"import pytest\n\n{skipped}\ndef test_empty(device, measure):\n    pass\n")

    finished = rehearsal.run(devices="farm.yaml::here")

    assert finished.code == 10, finished.text
    assert set(finished.outcomes().values()) == {"NOT_RUN"}
    assert len(finished.outcomes()) == 2


def test_an_impossible_check_fails_the_test_with_the_alternative(rehearsal: Rehearsal) -> None:
    """A wall-clock limit on a functional board is refused where it is written."""
    check = 'gate.check(measure(artifact("int8.onnx"), data="eval.npz"), "latency.p95", max="4 ms")'
    _write(rehearsal, f"def test_budget(device, artifact, measure, gate):\n    {check}\n")

    finished = rehearsal.run(devices="farm.yaml::a72")

    assert finished.code == 1, finished.text
    assert "latency.p95 cannot be gated on a72" in finished.text


FOUR = """\
farm: rehearsal
devices:
  - {name: one, profile: qemu-cortex-a53}
  - {name: two, profile: qemu-cortex-a53}
  - {name: three, profile: qemu-cortex-a76}
  - {name: four, profile: qemu-cortex-a76}
"""


def test_boards_that_stay_open_share_the_cores(tmp_path: Path) -> None:
    """Four boards, one core, suites of YAML and Python: all cells are measured, whatever waits for what."""
    rehearsal = Rehearsal(tmp_path / "rehearsal", farm=FOUR, suite=SUITE.partition("gates:")[0])
    (rehearsal.suite_folder / "test_budget.py").write_text(TEST)
    conftest = rehearsal.folder / "conftest.py"
    conftest.write_text(
        f"import os\n\nos.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})\n{conftest.read_text()}"
    )

    finished = rehearsal.run()

    assert finished.code == 0, finished.text
    assert set(finished.outcomes().values()) == {"PASS"}
    assert len({name.split(" ")[0] for name in finished.outcomes()}) == 12
    assert "waiting for a free core: 1 emulated board runs" in finished.text
