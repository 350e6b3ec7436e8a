"""What old runs are under other rules: decisions before and after, and the verdicts that changed."""

from __future__ import annotations

from dataclasses import dataclass

from harness.records.outcome import Outcome
from harness.records.verdict import Decision, Judgement

REGATE_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Change:
    """One gate whose verdict is another one under the policy."""

    cell: str
    metric: str
    kind: str
    before: Outcome | None
    """None: the run had no such gate."""
    after: Outcome | None
    """None: the policy has no such gate."""
    limit_before: str
    limit_after: str
    reason: str
    """Of the new verdict, or of the old one where there is no new one."""


@dataclass(frozen=True, slots=True)
class Regated:
    """One stored run, judged again."""

    run: str
    """Path of its folder."""
    run_id: str
    before: Decision
    after: Judgement
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class RegateReport:
    """What `fleetgate regate --json` prints."""

    schema_version: int
    policy: str
    runs: tuple[Regated, ...]
