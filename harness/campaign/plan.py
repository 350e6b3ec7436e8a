"""The plan: every cell of devices x artifacts with its files hashed, its runtime chosen, its limits merged and allowed.

Owns the join of farm and suites. Contacts no board; reads the files of suites only to hash them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from harness.campaign.cell_files import CellFiles, identify_files, locate
from harness.device.runtime import requirement_of
from harness.errors import Problem, RecordError, SpecError
from harness.gate.creep import narrowed
from harness.gate.tier import forbidden, unresolvable
from harness.records.canonical import plan_sha256
from harness.records.plan import Plan, PlannedCell
from harness.spec import check_scopes, effective_limits
from harness.spec.model import Artifact, Device, Farm, Limit, LimitKind, Origin, Suite, Tier
from harness.store.baseline import committed, recorded_figures, recorded_profile
from harness.store.calibration import known_calibration
from harness.store.chain import spent_budgets


@dataclass(frozen=True, slots=True)
class Campaign:
    """A plan and, by cell key, the files that it speaks of."""

    plan: Plan
    files: Mapping[str, CellFiles] = field(default_factory=dict)

    def devices(self) -> dict[str, Device]:
        """Give the boards of the plan by name."""
        return {device.name: device for device in self.plan.devices}

    def builds(self, device: str) -> frozenset[tuple[str, str]]:
        """List the (family, requirement) pairs that the plan needs on one board."""
        return frozenset(
            (cell.runtime, cell.build)
            for cell in self.plan.cells
            if cell.device == device and cell.runtime and not cell.skip_reason
        )


def build(
    farm: Farm, suites: Sequence[Suite], baselines: Path | None = None, calibrations: Path | None = None
) -> Campaign:
    """Plan every artifact of every suite on every board of the farm.

    Args:
        farm: the boards, already narrowed.
        suites: distinct suites.
        baselines: folder of committed baseline records, or None for none.
        calibrations: folder of the boards' calibrations, or None for none.

    Raises:
        SpecError: scopes that name nothing, limits that a tier forbids, two suites of one name, unreadable files.
    """
    problems = duplicates(suites)
    cells: list[PlannedCell] = []
    files: dict[str, CellFiles] = {}
    for suite in suites:
        problems += check_scopes(suite, farm)
        for artifact in suite.artifacts:
            for device in farm.devices:
                limits = effective_limits(suite, device) if applies(artifact, device) else ()
                cell, paths = plan_cell(suite, artifact, device, limits=limits, baselines=baselines)
                cell = _with_calibration(cell, calibrations)
                problems += check_limits(limits, device, cell)
                cells.append(cell)
                files[cell.key] = paths
    if problems:
        raise SpecError(problems)
    return Campaign(seal(Plan(farm.name, farm.file, farm.devices, tuple(cells))), files)


def plan_cell(
    suite: Suite,
    artifact: Artifact,
    device: Device,
    *,
    limits: tuple[Limit, ...],
    baselines: Path | None = None,
) -> tuple[PlannedCell, CellFiles]:
    """Plan one artifact of a suite on one board.

    Raises:
        SpecError: a file cannot be read, at the artifact's position.
    """
    paths = locate(suite, artifact)
    named = identify_files(paths, suite, artifact)
    family = paths.reference_runtime
    cell = PlannedCell(
        key=f"{suite.name}::{artifact.name}[{device.name}]",
        suite=suite.name,
        suite_file=suite.file,
        artifact=artifact.name,
        device=device.name,
        profile=device.profile,
        tier=device.tier,
        runtime=artifact.runtime,
        build=runtime_build(artifact, device),
        provider=artifact.provider,
        threads=artifact.threads or device.threads,
        workload=named.in_workload(suite.workload, device),
        limits=limits,
        model=named.model,
        data=named.data,
        baseline=named.baseline,
        reference=named.reference,
        reference_runtime=family,
        reference_build=requirement_of(family, device.runtimes.get(family, "")) if family else "",
        skip_reason=_skip_reason(suite, artifact, device),
        questions=named.questions,
        checker=named.checker,
    )
    cell = _with_history(cell, baselines, artifact.origin)
    profile = recorded_profile(baselines, cell) if baselines and not cell.skip_reason else None
    return cell, replace(paths, recorded_profile=profile)


def check_limits(limits: Sequence[Limit], device: Device, planned: PlannedCell | None = None) -> list[Problem]:
    """List the limits that the board's tier or its noise cannot decide, each with the alternative.

    Args:
        limits: as they are written.
        device: the board.
        planned: the cell, with its calibration; None where there is none.
    """
    problems = []
    for limit in limits:
        message = forbidden(limit, device) or unresolvable(limit, device, planned)
        if message:
            origin = limit.origin
            problems.append(Problem(origin.file, origin.line, origin.column, f"{device.name}: {message}"))
    return problems


def applies(artifact: Artifact, device: Device) -> bool:
    """Tell whether the suite plans this artifact for this board."""
    return not artifact.devices or not {device.name, *device.lineage}.isdisjoint(artifact.devices)


def _skip_reason(suite: Suite, artifact: Artifact, device: Device) -> str:
    return (
        ""
        if applies(artifact, device)
        else f"{suite.name} plans {artifact.name} for {', '.join(artifact.devices)} only"
    )


def runtime_build(artifact: Artifact, device: Device) -> str:
    """Choose the requirement that provides the runtime: the artifact's pin, else the board's, else the default."""
    return requirement_of(artifact.runtime, artifact.build or device.runtimes.get(artifact.runtime, ""))


def narrow(campaign: Campaign, keys: Collection[str]) -> Campaign:
    """Keep the cells of `keys` and the boards that they need."""
    chosen = frozenset(keys)
    cells = tuple(cell for cell in campaign.plan.cells if cell.key in chosen)
    used = {cell.device for cell in cells}
    devices = tuple(device for device in campaign.plan.devices if device.name in used)
    plan = seal(replace(campaign.plan, cells=cells, devices=devices))
    return Campaign(plan, {cell.key: campaign.files[cell.key] for cell in cells if cell.key in campaign.files})


def seal(plan: Plan) -> Plan:
    """Hash the plan into itself."""
    return replace(plan, sha256=plan_sha256(plan))


def _with_history(cell: PlannedCell, baselines: Path | None, origin: Origin) -> PlannedCell:
    """Add what the committed baseline says: its figures, and limits narrowed to what is left of their creep budgets."""
    if baselines is None or cell.skip_reason:
        return cell
    try:
        recorded, baseline = recorded_figures(baselines, cell), committed(baselines, cell)
    except RecordError as error:
        raise SpecError([Problem(str(baselines), 1, 1, str(error))]) from error
    if baseline is None:
        return cell
    try:
        source = f"{cell.artifact}.{cell.profile}.json (run {baseline.run_id})"
        creep = spent_budgets(cell, baseline.link(cell.device), source)
    except RecordError as error:
        raise SpecError([Problem(origin.file, origin.line, origin.column, f"{cell.key}: {error}")]) from error
    spent = {item.metric: item for item in creep}
    limits = tuple(
        narrowed(limit, spent[limit.metric]) if limit.kind is LimitKind.REGRESS and limit.metric in spent else limit
        for limit in cell.limits
    )
    return replace(cell, recorded=recorded, limits=limits, creep=creep)


def _with_calibration(cell: PlannedCell, calibrations: Path | None) -> PlannedCell:
    """Add what A/A sessions told of the board's noise in this cell; only where something is decided in pairs."""
    if calibrations is None or cell.skip_reason or cell.tier is not Tier.HARDWARE:
        return cell
    try:
        return replace(cell, calibration=known_calibration(calibrations, cell, datetime.now(UTC).date()))
    except RecordError as error:
        raise SpecError([Problem(str(calibrations), 1, 1, str(error))]) from error


def duplicates(suites: Sequence[Suite]) -> list[Problem]:
    """Find suites of one name: their cells could not be told apart."""
    seen: dict[str, str] = {}
    problems = []
    for suite in suites:
        first = seen.setdefault(suite.name, suite.file)
        if first != suite.file:
            problems.append(Problem(suite.file, 1, 1, f"suite {suite.name!r} is already the name of {first}"))
    return problems
