"""Energy sessions on this machine as a board: its own sensors, and a meter on loopback that the controller reads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.agent.message import EXTERNAL, MeterRequest, SessionRequest
from harness.device.opening import open_local
from harness.device.session import OpenDevice
from harness.spec.model import MeterSpec
from harness.testing.meter import ScpiServer

pytestmark = pytest.mark.system
DIGITS = Path(__file__).parents[2] / "suites" / "digits"


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDevice]:
    """This machine, opened as the controller opens itself."""
    with open_local(tmp_path_factory.mktemp("power") / "root", progress=lambda _: None) as device:
        yield device


def _request(board: OpenDevice, meter: MeterRequest) -> SessionRequest:
    return SessionRequest(
        nonce="", kind="energy", env=board.ensure_runtime("onnxruntime").id, runtime="onnxruntime",
        model=board.deploy(DIGITS / "digits_int8_qdq.onnx"), suffix=".onnx",
        data=board.deploy(DIGITS / "digits_eval.npz"), repeat=10, window_s=0.4, idle_s=0.2, lead_s=0.1, meter=meter,
    )  # fmt: skip


def test_an_external_meter_is_stamped_by_the_boards_clock(board: OpenDevice) -> None:
    """A meter that tells the time as watts: each reading stands where the board's clock was at that moment."""
    start = time.monotonic()
    request = _request(board, MeterRequest(EXTERNAL, rate_hz=100.0))
    with ScpiServer(lambda now: now - start) as server:
        spec = MeterSpec("scpi", rate_hz=100.0, address=server.address, queries=("MEAS:POW?",), scope="board")
        board.spec = replace(board.spec, power=spec)

        seen = board.measure(request)

    scalars = seen.reply.scalars
    assert seen.reply.error is None
    assert "FLEETGATE,LOOPBACK" in seen.reply.settings["power_source"]
    # One machine has one clock: what the meter said is the moment at which it is stamped.
    off_s = seen.arrays["power_t_s"] - start - seen.arrays["power_w"]
    assert abs(off_s).max() < 0.05 + 6 * scalars["power_clock_u_s"]
    assert seen.arrays["power_t_s"][0] < scalars["idle_before_start_s"] < scalars["load_start_s"]
    assert scalars["load_start_s"] < scalars["window_start_s"] < scalars["window_end_s"] <= scalars["load_end_s"]
    assert scalars["load_end_s"] < scalars["idle_after_end_s"] < seen.arrays["power_t_s"][-1]
    assert scalars["plain_before_s"] > 0


def test_an_external_meter_that_is_not_there_is_an_error_of_the_sensor(board: OpenDevice) -> None:
    """Nobody listens on the meter's port: the session has no figure and says why."""
    with ScpiServer(lambda _: 1.0) as server:
        address = server.address
    board.spec = replace(board.spec, power=MeterSpec("scpi", address=address, queries=("MEAS:POW?",)))

    seen = board.measure(_request(board, MeterRequest(EXTERNAL)))

    assert seen.reply.error is not None
    assert seen.reply.error["code"] == "sensor"
    assert seen.arrays == {}


def test_counters_come_back_raw_with_their_ranges(board: OpenDevice, tmp_path: Path) -> None:
    """Joules of each counter and where it starts again are sent as read; whether they make sense is decided later."""
    zone = tmp_path / "class" / "powercap" / "intel-rapl:0"
    zone.mkdir(parents=True)
    for name, text in {"name": "psys", "energy_uj": "1500000", "max_energy_range_uj": "262143328850"}.items():
        (zone / name).write_text(text + "\n")

    seen = board.measure(_request(board, MeterRequest("counter", root=str(tmp_path), rate_hz=100.0)))

    assert seen.reply.error is None
    assert set(seen.arrays["energy_j"].ravel().tolist()) == {1.5}
    assert seen.arrays["energy_range_j"].tolist() == [262143.32885]
    assert seen.arrays["energy_j"].shape == (seen.arrays["power_t_s"].size, 1)
    assert seen.reply.settings["power_source"] == "intel-rapl:0/energy_uj (psys)"


def test_a_board_lists_its_sources(board: OpenDevice, tmp_path: Path) -> None:
    """The survey reads every source once, through the wire."""
    chip = tmp_path / "class" / "hwmon" / "hwmon0"
    chip.mkdir(parents=True)
    (chip / "name").write_text("ina226\n")
    (chip / "power1_input").write_text("2500000\n")
    board.spec = replace(board.spec, power=MeterSpec("hwmon", root=str(tmp_path)))

    (rail,) = (rail for rail in board.survey_power().rails if rail.meter == "hwmon")

    assert (rail.chip, rail.channel, rail.reading, rail.fault) == ("ina226", "power1", 2.5, "")
