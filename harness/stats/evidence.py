"""The evidence of one cell, and which of its sessions may decide: validity before statistics.

Owns the rules that make evidence unusable (flags, sessions that contradict the plan, pairs that do not match). Computes
no figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.records.cell import CellRecord, Role, SessionKind, SessionRecord
from harness.records.outcome import Abstention, Attribution, Outcome
from harness.records.plan import PlannedCell
from harness.spec.model import Device
from harness.stats.quantile import FloatArray

AnyArray: TypeAlias = npt.NDArray[Any]

HARMLESS_FLAG_PREFIXES = ("no-", "note-")
"""`no-counter:EPERM`, `no-thermal`: the board lacks an instrument, which hurts only figures of that instrument."""

MEMORY_FLAGS = ("swapped", "memory-pressure")
"""The only flags that spoil a memory figure; heat and frequency do not."""

FLAG_WORDS = {
    "throttled": "the board throttled (heat or supply)",
    "frequency-changed": "the clock frequency changed",
    "governor-changed": "the frequency governor was changed",
    "foreign-load": "other work kept the session from its core",
    "clock-step": "the wall clock was set",
    "cut-short": "it ended before its time",
    "swapped": "the session was swapped out",
    "note-not-cooled": "the board was still warm after 180 s",
    "supply-changed": "the battery was charged, or the supply changed",
}


FLAG_ABSTENTIONS = {
    "throttled": Abstention.THROTTLED,
    "frequency-changed": Abstention.THROTTLED,
    "governor-changed": Abstention.THROTTLED,
    "foreign-load": Abstention.LOAD,
    "swapped": Abstention.LOAD,
    "clock-step": Abstention.CLOCK,
    "supply-changed": Abstention.SENSOR,
}


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is no figure, as an outcome that can never be green."""

    reason: str
    outcome: Outcome = Outcome.INCONCLUSIVE
    attribution: Attribution = Attribution.UNKNOWN
    why: Abstention = Abstention.EVIDENCE
    """Which kind of INCONCLUSIVE it is, if it is one."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was seen of one planned cell: the record, and the raw arrays by their key in the sample file."""

    planned: PlannedCell
    device: Device
    cell: CellRecord
    arrays: Mapping[str, AnyArray]
    snapshot: str = ""
    """Id of the machine state that the board started from (`DeviceRecord.snapshot`)."""
    board: str = ""
    """Hash of the lasting facts of the board (`records.fingerprint.board_fingerprint`); empty: it was not met."""

    def sessions(self, role: Role, kind: SessionKind) -> tuple[SessionRecord, ...]:
        """Return the sessions of one arm and kind in the order in which they ran."""
        found = (item for item in self.cell.sessions if item.role is role and item.kind is kind)
        return tuple(sorted(found, key=lambda item: item.order))

    def array(self, session: SessionRecord, name: str) -> AnyArray | None:
        """Return a raw array of a session, or None when the session has none of that name."""
        ref = session.arrays.get(name)
        return None if ref is None else self.arrays.get(ref.key)

    def reference(self, name: str) -> AnyArray | None:
        """Return an array of the reference (`output_0` …) or the `labels`, whatever key the record gives it."""
        for alias in (name, f"reference/{name}"):
            ref = self.cell.reference_arrays.get(alias)
            if ref is not None:
                return self.arrays.get(ref.key)
        return self.arrays.get("labels" if name == "labels" else f"reference/{name}")

    def controller(self, name: str) -> AnyArray | None:
        """Return an output of the candidate (`output_0` …) as the controller computed it, or None."""
        ref = self.cell.reference_arrays.get(f"controller/{name}")
        return None if ref is None else self.arrays.get(ref.key)

    def document(self, name: str) -> AnyArray | None:
        """Return a text that was kept beside the samples, as bytes, or None."""
        ref = self.cell.documents.get(name)
        return None if ref is None else self.arrays.get(ref.key)


def implausible(reason: str) -> Missing:
    """Say that what a board sent cannot be a measurement: the farm's fault until shown otherwise."""
    return Missing(f"implausible: {reason}", Outcome.INFRA, Attribution.INFRA)


def contradiction(evidence: Evidence) -> Missing | None:
    """Say what the sessions have against the plan or against each other: then they are no measurement of this cell."""
    sessions = evidence.cell.sessions
    found = next(filter(None, (_unplanned(evidence.planned, session) for session in sessions)), "")
    found = found or _doubled(sessions) or _mixed(sessions) or _planted(evidence.planned, sessions)
    return Missing(found, Outcome.INFRA, Attribution.INFRA) if found else None


def _unplanned(planned: PlannedCell, session: SessionRecord) -> str:
    """Compare what a session really ran with what was planned: the bytes of the model, the runtime, its settings."""
    file = {Role.CANDIDATE: planned.model, Role.BASELINE: planned.baseline, Role.REFERENCE: planned.reference}[
        session.role
    ]
    if file is None or session.model_sha256 != file.sha256:
        ran, meant = session.model_sha256[:12] or "nothing", file.sha256[:12] if file else "nothing"
        return f"the board opened model {ran} as {session.role.value}, planned was {meant}"
    runtime = session.runtime
    of_reference = session.role is Role.REFERENCE
    settings = [
        ("runtime", runtime.family, planned.reference_runtime if of_reference else planned.runtime),
        ("build", runtime.build, planned.reference_build if of_reference else planned.build),
        ("threads", runtime.threads, planned.threads),
        ("provider", runtime.provider, ("" if of_reference else planned.provider) or runtime.provider),
    ]
    wrong = (f"{name} {ran}, planned was {meant}" for name, ran, meant in settings if ran != meant)
    return next((f"session {session.order} ran with {words}" for words in wrong), "")


def _doubled(sessions: Sequence[SessionRecord]) -> str:
    """Find a session that stands twice: counted again, it would make evidence look stronger than it is."""
    orders = [session.order for session in sessions]
    keys = [ref.key for session in sessions for ref in session.arrays.values()]
    places = [(item.kind, item.stage, item.pair, item.role) for item in sessions if item.stage is not None]
    is_whole = all(len(set(names)) == len(names) for names in (orders, keys, places))
    return "" if is_whole else "a session stands twice in the record"


def _mixed(sessions: Sequence[SessionRecord]) -> str:
    """Find sessions of one arm that ran in different runtimes; between the arms it is the pairs' business."""
    for role in Role:
        runtimes = {session.runtime for session in sessions if session.role is role}
        if len(runtimes) > 1:
            return f"the sessions of the {role.value} ran in {len(runtimes)} different runtimes"
    return ""


def _planted(planned: PlannedCell, sessions: Sequence[SessionRecord]) -> str:
    """Find a session with a fault of a self-test that the plan did not put there."""
    meant = planned.trial.fault if planned.trial is not None else ""
    faults = ((session.order, session.settings.get("planted", "")) for session in sessions)
    found = (f"session {order} was planted with {fault!r}" for order, fault in faults if fault not in {"", meant})
    return next(found, "")


def spoiling_flags(session: SessionRecord) -> tuple[str, ...]:
    """Return the flags that keep this session from deciding what it measured."""
    if session.kind is SessionKind.ACCURACY:
        return ()
    if session.kind is SessionKind.MEMORY:
        return tuple(flag for flag in session.flags if flag.startswith(MEMORY_FLAGS))
    return tuple(flag for flag in session.flags if not flag.startswith(HARMLESS_FLAG_PREFIXES))


def valid_sessions(evidence: Evidence, role: Role, kind: SessionKind) -> tuple[SessionRecord, ...] | Missing:
    """Return the sessions of one arm that may decide, or why there are none."""
    sessions = evidence.sessions(role, kind)
    if not sessions:
        return Missing(f"no {kind.value} session of the {role.value} came back")
    valid = tuple(session for session in sessions if not spoiling_flags(session))
    if not valid:
        flags = _flags(sessions)
        reason = f"all {len(sessions)} {kind.value} sessions are flagged: {flag_words(flags)}"
        return Missing(reason, why=abstention_of(flags))
    return valid


def valid_pairs(evidence: Evidence, kind: SessionKind) -> tuple[tuple[SessionRecord, SessionRecord], ...] | Missing:
    """Pair candidate and baseline sessions by position and keep the pairs of which both may decide."""
    candidates, baselines = evidence.sessions(Role.CANDIDATE, kind), evidence.sessions(Role.BASELINE, kind)
    if not baselines:
        reason = f"no baseline: no {kind.value} session of a baseline in this run"
        return Missing(reason, why=Abstention.BASELINE)
    if len(candidates) != len(baselines):
        return Missing(f"{len(candidates)} candidate and {len(baselines)} baseline {kind.value} sessions: pairs broken")
    pairs = tuple(zip(candidates, baselines, strict=True))
    unlike = unlike_arms(pairs)
    if unlike:
        return unlike
    valid = tuple(pair for pair in pairs if not any(spoiling_flags(session) for session in pair))
    if not valid:
        flags = _flags([session for pair in pairs for session in pair])
        reason = f"all {len(pairs)} pairs of {kind.value} sessions are flagged: {flag_words(flags)}"
        return Missing(reason, why=abstention_of(flags))
    return valid


def unlike_arms(pairs: Sequence[tuple[SessionRecord, SessionRecord]]) -> Missing | None:
    """Say how candidate and baseline of a pair ran differently: then not the model alone differs between them."""
    unlike = next((pair for pair in pairs if _setting(pair[0]) != _setting(pair[1])), None)
    if unlike is None:
        return None
    return Missing(f"candidate and baseline ran differently: {_difference(*unlike)}", why=Abstention.ARMS)


def finite(values: AnyArray | None, name: str) -> FloatArray | Missing:
    """Return a raw array as float64 of shape (n,), or why it is no measurement."""
    if values is None:
        return Missing(f"no {name} came back")
    if values.ndim != 1 or values.size == 0:
        return implausible(f"{name} has shape {values.shape}")
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        return implausible(f"{name} holds NaN or infinity")
    return numbers


def flag_words(flags: Sequence[str]) -> str:
    """Say flags with what they mean."""
    return ", ".join(f"{flag} ({FLAG_WORDS[flag]})" if flag in FLAG_WORDS else flag for flag in flags)


def abstention_of(flags: Sequence[str]) -> Abstention:
    """Name the kind of INCONCLUSIVE that spoiling flags make of a gate."""
    return next((FLAG_ABSTENTIONS[flag] for flag in flags if flag in FLAG_ABSTENTIONS), Abstention.EVIDENCE)


def _flags(sessions: Sequence[SessionRecord]) -> list[str]:
    return sorted({flag for session in sessions for flag in spoiling_flags(session)})


def _setting(session: SessionRecord) -> dict[str, object]:
    runtime = session.runtime
    return {
        "runtime": f"{runtime.family} {runtime.version}",
        "provider": runtime.provider,
        "threads": runtime.threads,
        "environment": runtime.env,
        "cores": session.cores,
    }


def _difference(candidate: SessionRecord, baseline: SessionRecord) -> str:
    ours, theirs = _setting(candidate), _setting(baseline)
    return ", ".join(f"{name} {ours[name]} against {theirs[name]}" for name in ours if ours[name] != theirs[name])
