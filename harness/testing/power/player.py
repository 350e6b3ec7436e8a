"""Runs on the emulated board, as the hardware that its sensors measure: writes a script into the registers of a chip.

Sent as a file; imports the standard library alone. Whether the board computes is read from the kernel's own account of
idle time: power follows the load as it does on a desk. Deadlines are absolute, by the monotonic clock that stamps the
sampler's readings. Told by one JSON object on standard input; notes each load in a file, a JSON object per line.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import math
import os
import struct
import sys
import time
from typing import Any, Protocol

_SLAVE_FORCE, _SMBUS = 0x0706, 0x0720
_WORD, _BLOCK = 3, 8
_BUS_V = 5.0
_MOST = 0x7FFF
POLL_S = 0.02
LOADED_POLLS = 3
"""Polls without idle time that make a load: the board's link wakes it for shorter."""
REST_S = 1.7
"""The load that is meant follows a rest of this length; what keeps a session busy before it does not."""
SHORTEST_S = 1.0
"""A load that is worth noting."""
PRIORITY = 10


class Sink(Protocol):
    """A sensor whose reading is set."""

    def show(self, watts: float, joules: float) -> None:
        """Make it measure this power, and these joules since the start."""


class _Chip:
    """A chip of i2c-stub, written past its driver."""

    def __init__(self, bus: int, address: int) -> None:
        self._fd = os.open(f"/dev/i2c-{bus}", os.O_RDWR)
        fcntl.ioctl(self._fd, _SLAVE_FORCE, address)

    def word(self, register: int, value: int) -> None:
        """Write a word as the chip has it, highest byte first; SMBus sends the lowest first."""
        self._transfer(register, _WORD, struct.pack(">H", value & 0xFFFF))

    def block(self, register: int, value: int, size: int) -> None:
        """Write a number of several bytes, highest first, in one transfer."""
        self._transfer(register, _BLOCK, bytes([size]) + value.to_bytes(size, "big"))

    def _transfer(self, register: int, kind: int, data: bytes) -> None:
        buffer = ctypes.create_string_buffer(data, 34)
        # struct i2c_smbus_ioctl_data of linux/i2c-dev.h: direction (0: write), register, kind, address of the data.
        fcntl.ioctl(self._fd, _SMBUS, struct.pack("@BBIP", 0, register, kind, ctypes.addressof(buffer)))


class Ina226(_Chip):
    """Shunt of 10 mΩ: steps of 0.25 mA and 6.25 mW. What is beyond the range of the shunt voltage is cut off."""

    def show(self, watts: float, joules: float) -> None:
        """Set shunt voltage, bus voltage, power and current as the chip would."""
        current = min(round(watts / _BUS_V / 0.25e-3), _MOST)
        power = min(round(watts / 6.25e-3), round(current * 0.25e-3 * _BUS_V / 6.25e-3))
        for register, value in ((1, current), (2, round(_BUS_V / 1.25e-3)), (4, current), (3, power)):
            self.word(register, value)


class Ina3221(_Chip):
    """First channel, shunt of 10 mΩ: steps of 40 µV (4 mA) and 8 mV, in the upper 13 bits of a word."""

    def show(self, watts: float, joules: float) -> None:
        """Set the shunt and bus voltage of the channel."""
        self.word(1, min(round(watts / _BUS_V * 0.01 / 40e-6), 0xFFF) << 3)
        self.word(2, round(_BUS_V / 8e-3) << 3)


class Ltc2947(_Chip):
    """A counter of joules, 48 bits with sign, in steps of 19.89 µJ."""

    def __init__(self, bus: int, address: int, first: int) -> None:
        super().__init__(bus, address)
        self._first = first

    def show(self, watts: float, joules: float) -> None:
        """Set the counter."""
        self.block(0x06, (self._first + round(joules / 19.89e-6)) % (1 << 48), 6)


class Battery:
    """The kernel's test_power at 5 V; its parameters are taken for µV and µA."""

    def __init__(self) -> None:
        folder = "/sys/module/test_power/parameters"
        self._fd = os.open(f"{folder}/battery_current", os.O_WRONLY)
        with open(f"{folder}/battery_voltage", "w") as file:
            file.write(str(round(_BUS_V * 1e6)))

    def show(self, watts: float, joules: float) -> None:
        """Set the current, which this driver counts as negative while discharging."""
        os.pwrite(self._fd, str(-round(watts / _BUS_V * 1e6)).encode(), 0)


class Player:
    """Shows idle power, and the script from the moment the load begins until it ends.

    Args:
        sink: the sensor.
        told: `idle_w`, `steps`, `events`, `stuck_after_s` of a script; `tick_s`: how often a reading is renewed whose
            power does not change (a counter), 0: never; the files `ready` and `log`.
    """

    def __init__(self, sink: Sink, told: dict[str, Any]) -> None:
        self._sink = sink
        self._idle_w: float = told["idle_w"]
        self._stuck_s: float = math.inf if told["stuck_after_s"] is None else told["stuck_after_s"]
        acts: list[tuple[float, float | dict[str, str]]] = [(at_s, watts) for at_s, watts in told["steps"]]
        acts += [(event["at_s"], event) for event in told["events"]]
        self._acts = sorted(acts, key=lambda act: act[0])
        self._tick_s: float = told["tick_s"] or math.inf
        self._ready, self._log = told["ready"], told["log"]
        self._watts, self._joules, self._since = self._idle_w, 0.0, time.monotonic()
        self._is_stuck = False
        self._rested_s = 0.0

    def run(self) -> None:
        """Play at every load after a rest; events happen once."""
        self._set(self._idle_w)
        with open(self._ready, "w"):
            pass  # from now on the sensor says something
        while True:
            self._wait_for_load()
            start = time.monotonic()
            self._is_stuck = False
            late_s, end = self._play(start)
            self._set(self._idle_w)
            if end - start >= SHORTEST_S:
                self._rested_s = 0.0
                with open(self._log, "a") as file:
                    file.write(json.dumps({"start_s": start, "end_s": end, "late_s": late_s}) + "\n")

    def _wait_for_load(self) -> None:
        """Return when the board is busy for some polls after a rest; what is shorter than a load counts as rest."""
        idle, busy = _idle(), 0
        while busy < LOADED_POLLS or self._rested_s < REST_S:
            self._sleep_until(time.monotonic() + POLL_S)
            before, idle = idle, _idle()
            if idle == before:
                busy += 1
            else:
                self._rested_s = 0.0 if busy * POLL_S >= SHORTEST_S else self._rested_s + (busy + 1) * POLL_S
                busy = 0

    def _play(self, start: float) -> tuple[float, float]:
        """Play until the board rests; return the longest delay of a step and the moment of the end."""
        late_s, idle, poll = 0.0, _idle(), start + POLL_S
        acts = iter([*self._acts, (math.inf, 0.0)])
        at_s, act = next(acts)
        while True:
            due = min(start + at_s, poll)
            self._sleep_until(due)
            if due == poll:
                before, idle, poll = idle, _idle(), poll + POLL_S
                if idle != before:
                    return late_s, time.monotonic()
                continue
            self._is_stuck = self._is_stuck or at_s >= self._stuck_s
            late_s = max(late_s, time.monotonic() - due)
            self._do(act)
            at_s, act = next(acts)

    def _do(self, act: float | dict[str, str]) -> None:
        if isinstance(act, dict):
            self._acts = [each for each in self._acts if each[1] is not act]
            with open(act["path"], "w") as file:
                file.write(act["text"])
        else:
            self._set(act)

    def _sleep_until(self, due: float) -> None:
        while (left := due - time.monotonic()) > 0:
            time.sleep(min(left, self._tick_s))
            if self._tick_s < math.inf:
                self._set(self._watts)

    def _set(self, watts: float) -> None:
        now = time.monotonic()
        self._joules += self._watts * (now - self._since)
        self._watts, self._since = watts, now
        if not self._is_stuck:
            self._sink.show(watts, self._joules)


def _idle() -> str:
    """Return how long the board has been idle, in the kernel's words: hundredths of a second."""
    with open("/proc/uptime") as file:
        return file.read().split()[1]


def _make_sink(told: dict[str, Any]) -> Sink:
    kind, bus, address = told["sink"], told["bus"], told["address"]
    if kind == "ltc2947":
        return Ltc2947(bus, address, told["first"])
    if kind == "battery":
        return Battery()
    chips: dict[str, type[Ina226 | Ina3221]] = {"ina226": Ina226, "ina3221": Ina3221}
    return chips[kind](bus, address)


def main() -> None:
    """Play what standard input tells."""
    told = json.load(sys.stdin)
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))  # hardware waits for nobody
    Player(_make_sink(told), told).run()


if __name__ == "__main__":
    main()
