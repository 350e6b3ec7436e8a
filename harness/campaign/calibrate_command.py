"""The command `fleetgate calibrate`: measure A/A cells, store what they tell, print it, and give the exit code.

Parsing arguments is the command line's matter.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from harness.campaign.calibrate import CalibratingRun, Series
from harness.campaign.calibrate_request import plan_self, read_farm, read_suites
from harness.campaign.news import News
from harness.farm.boards import Boards, RealBoards
from harness.report.calibration import calibration_lines
from harness.report.wording import figure, neutral
from harness.store.calibration import write_calibration
from harness.units import Dimension

EXIT_DONE, EXIT_INFRA = 0, 20


def run(
    arguments: argparse.Namespace,
    *,
    out: Callable[[str], None],
    news: Callable[[str], None],
    boards: Boards | None = None,
) -> int:
    """Measure, store and print.

    Args:
        arguments: those of `calibrate_arguments`.
        out: gets the result.
        news: gets a line for whatever takes long.
        boards: how boards are opened; None: over SSH.

    Returns:
        0 when every cell was calibrated, else 20.

    Raises:
        SpecError: what was asked is wrong.
        RecordError: a calibration cannot be stored under its name.
    """
    farm = read_farm(arguments.devices, arguments.device, arguments.profiles)
    request = plan_self(farm, read_suites(arguments.suites), arguments.pairs)
    progress = News(news)
    measured = CalibratingRun(request, boards or RealBoards(), progress.hear).measure(tick=progress.tell)
    whole = [_store(series, arguments, out) for series in measured]
    return EXIT_DONE if all(whole) else EXIT_INFRA


def _store(series: Series, arguments: argparse.Namespace, out: Callable[[str], None]) -> bool:
    """Store what a series brought; False when it brought less than was asked."""
    calibration = series.calibration()
    if calibration is not None:
        for line in calibration_lines(calibration):
            out(line)
        path = write_calibration(arguments.to, calibration)
        out(f"  {path} ({figure(series.device_s, Dimension.TIME)} of device time)")
    if series.problem:
        kept = "fewer pairs than asked" if calibration else "not calibrated"
        out(neutral(f"{series.cell.planned.key}: {kept}: {' '.join(series.problem.split())}"))
    return not series.problem
