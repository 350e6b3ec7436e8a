"""What was seen of one cell: sessions with their raw figures, or the incident that left it without evidence."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from harness.records.outcome import Attribution, Outcome


class Role(StrEnum):
    """Which file a session ran."""

    CANDIDATE = "candidate"
    BASELINE = "baseline"
    REFERENCE = "reference"
    """The reference on the board, which only tells what the board costs it; elsewhere it runs on the controller."""


class SessionKind(StrEnum):
    """What a session measured; each kind has sessions of its own so that measuring one does not slow another."""

    TIMING = "timing"
    MEMORY = "memory"
    ACCURACY = "accuracy"
    ENERGY = "energy"
    SUSTAINED = "sustained"
    """A load that lasts, so that heat has its time."""
    PROFILE = "profile"
    """Counts of single operators: explains a change of work and decides nothing."""


class Stage(StrEnum):
    """Why a pair was measured; a failure is shown on `first` pairs and must show again on fresh `confirm` pairs."""

    FIRST = "first"
    CONFIRM = "confirm"


@dataclass(frozen=True, slots=True)
class ArrayRef:
    """A raw array in the cell's sample file (`samples/<cell>.npz`): its key, shape and dtype."""

    key: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class RuntimeRecord:
    """The runtime as it reported itself on the board."""

    family: str
    build: str
    version: str
    provider: str
    threads: int
    env: str
    """Hash of the deployed wheels, or `system`."""
    python: str
    numpy: str


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One fresh process of the runtime on the board.

    `scalars` are SI: load_s, first_s, rss_start_bytes, hwm_bytes, window_start_s … (names in docs/reference.md).
    `arrays` maps names (latency_s, instructions, output_0, power_w, power_t_s …) to the cell's sample file.
    """

    order: int
    """Position in the cell, from 0: baseline and candidate alternate."""
    role: Role
    kind: SessionKind
    model_sha256: str
    runtime: RuntimeRecord
    cores: tuple[int, ...]
    scalars: dict[str, float] = field(default_factory=dict)
    arrays: dict[str, ArrayRef] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    """Validity flags: throttled, frequency-changed, clock-step, swapped, … A flagged timed session cannot decide."""
    settings: dict[str, str] = field(default_factory=dict)
    """Options of the runtime and environment that shape the figures (allocator, thread pools, graph optimisation)."""
    stage: Stage | None = None
    """Set where sessions were measured pair by pair; None: their number was fixed beforehand."""
    pair: int = -1
    """Number of the pair within its stage, from 0: the sessions of one pair ran back to back."""
    device_s: float = 0.0
    """What the session cost the board: from the request to the reply, by the controller's clock, without waiting."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Why there is no (full) evidence, or what the model did wrong: never both a verdict and a guess."""

    outcome: Outcome
    attribution: Attribution
    code: str
    message: str
    role: Role = Role.CANDIDATE
    """Whose session it happened to; a baseline that fails takes the comparison away, never the candidate's evidence."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """How the timed sessions of a cell were measured: pair by pair, until every gate was decided."""

    seed: str
    """Of the coin that gave the order within each pair of the first stage."""
    confirm_seed: str
    family: int
    """Gates of the run that are decided in pairs; the more, the stricter each failure is confirmed."""
    out_of_budget: bool = False
    """The device time of the board ran out before every gate was decided."""


@dataclass(frozen=True, slots=True)
class CellRecord:
    """Everything seen of one planned cell."""

    key: str
    sessions: tuple[SessionRecord, ...] = ()
    incidents: tuple[Incident, ...] = ()
    reference_arrays: dict[str, ArrayRef] = field(default_factory=dict)
    """What the controller computed, copied beside the samples so that a replay needs nothing else: `labels`, the
    reference's outputs (`reference/output_0` …), and the candidate's where asked for (`controller/output_0` …)."""
    controller_builds: dict[str, str] = field(default_factory=dict)
    """Which runtime build computed them on the controller: `reference` and `candidate` -> `onnxruntime==1.32.0`."""
    started_at: str = ""
    duration_s: float = 0.0
    samples_sha256: str = ""
    """Hash of the cell's sample file; empty when the cell has none."""
    documents: dict[str, ArrayRef] = field(default_factory=dict)
    """JSON texts (uint8) kept beside the samples, so that a replay explains a change of work as the run did:
    `recorded/profile` of a committed baseline, `graph/candidate` and `graph/baseline` of the files."""
    notes: tuple[str, ...] = ()
    """What a reader should know and no gate depends on: why there is no profile, or no graph."""
    pairing: Pairing | None = None
    """None: every kind of session has a number that was fixed beforehand."""
