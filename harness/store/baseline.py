"""Committed baselines: figures of a GO run that do not move with the day, small files that people review.

    reports/baselines/<suite>/<artifact>.<profile>.json

Times, power and memory never go here: they are measured again beside the candidate. What goes here of them is how much
worse than its predecessor each accepted release was: the chain since an anchor, per device and metric.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import RecordError
from harness.gate import judge
from harness.gate.where import read_profile
from harness.records.canonical import from_json, to_json
from harness.records.cell import Role, RuntimeRecord
from harness.records.chain import Chain
from harness.records.outcome import Outcome, Release
from harness.records.plan import FileIdentity, PlannedCell, RecordedFigure
from harness.records.profile import Profile
from harness.records.verdict import Verdict
from harness.spec.metric import METRICS
from harness.spec.model import LimitKind, Tier
from harness.stats import Evidence, Missing, estimate
from harness.stats.accuracy import DEPTHS, hits, pack_hits
from harness.store.chain import Link, chain_words, chains_after, check_chains
from harness.store.file import read_bounded, record_path, write_whole
from harness.store.read import StoredRun

BASELINE_VERSION = 2
# 1: first version.
# 2: Baseline.snapshot, Baseline.chains, Baseline.operators, BaselineFigure.hits; empty in files of version 1.
MOST_BASELINE_BYTES = 2**22


@dataclass(frozen=True, slots=True)
class BaselineFigure:
    """One figure in SI with its interval and method."""

    value: float
    low: float
    high: float
    method: str
    hits: str = ""
    """Accuracy: which samples were answered right, so that the next release is paired with them."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What one artifact was on one kind of board in one released run."""

    schema_version: int
    suite: str
    artifact: str
    profile: str
    tier: Tier
    device: str
    run_id: str
    recorded_at: str
    model: FileIdentity
    data: FileIdentity
    runtime: RuntimeRecord
    figures: dict[str, BaselineFigure]
    snapshot: str = ""
    """Id of the machine state that the board started from; empty on a physical board."""
    chains: dict[str, dict[str, Chain]] = field(default_factory=dict)
    """Device -> metric -> the releases since the anchor, for every `regress` limit."""
    operators: Profile | None = None
    """What each operator costs, so that a later change of work can be explained without the file."""

    def link(self, device: str) -> Link:
        """Give what the next release is added to on one device."""
        return Link(self.model, self.run_id, self.chains.get(device, {}))


def promote(run: StoredRun, root: Path, *, anchor: bool = False) -> list[Path]:
    """Write the baselines of a released run.

    Args:
        run: a stored run that is GO when it is judged again.
        root: `reports/baselines`.
        anchor: start new chains at this release; what was spent before is recorded as forgiven.

    Returns:
        The files written, one per suite x artifact x profile; of several boards of one profile the first in the plan.

    Raises:
        RecordError: the run is not GO, or holds no figure to record, or compares with a model that the chain of
            releases does not know.
    """
    if run.record.plan.selftest is not None:
        raise RecordError(f"{run.path}: not a baseline: a self-test of the gate, with faults planted on purpose")
    judgement = judge(run.record, run.samples)
    if judgement.decision.release is not Release.GO:
        raise RecordError(f"{run.path}: not a baseline: {judgement.decision.sentence}")
    fresh: dict[Path, Baseline] = {}
    for evidence in _passed(run, judgement.verdicts):
        planned = evidence.planned
        path = baseline_path(root, planned.suite, planned.artifact, planned.profile)
        before = read_baseline(path) if path.exists() else None
        found = fresh.get(path) or replace(
            _baseline(run, evidence),
            chains=dict(before.chains) if before else {},
            operators=_operators(evidence, before),
        )
        ratios = {
            verdict.metric: verdict.estimate
            for verdict in judgement.verdicts
            if verdict.cell == planned.key and verdict.kind == LimitKind.REGRESS and verdict.estimate
        }
        link = before.link(planned.device) if before else None
        chains = chains_after(planned, run.record.run_id, ratios, link, anchor=anchor)
        fresh[path] = replace(found, chains={**found.chains, planned.device: chains})
    if not any(baseline.figures for baseline in fresh.values()):
        raise RecordError(f"{run.path}: holds no figure that stays the same from day to day")
    for path, baseline in fresh.items():
        write_whole(path, to_json(baseline))
    return list(fresh)


def recorded_figures(root: Path, cell: PlannedCell) -> tuple[RecordedFigure, ...]:
    """Return the committed figures that a cell may be compared with.

    A file of another tier or other evaluation data does not apply: then, as without a file, there are none, and a
    `regress` limit that needs one is INCONCLUSIVE.

    Args:
        root: `reports/baselines`.
        cell: the planned cell.

    Raises:
        RecordError: the file is there and is not a baseline of this suite, artifact and profile.
    """
    baseline = committed(root, cell)
    if baseline is None or baseline.data.sha256 != cell.data.sha256:
        return ()
    source = f"{baseline_path(root, cell.suite, cell.artifact, cell.profile).name} (run {baseline.run_id})"
    return tuple(
        RecordedFigure(
            metric, figure.value, figure.low, figure.high, source, hits=figure.hits, snapshot=baseline.snapshot
        )
        for metric, figure in sorted(baseline.figures.items())
    )


def recorded_profile(root: Path, cell: PlannedCell) -> Profile | None:
    """Return what each operator cost in the committed baseline that a cell may be compared with; None: not recorded.

    Raises:
        RecordError: as `recorded_figures`.
    """
    baseline = committed(root, cell)
    return None if baseline is None or baseline.data.sha256 != cell.data.sha256 else baseline.operators


def committed(root: Path, cell: PlannedCell) -> Baseline | None:
    """Return the committed baseline of a cell's artifact on its profile, or None when there is none of its tier.

    Raises:
        RecordError: the file is there and is not a baseline of this suite, artifact and profile.
    """
    path = baseline_path(root, cell.suite, cell.artifact, cell.profile)
    if not path.exists():
        return None
    baseline = read_baseline(path)
    if (baseline.suite, baseline.artifact, baseline.profile) != (cell.suite, cell.artifact, cell.profile):
        raise RecordError(f"{path}: is the baseline of {baseline.suite}::{baseline.artifact} on {baseline.profile}")
    return baseline if baseline.tier is cell.tier else None


def read_baseline(path: Path) -> Baseline:
    """Read one committed baseline.

    Raises:
        RecordError: it is none, or of another version, or names a metric that is not in the catalogue.
    """
    baseline = from_json(Baseline, read_bounded(path, MOST_BASELINE_BYTES), source=str(path))
    if not 1 <= baseline.schema_version <= BASELINE_VERSION:
        raise RecordError(f"{path}: baseline version {baseline.schema_version}, not 1 to {BASELINE_VERSION}")
    for metric, figure in baseline.figures.items():
        if metric not in METRICS or METRICS[metric].moves_with_day:
            raise RecordError(f"{path}: {metric!r} is no figure that stays the same from day to day")
        if not figure.low <= figure.value <= figure.high:
            raise RecordError(f"{path}: {metric} lies outside of its own interval")
    check_chains(baseline.chains, str(path))
    return baseline


def baseline_path(root: Path, suite: str, artifact: str, profile: str) -> Path:
    """Return where a baseline lies.

    Raises:
        RecordError: a name is no plain file name.
    """
    return record_path(root, suite, artifact, profile)


def _passed(run: StoredRun, verdicts: Iterable[Verdict]) -> Iterable[Evidence]:
    """Give the evidence of cells of which every gate passed."""
    outcomes: dict[str, set[Outcome]] = {}
    for verdict in verdicts:
        outcomes.setdefault(verdict.cell, set()).add(verdict.outcome)
    records = {cell.key: cell for cell in run.record.cells}
    devices = {device.name: device for device in run.record.plan.devices}
    snapshots = {device.name: device.snapshot for device in run.record.devices}
    for planned in run.record.plan.cells:
        if outcomes.get(planned.key) == {Outcome.PASS}:
            arrays = run.samples.arrays(planned.key)
            device = devices[planned.device]
            yield Evidence(planned, device, records[planned.key], arrays, snapshots.get(device.name, ""))


def _baseline(run: StoredRun, evidence: Evidence) -> Baseline:
    planned: PlannedCell = evidence.planned
    figures: dict[str, BaselineFigure] = {}
    for metric in (item for item in METRICS.values() if not item.moves_with_day):
        found = estimate(evidence, metric.name)
        if isinstance(found, Missing) or found.low is None or found.high is None:
            continue
        figures[metric.name] = BaselineFigure(
            found.value, found.low, found.high, found.method, _hits(evidence, metric.name)
        )
    runtime = next(session.runtime for session in evidence.cell.sessions if session.role is Role.CANDIDATE)
    return Baseline(
        BASELINE_VERSION,
        planned.suite,
        planned.artifact,
        planned.profile,
        planned.tier,
        planned.device,
        run.record.run_id,
        run.record.started_at,
        planned.model,
        planned.data,
        runtime,
        figures,
        evidence.snapshot,
    )


def _operators(evidence: Evidence, before: Baseline | None) -> Profile | None:
    """Return the candidate's profile, or that of the same file's older baseline: the run saw no reason for another."""
    found = read_profile(evidence, Role.CANDIDATE)
    if found is not None or before is None:
        return found
    planned = evidence.planned
    is_same = before.model.sha256 == planned.model.sha256 and before.runtime.build == planned.build
    return before.operators if is_same else None


def _hits(evidence: Evidence, metric: str) -> str:
    found = hits(evidence, Role.CANDIDATE, metric) if metric in DEPTHS else Missing("no accuracy")
    return "" if isinstance(found, Missing) else pack_hits(found)


def describe_chains(path: Path) -> list[str]:
    """Say where each chain of a committed baseline stands, one line each.

    Raises:
        RecordError: as `read_baseline`.
    """
    chains = read_baseline(path).chains
    return [
        chain_words(device, metric, chain)
        for device, found in sorted(chains.items())
        for metric, chain in sorted(found.items())
    ]
