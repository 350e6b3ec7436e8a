"""A policy: gates apart from any suite, by which stored runs are judged again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from harness.errors import Problem, SpecError
from harness.spec import validate, yaml
from harness.spec.form import Form, MetricLimits, Scope
from harness.spec.limits import read_scopes
from harness.spec.model import LimitSet
from harness.spec.validate import quoted, suggest


class PolicyForm(Form):
    """Gates for stored runs."""

    noun: ClassVar[str] = "a policy"
    gates: dict[Scope, MetricLimits] = Field(
        description="Limits per scope, as in a suite; they stand in place of the suites' own.",
        min_length=1,
        examples=[{"all": {"latency.p95": {"max": "4 ms"}}}],
    )


@dataclass(frozen=True, slots=True)
class Policy:
    """The gates of one policy file."""

    file: str
    gates: tuple[LimitSet, ...]


def load_policy(path: Path) -> Policy:
    """Read a policy.

    Raises:
        SpecError: everything that is wrong in it. Scopes are not checked: see `check_policy`.
    """
    problems: list[Problem] = []
    document = yaml.read(path, problems)
    if document is not None:
        validate.validate(PolicyForm, document, problems)
    gates = read_scopes(document, ["gates"], problems) if document is not None else ()
    validate.finish(problems)
    return Policy(yaml.shown(path), gates)


def check_policy(policy: Policy, scopes: Iterable[str]) -> None:
    """Refuse scopes that no run knows: a misspelt name would drop its limits unseen.

    Args:
        policy: what was read.
        scopes: devices and profiles of the runs, and whatever else a scope may name.

    Raises:
        SpecError: a scope is neither `all` nor one of these.
    """
    known = ["all", *dict.fromkeys(scopes)]
    said = "neither 'all', nor a device or profile of these runs, nor a profile that ships"
    problems = [
        Problem(*place, f"unknown scope {quoted(gate.scope)}: {said}", suggest(gate.scope, known))
        for gate in policy.gates
        if gate.scope not in known and (place := _place(gate))
    ]
    if problems:
        raise SpecError(problems)


def _place(gate: LimitSet) -> tuple[str, int, int]:
    origin = gate.origin
    return (origin.file, origin.line, origin.column) if origin is not None else ("?", 1, 1)
