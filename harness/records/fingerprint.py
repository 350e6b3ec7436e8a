"""What makes figures of two runs comparable, as short hashes. Pure."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace

from harness.records.canonical import to_json
from harness.records.run import Facts
from harness.spec.workload import Split, Workload

MOVING = frozenset(
    {"boot_id", "free_bytes", "frequencies_hz", "load_1min", "temperatures_c", "throttled", "throttle_signs"}
)
"""Facts that change from minute to minute and say nothing about which board this is."""


def fingerprint(facts: Facts, envs: Iterable[str], emulator: str) -> str:
    """Hash the lasting facts of a board, the runtime environments used on it and the emulator that runs it.

    Returns:
        16 hexadecimal digits.
    """
    return _hash([_lasting(facts), sorted(set(envs)), emulator])


def board_fingerprint(facts: Facts | None) -> str:
    """Hash the lasting facts of a board alone: the same whatever a run brings to it.

    Returns:
        16 hexadecimal digits; empty when the board was not met.
    """
    return _hash([_lasting(facts)]) if facts is not None else ""


def workload_fingerprint(workload: Workload) -> str:
    """Hash what of a workload shapes the scatter of timed figures: not its data file, deadline or explanations.

    Returns:
        16 hexadecimal digits.
    """
    timed = replace(workload, data="", output=0, deadline_s=0.0, attribution=Split.ON_LOSS)
    return hashlib.sha256(to_json(timed)).hexdigest()[:16]


def _lasting(facts: Facts) -> dict[str, object]:
    return {name: value for name, value in dataclasses.asdict(facts).items() if name not in MOVING}


def _hash(parts: list[object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
