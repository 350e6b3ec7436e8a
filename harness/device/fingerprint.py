"""What makes figures of two runs comparable, as one short hash. Pure."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable

from harness.records.run import Facts

MOVING = frozenset({"boot_id", "free_bytes", "frequencies_hz", "load_1min", "temperatures_c", "throttled"})
"""Facts that change from minute to minute and say nothing about which board this is."""


def fingerprint(facts: Facts, envs: Iterable[str], emulator: str) -> str:
    """Hash the lasting facts of a board, the runtime environments used on it and the emulator that runs it.

    Returns:
        16 hexadecimal digits.
    """
    lasting = {name: value for name, value in dataclasses.asdict(facts).items() if name not in MOVING}
    text = json.dumps([lasting, sorted(set(envs)), emulator], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
