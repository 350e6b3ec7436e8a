"""Speed and work of writing: what the arrays of a timing session say, and which texts are not believed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.records.cell import SessionKind
from harness.records.outcome import Outcome
from harness.records.verdict import Estimate
from harness.stats import Evidence, Missing, estimate
from harness.testing.language import LanguageScene


def _put(evidence: Evidence, name: str, change: object) -> Evidence:
    """Change one array of every timing session."""
    arrays = dict(evidence.arrays)
    for session in evidence.cell.sessions:
        if session.kind is SessionKind.TIMING:
            key = session.arrays[name].key
            assert callable(change)
            arrays[key] = change(arrays[key].copy())
    return replace(evidence, arrays=arrays)


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("llm.ttft", 0.2),
        ("llm.tpot.p50", 0.05),
        ("llm.tpot.max", 0.05),
        ("llm.decode_rate", 20.0),
        ("llm.prefill_rate", 30 / 0.4),
        ("work.prompt_token", 500_000),
        ("work.new_token", 500_000),
        ("memory.cache", 1e6),
    ],
)
def test_known_answers(metric: str, value: float) -> None:
    """Two prompts of 10 and 20 tokens, 0.2 s to the first token and 50 ms between tokens."""
    found = estimate(LanguageScene().evidence(), metric)

    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(value)


def test_a_tail_of_few_gaps_is_none() -> None:
    """The 95th percentile of 10 gaps is only their largest: there is no figure, and the words say what to do."""
    evidence = _put(LanguageScene().evidence(), "token_s", lambda gaps: gaps[:10])
    found = estimate(evidence, "llm.tpot.p95")

    assert isinstance(found, Missing)
    assert "write at least 20" in found.reason


@pytest.mark.parametrize("metric", ["llm.ttft", "llm.decode_rate", "work.new_token"])
def test_another_text_is_not_timed(metric: str) -> None:
    """Times of a session that wrote other tokens than the accuracy pass are no figures."""
    evidence = LanguageScene().evidence()

    def rewrite(written: np.ndarray) -> np.ndarray:
        written[1, -1] = 8
        return written

    found = estimate(_put(evidence, "written", rewrite), metric)

    assert isinstance(found, Missing)
    assert "3% of the timed tokens differ" in found.reason


def test_times_of_nothing_are_no_measurement() -> None:
    """A gap of no time at all is the board's fault."""
    found = estimate(_put(LanguageScene().evidence(), "token_s", lambda gaps: gaps * 0), "llm.tpot.p50")

    assert isinstance(found, Missing)
    assert found.outcome is Outcome.INFRA


def test_counts_must_come_back() -> None:
    """A deterministic board that does not repeat its counts is broken, not noisy."""
    evidence = LanguageScene(sessions=2).evidence()
    key = next(item for item in evidence.cell.sessions if item.kind is SessionKind.TIMING).arrays["decode_instructions"]
    other = replace(evidence, arrays={**evidence.arrays, key.key: evidence.arrays[key.key] + 1000})

    found = estimate(other, "work.new_token")

    assert isinstance(found, Missing)
    assert found.outcome is Outcome.INFRA
