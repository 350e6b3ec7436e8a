"""Faults inside a session: busy work, ballast, files that change under it, ends that no model should come to.

Owns the four moments at which a session lets a fault act. What it leaves on the board (a stored file that it replaced,
a folder that poses as sysfs) is thrown away when the session ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from itertools import repeat
from typing import TYPE_CHECKING, Any

from harness.agent.message import PlantRequest
from harness.agent.meters.memory import read_resident
from harness.agent.meters.work import InstructionCounter, NoCounter
from harness.agent.plant.result import RESULTS
from harness.agent.store import Store

if TYPE_CHECKING:
    from harness.agent.session import Session

    Call = Callable[[], Any]

ABOVE = 1.05
"""A figure that must pass a limit is brought to this multiple of it …"""
LEAST = 0.02
"""… and gets at least this share of the limit more than it had."""
_TRIES = 9
_PROBE = 20_000
"""Turns of the loop by which its cost is found."""


class Plant:
    """One fault in one session."""

    def __init__(self, request: PlantRequest, session: Session, root: str) -> None:
        self.request = request
        self.session = session
        self._root = root
        self._sysfs = ""
        self._ballast = b""

    def before_hash(self) -> None:
        """Act before the session hashes its model."""
        fault = self.request.fault
        if fault == "stale-file":
            self._replace_model(b"an older file of this name")
        elif fault in {"hot-board", "absurd-temperature"}:
            degrees = self.request.target + 5.0 if fault == "hot-board" else 999.0
            self.session.sysfs = self._make_sysfs({"thermal/thermal_zone0/temp": f"{degrees * 1000:.0f}"})
        elif fault == "absent-sensor" and self.session.request.meter is not None:
            self.session.request.meter.root = self._make_sysfs({"hwmon/none": ""})

    def after_hash(self) -> None:
        """Act between the hash of the model and its loading."""
        if self.request.fault == "swapped-file":
            with open(Store(self._root).path(self.session.request.model), "rb") as file:
                self._replace_model(file.read())

    def after_load(self) -> None:
        """Act when the model is loaded.

        Raises:
            MemoryError, RuntimeError: the faults that end a session with words.
        """
        fault = self.request.fault
        if fault in {"ballast", "ballast-peak", "ballast-model"}:
            self._ballast = b"\x01" * self._ballast_bytes()
        elif fault == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif fault == "endless":
            time.sleep(self.session.request.deadline_s * 20)
        elif fault == "no-memory":
            raise MemoryError
        elif fault == "flaky" and not self.request.count:
            raise RuntimeError("a planted failure of the first session")

    def around(self, call: Call) -> Call:
        """Give the call that is measured in place of the model's own."""
        fault, ratio, target = self.request.fault, self.request.ratio, self.request.target
        counted = self.session.request.deterministic
        if fault == "clock-step":
            return _step_clock(call)
        if fault == "unrepeatable-count":
            return _busy(call, _turns(call, lambda own: ratio * own * self.request.count, counted=True))
        if fault == "busy":
            return _busy(call, _turns(call, lambda own: ratio * own, counted=counted))
        if fault in {"busy-count", "busy-time"}:
            return _busy(call, _turns(call, lambda own: _missing(target, own), counted=fault == "busy-count"))
        return call

    def finish(self) -> None:
        """Act on the figures of a session that ended well, before they are written."""
        spoil = RESULTS.get(self.request.fault)
        if spoil is not None:
            spoil(self.session, self.request)

    def close(self) -> None:
        """Throw away what the fault changed on the board."""
        if self.request.fault in {"stale-file", "swapped-file"}:
            Store(self._root).discard(self.session.request.model)
        if self._sysfs:
            shutil.rmtree(self._sysfs, ignore_errors=True)

    def _ballast_bytes(self) -> int:
        target, resident = self.request.target, read_resident().rss
        if self.request.fault == "ballast":
            return int(self.request.ratio * resident)
        return int(ABOVE * target if self.request.fault == "ballast-model" else _missing(target, resident))

    def _replace_model(self, data: bytes) -> None:
        """Put another file in the place of the stored model; the store names it by bytes that it does not have."""
        path = Store(self._root).path(self.session.request.model)
        with open(path + ".planted", "wb") as file:
            file.write(data)
        os.replace(path + ".planted", path)

    def _make_sysfs(self, files: dict[str, str]) -> str:
        self._sysfs = os.path.join(self._root, "active", f"planted-{os.getpid()}")
        for name, text in files.items():
            path = os.path.join(self._sysfs, "class", name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
        return self._sysfs


def _missing(target: float, have: float) -> float:
    """Return how much brings a figure that is `have` above `target`, also when it is there already."""
    return max(ABOVE * target - have, LEAST * target)


def _busy(call: Call, turns: int) -> Call:
    def planted() -> Any:  # noqa: ANN401  whatever the runtime returns
        raw = call()
        _spin(turns)
        return raw

    return planted


def _spin(turns: int) -> None:
    for _ in repeat(None, turns):
        pass


def _turns(call: Call, needed: Callable[[float], float], *, counted: bool) -> int:
    """Return how many turns of a loop cost what is needed, given what one call costs by itself.

    In instructions, or in seconds where they are not counted. Every session of one model must find the same number, or
    its count would not repeat: the least of several costs repeats, and the result is rounded up to one of few numbers.
    """
    try:
        cost = _counted() if counted else _timed
    except NoCounter:
        return 0  # the gate says that nothing is counted here, with the fault and without it
    turns = needed(_least(cost, call)) / _least(cost, lambda: _spin(_PROBE)) * _PROBE
    step = 1 << max(int(turns).bit_length() - 4, 0)
    return (int(turns) // step + 1) * step if turns else 0


def _least(cost: Callable[[Call], float], call: Call) -> float:
    """Return the smallest cost of some calls: what others take away only adds."""
    call()
    return min(cost(call) for _ in range(_TRIES))


def _timed(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _counted() -> Callable[[Call], float]:
    counter = InstructionCounter()

    def count(call: Call) -> float:
        counter.start()
        call()
        return float(counter.stop())

    return count


def _step_clock(call: Call) -> Call:
    """Set the wall clock, as this process sees it, an hour on: between its third call and all later ones."""
    real, made = time.time, [0]

    def planted() -> Any:  # noqa: ANN401  whatever the runtime returns
        made[0] += 1
        steps = 3600.0 * made[0]
        time.time = lambda: real() + steps
        return call()

    return planted
