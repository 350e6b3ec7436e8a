"""Power from the board's own sensors (hwmon), sampled by a process of its own at absolute deadlines.

Units by the kernel's hwmon ABI: power in µW, curr in mA, in in mV. Readings are kept raw: whether they make sense is
the controller's business; a reading that fails is NaN. The root of sysfs is configurable.
"""

from __future__ import annotations

import glob
import mmap
import os
import re
import struct
import time
from typing import NamedTuple

from harness.agent import process
from harness.agent.message import MeterRequest
from harness.agent.refusal import Refusal

_RECORD = struct.Struct("=dd")
_HEAD = struct.Struct("=QQQ")
_UNUSED_RAIL = "NC"
_START_S = 10.0
"""Longest wait for the first sample; without one the trace is empty and says so itself."""


class Rail(NamedTuple):
    """One thing that power can be read of: watts = product of the files' values times `scale`."""

    chip: str
    channel: str
    label: str
    paths: tuple[str, ...]
    scale: float

    def answers_to(self, name: str) -> bool:
        """Whether a user may mean this rail by `name`: label, chip, chip/channel or chip/label; case does not count."""
        names = {self.label, self.chip, f"{self.chip}/{self.channel}", f"{self.chip}/{self.label}"}
        return name.lower() in {known.lower() for known in names if known}

    def describe(self) -> str:
        """Return chip, channel and label."""
        return f"{self.chip}/{self.channel}" + (f" ({self.label})" if self.label else "")


class PowerTrace(NamedTuple):
    """What a sampler saw: times by the monotonic clock in seconds, power in watts."""

    times_s: list[float]
    watts: list[float]
    late: int
    """Samples whose deadline was missed by more than a period."""


def find_rails(request: MeterRequest) -> list[Rail]:
    """Return the rails that are to be summed.

    Raises:
        Refusal: `sensor` when there is none, or when the name is missing or fits several.
    """
    if request.kind != "hwmon":
        raise Refusal("sensor", f"the board cannot read a meter of kind {request.kind!r}")
    known = list_rails(request.root)
    if not known:
        raise Refusal("sensor", f"no power sensor below {request.root}/class/hwmon")
    choices = "; there are " + ", ".join(rail.describe() for rail in known)
    if not request.rail:
        if len(known) > 1:
            raise Refusal("sensor", "several rails can be measured: name one, or several joined by +" + choices)
        return known
    return [_choose(name.strip(), known, choices) for name in request.rail.split("+")]


def _choose(name: str, known: list[Rail], choices: str) -> Rail:
    fitting = [rail for rail in known if rail.answers_to(name)]
    if len(fitting) != 1:
        raise Refusal("sensor", (f"no rail {name!r}" if not fitting else f"several rails are {name!r}") + choices)
    return fitting[0]


def list_rails(root: str) -> list[Rail]:
    """Return every rail of every hwmon chip: power files, else pairs of current and voltage of one channel."""
    rails = []
    for chip in sorted(glob.glob(os.path.join(root, "class", "hwmon", "hwmon*"))):
        name = _read(os.path.join(chip, "name")) or os.path.basename(chip)
        channels = sorted({match for path in os.listdir(chip) for match in re.findall(r"^(?:power|curr)(\d+)_", path)})
        rails += [rail for rail in (_make_rail(chip, name, channel) for channel in channels) if rail]
    return [rail for rail in rails if rail.label.upper() != _UNUSED_RAIL]


def _make_rail(chip: str, name: str, channel: str) -> Rail | None:
    for kind in ("input", "average"):
        path = os.path.join(chip, f"power{channel}_{kind}")
        if os.path.exists(path):
            label = _read(os.path.join(chip, f"power{channel}_label"))
            return Rail(name, f"power{channel}", label, (path,), 1e-6)
    pair = tuple(os.path.join(chip, f"{kind}{channel}_input") for kind in ("curr", "in"))
    if not all(os.path.exists(path) for path in pair):
        return None
    label = _read(os.path.join(chip, f"in{channel}_label")) or _read(os.path.join(chip, f"curr{channel}_label"))
    return Rail(name, f"curr{channel}", label, pair, 1e-6)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(256).strip()
    except OSError:
        return ""


class PowerSampler:
    """Samples rails in a child process from `start` to `stop`, for at most `longest_s`."""

    def __init__(self, rails: list[Rail], rate_hz: float, longest_s: float) -> None:
        self._rails = rails
        self._period_s = 1.0 / rate_hz
        self._capacity = int(longest_s * rate_hz) + 16
        # Shared memory: the sampler writes no file and allocates nothing while it runs.
        self._shared = mmap.mmap(-1, _HEAD.size + self._capacity * _RECORD.size)
        self._pid = 0

    def start(self, cores: set[int]) -> None:
        """Fork the sampler onto `cores` and wait for its first sample.

        Raises:
            Refusal: `sensor` when a file of the sensor cannot be opened.
        """
        try:
            fds = [[os.open(path, os.O_RDONLY) for path in rail.paths] for rail in self._rails]
        except OSError as error:
            raise Refusal("sensor", f"{error.filename}: {error.strerror}") from error
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                process.die_with_parent(parent)
                os.sched_setaffinity(0, cores)
                self._sample(fds)
            finally:
                os._exit(0)
        for fd in (fd for group in fds for fd in group):
            os.close(fd)
        give_up = time.monotonic() + _START_S
        while not self._count() and time.monotonic() < give_up:
            time.sleep(self._period_s / 4)

    def stop(self) -> PowerTrace:
        """End the sampler and return what it saw."""
        struct.pack_into("=Q", self._shared, 0, 1)
        os.waitpid(self._pid, 0)
        count, late = self._count(), _HEAD.unpack_from(self._shared, 0)[2]
        records = [_RECORD.unpack_from(self._shared, _HEAD.size + k * _RECORD.size) for k in range(count)]
        return PowerTrace([t for t, _ in records], [watts for _, watts in records], late)

    def _count(self) -> int:
        return int(_HEAD.unpack_from(self._shared, 0)[1])

    def _sample(self, fds: list[list[int]]) -> None:
        start = time.monotonic()
        late = 0
        for k in range(self._capacity):
            deadline = start + k * self._period_s
            wait_s = deadline - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            elif wait_s < -self._period_s:
                late += 1
            before = time.monotonic()
            watts = sum(rail.scale * _product(group) for rail, group in zip(self._rails, fds))  # noqa: B905
            after = time.monotonic()
            _RECORD.pack_into(self._shared, _HEAD.size + k * _RECORD.size, (before + after) / 2, watts)
            stop = struct.unpack_from("=Q", self._shared, 0)[0]
            struct.pack_into("=QQ", self._shared, 8, k + 1, late)
            if stop:
                return


def _product(fds: list[int]) -> float:
    value = 1.0
    for fd in fds:
        try:
            value *= float(os.pread(fd, 64, 0))
        except (OSError, ValueError):
            return float("nan")
    return value
