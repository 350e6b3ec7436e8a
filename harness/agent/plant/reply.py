"""Faults in what the board sends: envelopes that are torn, forged or somebody else's, and facts that it makes up.

Acts in the agent's own process, on headers and payloads; knows no model. No numpy here.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Header = dict[str, Any]
    Envelope = tuple[Header, bytes]

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def _field(**fields: object) -> Callable[[Header, bytes], Envelope]:
    return lambda header, payload: (dict(header, **fields), payload)


def _first_array(**fields: object) -> Callable[[Header, bytes], Envelope]:
    def spoil(header: Header, payload: bytes) -> Envelope:
        first, *others = header["arrays"]
        return dict(header, arrays=[dict(first, **fields), *others]), payload

    return spoil


def _torn(header: Header, payload: bytes) -> Envelope:
    """Lose the second half, with a hash that fits what is left."""
    left = payload[: len(payload) // 2]
    return dict(header, sha256=hashlib.sha256(left).hexdigest()), left


REPLIES: dict[str, Callable[[Header, bytes], Envelope]] = {
    "wrong-nonce": _field(nonce="0" * 32),
    "no-end": _field(end=False),
    "flipped-bit": lambda header, payload: (header, bytes([payload[0] ^ 1]) + payload[1:]),
    "torn-result": _torn,
    "other-model": _field(model_sha256="0" * 64),
    "silent-failure": _field(wait_status=256),
    "endless-number": _field(cores=[1 << 40]),
    "endless-figure": _field(scalars={"load_s": 10**400}),
    "wordy-number": _field(wait_status="none"),
    "nameless-error": _field(error={"message": "a failure without a code"}),
    "stray-array": _first_array(name="../x"),
    "unknown-type": _first_array(dtype="object"),
    "other-shape": _first_array(shape=[3, 5, 7]),
    "odd-shape": _first_array(shape=[-1]),
    "many-arrays": lambda header, payload: (dict(header, arrays=header["arrays"] * 65), payload),
    "doubled-array": lambda header, payload: (dict(header, arrays=header["arrays"] * 2), payload),
}
"""Fault -> what it does to the envelope of a session."""


def spoil_reply(fault: str, header: Header, payload: bytes) -> Envelope:
    """Return the envelope as the fault leaves it; of a session that failed by itself there is nothing to spoil."""
    spoil = None if header.get("error") else REPLIES.get(fault)
    return spoil(header, payload) if spoil is not None else (header, payload)


def spoil_facts(fault: str, facts: Header, *, after: bool) -> Header:
    """Return the board's facts as the fault leaves them.

    Args:
        fault: its name.
        facts: the answer of the `facts` operation.
        after: whether they were read after the session that carries the fault; else before.
    """
    changed: Header = {name: dict(facts[name]) for name in ("files", "globs", "commands")}
    if fault == "throttled":
        changed["commands"]["vcgencmd get_throttled"] = {"status": 0, "stdout": "throttled=0x4\n"}
    elif fault == "restarted":
        changed["files"][_BOOT_ID] = "00000000-0000-4000-8000-00000000000" + ("2" if after else "1")
    elif fault in {"governor-changed", "frequency-changed"}:
        is_same = fault == "frequency-changed" or not after
        changed["globs"] = {
            "planted": {
                "/planted/cpu0/cpufreq/scaling_governor": "performance" if is_same else "powersave",
                "/planted/cpu0/cpufreq/scaling_cur_freq": "900000" if after else "1800000",
            }
        }
    return dict(facts, **changed)
