"""Calibrating: A/A cells of each artifact and board, one after the other, until there are enough pairs.

Every cell goes the way of a release's cell: the same sessions, the same pairing, the same decisions. Owns when there
are enough; what the pairs tell is `harness.stats.calibration`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from harness.campaign.calibrate_request import CalibrateRequest, SelfCell
from harness.campaign.plan import Campaign, seal
from harness.campaign.reference import Arrays
from harness.campaign.run import CampaignRun, CellResult
from harness.campaign.session import wanted_by_limits
from harness.device import holder_name
from harness.farm.boards import Boards
from harness.farm.job import Progress
from harness.gate.calibration import SelfGate, judge_self, void_pairs
from harness.records.calibration import CALIBRATION_VERSION, Calibration
from harness.records.cell import Role, RuntimeRecord
from harness.records.fingerprint import board_fingerprint, workload_fingerprint
from harness.records.plan import CalibratedNoise, CellCalibration, Plan, PlannedCell
from harness.records.run import DeviceRecord
from harness.spec.model import Device
from harness.stats import Evidence
from harness.stats.calibration import LEAST_PAIRS, LEAST_SHAPED, Tally, describe_noise

POLL_S = 0.2


class Series:
    """The A/A cells of one artifact on one board, and what they brought so far."""

    def __init__(self, cell: SelfCell, device: Device, pairs: int) -> None:
        self.cell = cell
        self.problem = ""
        """Why no more cells are measured before there are enough pairs."""
        self.device_s = 0.0
        self._device = device
        self._pairs = pairs
        self._ratios: dict[str, list[float]] = {limit.metric: [] for limit in cell.planned.limits}
        self._tallies = {limit.metric: Tally() for limit in cell.planned.limits}
        self._void = self._number = 0
        self._pilot: CellCalibration | None = None
        self._met: DeviceRecord | None = None
        self._runtime: RuntimeRecord | None = None

    @property
    def measured(self) -> int:
        """Sound pairs of the metric that has the fewest."""
        return min(map(len, self._ratios.values()))

    @property
    def is_done(self) -> bool:
        """Whether no more cells are needed, or possible."""
        return bool(self.problem) or self.measured >= self._pairs

    def planned(self) -> PlannedCell:
        """Plan the next cell: what the pairs so far tell of the noise is known to its gates, as it will be later."""
        return replace(self.cell.planned, key=f"{self.cell.planned.key} A/A {self._number}", calibration=self._pilot)

    def take(self, planned: PlannedCell, result: CellResult) -> None:
        """Add what a cell brought."""
        before, self._number, self._met = self.measured, self._number + 1, result.device
        board = board_fingerprint(result.device.facts)
        evidence = Evidence(planned, self._device, result.record, result.arrays, board=board)
        self.device_s += sum(session.device_s for session in result.record.sessions)
        self._void += void_pairs(evidence)
        ours = evidence.cell.sessions
        self._runtime = next((item.runtime for item in ours if item.role is Role.CANDIDATE), self._runtime)
        problems = [incident.message for incident in result.record.incidents]
        for limit in planned.limits:
            gate = judge_self(evidence, limit)
            self._add(limit.metric, gate)
            problems += [f"{limit.metric}: {gate.problem}"] if gate.problem else []
        if self.measured == before:
            self.problem = problems[0] if problems else "a cell brought no sound pair"
        if self._pilot is None and self.measured >= LEAST_SHAPED:
            self._pilot = CellCalibration(f"the first {self.measured} A/A pairs", board, self._noise())

    def calibration(self) -> Calibration | None:
        """Sum up; None when there are too few pairs."""
        if self.measured < LEAST_PAIRS or self._met is None or self._met.facts is None or self._runtime is None:
            return None
        planned, facts = self.cell.planned, self._met.facts
        return Calibration(
            schema_version=CALIBRATION_VERSION,
            suite=planned.suite,
            artifact=planned.artifact,
            device=planned.device,
            profile=planned.profile,
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
            board=board_fingerprint(facts),
            cpu=facts.cpu,
            kernel=facts.kernel,
            model=planned.model,
            data=planned.data,
            runtime=self._runtime,
            repeat=planned.workload.repeat,
            workload=workload_fingerprint(planned.workload),
            void=self._void,
            noise=self._noise(),
            ratios={metric: tuple(round(value, 7) for value in values) for metric, values in self._ratios.items()},
        )

    def _add(self, metric: str, gate: SelfGate) -> None:
        self._ratios[metric] += gate.ratios
        was, more = self._tallies[metric], gate.tally
        self._tallies[metric] = Tally(was.gates + more.gates, was.alarms + more.alarms, was.undecided + more.undecided)

    def _noise(self) -> tuple[CalibratedNoise, ...]:
        return tuple(
            describe_noise(limit.metric, self._ratios[limit.metric], limit.value, self._tallies[limit.metric])
            for limit in self.cell.planned.limits
        )


class CalibratingRun:
    """All series of one command, their boards side by side."""

    def __init__(self, request: CalibrateRequest, boards: Boards, progress: Callable[[Progress], None]) -> None:
        devices = {device.name: device for device in request.farm.devices}
        self.series = tuple(Series(cell, devices[cell.planned.device], request.pairs) for cell in request.cells)
        self._progress = progress
        self._run = CampaignRun(self._campaign(request), boards, holder=holder_name(), keep=_keep_nothing)
        self._pending: dict[Future[Any], tuple[Series, PlannedCell]] = {}

    def measure(self, *, tick: Callable[[], None]) -> tuple[Series, ...]:
        """Measure until every series has its pairs or cannot get them.

        Args:
            tick: called several times a second, for whoever shows progress.
        """
        try:
            names = {series.cell.planned.device for series in self.series}
            self._run.start(sorted(names), more=names, progress=self._progress)
            for series in self.series:
                self._watch(series, series.planned())
            while self._pending:
                done, _ = wait(self._pending, timeout=POLL_S, return_when=FIRST_COMPLETED)
                tick()
                for future in done:
                    self._go_on(*self._pending.pop(future))
        except BaseException:
            self._run.cancel()
            raise
        finally:
            self._run.close()
        return self.series

    def _go_on(self, series: Series, planned: PlannedCell) -> None:
        series.take(planned, self._run.result(planned.key, planned.device))
        if not series.is_done:
            following = series.planned()
            self._run.submit(following, series.cell.files, wanted_by_limits(following))
            self._watch(series, following)

    def _watch(self, series: Series, planned: PlannedCell) -> None:
        future = self._run.future(planned.key)
        assert future is not None, f"{planned.key} was queued"
        self._pending[future] = series, planned

    def _campaign(self, request: CalibrateRequest) -> Campaign:
        """Plan the first cell of each series."""
        first = [(series.planned(), series.cell.files) for series in self.series]
        plan = Plan(request.farm.name, request.farm.file, request.farm.devices, tuple(cell for cell, _ in first))
        return Campaign(seal(plan), {cell.key: files for cell, files in first})


def _keep_nothing(_key: str, _arrays: Arrays) -> str:
    """Keep no samples: the log-ratios of the pairs are what a calibration records."""
    return ""
