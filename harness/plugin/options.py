"""What the command line asks for: the farm and the places of records."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from harness import units
from harness.errors import SpecError
from harness.spec.model import Farm
from harness.units import Dimension

_FARM = pytest.StashKey[Farm]()


@dataclass(frozen=True, slots=True)
class Options:
    """The `--gate-*` options, their paths absolute."""

    devices: str
    runs: Path
    report: Path
    baselines: Path
    calibrations: Path
    budget_s: float = math.inf
    """Device time per board; infinite: as long as it takes."""
    selftest: bool = False
    """Whether the gate itself is tried, and no release."""

    @classmethod
    def of(cls, config: pytest.Config) -> Options:
        """Read them from pytest's configuration.

        Raises:
            pytest.UsageError: the budget is no time.
        """
        folder = config.invocation_params.dir
        runs = folder / cast(Path, config.getoption("fleetgate_runs"))
        report = cast("Path | None", config.getoption("fleetgate_report"))
        return cls(
            devices=cast(str, config.getoption("fleetgate_devices")),
            runs=runs,
            report=folder / report if report else runs.parent / "latest.html",
            baselines=folder / cast(Path, config.getoption("fleetgate_baselines")),
            calibrations=folder / cast(Path, config.getoption("fleetgate_calibration")),
            budget_s=_budget_s(cast(str, config.getoption("fleetgate_budget"))),
            selftest=bool(config.getoption("fleetgate_selftest")),
        )

    def check(self) -> None:
        """Refuse places where nothing can be written or read, before any board is measured for them.

        Raises:
            pytest.UsageError: a folder that is a file, or a report that is a folder.
        """
        wrong = [f"--gate-{name}={path}: {_no_folder(path)}" for name, path in self._folders() if _no_folder(path)]
        if self.report.is_dir():
            wrong.append(f"--gate-report={self.report}: is a folder: name the HTML file")
        if wrong:
            raise pytest.UsageError(*wrong)

    def _folders(self) -> tuple[tuple[str, Path], ...]:
        return (
            ("runs", self.runs),
            ("baselines", self.baselines),
            ("calibration", self.calibrations),
            ("report", self.report.parent),
        )


def _budget_s(text: str) -> float:
    """Read a device time; `20m` is twenty minutes, as for `sleep` and `timeout`."""
    if not text:
        return math.inf
    try:
        seconds = units.parse(re.sub(r"(?<=[0-9.\s])m$", "min", text.strip()), Dimension.TIME)
    except units.QuantityError as error:
        raise pytest.UsageError(f"--gate-budget: {error}") from None
    if seconds == 0:
        raise pytest.UsageError("--gate-budget=0 would measure nothing: leave it out, or give a time such as 20m")
    return seconds


def _no_folder(path: Path) -> str:
    """Say why a path is no folder and cannot become one; empty when it is or can."""
    for place in (path, *path.parents):
        if os.path.lexists(place):
            return "" if place.is_dir() else f"{place} is no folder"
    return ""


def read_farm(config: pytest.Config) -> Farm:
    """Read the farm of `--devices`, once per process.

    Raises:
        pytest.UsageError: everything that is wrong in it, as file:line:column.
    """
    farm = config.stash.get(_FARM, None)
    if farm is None:
        farm = config.stash.setdefault(_FARM, _load_farm(config))
    return farm


def keep_farm(config: pytest.Config, farm: Farm) -> None:
    """Keep a farm that came from the controller."""
    config.stash[_FARM] = farm


def usage_error(error: SpecError) -> pytest.UsageError:
    """Turn problems of what was asked into pytest's own kind: exit code 4, no traceback, one line each."""
    return pytest.UsageError(*(str(problem) for problem in error.problems))


def command_line(config: pytest.Config) -> tuple[str, ...]:
    """Give the command that started this run, as a person would type it."""
    return ("pytest", *(str(argument) for argument in config.invocation_params.args))


def reproduce(config: pytest.Config, nodeid: str) -> str:
    """Give the command that measures one item again."""
    import shlex

    selftest = ["--gate-selftest"] if config.getoption("fleetgate_selftest") else []
    return shlex.join(["pytest", f"--devices={config.getoption('fleetgate_devices')}", *selftest, nodeid])


def _load_farm(config: pytest.Config) -> Farm:
    from harness.spec import load_farm

    file, _, select = cast(str, config.getoption("fleetgate_devices")).partition("::")
    sessions = cast(int, config.getoption("fleetgate_sessions"))
    if sessions < 0:
        raise pytest.UsageError(f"--gate-sessions={sessions}: give a number of sessions above 0")
    profiles = cast("list[Path]", config.getoption("fleetgate_profiles"))
    missing = [f"--gate-profiles={folder}: no such folder" for folder in profiles if not folder.is_dir()]
    if missing:
        raise pytest.UsageError(*missing)
    try:
        farm = load_farm(Path(file), select=select, profile_dirs=profiles)
    except SpecError as error:
        raise usage_error(error) from None
    if not sessions:
        return farm
    return replace(farm, devices=tuple(replace(device, sessions=sessions) for device in farm.devices))


def is_worker(config: pytest.Config) -> bool:
    """Tell whether this process is a worker of xdist."""
    return hasattr(config, "workerinput")


def is_distributing(config: pytest.Config) -> bool:
    """Tell whether this process hands its items to workers of xdist."""
    if is_worker(config) or config.getoption("collectonly") or not config.pluginmanager.hasplugin("xdist"):
        return False
    return config.getoption("dist", "no") != "no" and bool(config.getoption("tx", None))
