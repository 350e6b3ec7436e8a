"""The closed lists of what can come of a gate, a cell and a run."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What came of one gate of one cell (device x artifact x metric)."""

    PASS = "PASS"  # noqa: S105
    FAIL = "FAIL"
    REGRESSION = "REGRESSION"
    INCONCLUSIVE = "INCONCLUSIVE"
    INFRA = "INFRA"
    DEVICE = "DEVICE"
    SECURITY = "SECURITY"
    QUARANTINED = "QUARANTINED"
    NOT_RUN = "NOT_RUN"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"


class Attribution(StrEnum):
    """Who is to blame for an outcome, apart from the verdict itself."""

    MODEL = "model"
    INFRA = "infra"
    DEVICE = "device"
    PLAN = "plan"
    USER = "user"
    ATTACKER = "attacker until shown otherwise"
    POLICY = "policy"
    UNKNOWN = "unknown"


class Release(StrEnum):
    """The release decision."""

    GO = "GO"
    NO_GO = "NO-GO"
    HOLD = "HOLD"
    SECURITY = "SECURITY"
    SELF_TEST = "SELF-TEST"
    """No release was decided: the gate itself was tried."""


class Abstention(StrEnum):
    """Why a gate is INCONCLUSIVE; every INCONCLUSIVE verdict has exactly one of these."""

    CAP = "not shown within the most pairs"
    NOT_REPRODUCED = "not reproduced"
    BUDGET = "budget"
    FAMILY = "one of many"
    NOISE = "within noise"
    FEW = "too few samples"
    ARMS = "arms not comparable"
    THROTTLED = "throttled or undervolted"
    TEMPERATURE = "start temperatures differ"
    LOAD = "background load"
    CLOCK = "clock"
    SENSOR = "sensor invalid"
    ANSWERS = "timed answers differ"
    BASELINE = "no baseline"
    REFERENCE = "no reference"
    INPUT = "input or plan"
    FLAKY = "failed once of two times"
    TIER = "not decided on this board"
    EVIDENCE = "evidence not usable"
