"""What stands behind the fixtures: measurements that a Python test makes, and the limits that it sets on them.

Every measurement becomes a cell of the plan once it is known; until then the plan holds a place for the test.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import units
from harness.campaign.cell_files import runtime_of
from harness.campaign.plan import check_limits, plan_cell
from harness.campaign.run import CellResult
from harness.campaign.session import Wanted
from harness.errors import Problem, SpecError
from harness.plugin.message import Evidence, Measured
from harness.plugin.verdict import report_cell
from harness.records.plan import PlannedCell
from harness.records.verdict import Estimate
from harness.spec.metric import METRICS, limit_dimension
from harness.spec.model import Artifact, Device, Limit, LimitKind, Origin, Suite, Tier
from harness.spec.workload import Workload

if TYPE_CHECKING:
    from harness.plugin.measuring import Measuring


@dataclass(frozen=True, slots=True)
class BoardHandle:
    """A board as a test sees it: what the farm says of it. Measuring goes through `measure`."""

    spec: Device

    @property
    def name(self) -> str:
        """Its name in farm.yaml."""
        return self.spec.name

    @property
    def profile(self) -> str:
        """Its profile."""
        return self.spec.profile

    @property
    def tier(self) -> Tier:
        """Its fidelity tier."""
        return self.spec.tier


@dataclass(slots=True)
class Measurement:
    """One artifact as it was measured on one board."""

    planned: PlannedCell
    result: CellResult
    device: Device
    limits: list[Limit] = field(default_factory=list)

    def estimate(self, metric: str) -> Estimate:
        """Give a metric with its interval, in SI.

        Raises:
            LookupError: it was not measured, or what was measured is not usable; the message says why.
        """
        from harness.stats import Evidence as CellEvidence
        from harness.stats import Missing, estimate

        found = estimate(CellEvidence(self.planned, self.device, self.result.record, self.result.arrays), metric)
        if isinstance(found, Missing):
            raise LookupError(f"{metric}: {found.reason}")
        return found

    def value(self, metric: str) -> float:
        """Give the figure alone, in SI."""
        return self.estimate(metric).value

    def judged(self) -> PlannedCell:
        """Give the plan of the cell with the limits that the test set."""
        return replace(self.planned, limits=tuple(self.limits))


class PythonSuite:
    """The measurements of one test on one board."""

    def __init__(self, item: pytest.Item, subtests: pytest.Subtests, board: BoardHandle, measuring: Measuring) -> None:
        self.item = item
        self.board = board
        self.cells: list[Measurement] = []
        self._subtests = subtests
        self._measuring = measuring

    def measure(self, suite: Suite, artifact: Artifact, wanted: Wanted) -> Measurement:
        """Measure on the board's own thread, after what is queued there."""
        planned, files = plan_cell(suite, artifact, self.board.spec, limits=())
        number = len(self.cells) + 1
        key = self.item.nodeid if number == 1 else f"{self.item.nodeid}#{number}"
        planned = replace(planned, key=key)
        self._measuring.running().submit(planned, files, wanted)
        measurement = Measurement(planned, self._measuring.wait(key, self.board.name), self.board.spec)
        self.cells.append(measurement)
        return measurement

    def evidence(self) -> Evidence:
        """Give all that was measured, with the limits set so far."""
        cells = tuple(Measured(cell.result.record, cell.judged()) for cell in self.cells)
        return Evidence(self.item.nodeid, cells, self.cells[-1].result.device)

    def report(self) -> None:
        """Report the gates of every measurement."""
        for cell in self.cells:
            report_cell(self.item, self._subtests, self._measuring.campaign.plan, cell.judged(), cell.result)


class ArtifactMaker:
    """The fixture `artifact`."""

    def __init__(self, test_file: Path) -> None:
        self._test_file = test_file

    def __call__(
        self,
        file: str,
        *,
        runtime: str = "",
        baseline: str = "",
        provider: str = "",
        threads: int = 0,
        build: str = "",
    ) -> Artifact:
        """Name a model file, relative to the test's file, and how it is run.

        Raises:
            SpecError: no runtime is known for the file, or it is not there.
        """
        folder, origin = self._test_file.parent, _caller()
        for name in filter(None, (file, baseline)):
            if not (folder / name).is_file():
                raise SpecError([Problem(origin.file, origin.line, origin.column, f"no file {name!r} in {folder}")])
        return Artifact(
            name=Path(file).stem,
            file=str(folder / file),
            runtime=runtime or runtime_of(folder / file),
            origin=origin,
            baseline=str(folder / baseline) if baseline else "",
            provider=provider,
            threads=threads,
            build=build,
        )


class Measurer:
    """The fixture `measure`."""

    def __init__(self, suite: PythonSuite) -> None:
        self._suite = suite

    def __call__(  # noqa: PLR0913  one word per property of a workload, all but the artifact by keyword
        self,
        artifact: Artifact,
        *,
        data: str,
        task: str = "classification",
        reference: str = "",
        baseline: str = "",
        repeat: int = 100,
        warmup: int = 10,
        output: int = 0,
        metrics: Sequence[str] = (),
    ) -> Measurement:
        """Measure an artifact on the test's board and wait for it.

        Args:
            artifact: from the fixture `artifact`.
            data: evaluation data (.npz), relative to the test's file, as `reference` and `baseline` are.
            task: `classification` or `parity`.
            reference: model whose outputs on the same data are compared; run once on the controller.
            baseline: last release, measured in pairs with the candidate; overrides the artifact's.
            repeat: timed inferences per session.
            warmup: inferences before the timed ones.
            output: index of the model output that holds the class scores.
            metrics: what to measure; default: all that the board's tier can decide without a power meter.

        Raises:
            SpecError: a file cannot be read, or a metric or task is none of Python suites.
        """
        file = self._suite.item.path
        if baseline:
            artifact = replace(artifact, baseline=str(file.parent / baseline))
        asked = frozenset(metrics) or _default_metrics(self._suite.board.spec)
        for metric in asked:
            _known(metric, _caller())
        if task not in {"classification", "parity"}:
            where = _caller()
            raise SpecError([Problem(where.file, where.line, 1, f"Python suites have no task {task!r}")])
        name = self._suite.item.nodeid.partition("::")[0]
        suite = Suite(
            name=Path(name).stem,
            file=name,
            workload=Workload(task, str(file.parent / data), repeat, warmup=warmup, output=output),
            artifacts=(artifact,),
            gates=(),
            reference=str(file.parent / reference) if reference else "",
        )
        paired = asked if artifact.baseline else frozenset()
        return self._suite.measure(suite, artifact, Wanted(asked, paired, bool(reference)))


class Gate:
    """The fixture `gate`."""

    def __init__(self, suite: PythonSuite) -> None:
        self._suite = suite

    def check(  # noqa: PLR0913  one word per kind of limit
        self,
        measurement: Measurement,
        metric: str,
        *,
        max: str | float | None = None,
        min: str | float | None = None,
        drop: str | float | None = None,
        regress: str | float | None = None,
        accept: str = "",
    ) -> None:
        """Set limits; they are judged when the test ends, all at once.

        Args:
            measurement: from the fixture `measure`.
            metric: a name of the metric catalogue.
            max: largest allowed figure with its unit (`"64 MiB"`), or a number in SI.
            min: smallest allowed figure.
            drop: largest allowed loss against the reference: `"0.5 pp"`.
            regress: largest allowed worsening against the baseline: `"5 %"`.
            accept: `modelled` or `simulated` where such a figure may decide.

        Raises:
            SpecError: the metric, the unit or the limit is impossible, or the board's tier cannot decide it.
        """
        origin = _caller()
        given = {LimitKind.MAX: max, LimitKind.MIN: min, LimitKind.DROP: drop, LimitKind.REGRESS: regress}
        limits = [_limit(metric, kind, said, origin, accept) for kind, said in given.items() if said is not None]
        if not limits:
            raise SpecError([Problem(origin.file, origin.line, 1, f"{metric} has no limit", "give max, min, …")])
        problems = check_limits(limits, self._suite.board.spec)
        if problems:
            raise SpecError(problems)
        measurement.limits += limits


def _limit(metric: str, kind: LimitKind, said: str | float, origin: Origin, accept: str) -> Limit:
    """Take a limit as a text with its unit, or as a number in SI."""
    known = _known(metric, origin)
    if kind not in METRICS[known].kinds:
        kinds = ", ".join(METRICS[known].kinds)
        raise SpecError([Problem(origin.file, origin.line, 1, f"{kind} makes no sense for {metric}", f"use {kinds}")])
    dimension = limit_dimension(METRICS[known], kind)
    try:
        text = said if isinstance(said, str) else units.format(said, dimension, digits=6)
        value = units.parse(said, dimension) if isinstance(said, str) else float(said)
    except ValueError as error:
        raise SpecError([Problem(origin.file, origin.line, 1, f"{metric} {kind}: {error}")]) from error
    return Limit(known, kind, value, text, origin, accept)


def _known(metric: str, origin: Origin) -> str:
    if metric in METRICS and not METRICS[metric].generates:
        return metric
    if metric in METRICS:
        hint = "write 'task: generation' in a *.suite.yaml"
        raise SpecError([Problem(origin.file, origin.line, 1, f"{metric} is not measured by Python suites", hint)])
    near = difflib.get_close_matches(metric, METRICS, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(METRICS)}"
    raise SpecError([Problem(origin.file, origin.line, 1, f"unknown metric {metric!r}", hint)])


def _default_metrics(device: Device) -> frozenset[str]:
    metrics = {"accuracy.top1", "memory.peak"}
    if device.tier is Tier.FUNCTIONAL:
        return frozenset(metrics)
    return frozenset(metrics | {"latency.p50", "work.instructions"})


def _caller() -> Origin:
    """Name the line of the test that called a fixture."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    if frame is None:
        return Origin("?", 1, 1)
    path = Path(frame.f_code.co_filename)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return Origin(str(shown), frame.f_lineno, 1)
