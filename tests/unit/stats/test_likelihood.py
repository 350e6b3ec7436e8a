"""Figures of language models: known answers, pairing by window, and what is no evidence."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.records.cell import Role
from harness.records.outcome import Attribution, Outcome
from harness.records.verdict import Estimate
from harness.spec.metric import METRICS
from harness.spec.model import Tier
from harness.spec.questions import METRIC_KINDS
from harness.stats import Evidence, Missing, estimate, loss, worsening
from harness.stats.likelihood import DIVERGENCES, SURPRISES, divergence
from harness.testing.language import TOKENS, WINDOWS, LanguageScene

OF_THE_TASK = [
    name
    for name, metric in METRICS.items()
    if metric.generates and metric.needs != "energy" and name not in METRIC_KINDS
]


def _figure(found: object) -> Estimate:
    assert isinstance(found, Estimate), found
    return found


def _width(found: Estimate) -> float:
    assert found.low is not None
    assert found.high is not None
    return found.high - found.low


def _without(evidence: Evidence, name: str, value: object) -> Evidence:
    """Put `value` into the candidate's first array of this name."""
    key = evidence.cell.sessions[0].arrays[name].key
    array = evidence.arrays[key].copy()
    array.flat[5] = value
    return replace(evidence, arrays={**evidence.arrays, key: array})


def test_divergence_is_that_of_the_whole_distributions() -> None:
    """With all tokens as probes, llm.kl is the textbook's KL(reference || candidate)."""
    scene = LanguageScene(blur=0.3)
    p, q = scene.logp(0.0), scene.logp(0.3)

    found = _figure(estimate(scene.evidence(), "llm.kl"))

    assert found.value == pytest.approx(float((np.exp(p) * (p - q)).sum(axis=2).mean()))
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < found.value < found.high
    assert found.n == WINDOWS


def test_the_same_model_does_not_diverge() -> None:
    """A candidate with the reference's scores has no divergence, the same best tokens and no loss."""
    evidence = LanguageScene(blur=0.0).evidence()

    assert _figure(estimate(evidence, "llm.kl")).value == 0.0
    same = _figure(estimate(evidence, "llm.same_top"))
    assert same.value == 1.0
    assert same.low is not None
    assert 0.99 < same.low < 1.0
    lost = loss(evidence, "llm.perplexity")
    assert not isinstance(lost, Missing)
    assert lost.estimate.value == 0.0


@pytest.mark.parametrize("metric", ["llm.kl", "llm.kl_p999", "llm.perplexity"])
def test_more_blur_is_worse(metric: str) -> None:
    """The figures order models by how much their scores were disturbed."""
    found = [_figure(estimate(LanguageScene(blur=blur).evidence(), metric)).value for blur in (0.0, 0.1, 0.3, 1.0)]

    assert found == sorted(found)
    assert found[0] < found[3]


def test_surprise_in_three_units() -> None:
    """Perplexity is exp of the mean NLL; bits per byte divide by the bytes of the text."""
    evidence = LanguageScene(blur=0.2).evidence()
    nll = _figure(estimate(evidence, "llm.nll")).value

    assert _figure(estimate(evidence, "llm.perplexity")).value == pytest.approx(math.exp(nll))
    assert _figure(estimate(evidence, "llm.bits_per_byte")).value == pytest.approx(nll / math.log(2) / 4)


def test_a_loss_is_paired_by_window() -> None:
    """The interval of a loss is far narrower than that of the perplexity itself: windows differ, not the models."""
    evidence = LanguageScene(blur=0.1).evidence()
    alone, lost = _figure(estimate(evidence, "llm.perplexity")), loss(evidence, "llm.perplexity")

    assert not isinstance(lost, Missing)
    paired = lost.estimate
    assert _width(paired) < 0.3 * _width(alone) / alone.value
    ratio = lost.candidate.value / lost.baseline.value - 1
    assert paired.value == pytest.approx(ratio)


def test_a_loss_of_bytes_is_that_of_tokens() -> None:
    """On the same tokens the relative change per byte is that per token."""
    evidence = LanguageScene(blur=0.3).evidence()

    per_token, per_byte = loss(evidence, "llm.nll"), loss(evidence, "llm.bits_per_byte")

    assert not isinstance(per_token, Missing)
    assert not isinstance(per_byte, Missing)
    assert per_token.estimate.value == per_byte.estimate.value > 0


def test_worsening_against_a_baseline() -> None:
    """A baseline that was measured beside the candidate is compared window by window."""
    found = worsening(LanguageScene(blur=0.5, baseline_blur=0.1).evidence(), "llm.perplexity")

    assert not isinstance(found, Missing)
    assert found.estimate.low is not None
    assert found.estimate.low > 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_no_number_is_a_failure_of_the_model(value: float) -> None:
    """Scores that are no numbers fail the model instead of being left out."""
    evidence = LanguageScene().evidence()

    for metric, name in (("llm.perplexity", "nll"), ("llm.kl", "probe_logq")):
        found = estimate(_without(evidence, name, value), metric)
        assert isinstance(found, Missing)
        assert (found.outcome, found.attribution) == (Outcome.FAIL, Attribution.MODEL)
        assert f"1 of {WINDOWS * TOKENS} tokens" in found.reason


def test_without_reference_nothing_diverges() -> None:
    """Without what the reference said there is a perplexity and no comparison."""
    evidence = LanguageScene(reference=False).evidence()

    assert _figure(estimate(evidence, "llm.perplexity")).value > 1
    assert all(isinstance(estimate(evidence, metric), Missing) for metric in DIVERGENCES)
    assert isinstance(loss(evidence, "llm.perplexity"), Missing)


def test_other_tokens_do_not_pair() -> None:
    """Windows of other tokens are not compared, whatever their number."""
    found = loss(_without(LanguageScene().evidence(), "tokens", 3_000), "llm.nll")

    assert isinstance(found, Missing)
    assert "other tokens" in found.reason


def test_a_token_more_likely_than_certain_is_no_measurement() -> None:
    """A negative surprise is the board's fault, not a good model."""
    found = estimate(_without(LanguageScene().evidence(), "nll", -1.0), "llm.nll")

    assert isinstance(found, Missing)
    assert found.outcome is Outcome.INFRA


def test_intervals_cover() -> None:
    """The 90 % interval of llm.nll holds the truth in about 90 % of seeded texts."""
    hits = 0
    for seed in range(0, 400, 4):
        scene = LanguageScene(blur=0.0, seed=seed)
        truth = -float((np.exp(scene.logp(0.0)) * scene.logp(0.0)).sum(axis=2).mean())
        nll = scene.evidence().arrays["0/nll"]
        found = _figure(estimate(scene.evidence(), "llm.nll"))
        assert nll.shape == (WINDOWS, TOKENS)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high

    assert 82 <= hits <= 100


def test_divergence_belongs_to_an_arm() -> None:
    """The baseline's divergence is its own."""
    evidence = LanguageScene(blur=0.1, baseline_blur=0.6).evidence()
    ours, theirs = divergence(evidence, Role.CANDIDATE), divergence(evidence, Role.BASELINE)

    assert not isinstance(ours, Missing)
    assert not isinstance(theirs, Missing)
    assert ours.mean() < theirs.mean()


@pytest.mark.parametrize("metric", OF_THE_TASK)
def test_every_metric_of_the_task_has_a_figure(metric: str) -> None:
    """A whole cell of a language model answers every metric of its task, questions and a meter apart."""
    found = _figure(estimate(LanguageScene(tier=Tier.DETERMINISTIC).evidence(), metric))

    assert math.isfinite(found.value)
    assert set(METRICS) >= SURPRISES
