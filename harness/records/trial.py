"""A gate self-test: faults that are planted on purpose, the answers that they must get, and what came of it.

A trial is one planted fault in one cell, written into the plan with the answers that count as right, so that whoever
judges reads the expectation and does not choose it. A release plan holds no trial.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from harness.records.outcome import Outcome
from harness.spec.model import Tier


class Place(StrEnum):
    """Where a fault acts on the way from the file to the verdict."""

    NOWHERE = "nowhere"
    """The control: the same cell without a fault, which every gate must pass."""
    FILE = "file"
    """The model or data file that is sent."""
    SESSION = "session"
    """Inside the session's process on the board, or in the board's files that it opens."""
    REPLY = "reply"
    """The envelope that the board sends back."""
    BOARD = "board"
    """What the board says of its condition."""
    RECORD = "record"
    """What the controller wrote down."""


class Fate(StrEnum):
    """What became of one planted fault at one gate."""

    KILLED = "killed"
    """The gate gave the answer that the fault deserves."""
    SURVIVED = "survived"
    """The gate passed the fault, or named another thing."""
    BLIND = "blind"
    """The gate gives such an answer without the fault too: it proves nothing."""
    LOST = "lost"
    """The farm failed, or the board was disturbed: the fault was not tried."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one gate must say: `metric` and `kind` as in a verdict, `words` a part of the reason that it must give."""

    metric: str
    kind: str
    outcome: Outcome
    words: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """One fault in one cell."""

    fault: str
    """Name in the catalogue (`busy-work`); `control` is the same without one."""
    title: str
    """What is planted, in words."""
    place: Place
    answers: tuple[Answer, ...]
    control: str = ""
    """Key of the cell that measures the same without the fault; empty for the control itself."""
    kinds: tuple[str, ...] = ()
    """Kinds of session that carry the fault; empty: all."""
    ratio: float = 0.0
    """How much worse than itself a figure is made; 0.08 is 8 %."""
    target: float = 0.0
    """Figure in SI that is to be passed."""
    incident: str = ""
    """Code of the incident that the fault is to cause; empty: none."""
    spoils: bool = False
    """Whether it makes sessions unfit to decide, so that measuring them again leads nowhere."""


@dataclass(frozen=True, slots=True)
class Omission:
    """A fault that is not planted on a board, and why."""

    fault: str
    device: str
    reason: str


@dataclass(frozen=True, slots=True)
class SelfTest:
    """That a plan is a self-test; its cells are no evidence of any release."""

    omissions: tuple[Omission, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one fault at one gate of one cell."""

    cell: str
    device: str
    tier: Tier
    fault: str
    title: str
    metric: str
    kind: str
    expected: Outcome
    answered: Outcome
    reason: str
    """Of the verdict."""
    fate: Fate


@dataclass(frozen=True, slots=True)
class Proof:
    """That a gate once answered a planted fault rightly, on a board of this tier."""

    metric: str
    kind: str
    tier: Tier
    fault: str
    run_id: str
    proven_at: str


@dataclass(frozen=True, slots=True)
class Proofs:
    """What the self-tests of one version of the code have shown; `code` is the hash of that code."""

    code: str
    gates: tuple[Proof, ...] = field(default_factory=tuple)
