"""Boards over several processes: same verdicts, nothing lost, nothing run twice."""

from __future__ import annotations

from typing import Any

import pytest

from harness.testing.device import BoardScript
from harness.testing.played import FakeModel
from harness.testing.rehearsal import Finished, Rehearsal


def _comparable(finished: Finished) -> dict[str, Any]:
    return {name: value for name, value in finished.verdicts.items() if name != "run_id"}


def test_verdicts_do_not_depend_on_the_number_of_processes(rehearsal: Rehearsal) -> None:
    """No xdist, -n0, -n2 and -n auto give the same plan, figures and verdicts, and the same exit code."""
    rehearsal.model("lite.tflite", FakeModel(latency_s=5e-3, wrong=30))
    runs = [rehearsal.run(*how) for how in (("-p", "no:xdist"), ("-n0",), ("-n2",), ("-n", "auto"))]

    first = _comparable(runs[0])
    assert first["decision"]["exit_code"] == 1
    for run in runs:
        assert run.code == 1, run.text
        assert _comparable(run) == first


@pytest.mark.parametrize("workers", ["-n1", "-n2"])
def test_a_crashed_worker_leaves_infra_and_no_hole(rehearsal: Rehearsal, workers: str) -> None:
    """Its unfinished cells are INFRA, other workers finish, exit 20, and the run ends."""
    rehearsal.script({"a53": BoardScript(kill_process=True, after=6)})

    finished = rehearsal.run(workers)

    assert finished.code == 20, finished.text
    outcomes = finished.outcomes()
    assert outcomes["digits::lite[a53] crash runs"] == "INFRA"
    assert not {"FAIL", "NOT_RUN"} & set(outcomes.values())
    if workers == "-n2":
        assert outcomes["digits::lite[a72] crash runs"] == "PASS"
    assert len(finished.record["plan"]["cells"]) == 6


def test_ordinary_tests_beside_the_gates_all_run(rehearsal: Rehearsal) -> None:
    """Tests without a board are dealt to the same workers."""
    for number in range(3):
        (rehearsal.folder / f"test_{number}.py").write_text(f"def test_{number}():\n    pass\n")

    finished = rehearsal.run("-n2", devices="farm.yaml::here")

    assert finished.code == 0, finished.text
    assert "5 passed" in finished.text
