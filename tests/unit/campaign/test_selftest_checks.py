"""Every check has a fault that only it sees: taken out of the code, the fault survives.

A check that moves or changes its words is named here anew; one that is removed makes its line fail, which is the point.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from harness.campaign.plan import Campaign
from harness.campaign.selftest.catalogue import FAULTS
from harness.records.trial import Fate
from harness.testing.selftest import only, plan_selftest, selftest_rehearsal, try_gates, without_check

SAYS_NO = "Outcome.REGRESSION if limit.kind is LimitKind.REGRESS else Outcome.FAIL"
CHECKS = [
    # fault, module, the check, what stands in its place
    ("dropped-samples", "stats.figure", "if found.size < planned:", "if False:"),
    ("negative-latency", "stats.figure", "    if (found <= 0).any():", "    if False:"),
    ("frozen-clock", "stats.figure", "if found.size > 9 and np.ptp(found) == 0", "if False"),
    ("endless-latency", "stats.evidence", "if not np.isfinite(numbers).all():", "if False:"),
    ("other-timed-answer", "stats.timed_output", "if not (distance <= allowed).all():", "if False:"),
    ("clock-step", "stats.evidence",
     "for session in sessions if not spoiling_flags(session))", "for session in sessions)"),
    ("throttled", "device.condition", "if _is_throttled(before.throttled, after.throttled) or", "if"),
    ("governor-changed", "device.condition", "if before.governor != after.governor:", "if False:"),
    ("frequency-changed", "device.condition",
     "and _has_moved(before.frequencies_hz, after.frequencies_hz)", "and False"),
    ("restarted", "device.condition", "before.boot_id != after.boot_id", "False"),
    ("zero-memory", "stats.figure", "figure < 0 or (figure == 0 and metric != \"power.idle\")", "False"),
    ("swapped-out", "stats.evidence", "flag for flag in session.flags if flag.startswith(MEMORY_FLAGS)", "()"),
    ("dropped-outputs", "stats.accuracy", "if scores.shape[0] != labels.size:", "if False:"),
    ("nan-outputs", "stats.accuracy", "    if bad:", "    if False:"),
    ("power-of-zeros", "stats.sensor", "if np.ptp(watts) == 0:", "if False:"),
    ("stuttering-sensor", "stats.sensor", "if duplicates > MOST_DUPLICATES and not is_steady:", "if False:"),
    ("wrong-sign", "stats.sensor", "if (watts < 0).any():", "if False:"),
    ("power-gap", "stats.sensor", "if gaps.max() > LARGEST_GAP_PERIODS * period_s:", "if False:"),
    ("sparse-power", "stats.sensor", "if watts.size < FEWEST_SAMPLES:", "if False:"),
    ("uncovered-window", "stats.energy", "if not trace.t_s[0] <= start < end <= trace.t_s[-1]:", "if False:"),
    ("backward-time", "stats.energy",
     "times.size != watts.size or (np.diff(times) <= 0).any()", "times.size != watts.size"),
    ("drifting-idle", "stats.energy", "if max(ends) - min(ends) > tolerance:", "if False:"),
    ("restless-idle", "stats.energy", "if abs(halves[1] - halves[0]) > 2.0 * tolerance:", "if False:"),
    ("late-sampler", "stats.sensor", "if late > MOST_LATE * times.size:", "if False:"),
    ("rival-sensor", "stats.sensor", "if not ratio or abs(ratio - 1.0) <= MOST_RIVAL:", "if True:"),
    ("dying-sensor", "stats.energy", "if dropped > MOST_DROPPED * numbers.size:", "if False:"),
    ("few-inferences", "stats.energy", "if inferences < fewest:", "if False:"),
    ("lying-thermometer", "stats.estimate", "    if wrong is not None:", "    if False:"),
    ("lost-thermometer", "stats.estimate", "if len(readings) < len(sessions):", "if False:"),
    ("absurd-temperature", "stats.estimate", "    if not readings:", "    if False:"),
    ("record-other-model", "stats.evidence", "if file is None or session.model_sha256 != file.sha256:", "if False:"),
    ("record-other-runtime", "stats.evidence",
     '("runtime", runtime.family, planned.reference_runtime if of_reference else planned.runtime),', ""),
    ("record-other-build", "stats.evidence",
     '("build", runtime.build, planned.reference_build if of_reference else planned.build),', ""),
    ("record-other-threads", "stats.evidence", '("threads", runtime.threads, planned.threads),', ""),
    ("record-doubled", "stats.evidence", "_doubled(sessions) or", ""),
    ("record-mixed", "stats.evidence", "if len(runtimes) > 1:", "if False:"),
    ("record-planted", "stats.evidence", "or _planted(evidence.planned, sessions)", ""),
    ("record-unlike-pair", "stats.evidence", "if _setting(pair[0]) != _setting(pair[1])", "if False"),
    ("record-control-moved", "stats.pair", "if abs(moved) > allowed:", "if False:"),
    ("record-warm-arm", "stats.pair", "and abs(ours - theirs) > WARMER_C", "and False"),
    ("record-lost", "gate.cell",
     "if not sessions:\n        return Standing(Outcome.NOT_RUN", "if False:\n        return Standing(Outcome.NOT_RUN"),
    ("wrong-nonce", "device.envelope", "if reply.nonce != request.nonce:", "if False:"),
    ("no-end", "device.envelope", "if not reply.end:", "if False:"),
    ("flipped-bit", "device.envelope", "if reply.sha256 != hashlib.sha256(payload).hexdigest():", "if False:"),
    ("torn-result", "device.envelope", "if spec.offset < 0 or spec.offset + spec.nbytes > available:", "if False:"),
    ("other-model", "device.envelope", "reply.model_sha256 != request.model:", "False:"),
    ("silent-failure", "device.envelope", "if reply.error is None and reply.wait_status:", "if False:"),
    ("endless-number", "device.envelope",
     "if any(abs(number) > MAX_NUMBER", "if False and any(abs(number) > MAX_NUMBER"),
    ("endless-figure", "device.envelope",
     "if any(not math.isfinite(value)", "if False and any(not math.isfinite(value)"),
    ("odd-shape", "device.envelope", "or any(size < 0 for size in spec.shape)", ""),
    ("many-arrays", "device.envelope", "if len(specs) > MAX_ARRAYS:", "if False:"),
    ("folded-latencies", "stats.evidence", "if values.ndim != 1 or values.size == 0:", "if values.size == 0:"),
    ("nameless-error", "device.envelope", 'if reply.error is not None and "code" not in reply.error:', "if False:"),
    ("stray-array", "device.envelope", "if not _NAME.match(spec.name):", "if False:"),
    ("unknown-type", "device.envelope", "if spec.dtype not in DTYPES:", "if False:"),
    ("doubled-array", "device.envelope", "if spec.name in arrays:", "if False:"),
    ("no-timed-answer", "stats.timed_output", "if timed is None:", "if timed is None and False:"),
    ("few-counts", "stats.figure", "if found.size < fewest or (found <= 0).any():", "if (found <= 0).any():"),
    ("negative-count", "stats.figure", "if found.size < fewest or (found <= 0).any():", "if found.size < fewest:"),
    ("unrepeatable-count", "stats.work", "if 2 * int(came_back.sum()) <= least.size:", "if False:"),
    ("record-broken-pair", "stats.evidence", "if len(candidates) != len(baselines):", "if False:"),
    ("changed-file", "campaign.cell", "if planned_sha256 and digest != planned_sha256:", "if False:"),
    ("flaky", "campaign.cell", "self._incidents.append(flaky_incident(session.role, first.reply))", "pass"),
    ("other-shape", "device.envelope", "or elements * np.dtype(spec.dtype).itemsize != spec.nbytes", ""),
    # The gates themselves: what would happen if a limit of this kind always passed.
    ("padded-file", "gate.decide", "if (high < limit.value) if is_floor else (low > limit.value):", "if False:"),
    ("hungry", "gate.paired", SAYS_NO, "Outcome.PASS"),
    ("hot-board", "gate.decide", SAYS_NO, "Outcome.PASS"),
    ("other-platform", "gate.decide", SAYS_NO, "Outcome.PASS"),
    ("ballast", "gate.decide", SAYS_NO, "Outcome.PASS"),
    ("busy", "gate.decide", SAYS_NO, "Outcome.PASS"),
    ("shuffled-labels", "gate.decide", SAYS_NO, "Outcome.PASS"),
]  # fmt: skip
LANGUAGE = {
    "shuffled-continuations", "unlikely-text", "nan-likelihood", "slow-tokens", "more-token-work", "grown-cache",
    "other-timed-text", "no-timed-text", "wrong-key",
}  # fmt: skip
"""Carried by language models only: see test_selftest_language."""
REAL_FILES = {"flipped-weights"}
"""What the rehearsal's models, which are text, cannot be changed by."""


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """The whole self-test of a rehearsal, planned once."""
    folder = tmp_path_factory.mktemp("selftest")
    with pytest.MonkeyPatch.context() as patch:
        rehearsal = selftest_rehearsal(folder / "rehearsal")
        patch.chdir(rehearsal.folder)
        return plan_selftest(rehearsal, folder / "changed")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_every_fault_is_killed_by_the_code_as_it_is(campaign: Campaign) -> None:
    """All faults of the catalogue are planted somewhere, and none survives."""
    judgement = try_gates(campaign)

    assert [found for found in judgement.findings if found.fate is not Fate.KILLED] == []
    assert {found.fault for found in judgement.findings} == {fault.name for fault in FAULTS} - REAL_FILES - LANGUAGE
    assert judgement.decision.exit_code == 0


@pytest.mark.parametrize(("fault", "name", "check", "instead"), CHECKS, ids=[f"{row[0]}-{row[1]}" for row in CHECKS])
def test_a_fault_survives_where_its_check_is_missing(
    campaign: Campaign, fault: str, name: str, check: str, instead: str
) -> None:
    """Without the check the self-test is red, and names the fault."""
    module = importlib.import_module(f"harness.{name}")

    with without_check(module, check, instead):
        judgement = try_gates(only(campaign, {fault}))

    fates = {found.fate for found in judgement.findings if found.fault == fault}
    assert fates & {Fate.SURVIVED, Fate.BLIND}, judgement.findings
    assert judgement.decision.exit_code == 1
