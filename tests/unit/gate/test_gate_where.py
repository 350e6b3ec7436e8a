"""The line that names the operators: what it says, when it says nothing, and that it never decides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.gate import check_limit
from harness.gate.where import RECORDED
from harness.records.canonical import to_json
from harness.records.cell import ArrayRef, Role, SessionKind
from harness.records.outcome import Outcome
from harness.records.plan import RecordedFigure
from harness.spec.model import Tier
from harness.stats import Evidence
from harness.testing.evidence import Scene, limit
from harness.testing.profile import make_profile

REGRESS = limit("work.instructions", "regress", 0.05, "5 %")
BEFORE = {"conv1 Conv": 600_000, "conv2 Conv": 300_000}
AFTER = {"conv1 Conv": 600_000, "conv2 Conv": 400_000, "a DequantizeLinear": 5_000, "b DequantizeLinear": 5_000}
SCENE = Scene(
    tier=Tier.DETERMINISTIC, sessions=2, limits=(REGRESS,), work=1_120_000, baseline=1_000_000 / 1_120_000,
    operators=AFTER, baseline_operators=BEFORE,
)  # fmt: skip


def test_the_line_names_operators_by_size() -> None:
    """Changed by name and type, new ones of a type together, and what is left over."""
    verdict = check_limit(SCENE.evidence(), REGRESS)

    assert verdict.outcome is Outcome.REGRESSION
    assert verdict.where == "+12 %: conv2 Conv +10 %, new DequantizeLinear x2 (+1 %), rest +1 %"


def test_a_change_within_the_limit_is_explained_too() -> None:
    """A pass may hide a change that a reader wants to know."""
    scene = replace(SCENE, work=1_010_000, baseline=1_000_000 / 1_010_000,
                    operators={**BEFORE, "clip Clip": 10_000})  # fmt: skip

    verdict = check_limit(scene.evidence(), REGRESS)

    assert verdict.outcome is Outcome.PASS
    assert verdict.where == "+1 %: new Clip clip (+1 %)"


def test_many_changes_are_cut_and_counted() -> None:
    """Three are named; the others are one number, so that the line stays a line."""
    after = {f"conv{k} Conv": 10_000 * k for k in range(3, 9)}
    scene = replace(SCENE, operators={**BEFORE, **after})

    where = check_limit(scene.evidence(), REGRESS).where

    assert where.startswith("+12 %: new Conv x6 (+33 %), rest")
    scene = replace(SCENE, baseline_operators={f"c{k} Conv": 10_000 for k in range(6)},
                    operators={f"c{k} Conv": 10_000 + 4_000 * k for k in range(6)})  # fmt: skip
    found = check_limit(scene.evidence(), REGRESS).where
    assert "c5 Conv +2 %, c4 Conv +1.6 %, c3 Conv +1.2 %, 2 others +1.2 %" in found


@pytest.mark.parametrize("damage", [b"", b"{", b'{"method": 1}', b"\xff\xfe"])
def test_a_damaged_profile_explains_nothing_and_decides_nothing(damage: bytes) -> None:
    """The verdict is that of the counts; the line is empty."""
    evidence = SCENE.evidence()
    session = next(item for item in evidence.sessions(Role.CANDIDATE, SessionKind.PROFILE))
    key = session.arrays["profile"].key
    arrays = {**evidence.arrays, key: np.frombuffer(damage, np.uint8)}

    verdict = check_limit(replace(evidence, arrays=arrays), REGRESS)

    assert verdict == replace(check_limit(evidence, REGRESS), where="")


def test_without_profiles_there_is_no_line() -> None:
    """Nothing is guessed."""
    scene = replace(SCENE, operators={}, baseline_operators={})

    assert check_limit(scene.evidence(), REGRESS).where == ""


def test_a_committed_profile_serves_as_the_baseline() -> None:
    """A figure of reports/baselines/ comes with its operators."""
    recorded = RecordedFigure("work.instructions", 1e6, 1e6, 1e6, "x.json (run r0)")
    scene = replace(SCENE, baseline=None, recorded=(recorded,), baseline_operators={})
    evidence = _with_document(scene.evidence(), RECORDED, to_json(make_profile(BEFORE)))

    where = check_limit(evidence, REGRESS).where

    assert where == "+12 %: conv2 Conv +10 %, new DequantizeLinear x2 (+1 %), rest +1 %"


def _with_document(evidence: Evidence, name: str, text: bytes) -> Evidence:
    array = np.frombuffer(text, np.uint8)
    cell = replace(evidence.cell, documents={name: ArrayRef(name, array.shape, "uint8")})
    return replace(evidence, cell=cell, arrays={**evidence.arrays, name: array})
