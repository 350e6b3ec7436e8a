"""The instrument beside an emulated board: a declared model of the emulator's work, read over SCPI like any other."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from harness.emulator.machine.process import cpu_s_of
from harness.meters.instrument import Reading
from harness.meters.port import MeterError, make_meter
from harness.meters.simulated import busy_power, simulated_meter
from harness.spec.model import MeterSpec

METER = MeterSpec("simulated", idle_w=1.0, busy_w=4.0, rate_hz=50.0, accuracy=0.01, scope="board")


class Emulator:
    """A clock and the processor time of an emulator, both moved by the test."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.used_s = 7.0

    def run(self, seconds: float, *, busy: float) -> None:
        """Let time pass of which the emulator computes a share."""
        self.now_s += seconds
        self.used_s += seconds * busy

    def meter(self) -> Reading:
        """Connect a meter to it."""
        return busy_power(METER, lambda: self.used_s, clock=lambda: self.now_s)


@pytest.mark.parametrize(("busy", "watts"), [(0.0, 1.0), (0.25, 2.0), (1.0, 5.0)])
def test_power_follows_the_share_of_time_that_the_emulator_computes(busy: float, watts: float) -> None:
    """Idle watts, and of the busy ones what the share says."""
    emulator = Emulator()
    read = emulator.meter()

    emulator.run(0.02, busy=busy)

    assert read() == pytest.approx(watts)


def test_a_reading_is_an_average_since_the_one_before() -> None:
    """Energy above idle is what was computed times `busy`, however unevenly it is read."""
    emulator = Emulator()
    read, joules = emulator.meter(), 0.0

    for seconds, busy in [(0.02, 0.0), (0.05, 1.0), (0.01, 0.5), (0.3, 0.1)]:
        emulator.run(seconds, busy=busy)
        joules += (read() - METER.idle_w) * seconds

    assert joules == pytest.approx(METER.busy_w * (emulator.used_s - 7.0))


def test_more_work_takes_more_energy_in_proportion() -> None:
    """15 % more processor time in the same window are 15 % more joules above idle."""
    above = []
    for work_s in (0.4, 0.46):
        emulator = Emulator()
        read = emulator.meter()
        emulator.run(1.0, busy=work_s)
        above.append(read() - METER.idle_w)

    assert above[1] / above[0] == pytest.approx(1.15)


def test_two_readings_at_once_are_one() -> None:
    """No time has passed: nothing is divided by it."""
    emulator = Emulator()
    read = emulator.meter()
    emulator.run(0.02, busy=1.0)

    assert [read(), read()] == pytest.approx([5.0, 5.0])


def test_the_instrument_is_read_as_an_scpi_meter() -> None:
    """The farm's meter is one on loopback; what reads it is the reader of every SCPI meter."""
    with simulated_meter(METER, time.process_time) as reached:
        assert reached is not None
        assert (reached.kind, reached.scope, reached.accuracy) == ("scpi", "board", 0.01)
        with make_meter(reached) as opened:
            assert 1.0 <= opened.read() < 12.0
            assert "SIMULATED" in opened.describe()

    with pytest.raises(MeterError), make_meter(reached):
        pass


@pytest.mark.parametrize("meter", [None, MeterSpec("hwmon"), MeterSpec("modelled")])
def test_other_boards_get_no_instrument(meter: MeterSpec | None) -> None:
    """Only a board that names a simulated meter has one."""
    with simulated_meter(meter, time.process_time) as reached:
        assert reached is None


def test_an_emulator_that_ended_gives_no_number() -> None:
    """The processor time of a process that is gone cannot be read: the meter says so, the reader is told."""

    def gone() -> float:
        raise OSError("no such process")

    with simulated_meter(METER, gone) as reached:
        assert reached is not None
        with make_meter(reached) as opened:
            time.sleep(0.002)
            with pytest.raises(MeterError, match="no number"):
                opened.read()


def test_the_processor_time_of_another_process_is_read() -> None:
    """What Machine.cpu_s asks of the kernel is that process's own time, not ours."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        ours = time.process_time()
        while time.process_time() < ours + 0.05:
            pass
        seen = cpu_s_of(child.pid)
        child.kill()

    assert 0.0 <= seen < 5.0
    with pytest.raises(OSError, match="Invalid argument"):
        cpu_s_of(child.pid)
