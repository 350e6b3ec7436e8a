"""What `fleetgate calibrate` is asked, checked: the A/A cells of a farm and its suites.

Contacts no board.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.campaign.cell_files import CellFiles
from harness.campaign.plan import applies, duplicates, plan_cell
from harness.errors import Problem, SpecError
from harness.gate.calibration import self_limits
from harness.records.plan import PlannedCell
from harness.spec import check_scopes, effective_limits, load_farm, load_suite
from harness.spec.model import Farm, Suite
from harness.spec.validate import suggest
from harness.stats.calibration import LEAST_PAIRS


@dataclass(frozen=True, slots=True)
class SelfCell:
    """One artifact on one board, as candidate and as baseline: the limits are those of its A/A gates."""

    planned: PlannedCell
    files: CellFiles


@dataclass(frozen=True, slots=True)
class CalibrateRequest:
    """The boards, the A/A cells on them, and how many pairs each is to bring."""

    farm: Farm
    cells: tuple[SelfCell, ...]
    pairs: int


def read_farm(text: str, devices: Sequence[str], profiles: Sequence[Path]) -> Farm:
    """Read `farm.yaml::selector`, narrowed to the boards named.

    Raises:
        SpecError: the farm is wrong, or has no board of a name.
    """
    file, _, select = text.partition("::")
    farm = load_farm(Path(file), select=select, profile_dirs=profiles)
    known = [device.name for device in farm.devices]
    problems = [
        Problem(farm.file, 1, 1, f"--device {name}: no such board is selected", suggest(name, known))
        for name in devices
        if name not in known
    ]
    if problems:
        raise SpecError(problems)
    return replace(farm, devices=tuple(device for device in farm.devices if not devices or device.name in devices))


def read_suites(paths: Sequence[Path]) -> tuple[Suite, ...]:
    """Read suite files, and those in folders.

    Raises:
        SpecError: a suite is wrong, or a folder holds none.
    """
    files: list[Path] = []
    for path in paths:
        found = sorted(path.rglob("*.suite.y*ml")) if path.is_dir() else [path]
        if not found:
            raise SpecError([Problem(str(path), 1, 1, "holds no *.suite.yaml")])
        files += found
    return tuple(load_suite(file) for file in dict.fromkeys(files))


def plan_self(farm: Farm, suites: Sequence[Suite], pairs: int) -> CalibrateRequest:
    """Plan the A/A cells: every artifact on every board that is timed, with a gate per metric that is decided in pairs.

    Raises:
        SpecError: nothing is decided in pairs there, the pairs are too few, two suites have one name, one names what
            the farm does not have, or a file cannot be read.
    """
    problems = duplicates(suites)
    problems += [problem for suite in suites for problem in check_scopes(suite, farm)]
    if pairs < LEAST_PAIRS:
        problems.append(Problem(farm.file, 1, 1, f"--pairs {pairs} tells too little", f"at least {LEAST_PAIRS}"))
    if problems:
        raise SpecError(problems)
    cells = tuple(_cells(farm, suites))
    if not cells:
        hint = "gates on times or power, on boards of tier hardware without `sessions:`, are"
        raise SpecError([Problem(farm.file, 1, 1, "nothing is decided in pairs here: nothing to calibrate", hint)])
    return CalibrateRequest(farm, cells, pairs)


def _cells(farm: Farm, suites: Sequence[Suite]) -> Iterator[SelfCell]:
    for suite in suites:
        for artifact in suite.artifacts:
            for device in farm.devices:
                limits = self_limits(effective_limits(suite, device), device) if applies(artifact, device) else ()
                if limits:
                    planned, files = plan_cell(suite, artifact, device, limits=limits)
                    planned = replace(planned, baseline=planned.model)
                    yield SelfCell(planned, replace(files, baseline=files.model))
