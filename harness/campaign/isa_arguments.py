"""The words of `fleetgate isa` on the command line. Imports nothing: every command of fleetgate loads this module."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

DESCRIPTION = """\
Run a file on emulated CPUs with other instruction sets and compare answers, work and memory: no suite, no farm, no
hardware. The first run on a CPU makes its board (about a minute), later ones restore it."""
EPILOG = """\
example: does the int8 file answer alike on old and new cores, and is it cheaper than the fp32 file everywhere?
  fleetgate isa model_int8.onnx --against model_fp32.onnx --data samples.npz
example: does our own program run on the oldest core of the fleet?
  fleetgate isa ./detector --cpu cortex-a35 cortex-a76 -- --self-test

exit codes: 0 it ran everywhere with the same answers, 1 it crashed or integer answers differ on some CPU,
4 what was asked is wrong, 20 a board could not be measured, or no count of a program came back
"""


def split(words: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Cut off what stands behind `--` of this command: arguments of programs, which argparse would take for files."""
    given = list(words)
    if given[:1] != ["isa"] or "--" not in given:
        return given, ()
    at = given.index("--")
    return given[:at], tuple(given[at + 1 :])


def add(isa: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    say = isa.add_argument
    say(
        "models",
        type=Path,
        nargs="+",
        metavar="MODEL",
        help="models (.onnx, .ort, .tflite) or programs for 64-bit Arm Linux, their arguments after --",
    )
    say("--cpu", nargs="+", default=[], metavar="CPU", help="QEMU's names (default: cortex-a35, -a53, -a72, -a76, max)")
    say(
        "--data", type=Path, metavar="X.npz", help="inputs: `x` or one array per input; else they are drawn from a seed"
    )
    say(
        "--shape",
        action="append",
        default=[],
        metavar="NAME=1x3x224x224",
        help="full shape of a drawn input that has free axes (a free first axis alone counts as 1)",
    )
    say("--samples", type=int, default=8, metavar="N", help="samples that are compared (default: %(default)s)")
    say("--seed", type=int, default=1, metavar="N", help="of drawn inputs (default: %(default)s)")
    say(
        "--runtime",
        action="append",
        default=[],
        metavar="FAMILY[==VERSION]",
        help="onnxruntime==1.32.0, tflite-runtime==2.14.0 … (default: the family's default build)",
    )
    say("--against", type=Path, metavar="OTHER", help="say where MODEL needs more instructions than this file")
    say("--repeat", type=int, default=24, metavar="N", help="counted inferences per session (default: %(default)s)")
    say("--fresh", action="store_true", help="boot every board from its image instead of restoring its snapshot (slow)")
    say("--json", action="store_true", help="print the figures as JSON")
