"""The course of a session as a report draws it: windows, panels on one axis, gaps, and what is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.records.cell import ArrayRef, SessionKind, SessionRecord
from harness.records.plan import PlannedCell
from harness.report.course import COLUMNS, courses
from harness.report.svg import Drawing
from harness.spec.model import Device
from harness.testing.record import SampleRun, no_go_run

Arrays = dict[str, NDArray[np.generic]]


@pytest.fixture(name="run", scope="module")
def _run() -> SampleRun:
    return no_go_run()


def scene(run: SampleRun, kind: SessionKind) -> tuple[PlannedCell, SessionRecord, Device, Arrays]:
    """Give a cell with a session of that kind, its board and arrays."""
    for record in run.record.cells:
        for session in record.sessions:
            if session.kind is kind:
                planned = next(cell for cell in run.record.plan.cells if cell.key == record.key)
                device = next(item for item in run.record.plan.devices if item.name == planned.device)
                return planned, session, device, dict(run.samples.arrays(record.key))
    raise AssertionError(f"no {kind} session in the sample run")


def draw(run: SampleRun, kind: SessionKind, changed: Mapping[str, NDArray[np.generic]] | None = None) -> Drawing:
    """Draw the session of that kind with some arrays changed."""
    planned, session, device, arrays = scene(run, kind)
    arrays |= {session.arrays[name].key: array for name, array in (changed or {}).items()}
    (drawing,) = courses(planned, [session], device, arrays)
    return drawing


def test_energy_has_its_windows_and_its_figure(run: SampleRun) -> None:
    """One measured window, two of rest, three panels, and the energy with uncertainty, scope and sensor in words."""
    drawing = draw(run, SessionKind.ENERGY)

    svg = str(drawing.svg)
    assert svg.count('class="window"') == 3
    assert svg.count('class="idle"') == 6
    assert [name for name in ("Power", "Temperature", "Frequency") if f">{name}</text>" in svg] == [
        "Power", "Temperature", "Frequency",
    ]  # fmt: skip
    assert 'role="img"' in svg
    assert "<title>Power, heat and clock of session" in svg
    assert "per inference (standard uncertainty)" in drawing.caption
    assert "Seen: the module (hwmon ina3221 VDD_IN)." in drawing.caption


def test_a_trace_that_is_worth_no_number_is_drawn_with_its_reason(run: SampleRun) -> None:
    """A frozen sensor's line stands there, and no joules do."""
    size = scene(run, SessionKind.ENERGY)[1].arrays["power_w"].shape

    drawing = draw(run, SessionKind.ENERGY, {"power_w": np.full(size, 3.0)})

    assert "No energy: power trace: all" in drawing.caption
    assert "per inference" not in drawing.caption


def test_a_short_peak_is_not_thinned_out(run: SampleRun) -> None:
    """One reading in sixty thousand keeps its place in the drawing."""
    planned, session, device, _ = scene(run, SessionKind.ENERGY)
    time_s = np.linspace(100.0, 120.0, 60_000)
    watts = np.full(60_000, 2.0)
    watts[31_234] = 9.0
    refs = {name: ArrayRef(f"x/{name}", (60_000,), "float64") for name in ("power_t_s", "power_w")}
    (drawing,) = courses(planned, [replace(session, arrays=refs)], device, {"x/power_t_s": time_s, "x/power_w": watts})

    line = str(drawing.svg).split('points="')[1].split('"')[0]
    heights = [float(point.split(",")[1]) for point in line.split()]
    assert len(heights) <= 2 * COLUMNS
    assert min(heights) < min(sorted(heights)[1:]) - 50


def test_a_load_that_lasts(run: SampleRun) -> None:
    """Throughput, heat, clock and power; throttling in red from where it began; minutes on the axis."""
    drawing = draw(run, SessionKind.SUSTAINED)

    svg = str(drawing.svg)
    assert svg.count('class="bad"') == 4
    assert all(f">{name}</text>" in svg for name in ("Throughput", "Temperature", "Frequency", "Power", "last third"))
    assert ">10 min</text>" in svg
    assert "throttled (red) from 420 s on" in drawing.caption


def test_gaps_and_what_was_never_told(run: SampleRun) -> None:
    """Temperatures that are missing leave a gap, and "unknown" is no "did not"."""
    planned, session, device, arrays = scene(run, SessionKind.SUSTAINED)
    celsius = np.asarray(arrays[session.arrays["temperature_c"].key], dtype=np.float64).copy()
    celsius[500:700] = np.nan
    arrays[session.arrays["temperature_c"].key] = celsius
    kept = {name: ref for name, ref in session.arrays.items() if name != "throttled"}
    whole = draw(run, SessionKind.SUSTAINED)

    (drawing,) = courses(planned, [replace(session, arrays=kept)], device, arrays)

    assert str(drawing.svg).count("<polyline") == str(whole.svg).count("<polyline") + 1
    assert "nan" not in str(drawing.svg)
    assert "Whether the board throttled is unknown." in drawing.caption


def test_windows_that_do_not_follow_each_other_are_not_drawn(run: SampleRun) -> None:
    """A board's nonsense makes no picture."""
    planned, session, device, arrays = scene(run, SessionKind.SUSTAINED)
    key = session.arrays["window_end_s"].key
    arrays[key] = arrays[key][::-1]

    assert courses(planned, [session], device, arrays) == []
