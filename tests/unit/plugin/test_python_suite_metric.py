"""What a Python suite may ask for: metrics that it measures, with a hint at what was meant."""

from __future__ import annotations

import pytest

from harness.errors import SpecError
from harness.plugin.python_suite import _known
from harness.spec.model import Origin

HERE = Origin("test_budget.py", 7, 1)


def test_a_known_metric_is_taken() -> None:
    """Metrics of inference are measured by Python suites."""
    assert _known("memory.peak", HERE) == "memory.peak"


@pytest.mark.parametrize(
    ("metric", "said"),
    [("memory.peek", "did you mean 'memory.peak'"), ("llm.kl", "write 'task: generation' in a *.suite.yaml")],
)
def test_others_are_refused_at_their_line(metric: str, said: str) -> None:
    """A misspelt metric, and one of language models, end the collection where they are written."""
    with pytest.raises(SpecError) as caught:
        _known(metric, HERE)

    assert "test_budget.py:7:1" in str(caught.value)
    assert said in str(caught.value)
