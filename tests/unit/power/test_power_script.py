"""Scripts of the board with played power: their joules, and the registers that stand for their watts."""

from __future__ import annotations

import pytest

from harness.testing.power.player import Ina226, Ina3221, Ltc2947
from harness.testing.power.script import Script, bursts, ramp, steps


class _Kept:
    """Keeps what is sent to a chip, register and bytes, instead of sending it."""

    def __init__(self, first: int = 0) -> None:
        self.sent: list[tuple[int, bytes]] = []
        self._first = first

    def _transfer(self, register: int, kind: int, data: bytes) -> None:
        self.sent.append((register, data))


class _Ina226(_Kept, Ina226):
    """An INA226."""


class _Ina3221(_Kept, Ina3221):
    """An INA3221."""


class _Counter(_Kept, Ltc2947):
    """An LTC2947."""


@pytest.mark.parametrize(
    ("script", "start_s", "end_s", "joules"),
    [
        (steps((0.0, 5.0)), 0.5, 2.5, 10.0),
        (steps((0.0, 5.0), (1.0, 8.0), (3.0, 4.0)), 0.5, 4.0, 2.5 + 16.0 + 4.0),
        (steps((0.0, 5.0), (1.0, 8.0)), 1.0, 1.5, 4.0),
        (ramp(3.0, 12.0), 1.0, 4.0, 3.0 * (3.0 + 2.5)),  # 1 W per second: 5.5 W in the middle
        (bursts(3.0, 8.0, width_s=0.02, period_s=0.1), 0.0, 1.0, 4.0),
    ],
)
def test_a_script_knows_its_joules(script: Script, start_s: float, end_s: float, joules: float) -> None:
    """Between any two moments of the load, the last step holding."""
    assert script.joules(start_s, end_s) == pytest.approx(joules)


def test_an_ina226_shows_watts_as_its_registers_do() -> None:
    """5 W at 5 V through 10 mΩ: 1 A = 4000 steps of current and shunt, 800 steps of power, highest byte first."""
    chip = _Ina226()

    chip.show(5.0, 0.0)

    assert dict(chip.sent) == {1: b"\x0f\xa0", 2: b"\x0f\xa0", 4: b"\x0f\xa0", 3: b"\x03\x20"}


def test_an_ina226_ends_at_the_range_of_its_shunt() -> None:
    """60 W are more than 81.9 mV of shunt voltage tell: all registers stand at what 8.19 A would be."""
    chip = _Ina226()

    chip.show(60.0, 0.0)

    assert dict(chip.sent)[1] == b"\x7f\xff"
    assert int.from_bytes(dict(chip.sent)[3], "big") * 6.25e-3 == pytest.approx(40.96, abs=0.01)


def test_an_ina3221_has_thirteen_bits_on_the_left() -> None:
    """1 A: 10 mV of shunt are 250 steps of 40 µV, and 5 V are 625 steps of 8 mV, each three bits up."""
    chip = _Ina3221()

    chip.show(5.0, 0.0)

    assert [(register, int.from_bytes(data, "big")) for register, data in chip.sent] == [(1, 250 << 3), (2, 625 << 3)]


def test_a_counter_is_one_block_of_six_bytes_that_starts_again() -> None:
    """One transfer, so that no reading is half old; beyond 48 bits it goes on from nothing."""
    chip = _Counter(2**48 - 1)

    chip.show(1.0, 0.0)
    chip.show(1.0, 19.89e-6 * 3)

    assert chip.sent == [(0x06, b"\x06" + b"\xff" * 6), (0x06, b"\x06\x00\x00\x00\x00\x00\x02")]
