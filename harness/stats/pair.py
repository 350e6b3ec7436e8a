"""Timed sessions as they were measured pair by pair: which pairs are sound, and why the others are void.

Whether a pair is void depends on its sessions' flags, the control work, the temperatures and, where power is measured,
on whether its sampler had its time, never on what the model did: leaving it out cannot favour an answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from harness.records.cell import Role, SessionKind, SessionRecord, Stage
from harness.records.outcome import Abstention
from harness.spec.model import Device, Tier
from harness.stats.energy import session_energy
from harness.stats.evidence import Evidence, Missing, abstention_of, flag_words, spoiling_flags
from harness.stats.figure import KINDS, is_simulated, kind_on
from harness.stats.noise import known_noise
from harness.stats.outlook import ASSUMED_NOISE

CONTROL = "control"
PAIRED_KINDS = (SessionKind.TIMING, SessionKind.ENERGY)
"""In the order in which they are measured."""
CONTROL_SIGMAS = 3.0
"""A control that moved by more standard deviations of the board's noise between the arms says: the board changed."""
SHARED = frozenset({"foreign-load"})
"""Flags of what disturbs both arms of a pair alike."""
WARMER_C = 2.0
"""Largest difference of the temperatures at which the two sessions of a pair start."""
MOST_VOID = 12
HOPELESS = 6
"""So many void pairs without a sound one: the board is not fit, and time is not spent on it."""


@dataclass(frozen=True, slots=True)
class Round:
    """The sessions that ran back to back as one pair; one arm alone when no undecided gate compares."""

    stage: Stage
    pair: int
    candidate: SessionRecord | None
    baseline: SessionRecord | None
    void: str = ""
    """Why it does not decide; empty: it is sound."""
    why: Abstention | None = None

    @property
    def is_heat(self) -> bool:
        """Tell whether heat spoilt it, which takes longer to pass than other work."""
        return self.why in {Abstention.TEMPERATURE, Abstention.THROTTLED}


def in_pairs(metric: str, device: Device) -> bool:
    """Tell whether a figure scatters from session to session, so that it is decided pair by pair.

    Exact counts, memory and answers do not scatter; a number of sessions that somebody fixed beforehand stays fixed.
    What a simulated meter tells scatters like the emulator's own time.
    """
    if device.sessions or metric not in KINDS:
        return False
    if device.tier is not Tier.HARDWARE:
        return is_simulated(device, metric)
    return kind_on(device, metric) in PAIRED_KINDS


def rounds(evidence: Evidence, kind: SessionKind, stage: Stage, *, compared: bool) -> tuple[Round, ...]:
    """Return the pairs of one kind and stage in the order in which they ran, void ones included.

    Args:
        evidence: the cell.
        kind: of session.
        stage: first or fresh pairs.
        compared: whether the two arms are compared. Other work on the board then adds scatter, to both of them alike,
            and no more; a figure that stands alone it makes another board's.
    """
    found: dict[int, dict[Role, SessionRecord]] = {}
    for session in sorted(evidence.cell.sessions, key=lambda item: item.order):
        if session.kind is kind and session.stage is stage:
            found.setdefault(session.pair, {})[session.role] = session
    known = known_noise(evidence, CONTROL)
    allowed = CONTROL_SIGMAS * (ASSUMED_NOISE if known is None else known.sd)
    if evidence.device.emulation is not None:
        # How long it took says how busy the host was, which the emulator's own processor time does not count.
        allowed = math.inf
    harmless = SHARED if compared and kind is SessionKind.TIMING else frozenset()
    seen = tuple(_round(Round(stage, pair, *_arms(arms)), allowed, harmless) for pair, arms in found.items())
    return tuple(_starved(evidence, item) for item in seen) if kind is SessionKind.ENERGY else seen


def is_spent(seen: tuple[Round, ...]) -> bool:
    """Tell whether so many pairs are void that no more are measured."""
    void = sum(bool(item.void) for item in seen)
    return void >= MOST_VOID or (void >= HOPELESS and void == len(seen))


def _arms(arms: dict[Role, SessionRecord]) -> tuple[SessionRecord | None, SessionRecord | None]:
    return arms.get(Role.CANDIDATE), arms.get(Role.BASELINE)


def _round(found: Round, allowed: float, harmless: frozenset[str]) -> Round:
    """Say whether a pair is void, and why."""
    candidate, baseline = found.candidate, found.baseline
    arms = (arm for arm in (candidate, baseline) if arm is not None)
    flags = sorted({flag for arm in arms for flag in spoiling_flags(arm)} - harmless)
    if flags:
        return replace(found, void=flag_words(flags), why=abstention_of(flags))
    if candidate is None or baseline is None:
        return found
    void, why = _moved(allowed, candidate, baseline)
    return replace(found, void=void, why=why)


def _starved(evidence: Evidence, seen: Round) -> Round:
    """Void a pair whose power trace other work on the board spoilt: its sensor may be sound the next time."""
    for arm in (seen.candidate, seen.baseline):
        found = session_energy(evidence, arm) if arm is not None and not seen.void else None
        if isinstance(found, Missing) and found.why is Abstention.LOAD:
            return replace(seen, void=found.reason, why=found.why)
    return seen


def _moved(allowed: float, candidate: SessionRecord, baseline: SessionRecord) -> tuple[str, Abstention | None]:
    """Compare the conditions of the two arms; `allowed` is how far the control work may move, a log-ratio."""
    moved = _control_change(candidate, baseline)
    if abs(moved) > allowed:
        words = f"the control work changed by {math.expm1(moved):+.1%} between the arms, allowed is {allowed:.1%}"
        return words, Abstention.LOAD
    ours, theirs = candidate.scalars.get("temp_start_c"), baseline.scalars.get("temp_start_c")
    if ours is not None and theirs is not None and abs(ours - theirs) > WARMER_C:
        return f"the arms started at {ours:.1f} and {theirs:.1f} °C", Abstention.TEMPERATURE
    return "", None


def _control_change(candidate: SessionRecord, baseline: SessionRecord) -> float:
    """Return the log-ratio of the control work in the two sessions; 0 where a session brought none."""
    ours, theirs = _control_level(candidate), _control_level(baseline)
    return 0.0 if ours is None or theirs is None else ours - theirs


def _control_level(session: SessionRecord) -> float | None:
    """Return the mean logarithm of the control work's time before and after what was measured."""
    times = [session.scalars.get(name, 0.0) for name in ("control_before_s", "control_after_s")]
    return sum(math.log(time) for time in times) / len(times) if min(times) > 0 else None
