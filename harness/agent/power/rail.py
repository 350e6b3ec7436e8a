"""The port of a board's power sources: a rail says what it measures and how; a probe reads it.

Readings stay raw: what is no number is told as such, whether numbers make sense is the controller's business. Sources
are listed in `harness.agent.power.source`.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

POWER, ENERGY = "power", "energy"
WALL, BOARD, MODULE, RAILS = "wall", "board", "module", "rails"
_NUMBER = re.compile(rb"-?\d{1,19}(\.\d{1,9})?")
_LONGEST = 64
_TEXT = 256


class Unreadable(Exception):  # noqa: N818  what it is, not how it is raised
    """A reading is no number, or cannot be had at all; the words name the file."""


class Probe(Protocol):
    """Reads one rail: watts, or joules that only rise."""

    def open(self) -> None:
        """Get ready to read often.

        Raises:
            Unreadable: it cannot be opened.
        """

    def read(self) -> float:
        """Read once, now.

        Raises:
            Unreadable: there is no number.
        """

    def close(self) -> None:
        """Let go of files."""


class Rail(NamedTuple):
    """One thing that can be measured. A zero says "not known", never "none"."""

    chip: str
    channel: str
    label: str
    probe: Probe
    quantity: str = POWER
    scope: str = RAILS
    window_s: float = 0.0
    """Time over which a reading is an average, or after which it is renewed."""
    step: float = 0.0
    """Smallest step of a reading, W or J."""
    range: float = 0.0
    """Power: the most that can be read, W. Energy: where the counter starts again, J."""
    rival: Probe | None = None
    """The same power by another way (volts times amperes), to check against."""
    state: Callable[[], str] | None = None
    """Words when it does not measure what the board draws at this moment (a battery that is charged)."""
    fault: str = ""
    """Why it cannot be used at all."""
    place: str = ""
    """Where the chip sits (`1-0041`: bus and address); unlike the number of its hwmon folder it stays the same."""

    def answers_to(self, name: str) -> bool:
        """Whether a user may mean this rail by `name`; case does not count.

        label, chip, chip/channel, chip/label, and with its place chip@place and chip@place/channel.
        """
        names = {self.label, self.chip, f"{self.chip}/{self.channel}"}
        names |= {f"{self.chip}/{self.label}"} if self.label else set()
        names |= {f"{self.chip}@{self.place}", f"{self.chip}@{self.place}/{self.channel}"} if self.place else set()
        return name.lower() in {known.lower() for known in names if known}

    def describe(self) -> str:
        """Return chip, place, channel and label."""
        chip = f"{self.chip}@{self.place}" if self.place else self.chip
        return f"{chip}/{self.channel}" + (f" ({self.label})" if self.label else "")


class FileProbe:
    """The product of the numbers in some files, times `scale`; `offset` is added to the first.

    Args:
        paths: of sysfs attributes.
        scale: to watts or joules.
        offset: of the first file's number.
        is_magnitude: the sign says a direction that the driver chose, and is dropped.
    """

    def __init__(
        self, paths: tuple[str, ...], scale: float, *, offset: float = 0.0, is_magnitude: bool = False
    ) -> None:
        self.paths = paths
        self._scale = scale
        self._offset = offset
        self._is_magnitude = is_magnitude
        self._fds: list[int] = []

    def open(self) -> None:
        """Open the files."""
        for path in self.paths:
            try:
                self._fds.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            except OSError as error:
                self.close()
                raise Unreadable(f"{path}: {error.strerror}") from error

    def read(self) -> float:
        """Read all files one after the other."""
        numbers = [self._read_one(*pair) for pair in zip(self._fds, self.paths)]  # noqa: B905  Python 3.8
        numbers[0] += self._offset
        value = self._scale
        for number in numbers:
            value *= number
        return abs(value) if self._is_magnitude else value

    def close(self) -> None:
        """Close the files."""
        while self._fds:
            os.close(self._fds.pop())

    def _read_one(self, fd: int, path: str) -> float:
        try:
            text = os.pread(fd, _LONGEST, 0)
        except OSError as error:
            raise Unreadable(f"{path}: {error.strerror}") from error
        return parse_number(text, path)


def parse_number(text: bytes, where: str) -> float:
    """Parse what a sysfs attribute says: a plain decimal number and nothing else.

    Raises:
        Unreadable: it is none, or longer than any number of the kernel.
    """
    word = text.strip()
    if len(text) >= _LONGEST or not _NUMBER.fullmatch(word):
        shown = word[:24].decode("ascii", "backslashreplace") + ("…" if len(word) > 24 else "")
        raise Unreadable(f"{where}: {shown!r} is no number")
    return float(word)


def read_text(path: str) -> str:
    """Return the first printable words of a file; empty when it cannot be read."""
    try:
        with open(path, "rb") as file:
            text = file.read(_TEXT).decode(errors="replace").strip("\0 \n\t")
    except OSError:
        return ""
    return "".join(char for char in text if char.isprintable())


def read_positive(path: str) -> float:
    """Return a positive number from a file; 0 where it says none."""
    try:
        return max(0.0, parse_number(read_text(path).encode(), path))
    except Unreadable:
        return 0.0


def find_place(folder: str) -> str:
    """Return the name of the device behind a class folder (`1-0041`); empty where there is none."""
    link = os.path.join(folder, "device")
    return os.path.basename(os.path.realpath(link)) if os.path.islink(link) else ""


def check_readable(*paths: str) -> str:
    """Say why one of the files cannot be read by this user; empty when all can."""
    for path in paths:
        if not os.access(path, os.R_OK):
            return f"{path} may not be read by this user"
    return ""
