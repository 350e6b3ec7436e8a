"""Meters of other packages: found by entry point, loaded where a farm names them, refused by file, line and column."""

from __future__ import annotations

import importlib
import shutil
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.campaign.doctor import describe_meters
from harness.errors import SpecError
from harness.meters.port import MeterError, make_meter
from harness.meters.recorder import Recorder
from harness.spec import load_farm
from harness.spec.model import MeterSpec

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "fleetgate-joulescope"
FARM = "farm: lab\ndevices:\n  - {name: pi, profile: rpi5, ssh: pi, power: {meter: %s}}\n"
JOULESCOPE = '''
"""The shape of the `joulescope` package: an instrument that sends what a test writes into `SAID`."""
import threading

SAID = {"watts": 3.5, "found": 1, "log": []}

class Device:
    def __init__(self):
        self._cbk, self._end = None, threading.Event()
    def open(self): SAID["log"].append("open")
    def parameter_set(self, name, value): SAID["log"].append(f"{name}={value}")
    def statistics_callback_register(self, cbk, source=None):
        assert source == "sensor"
        self._cbk = cbk
        threading.Thread(target=self._send, daemon=True).start()
    def _send(self):
        while not self._end.wait(0.01):
            if SAID["watts"] is not None:
                self._cbk({"signals": {"power": {"µ": {"value": SAID["watts"], "units": "W"}}}})
    def close(self):
        self._end.set()
        SAID["log"].append("close")
    def __str__(self): return "JS220-001234"

def scan_require_one(name=None, config=None):
    if SAID["found"] != 1:
        raise RuntimeError("no devices found")
    return Device()
'''
ACME = """
    from harness.meters.port import MeterError
    class Meter:
        def __init__(self, spec):
            if "port" not in spec.options:
                raise ValueError("acme needs the option 'port'")
            self.port = spec.options["port"]
        def __enter__(self): return self
        def __exit__(self, *_): pass
        def read(self): return 2.5
        def describe(self): return f"acme at {self.port}"
    class Half:
        def __init__(self, spec): pass
        def read(self): return 1.0
    number = 5
"""
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a package where Python looks for installed ones, with the metadata that an installer writes."""
    site, made = tmp_path / "site", []
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def put(name: str, source: str, meters: dict[str, str]) -> None:
        module = name.replace("-", "_")
        (site / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
        info = site / f"{module}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", encoding="utf-8")
        lines = "".join(f"{meter} = {place}\n" for meter, place in meters.items())
        (info / "entry_points.txt").write_text(f"[fleetgate.meters]\n{lines}", encoding="utf-8")
        made.append(module)

    yield put
    for module in made:
        sys.modules.pop(module, None)


@pytest.fixture
def joulescope(install: Install, tmp_path: Path) -> Iterator[dict[str, object]]:
    """Install the example package of the documentation, and a stand-in for what it drives."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    install("fleetgate-joulescope", "", project["entry-points"]["fleetgate.meters"])
    shutil.copy(EXAMPLE / "fleetgate_joulescope.py", tmp_path / "site")
    (tmp_path / "site" / "joulescope.py").write_text(JOULESCOPE, encoding="utf-8")
    yield importlib.import_module("joulescope").SAID
    sys.modules.pop("joulescope")


def _refused(tmp_path: Path, meter: str) -> str:
    (tmp_path / "farm.yaml").write_text(FARM % meter, encoding="utf-8")
    with pytest.raises(SpecError) as raised:
        load_farm(tmp_path / "farm.yaml")
    (problem,) = raised.value.problems
    assert (Path(problem.file).name, problem.line, problem.column) == ("farm.yaml", 3, 55)
    return str(problem)


def test_the_example_package_is_a_meter(joulescope: dict[str, object], tmp_path: Path) -> None:
    """A farm names it, its instrument is opened, read at a rate, named, and closed."""
    (tmp_path / "farm.yaml").write_text(
        FARM % "joulescope, rate: 50 /s, averaging: 20 ms, options: {current_range: '180 mA'}", encoding="utf-8"
    )
    (device,) = load_farm(tmp_path / "farm.yaml").devices
    assert device.power is not None

    with make_meter(device.power) as opened:
        recorder = Recorder(opened, device.power.rate_hz, device.power.averaging_s)
        recorder.start()
        described = opened.describe()
        recording = recorder.stop()

    assert device.power.is_external
    assert described == "joulescope JS220-001234"
    assert set(recording.watts) == {3.5}
    assert recording.fault == ""
    assert joulescope["log"] == ["open", "i_range=180 mA", "close"]


def test_an_instrument_that_is_not_there_or_falls_silent(
    joulescope: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes wrong with the instrument is a MeterError, and an instrument that was opened is closed."""
    monkeypatch.setattr(importlib.import_module("fleetgate_joulescope"), "PATIENCE_S", 0.05)
    joulescope.update(found=0)
    with pytest.raises(MeterError, match="no devices found"), make_meter(MeterSpec("joulescope")):
        pass
    joulescope.update(found=1, watts=None)
    with pytest.raises(MeterError, match="no reading for"), make_meter(MeterSpec("joulescope")):
        pass

    assert joulescope["log"] == ["open", "i_range=auto", "close"]


def test_the_words_of_a_farm_are_the_packages_own(joulescope: dict[str, object], tmp_path: Path) -> None:
    """An option that the meter does not know is told where the farm names the meter."""
    assert "unknown option 'gain'; options: current_range" in _refused(tmp_path, "joulescope, options: {gain: high}")


def test_options_come_to_the_meter(install: Install, tmp_path: Path) -> None:
    """What stands under `options` is what the package's class gets; without it the class refuses."""
    install("acme-meter", ACME, {"acme": "acme_meter:Meter"})
    (tmp_path / "farm.yaml").write_text(FARM % "acme, options: {port: /dev/ttyACM0}", encoding="utf-8")

    (device,) = load_farm(tmp_path / "farm.yaml").devices

    assert device.power is not None
    with make_meter(device.power) as opened:
        assert (opened.read(), opened.describe()) == (2.5, "acme at /dev/ttyACM0")
    assert "acme needs the option 'port'" in _refused(tmp_path, "acme")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("acme_meter:Half", "acme-meter 1.2 (acme_meter:Half) is no meter: it has no __enter__, __exit__, describe"),
        ("acme_meter:number", "is no meter"),
        ("acme_meter:Missing", "cannot be loaded: AttributeError"),
        ("acme_metre:Meter", "cannot be loaded: ModuleNotFoundError: No module named 'acme_metre'"),
    ],
)
def test_a_broken_package_is_named(install: Install, tmp_path: Path, place: str, said: str) -> None:
    """A package whose entry point leads nowhere, or to no meter, ends the run before it begins, with its name."""
    install("acme-meter", ACME, {"acme": place})

    assert said in _refused(tmp_path, "acme")
    with pytest.raises(MeterError, match="cannot be made"):
        make_meter(MeterSpec("acme"))
    assert any("cannot be used" in line and "acme-meter 1.2" in line for line in describe_meters())


def test_an_unknown_meter_says_where_meters_come_from(tmp_path: Path) -> None:
    """Nothing of that name is installed."""
    said = _refused(tmp_path, "ppk2")

    assert "unknown meter 'ppk2'" in said
    assert "fleetgate.meters" in said


def test_two_packages_of_one_name_are_refused(install: Install, tmp_path: Path) -> None:
    """Which of them would be used would be chance."""
    install("acme-meter", ACME, {"acme": "acme_meter:Meter"})
    install("other-acme", ACME, {"acme": "other_acme:Meter"})

    said = _refused(tmp_path, "acme, options: {port: a}")

    assert "brought by two packages: acme-meter 1.2 (acme_meter:Meter) and other-acme 1.2 (other_acme:Meter)" in said


def test_a_meter_of_a_board_that_is_not_used_may_be_missing(tmp_path: Path) -> None:
    """The farm is the lab's; this machine uses one board of it."""
    two = FARM % "acme" + "  - {name: here, profile: host}\n"
    (tmp_path / "farm.yaml").write_text(two, encoding="utf-8")

    assert [device.name for device in load_farm(tmp_path / "farm.yaml", select="here").devices] == ["here"]


def test_doctor_lists_what_is_installed(install: Install, joulescope: dict[str, object]) -> None:
    """Each meter with its package; one that has a name of Fleetgate's is not used."""
    install("acme-meter", ACME, {"acme": "acme_meter:Meter", "scpi": "acme_meter:Meter"})

    lines = list(describe_meters())

    assert lines[0] == "meters of installed packages"
    assert "  acme         acme-meter 1.2 (acme_meter:Meter)" in lines
    assert "  joulescope   fleetgate-joulescope 1.2 (fleetgate_joulescope:JoulescopeMeter)" in lines
    assert any(line.startswith("  scpi") and "not used: Fleetgate has a meter of this name" in line for line in lines)
    assert joulescope["log"] == []
