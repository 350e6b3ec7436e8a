"""Instruction sets within a run: what is compared with what, from the record alone."""

from __future__ import annotations

from dataclasses import replace

from harness.gate.instruction_set import compare_boards
from harness.records.cell import Incident, RuntimeRecord
from harness.records.instruction_set import FindingCode
from harness.records.outcome import Attribution, Outcome
from harness.spec.model import Tier
from harness.stats import Evidence
from harness.testing.evidence import Scene, run_of

A53 = Scene(tier=Tier.DETERMINISTIC, device="a53", cpu="cortex-a53", sessions=2)
A76 = replace(A53, device="a76", cpu="cortex-a76", work=490_000)
MAX = replace(A53, device="max", cpu="max", exists=False, work=480_000)


def with_runtime(evidence: Evidence, version: str) -> Evidence:
    """Let another build have run."""
    sessions = tuple(replace(item, runtime=replace(item.runtime, version=version)) for item in evidence.cell.sessions)
    return replace(evidence, cell=replace(evidence.cell, sessions=sessions))


def test_an_artifact_is_compared_over_the_boards_that_ran_it() -> None:
    """One table with a row per CPU: work, answers and memory against the first."""
    (found,) = compare_boards(*run_of(scene.evidence() for scene in (A53, A76, MAX)))

    assert found.name == "digits::int8"
    assert [row.cpu for row in found.rows] == ["cortex-a53 (a53)", "cortex-a76 (a76)", "max"]
    assert [row.instructions for row in found.rows] == [1e6, 4.9e5, 4.8e5]
    assert [row.exists for row in found.rows] == [True, True, False]
    assert len({row.outputs_sha256 for row in found.rows}) == 1
    assert all(row.peak_bytes for row in found.rows)
    assert [item.code for item in found.findings] == [FindingCode.KERNEL, FindingCode.KERNEL]


def test_other_answers_are_told() -> None:
    """A board whose outputs differ is named."""
    (found,) = compare_boards(*run_of([A53.evidence(), replace(A76, work=A53.work, wrong=5).evidence()]))

    assert [item.code for item in found.findings] == [FindingCode.FLOATS]
    assert "cortex-a76 (a76)" in found.findings[0].text


def test_only_like_is_compared_with_like() -> None:
    """Another runtime build, another file, boards without exact counts and one CPU alone make no comparison."""
    other_build = with_runtime(A76.evidence(), "1.16.0")
    functional = replace(A76, tier=Tier.FUNCTIONAL)
    twin = replace(A53, device="a53-2")

    for cells in (
        [A53.evidence(), other_build],
        [A53.evidence(), replace(A76, artifact="fp16").evidence()],
        [A53.evidence(), functional.evidence()],
        [A53.evidence(), replace(A76, tier=Tier.HARDWARE, cpu="").evidence()],
        [A53.evidence(), twin.evidence()],
    ):
        assert compare_boards(*run_of(cells)) == ()


def test_a_crash_is_a_row_with_its_sentence() -> None:
    """A model that fails on one CPU alone is told there; a board that was lost says nothing of its instruction set."""
    crash = Incident(Outcome.FAIL, Attribution.MODEL, "illegal_instruction", "sdot: needs asimddp")
    lost = Incident(Outcome.INFRA, Attribution.INFRA, "link", "the link was lost")
    ran = A76.evidence()
    crashed, gone = (
        replace(ran, cell=replace(ran.cell, sessions=(), incidents=(incident,))) for incident in (crash, lost)
    )
    version = RuntimeRecord("onnxruntime", "onnxruntime==1.32.0", "onnxruntime 1.32.0", "CPU", 1, "e", "3", "2")
    first = with_runtime(A53.evidence(), version.version)

    (found,) = compare_boards(*run_of([first, crashed]))

    assert found.rows[1].failure == "sdot: needs asimddp"
    assert [item.code for item in found.findings] == [FindingCode.CRASH]
    assert compare_boards(*run_of([first, gone])) == ()
