"""Faults that only a language model carries: each moves the gates that it is meant for, and without it they pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.agent.message import PlantRequest
from harness.agent.plant.result import RESULTS
from harness.campaign.selftest.catalogue import FAULTS
from harness.gate.cell import check_limit
from harness.records.cell import ArrayRef, Role
from harness.records.outcome import Outcome
from harness.stats import Evidence
from harness.testing.evidence import limit
from harness.testing.language import LanguageScene
from harness.testing.planted import Figures

LANGUAGE = (
    "shuffled-continuations", "unlikely-text", "nan-likelihood", "slow-tokens", "more-token-work", "grown-cache",
    "other-timed-text", "no-timed-text", "no-counter",
)  # fmt: skip
LIMITS = (
    limit("llm.kl", "max", 0.05),
    limit("llm.same_top", "min", 0.9),
    limit("llm.perplexity", "drop", 0.05),
    limit("llm.ttft", "max", 1.0),
    limit("llm.decode_rate", "min", 5.0),
    limit("work.prompt_token", "max", 1e6),
    limit("work.new_token", "max", 1e6),
    limit("memory.cache", "max", 2e6),
)


def plant(evidence: Evidence, name: str, kinds: tuple[str, ...]) -> Evidence:
    """Spoil the candidate's sessions of some kinds as the agent does."""
    arrays, sessions = dict(evidence.arrays), []
    for session in evidence.cell.sessions:
        if session.role is Role.CANDIDATE and session.kind.value in kinds:
            own = {array: np.array(arrays[ref.key]) for array, ref in session.arrays.items()}
            figures = Figures(dict(session.scalars), own)
            RESULTS[name](figures, PlantRequest(name))
            refs = {array: ArrayRef(session.arrays[array].key, value.shape, "x") for array, value in own.items()}
            arrays.update({refs[array].key: value for array, value in own.items()})
            flags = (*session.flags, *figures.flags)
            sessions.append(replace(session, scalars=figures.scalars, arrays=refs, flags=flags))
        else:
            sessions.append(session)
    return replace(evidence, cell=replace(evidence.cell, sessions=tuple(sessions)), arrays=arrays)


@pytest.mark.parametrize("name", LANGUAGE)
def test_a_fault_moves_its_gates(name: str) -> None:
    """The gates that the catalogue names say what it names; the control passes all of them."""
    fault = next(fault for fault in FAULTS if fault.name == name)
    evidence = LanguageScene(blur=0.05, limits=LIMITS).evidence()
    planted = plant(evidence, name, fault.sessions)

    answers = fault.answers(LIMITS, evidence.device)

    assert answers
    for answer in answers:
        asked = next(item for item in LIMITS if item.metric == answer.metric)
        assert check_limit(evidence, asked).outcome is Outcome.PASS
        verdict = check_limit(planted, asked)
        assert verdict.outcome is answer.outcome, verdict.reason
        assert answer.words in verdict.reason
