"""A realistic run without boards: record, judgement and samples of three boards and four artifacts, all outcomes.

For tests of whatever reads a run (report, store, history) and for looking at a report without a farm. The figures come
from `harness.testing.story`; nothing here measures, and the decision is told, not computed by `harness.gate`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.records.cell import ArrayRef, CellRecord, Incident, Role, RuntimeRecord, SessionKind, SessionRecord
from harness.records.outcome import Outcome, Release
from harness.records.plan import FileIdentity, Plan, PlannedCell
from harness.records.run import SCHEMA_VERSION, Environment, RunRecord
from harness.records.verdict import Decision, Estimate, Judgement, Verdict
from harness.spec.model import Device, Limit, LimitKind, Origin, Tier
from harness.spec.workload import Workload
from harness.testing.board_record import device_record, devices, digest
from harness.testing.story import MIB, Story, Told, broken, passing
from harness.testing.told_answers import told_answers
from harness.testing.told_arrays import REPEAT, Arrays, told_arrays

SUITES = {"digits": ("int8", "fp32", "pruned"), "face": ("blaze",)}
SIZES = {"int8": 1.0, "fp32": 3.4, "pruned": 0.8, "blaze": 7.5}
BLOCKING = (
    Outcome.SECURITY, Outcome.FAIL, Outcome.REGRESSION, Outcome.INCONCLUSIVE, Outcome.DEVICE, Outcome.INFRA,
    Outcome.QUARANTINED, Outcome.NOT_RUN, Outcome.CANCELLED,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MemorySamples:
    """The raw arrays of a run, held in memory; a reader of samples as the gate and the report want it."""

    by_cell: Mapping[str, Arrays]

    def arrays(self, cell_key: str) -> Mapping[str, NDArray[np.generic]]:
        """Give the arrays of one cell by their key in its sample file; none for a cell without samples."""
        return self.by_cell.get(cell_key, {})


@dataclass(frozen=True, slots=True)
class SampleRun:
    """One run in three parts, as the report takes it."""

    record: RunRecord
    judgement: Judgement
    samples: MemorySamples


def sample_run(*, without: Collection[Outcome] = ()) -> SampleRun:
    """Build the run; cells whose story has an outcome of `without` pass instead.

    With every outcome there is a SECURITY one, which decides. `no_go_run` and `go_run` are the usual cases.
    """
    boards = devices()
    stories = {
        _key(suite, artifact, device.name): _told(suite, artifact, device, without)
        for device in boards
        for suite, artifacts in SUITES.items()
        for artifact in artifacts
    }
    plan = _plan(boards, stories)
    arrays = {
        cell.key: told_arrays(stories[cell.key], cell.key, power=cell.tier is Tier.HARDWARE) for cell in plan.cells
    }
    verdicts = tuple(
        _verdict(cell, gate, stories[cell.key], arrays[cell.key])
        for cell in plan.cells
        for gate in stories[cell.key].gates
    )
    record = RunRecord(
        schema_version=SCHEMA_VERSION,
        run_id="20261124T081500-7f3a9c",
        started_at="2026-11-24T08:15:00Z",
        finished_at="2026-11-24T08:16:48Z",
        environment=Environment(
            "0.1.0", "3.11.7", "Linux-6.1.0-x86_64", ("pytest", "--devices=farm.yaml", "suites/digits", "suites/face")
        ),
        plan=plan,
        devices=tuple(device_record(device) for device in boards),
        cells=tuple(_cell_record(cell, stories[cell.key], arrays[cell.key]) for cell in plan.cells),
    )
    lost = next(cell.key for cell in plan.cells if cell.suite == "digits")
    judgement = Judgement(record.run_id, plan.sha256, verdicts, _decision(verdicts), (told_answers(lost),))
    return SampleRun(record, judgement, MemorySamples(arrays))


def no_go_run() -> SampleRun:
    """Build the run of an ordinary NO-GO: models fail, some evidence is missing, nobody attacks."""
    return sample_run(without=(Outcome.SECURITY, Outcome.CANCELLED))


def go_run() -> SampleRun:
    """Build the run in which every planned gate passes and one cell is skipped by the plan."""
    return sample_run(without=BLOCKING)


def _key(suite: str, artifact: str, device: str) -> str:
    return f"{suite}::{artifact}[{device}]"


def _told(suite: str, artifact: str, device: Device, without: Collection[Outcome]) -> Story:
    good = passing(device.tier, SIZES[artifact])
    told = broken(_key(suite, artifact, device.name), good)
    return good if any(gate.outcome in without for gate in told.gates) else told


def _plan(boards: tuple[Device, ...], stories: Mapping[str, Story]) -> Plan:
    cells = tuple(
        _planned(suite, artifact, device, stories[_key(suite, artifact, device.name)])
        for device in boards
        for suite, artifacts in SUITES.items()
        for artifact in artifacts
    )
    return Plan("demo", "farm.yaml", boards, cells, sha256=digest("plan"))


def _planned(suite: str, artifact: str, device: Device, story: Story) -> PlannedCell:
    runtime, suffix = ("onnxruntime", "onnx") if suite == "digits" else ("tflite", "tflite")
    folder = f"suites/{suite}"
    file, old, reference = (f"{suite}_{name}.{suffix}" for name in (artifact, f"{artifact}_v1", "fp32"))
    limits = tuple(
        Limit(gate.metric, LimitKind(gate.kind), gate.limit or 0.0, gate.limit_text,
              Origin(f"{folder}/{suite}.suite.yaml", gate.line, 5), "modelled" if gate.label == "modelled" else "")
        for gate in story.gates if gate.kind != "runs"
    )  # fmt: skip
    return PlannedCell(
        key=_key(suite, artifact, device.name), suite=suite, suite_file=f"{folder}/{suite}.suite.yaml",
        artifact=artifact, device=device.name, profile=device.profile, tier=device.tier, runtime=runtime,
        build=device.runtimes[runtime], provider="", threads=1,
        workload=Workload("classification", f"{folder}/{suite}_eval.npz", REPEAT), limits=limits,
        model=FileIdentity(file, digest(file), round(61.4e3 * SIZES[artifact] ** 0.5)),
        data=FileIdentity(f"{suite}_eval.npz", digest(f"{suite} eval"), 238_412),
        baseline=FileIdentity(old, digest(old), 62_020),
        reference=FileIdentity(reference, digest(reference), 144_881),
        skip_reason=story.skip_reason,
    )  # fmt: skip


def _verdict(cell: PlannedCell, gate: Told, story: Story, arrays: Arrays) -> Verdict:
    estimate, candidate, baseline = _estimates(gate, story, arrays)
    low_is_bad = gate.kind == "min"
    end = None if estimate is None else (estimate.low if low_is_bad else estimate.high)
    if estimate is not None and gate.outcome in {Outcome.FAIL, Outcome.REGRESSION}:
        end = estimate.high if low_is_bad else estimate.low
    margin = None
    if end is not None and gate.limit:
        margin = (end - gate.limit if low_is_bad else gate.limit - end) / abs(gate.limit)
    line = f"{cell.suite_file}:{gate.line}" if gate.kind != "runs" else ""
    reason = gate.reason or _REASONS.get(gate.outcome, "")
    return Verdict(
        cell.key, cell.device, cell.artifact, gate.metric, gate.kind, gate.outcome, gate.attribution, reason,
        limit=gate.limit, limit_text=gate.limit_text, origin=line, estimate=estimate, candidate=candidate,
        baseline=baseline, baseline_source=f"{cell.baseline.name}, same run" if cell.baseline and baseline else "",
        margin=margin,
    )  # fmt: skip


_REASONS = {
    Outcome.PASS: "the whole interval is on the good side of the limit",
    Outcome.FAIL: "the whole interval is above the limit",
    Outcome.REGRESSION: "slower than the baseline by more than the limit allows, in every pair of sessions",
    Outcome.INCONCLUSIVE: "within noise: the limit lies inside the interval",
}


def _estimates(gate: Told, story: Story, arrays: Arrays) -> tuple[Estimate | None, Estimate | None, Estimate | None]:
    """Give what is compared with the limit, the candidate's figure and the baseline's."""
    if gate.metric.startswith("latency") and gate.value is None and arrays:
        return _latency(gate, arrays)
    if gate.value is None:
        return None, None, None
    half = gate.spread if gate.kind in {"regress", "drop"} else abs(gate.value) * gate.spread
    estimate = Estimate(gate.value, gate.value - half, gate.value + half, gate.n, gate.method, gate.label)
    if gate.baseline is None:
        return estimate, estimate if gate.kind in {"max", "min"} else None, None
    now = gate.baseline * (1 + gate.value)
    candidate = Estimate(now, now * (1 - half), now * (1 + half), gate.n, gate.method, gate.label)
    old = Estimate(
        gate.baseline, gate.baseline * (1 - half), gate.baseline * (1 + half), gate.n, gate.method, gate.label
    )
    return estimate, candidate, old


def _latency(gate: Told, arrays: Arrays) -> tuple[Estimate, Estimate, Estimate | None]:
    share = 0.95 if gate.metric.endswith("p95") else 0.5
    per_session = np.array([np.quantile(arrays[f"{order}/latency_s"].astype(np.float64), share) for order in range(12)])
    old, new = per_session[0::2], per_session[1::2]

    def spread(values: NDArray[np.float64]) -> Estimate:
        return Estimate(float(np.median(values)), float(values.min()), float(values.max()), 6, gate.method, gate.label)

    if gate.kind == "regress":
        return spread(new / old - 1), spread(new), spread(old)
    return spread(new), spread(new), None


_CODES = {Outcome.FAIL: "load", Outcome.INFRA: "link"}


def _cell_record(cell: PlannedCell, story: Story, arrays: Arrays) -> CellRecord:
    lost = {gate.outcome: gate for gate in story.gates if gate.outcome is not Outcome.PASS and gate.value is None}
    incidents = tuple(
        Incident(outcome, gate.attribution, _CODES.get(outcome, outcome.value.lower()), gate.reason)
        for outcome, gate in lost.items()
        if outcome not in {Outcome.NOT_RUN, Outcome.SKIPPED, Outcome.CANCELLED, Outcome.INCONCLUSIVE} and gate.reason
    )
    sessions = tuple(_session(cell, order, story, arrays) for order in range(15)) if arrays else ()
    if "15/power_w" in arrays:
        sessions += (_session(cell, 15, story, arrays), _session(cell, 16, story, arrays))
    return CellRecord(
        cell.key, sessions, incidents, started_at="2026-11-24T08:15:21Z", duration_s=31.4 if arrays else 0.0
    )


def _session(cell: PlannedCell, order: int, story: Story, arrays: Arrays) -> SessionRecord:
    """Tell session `order`: 0 to 11 are timed by turns, 12 to 14 measure memory, 15 measures energy, 16 lasts."""
    role = Role.BASELINE if order % 2 == 0 and order < 12 else Role.CANDIDATE
    last = SessionKind.ENERGY if order == 15 else SessionKind.SUSTAINED
    kind = SessionKind.TIMING if order < 12 else SessionKind.MEMORY if order < 15 else last
    model = cell.baseline if role is Role.BASELINE and cell.baseline else cell.model
    version = cell.build.partition("==")[2]
    runtime = RuntimeRecord(
        cell.runtime, cell.build, version, "CPUExecutionProvider", 1, digest(cell.build)[:12], "3.11.2", "2.2.6"
    )
    scalars = {
        SessionKind.TIMING: {"load_s": 0.021, "first_s": 2 * story.candidate_s, "warmup_count": 10.0},
        SessionKind.MEMORY: {"rss_start_bytes": 30.1 * MIB, "hwm_load_bytes": 40.2 * MIB, "hwm_bytes": 41.5 * MIB},
        SessionKind.ENERGY: {
            "window_start_s": 105.0,
            "window_end_s": 115.0,
            "inference_count": 3800.0,
            "idle_before_start_s": 100.5,
            "idle_before_end_s": 104.5,
            "idle_after_start_s": 115.5,
            "idle_after_end_s": 119.5,
        },
        SessionKind.SUSTAINED: {"load_start_s": 500.0, "sustain_s": 1200.0, "rate_hz": 0.0},
    }[kind]
    refs = {
        key.partition("/")[2]: ArrayRef(key, array.shape, str(array.dtype))
        for key, array in arrays.items() if key.startswith(f"{order}/")
    }  # fmt: skip
    flags = story.flags if order in {4, 5} else ()
    told = {"power_scope": "module", "power_source": "hwmon ina3221 VDD_IN"} if kind is SessionKind.ENERGY else {}
    return SessionRecord(order, role, kind, model.sha256, runtime, (3,), scalars, refs, flags, told)


def _decision(verdicts: tuple[Verdict, ...]) -> Decision:
    counts = {outcome.value: sum(verdict.outcome is outcome for verdict in verdicts) for outcome in Outcome}
    blocking = sorted(
        (verdict for verdict in verdicts if verdict.outcome in BLOCKING),
        key=lambda verdict: (BLOCKING.index(verdict.outcome), verdict.margin or 0.0),
    )
    blockers = tuple(f"{verdict.cell} {verdict.metric} {verdict.kind}" for verdict in blocking)
    if counts["SECURITY"]:
        sentence = "SECURITY: pi-lab-3 is not the board it claims to be; nothing is released."
        return Decision(Release.SECURITY, 40, sentence, counts, blockers)
    if counts["FAIL"] or counts["REGRESSION"]:
        failed = counts["FAIL"] + counts["REGRESSION"]
        sentence = (
            f"NO-GO: {failed} of {len(verdicts)} gates fail; the worst is latency.p95 of digits::int8 on pi-lab-3, "
            "and digits::pruned does not load on a53."
        )
        return Decision(Release.NO_GO, 1, sentence, counts, blockers)
    if blockers:
        return Decision(Release.HOLD, 10, f"HOLD: {len(blockers)} gates have no answer.", counts, blockers)
    sentence = f"GO: all {counts['PASS']} planned gates pass on 1 physical board and 2 emulated boards."
    return Decision(Release.GO, 0, sentence, counts, ())
