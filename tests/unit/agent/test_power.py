"""The hwmon source on a sysfs of our own: units, choice of rails, and a sampler that keeps time."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from harness.agent.message import MeterRequest
from harness.agent.meters.thermal import Thermometer, read_hottest_c
from harness.agent.power.hwmon import list_rails
from harness.agent.power.sampler import PowerSampler
from harness.agent.power.source import find_rails
from harness.agent.refusal import Refusal


def chip(root: Path, number: int, files: dict[str, str]) -> Path:
    """Make one hwmon chip below `root`."""
    folder = root / "class" / "hwmon" / f"hwmon{number}"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text + "\n")
    return folder


INA3221 = {
    "name": "ina3221",
    "in1_label": "VDD_IN", "in1_input": "5000", "curr1_input": "1000",
    "in2_label": "VDD_CPU", "in2_input": "5000", "curr2_input": "400",
    "in3_label": "NC", "in3_input": "0", "curr3_input": "0",
    "in7_label": "sum of shunt voltages", "in7_input": "12",
}  # fmt: skip
INA226 = {"name": "ina226", "in0_input": "5", "in1_input": "5000", "curr1_input": "1000", "power1_input": "5025000"}


def sample(root: Path, rail: str = "") -> list[float]:
    """Return the watts of a short trace."""
    request = MeterRequest("hwmon", root=str(root), rail=rail, rate_hz=200.0)
    sampler = PowerSampler(find_rails(request), 200.0, 5.0)
    sampler.start({0})
    time.sleep(0.1)
    return [sum(values) for values in sampler.stop().values]


def test_power_file_is_microwatts(tmp_path: Path) -> None:
    """A chip with a power file is read from it, not from the current and voltage beside it."""
    chip(tmp_path, 0, INA226)

    assert [rail.describe() for rail in list_rails(str(tmp_path))] == ["ina226/power1"]
    assert sample(tmp_path)[0] == pytest.approx(5.025)


def test_current_times_voltage(tmp_path: Path) -> None:
    """Without a power file mA times mV is power; unused channels and shunt sums are no rails."""
    chip(tmp_path, 3, INA3221)

    assert [rail.label for rail in list_rails(str(tmp_path))] == ["VDD_IN", "VDD_CPU"]
    assert sample(tmp_path, "vdd_in")[0] == pytest.approx(5.0)
    assert sample(tmp_path, "ina3221/curr2")[0] == pytest.approx(2.0)


def test_rails_can_be_summed(tmp_path: Path) -> None:
    """Names joined by + are added: boards without a total rail have several."""
    chip(tmp_path, 0, INA3221)
    chip(tmp_path, 1, INA226)

    assert sample(tmp_path, "VDD_IN + VDD_CPU + ina226")[0] == pytest.approx(12.025)


def test_average_serves_where_there_is_no_input(tmp_path: Path) -> None:
    """A chip that only averages is still a sensor."""
    chip(tmp_path, 0, {"name": "meter", "power1_average": "1500000"})

    assert sample(tmp_path)[0] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (MeterRequest("hwmon", rail="nope"), "no rail 'nope'"),
        (MeterRequest("hwmon"), "several rails can be measured"),
        (MeterRequest("hwmon", rail="ina3221"), "several rails are 'ina3221'"),
        (MeterRequest("plug"), "kind 'plug'"),
    ],
    ids=["unknown", "unnamed", "ambiguous", "kind"],
)
def test_wrong_meter_is_named(tmp_path: Path, request_: MeterRequest, words: str) -> None:
    """What cannot be measured is refused as `sensor`, with the choices there are."""
    chip(tmp_path, 0, INA3221)
    request_.root = str(tmp_path)

    with pytest.raises(Refusal) as refused:
        find_rails(request_)

    assert refused.value.code == "sensor"
    assert words in str(refused.value)


def test_no_sensor_at_all(tmp_path: Path) -> None:
    """A board without hwmon says so."""
    with pytest.raises(Refusal, match="no power sensor"):
        find_rails(MeterRequest("hwmon", root=str(tmp_path)))


def test_lost_sensor_gives_nan(tmp_path: Path) -> None:
    """A reading that makes no number is NaN in the trace, not 0 and not left out."""
    folder = chip(tmp_path, 0, {"name": "meter", "power1_input": "1000000"})
    request = MeterRequest("hwmon", root=str(tmp_path), rate_hz=200.0)
    sampler = PowerSampler(find_rails(request), 200.0, 5.0)
    sampler.start({0})
    time.sleep(0.1)
    (folder / "power1_input").write_text("")
    time.sleep(0.1)

    trace = sampler.stop()

    assert trace.values[0] == [1.0]
    assert math.isnan(trace.values[-1][0])
    assert "power1_input: '' is no number" in trace.fault


def test_samples_stand_at_absolute_deadlines(tmp_path: Path) -> None:
    """Stamps rise, and none comes before its turn; on a busy machine the first may be late by a tenth of a second."""
    chip(tmp_path, 0, INA226)
    sampler = PowerSampler(find_rails(MeterRequest("hwmon", root=str(tmp_path))), 100.0, 5.0)
    sampler.start({0})
    time.sleep(0.5)

    times = sampler.stop().times_s

    assert times == sorted(times)
    first = times[0]
    assert all(t - first > k * 0.01 - 0.1 for k, t in enumerate(times))
    assert abs(first - time.monotonic()) < 60


def test_samples_do_not_keep_step_with_a_load(tmp_path: Path) -> None:
    """Each falls at a random moment of its period: what repeats with the period is met at all of its moments."""
    chip(tmp_path, 0, INA226)
    sampler = PowerSampler(find_rails(MeterRequest("hwmon", root=str(tmp_path))), 200.0, 5.0)
    sampler.start({0})
    time.sleep(0.6)

    times = sampler.stop().times_s

    thirds = [0, 0, 0]
    for t in times:
        thirds[int((t - times[0]) % 0.005 / 0.005 * 3) % 3] += 1
    assert min(thirds) > len(times) / 10


def test_a_chip_is_checked_against_itself(tmp_path: Path) -> None:
    """Where one chip tells power as well as volts and amperes, their ratio is told."""
    chip(tmp_path, 0, {**INA226, "curr1_input": "900"})
    sampler = PowerSampler(find_rails(MeterRequest("hwmon", root=str(tmp_path))), 200.0, 5.0)
    sampler.start({0})
    time.sleep(0.1)

    assert sampler.stop().rival_ratio == pytest.approx(0.9 * 5.0 / 5.025)


def test_temperature_is_that_of_the_hottest_zone(tmp_path: Path) -> None:
    """Zones that say nonsense are left out; a board without zones has no temperature."""
    for number, text in enumerate(["41000", "65500", "not a number", "999000"]):
        folder = tmp_path / "class" / "thermal" / f"thermal_zone{number}"
        folder.mkdir(parents=True)
        (folder / "temp").write_text(text)

    assert read_hottest_c(str(tmp_path)) == 65.5
    assert Thermometer(str(tmp_path)).scalars()["thermal_max_c"] == 65.5
    assert Thermometer(str(tmp_path / "empty")).scalars() == {}
