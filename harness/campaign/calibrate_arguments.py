"""The words of `fleetgate calibrate` on the command line. Imports nothing: every command loads this module."""

from __future__ import annotations

import argparse
from pathlib import Path

PAIRS = 60
DESCRIPTION = """\
Measure artifacts against themselves (A/A) on boards that are timed, through the same sessions and the same gate as a
release, and store per board x artifact x metric how much a pair scatters, how often the gate was wrong, and which
slow-down it would find. Gates then choose test and floor by it, and refuse margins that the board cannot resolve."""
EPILOG = """\
example: calibrate one board of the farm before the first release
  fleetgate calibrate --devices farm.yaml --device pi-lab-3 suites/digits/digits.suite.yaml

exit codes: 0 all cells were calibrated, 4 what was asked is wrong, 20 a cell could not be measured
"""


def add(calibrate: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    say = calibrate.add_argument
    say("suites", type=Path, nargs="+", metavar="SUITE", help="*.suite.yaml, or folders that hold some")
    say("--devices", required=True, metavar="FARM", help="farm.yaml, or farm.yaml::selector as for pytest")
    say("--device", action="append", default=[], metavar="NAME", help="only this board; may be given several times")
    say(
        "--pairs",
        type=int,
        default=PAIRS,
        metavar="N",
        help="pairs per artifact and board (default: %(default)s)",
    )
    say("--profiles", type=Path, action="append", default=[], metavar="DIR", help="folder of your own device profiles")
    say(
        "--to",
        type=Path,
        default=Path("reports/calibration"),
        metavar="DIR",
        help="where calibrations are kept (default: %(default)s)",
    )
