"""Rails of the Raspberry Pi 5's power chip: `vcgencmd pmic_read_adc`, amperes and volts of each rail.

Two formats are known: `VDD_CORE_A current(7)=0.79500000A`, and the same without the number of the channel. One call
starts a process and asks the firmware: more than some ten times a second slows the board. What hangs on 5 V (USB, HATs,
NVMe) and the losses of the chip itself are in none of the rails: their sum is less than what the board draws. Older
boards have no such chip.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from harness.agent.power.rail import RAILS, Rail, Unreadable

COMMAND = "vcgencmd"
_ARGV = ("pmic_read_adc",)
_UNPAIRED = frozenset({"EXT5V", "BATT"})
"""Voltages without a current: no rails."""
_LINE = re.compile(r"\s*(\w+)_([AV])\s+(?:current|volt)(?:\(\d{1,3}\))?\s*=\s*(\d{1,6}(?:\.\d{1,12})?)([AV])\s*")
_PLACES = ("/usr/bin", "/opt/vc/bin")
_LONGEST_S = 2.0
_MOST_TEXT = 16 << 10


def list_rails(_: str) -> list[Rail]:
    """Return the rails that have both amperes and volts; none where there is no such command or chip."""
    program = shutil.which(COMMAND) or shutil.which(COMMAND, path=os.pathsep.join(_PLACES))
    if program is None:
        return []
    try:
        names = tuple(sorted(parse_adc(_run(program))))
        fault = "" if names else f"{COMMAND} pmic_read_adc names no rail with current and voltage"
    except Unreadable as error:
        names, fault = (), str(error)
    whole = Rail("pmic", "all", "all", PmicProbe(program, names), fault=fault)
    return [whole, *(Rail("pmic", name, name, PmicProbe(program, (name,))) for name in names)]


def join(rails: list[Rail]) -> list[Rail]:
    """Read several rails with one call of the command."""
    names = sorted({name for rail in rails for name in rail.probe.names})  # type: ignore[attr-defined]
    program = rails[0].probe.program  # type: ignore[attr-defined]
    label = "+".join(rail.label for rail in rails)
    return [Rail("pmic", label, label, PmicProbe(program, tuple(names)), scope=RAILS)]


def parse_adc(text: str) -> dict[str, float]:
    """Return watts per rail.

    Raises:
        Unreadable: a line is not understood, or a rail has only one of amperes and volts: a sum without it would be
            too small.
    """
    found: dict[tuple[str, str], float] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        match = _LINE.fullmatch(line)
        if match and match[2] == match[4]:
            found[match[1], match[2]] = float(match[3])
        elif line.split("_")[0] not in _UNPAIRED:
            raise Unreadable(f"{COMMAND} pmic_read_adc: {line[:60]!r} is not understood")
    names = sorted({name for name, _ in found} - _UNPAIRED)
    for name in names:
        if not {(name, "A"), (name, "V")} <= set(found):
            raise Unreadable(f"{COMMAND} pmic_read_adc: {name} lacks amperes or volts")
    return {name: found[name, "A"] * found[name, "V"] for name in names}


class PmicProbe:
    """The sum of some rails, by one call of the command per reading."""

    def __init__(self, program: str, names: tuple[str, ...]) -> None:
        self.program = program
        self.names = names

    def open(self) -> None:
        """Nothing stays open between calls."""

    def read(self) -> float:
        """Run the command and add the rails up."""
        watts = parse_adc(_run(self.program))
        lost = [name for name in self.names if name not in watts]
        if lost:
            raise Unreadable(f"{COMMAND} pmic_read_adc: no {lost[0]}")
        return sum(watts[name] for name in self.names)

    def close(self) -> None:
        """Nothing stays open between calls."""


def _run(program: str) -> str:
    try:
        done = subprocess.run(
            [program, *_ARGV],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_LONGEST_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreadable(f"{COMMAND} pmic_read_adc: {type(error).__name__}") from error
    if done.returncode != 0 or len(done.stdout) > _MOST_TEXT:
        raise Unreadable(f"{COMMAND} pmic_read_adc: exit status {done.returncode}, {len(done.stdout)} bytes")
    return done.stdout.decode("ascii", "replace")
