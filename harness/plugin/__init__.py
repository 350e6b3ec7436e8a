"""The pytest plugin's entry: options and nothing else until `--devices` is given.

Imports only the standard library and pytest: a broken import here would kill every pytest run of the environment.
"""

from __future__ import annotations

from pathlib import Path

import pytest

GROUP = "fleetgate: release gate on edge devices"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--devices` and the `--gate-*` options."""
    group = parser.getgroup("fleetgate", GROUP)
    group.addoption(
        "--devices",
        dest="fleetgate_devices",
        metavar="FARM[::SELECT]",
        default=None,
        help="farm.yaml whose boards the suites are measured on; SELECT is names, tags or globs, separated by commas",
    )
    _add_places(parser)
    _add_selftest(parser)
    group.addoption(
        "--gate-sessions",
        dest="fleetgate_sessions",
        metavar="N",
        type=int,
        default=0,
        help="timed sessions per arm on every board, fixed (default: pairs until every gate is decided)",
    )
    group.addoption(
        "--gate-budget",
        dest="fleetgate_budget",
        metavar="TIME",
        default="",
        help="device time per board, such as 20m: undecided cells get it first, what is left open is INCONCLUSIVE",
    )


def _add_places(parser: pytest.Parser) -> None:
    """Add where records are read and written."""
    group = parser.getgroup("fleetgate", GROUP)
    group.addoption(
        "--gate-report",
        dest="fleetgate_report",
        metavar="PATH",
        type=Path,
        default=None,
        help="where the HTML report goes (default: latest.html beside the folder of runs)",
    )
    group.addoption(
        "--gate-runs",
        dest="fleetgate_runs",
        metavar="DIR",
        type=Path,
        default=Path("reports/runs"),
        help="folder of run records (default: reports/runs)",
    )
    group.addoption(
        "--gate-baselines",
        dest="fleetgate_baselines",
        metavar="DIR",
        type=Path,
        default=Path("reports/baselines"),
        help="folder of committed baseline records (default: reports/baselines)",
    )
    group.addoption(
        "--gate-calibration",
        dest="fleetgate_calibration",
        metavar="DIR",
        type=Path,
        default=Path("reports/calibration"),
        help="folder of what `fleetgate calibrate` found (default: reports/calibration)",
    )
    group.addoption(
        "--gate-profiles",
        dest="fleetgate_profiles",
        metavar="DIR",
        type=Path,
        action="append",
        default=[],
        help="folder of your own device profiles, searched first; may be given several times",
    )


def _add_selftest(parser: pytest.Parser) -> None:
    """Add the test of the gate itself."""
    group = parser.getgroup("fleetgate", GROUP)
    group.addoption(
        "--gate-selftest",
        dest="fleetgate_selftest",
        action="store_true",
        default=False,
        help="try the gate itself: plant known faults on the same boards and require the right gate to answer; "
        "exit code 0 when every fault was killed, 1 when one survived; decides no release",
    )


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks that this plugin calls."""
    from harness.plugin import hookspec

    pluginmanager.add_hookspecs(hookspec)


def pytest_configure(config: pytest.Config) -> None:
    """Start the plugin when boards are named; without them it is not there."""
    if config.getoption("fleetgate_devices"):
        from harness.plugin.start import activate

        activate(config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Answer `-n auto`: one process drives many boards, so a few are enough."""
    if not config.getoption("fleetgate_devices"):
        return None
    from harness.plugin.options import read_farm
    from harness.plugin.scheduler import worker_count

    return worker_count(len(read_farm(config).devices))
