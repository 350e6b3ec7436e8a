"""External meters against protocol servers on loopback: watts, or a MeterError that says what was wrong."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import numpy as np
import pytest

from harness.meters import scpi
from harness.meters.port import MeterError, make_meter, split_address
from harness.meters.recorder import Recorder
from harness.spec.model import MeterSpec
from harness.testing.meter import PlugServer, ScpiServer


def _steady(_: float) -> float:
    return 7.5


def _spec(kind: str, address: str) -> MeterSpec:
    if kind == "scpi":
        return MeterSpec("scpi", address=address, queries=("MEAS:POW?",))
    if kind == "scpi product":
        return MeterSpec("scpi", address=address, queries=("MEAS:VOLT?", "MEAS:CURR?"), setup=("SENS:RANG 15",))
    return MeterSpec("plug", address=address, make=kind)


KINDS = ["scpi", "scpi product", "shelly-gen1", "shelly-gen2", "tasmota"]


@pytest.fixture(params=KINDS)
def meter(request: pytest.FixtureRequest) -> Iterator[MeterSpec]:
    """Each kind of meter, with a server that says 7.5 W."""
    with ExitStack() as stack:
        made = ScpiServer if request.param.startswith("scpi") else PlugServer
        server = stack.enter_context(made(_steady))
        yield _spec(request.param, server.address)


def test_a_meter_reads_watts(meter: MeterSpec) -> None:
    """Whatever the words, 7.5 W are 7.5 W, and the meter says which one it is."""
    with make_meter(meter) as opened:
        assert opened.read() == pytest.approx(7.5)
        assert meter.address in opened.describe()


@pytest.mark.parametrize("kind", KINDS)
def test_a_meter_that_is_not_there(kind: str) -> None:
    """Nobody listens: entering says so."""
    with ScpiServer(_steady) as server:
        address = server.address

    with pytest.raises(MeterError) as raised, make_meter(_spec(kind, address)):
        pass

    assert raised.value.code == "sensor"


def test_a_recording_stamps_readings_at_their_moments(meter: MeterSpec) -> None:
    """Moments rise, lie between start and stop, and no reading is lost."""
    with make_meter(meter) as opened:
        recorder = Recorder(opened, 50.0, 0.0)
        before = time.monotonic()
        recorder.start()
        time.sleep(0.4)
        recording = recorder.stop()

    assert list(recording.times_s) == sorted(recording.times_s)
    assert before < recording.times_s[0] <= recording.times_s[-1] < time.monotonic()
    assert set(recording.watts) == {7.5}
    assert recording.fault == ""
    assert not recording.is_regular


def test_setup_is_sent_once_and_before_the_first_query() -> None:
    """The instrument hears its identity asked, then the set-up, then queries."""
    with ScpiServer(_steady) as server, make_meter(_spec("scpi product", server.address)) as opened:
        opened.read()
        opened.read()

        assert server.heard == ["*IDN?", "SENS:RANG 15"] + ["MEAS:VOLT?", "MEAS:CURR?"] * 2


@pytest.mark.parametrize(
    "said", ["9.91E37", "-9.9E+37", "nan", "inf", "5,2", "OVLD", "1.0;2.0", "5 mW", "1e999", "x" * 5000, ""]
)
def test_what_is_no_number_is_no_reading(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SCPI's words for overload and nothing, other units and endless or missing answers raise."""
    monkeypatch.setattr(scpi, "PATIENCE_S", 0.2)
    with ScpiServer(_steady) as server, make_meter(_spec("scpi", server.address)) as opened:
        server.answers["MEAS:POW?"] = said

        with pytest.raises(MeterError):
            opened.read()


def test_a_late_answer_is_not_taken_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a silence the connection is closed: what comes late can never be read as another query's answer."""
    monkeypatch.setattr(scpi, "PATIENCE_S", 0.2)
    with ScpiServer(_steady) as server, make_meter(_spec("scpi", server.address)) as opened:
        server.answers["MEAS:POW?"] = ""
        with pytest.raises(MeterError):
            opened.read()
        del server.answers["MEAS:POW?"]

        with pytest.raises(MeterError, match="the connection is closed"):
            opened.read()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda plug: setattr(plug, "body", b'{"apower": "7.5"}'), "is no number"),
        (lambda plug: setattr(plug, "body", b'{"apower": NaN}'), "is no JSON"),
        (lambda plug: setattr(plug, "body", b'{"apower": true}'), "is no number"),
        (lambda plug: setattr(plug, "body", b'{"voltage": 230}'), "has no power"),
        (lambda plug: setattr(plug, "body", b"[7.5]"), "is no object"),
        (lambda plug: setattr(plug, "body", b"<html>"), "is no JSON"),
        (lambda plug: setattr(plug, "body", b'{"apower": 7.5' + b" " * 70_000 + b"}"), "is no JSON"),
        (lambda plug: setattr(plug, "status", 401), "HTTP status 401"),
    ],
    ids=["string", "nan", "bool", "no power", "array", "html", "endless", "unauthorised"],
)
def test_a_plug_that_says_something_else(change: Callable[[PlugServer], None], words: str) -> None:
    """An answer without a plain number of watts raises."""
    with PlugServer(_steady) as server, make_meter(_spec("shelly-gen2", server.address)) as opened:
        change(server)

        with pytest.raises(MeterError, match=words):
            opened.read()


def test_a_first_generation_shelly_that_doubts_itself() -> None:
    """`is_valid: false` is no reading."""
    with PlugServer(_steady) as server, make_meter(_spec("shelly-gen1", server.address)) as opened:
        server.body = b'{"power": 7.5, "is_valid": false}'

        with pytest.raises(MeterError, match="is no number"):
            opened.read()


def test_readings_that_fail_are_kept_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a recording a failed reading is NaN with the first reason, never left out and never 0."""
    monkeypatch.setattr(scpi, "PATIENCE_S", 0.2)
    with ScpiServer(_steady) as server, make_meter(_spec("scpi", server.address)) as opened:
        recorder = Recorder(opened, 100.0, 0.0)
        recorder.start()
        time.sleep(0.1)
        server.answers["MEAS:POW?"] = "OVLD"
        time.sleep(0.1)
        recording = recorder.stop()

    assert recording.watts[0] == 7.5
    assert math.isnan(recording.watts[-1])
    assert "'OVLD', which is no number" in recording.fault


def test_a_meter_that_averages_is_read_at_even_distances() -> None:
    """What averages over a period misses nothing of it when each period is read once."""
    with ScpiServer(_steady) as server, make_meter(_spec("scpi", server.address)) as opened:
        recorder = Recorder(opened, 50.0, 0.02)
        recorder.start()
        time.sleep(0.3)
        recording = recorder.stop()

    assert recording.is_regular
    assert np.median(np.diff(recording.times_s[:-1])) == pytest.approx(0.02, abs=0.01)


@pytest.mark.parametrize(
    ("address", "split"),
    [
        ("meter.lab", ("meter.lab", 5025)),
        ("meter.lab:99", ("meter.lab", 99)),
        ("[::1]:99", ("::1", 99)),
        ("[::1]", ("::1", 5025)),
    ],
)
def test_addresses(address: str, split: tuple[str, int]) -> None:
    """A port is split off where there is one."""
    assert split_address(address, 5025) == split
