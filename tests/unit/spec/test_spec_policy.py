"""Policies: gates apart from a suite, every mistake at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import SpecError
from harness.spec.policy import check_policy, load_policy

GOOD = """\
gates:
  all:
    latency.p95: {max: 4 ms, regress: 5 %}
  rpi5:
    memory.peak: {max: 64 MiB}
"""


def _write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_policy_reads_as_the_gates_of_a_suite(tmp_path: Path) -> None:
    """Scopes, limits in SI, and the line of each."""
    policy = load_policy(_write(tmp_path, GOOD))

    assert [(gate.scope, [limit.value for limit in gate.limits]) for gate in policy.gates] == [
        ("all", [4e-3, 0.05]),
        ("rpi5", [64 * 2**20]),
    ]
    assert policy.gates[1].limits[0].origin.line == 5
    check_policy(policy, ["pi", "rpi5"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("latency.p95", "latency.p59"), r"policy.yaml:3:5: .*did you mean 'latency.p"),
        (GOOD.replace("4 ms", "4 MB"), "policy.yaml:3:"),
        (GOOD.replace("max: 4", "maximum: 4"), "policy.yaml:3:.*maximum"),
        (GOOD.replace("gates:", "gate:"), r"policy.yaml:1:1: .*(did you mean 'gates'|needs the key 'gates')"),
        ("gates: {}\n", "policy.yaml:1:"),
        ("suite: digits\n" + GOOD, "unknown key 'suite' in a policy"),
    ],
)
def test_mistakes_are_named_at_their_place(tmp_path: Path, text: str, words: str) -> None:
    """As in every file of Fleetgate: file, line, column, and what was probably meant."""
    with pytest.raises(SpecError, match=words):
        load_policy(_write(tmp_path, text))


def test_a_scope_that_no_run_knows_is_a_mistake(tmp_path: Path) -> None:
    """A misspelt board would drop its limits unseen."""
    with pytest.raises(SpecError, match=r"policy.yaml:4:3: .*unknown scope 'rpi5'.*did you mean 'rpi4'"):
        check_policy(load_policy(_write(tmp_path, GOOD)), ["rpi4"])
