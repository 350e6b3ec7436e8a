"""The matrix of cells that a run must fill, written and hashed before the first contact with a board."""

from __future__ import annotations

from dataclasses import dataclass

from harness.records.trial import SelfTest, Trial
from harness.spec.model import Device, Limit, Tier
from harness.spec.workload import Workload


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """A file that the run measures: its bytes are its identity."""

    name: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class RecordedFigure:
    """A figure of a committed baseline that does not move with the day (work, storage, accuracy, parity)."""

    metric: str
    value: float
    low: float
    high: float
    source: str
    """`file (run id)` of reports/baselines/."""
    hits: str = ""
    """Accuracy: which samples were right, so that the candidate's are paired with them (`stats.accuracy.pack_hits`)."""
    snapshot: str = ""
    """Id of the machine state in which it was counted (`DeviceRecord.snapshot`); empty: unknown or not emulated."""


@dataclass(frozen=True, slots=True)
class SpentBudget:
    """What accepted releases since an anchor have spent of the creep budget of one `regress` limit."""

    metric: str
    anchor: str
    """`model file (run id)`."""
    spent: float
    """How much worse than the anchor the model is that the candidate is compared with; 0.04 is 4 %."""
    doubt: float
    """Half-width of its 90 % interval, relative."""
    asked: str
    """The margin that the suite states; the cell's limit is narrowed to what is left of the budget."""
    budget: str
    source: str
    """The committed baseline that carries the chain."""


@dataclass(frozen=True, slots=True)
class CalibratedNoise:
    """What A/A gates of a cell (its file against itself) told of one metric."""

    metric: str
    pairs: int
    """Sound pairs that it rests on."""
    sd: float
    """Standard deviation of a pair's log-ratio."""
    spread: float
    """The same without regard to outliers: 1.4826 times the median absolute deviation."""
    kurtosis: float
    """Excess over a normal distribution's."""
    normal_p: float
    """Of "the log-ratios are normal" (Shapiro-Wilk)."""
    is_heavy: bool
    """Too many outliers for the t test: exact sign flips decide."""
    margin: float
    """Of the A/A gates (ratio), and of the figures below."""
    gates: int
    """A/A gates that were decided, or ran out of pairs."""
    alarms: int
    """… of which said that the file is worse than itself."""
    undecided: int
    """… of which were open at the most pairs, or not reproduced."""
    alarm_bound: float
    """Upper 95 % bound (Clopper-Pearson) of the share of false alarms."""
    expected_pairs: float
    """Mean pairs until an unchanged candidate is decided."""
    undecided_chance: float
    detectable: float | None
    """Smallest worsening (ratio) that is found in nine of ten runs; None: none below 100 %."""


@dataclass(frozen=True, slots=True)
class CellCalibration:
    """What was known of a cell's noise before it was measured, and from where."""

    source: str
    """`file (day)` of reports/calibration/."""
    board: str
    """Hash of the lasting facts of the board that was calibrated (`records.fingerprint.board_fingerprint`)."""
    noise: tuple[CalibratedNoise, ...]
    stale: str = ""
    """Why it does not hold for this plan: too old, another runtime, …; then it decides nothing."""


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """One device x artifact x workload; `key` is `suite::artifact[device]`."""

    key: str
    suite: str
    suite_file: str
    artifact: str
    device: str
    profile: str
    tier: Tier
    runtime: str
    build: str
    """The requirement that provides the runtime on this device (`onnxruntime==1.32.0`, `system`)."""
    provider: str
    threads: int
    workload: Workload
    limits: tuple[Limit, ...]
    model: FileIdentity
    data: FileIdentity
    baseline: FileIdentity | None = None
    reference: FileIdentity | None = None
    recorded: tuple[RecordedFigure, ...] = ()
    skip_reason: str = ""
    """Set when the plan says that this cell does not apply (decided before contact)."""
    reference_runtime: str = ""
    """Runtime family of the reference."""
    reference_build: str = ""
    """What provides that family on this device, should the reference be asked to run there."""
    creep: tuple[SpentBudget, ...] = ()
    """What is spent of the budgets of its `regress` limits; empty where no committed baseline carries a chain."""
    trial: Trial | None = None
    """Of a self-test: the fault that is planted here and the answers that it must get."""
    calibration: CellCalibration | None = None
    """None: the cell was never calibrated on this device."""
    questions: FileIdentity | None = None
    checker: FileIdentity | None = None
    """The file that holds the function which judges what a language model writes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All cells of a run and the boards they need; `sha256` is over the canonical JSON of the rest."""

    farm: str
    farm_file: str
    devices: tuple[Device, ...]
    cells: tuple[PlannedCell, ...]
    sha256: str = ""
    selftest: SelfTest | None = None
    """Set when the plan is a self-test of the gate, which releases nothing."""
