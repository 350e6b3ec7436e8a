"""When the player plays: power follows a load, and a load alone, by the board's account of its idle time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.testing.power import player
from harness.testing.power.player import Player

Spans = list[tuple[float, float]]


class _End(Exception):  # noqa: N818  the end of the test's time, no error
    """The board's time is over."""


class _Board:
    """A board's clock and idle time, which pass only while somebody sleeps."""

    def __init__(self, busy: Spans, end_s: float) -> None:
        self._busy, self._end_s, self._now = busy, end_s, 100.0

    def monotonic(self) -> float:
        """Seconds since 100 s before the test began."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Pass the time, a little longer than asked."""
        self._now += seconds + 1e-4
        if self._now > 100.0 + self._end_s:
            raise _End

    def idle(self) -> str:
        """Return the idle time, in hundredths of a second as the kernel does."""
        now = self._now - 100.0
        busy_s = sum(max(0.0, min(now, end) - begin) for begin, end in self._busy)
        return f"{now - busy_s:.2f}"


class _Sensor:
    """Keeps what it was made to show, and when."""

    def __init__(self, board: _Board) -> None:
        self._board = board
        self.shown: list[tuple[float, float, float]] = []

    def show(self, watts: float, joules: float) -> None:
        """Note seconds since the test began, watts and joules."""
        self.shown.append((self._board.monotonic() - 100.0, watts, joules))


def _play(busy: Spans, monkeypatch: pytest.MonkeyPatch, folder: Path, **told: Any) -> tuple[_Sensor, list[Any]]:
    """Play 5 W and after a second 8 W on a board that is busy in these spans; return sensor and noted loads."""
    board = _Board(busy, end_s=12.0)
    sensor = _Sensor(board)
    monkeypatch.setattr(player, "time", board)
    monkeypatch.setattr(player, "_idle", board.idle)
    script = {"idle_w": 2.0, "steps": [(0.0, 5.0), (1.0, 8.0)], "events": [], "stuck_after_s": None, "tick_s": 0.0}
    files = {"ready": str(folder / "ready"), "log": str(folder / "log")}
    with pytest.raises(_End):
        Player(sensor, {**script, **files, **told}).run()
    log = folder / "log"
    return sensor, [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_a_script_is_played_from_the_load_that_follows_a_rest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither what comes before a rest nor a login within it begins the script; it ends with the load."""
    sensor, loads = _play([(0.5, 2.0), (3.2, 3.25), (4.5, 8.0)], monkeypatch, tmp_path)

    (load,) = loads
    assert 100.0 + 4.5 < load["start_s"] < 100.0 + 4.62
    assert 100.0 + 8.0 < load["end_s"] < 100.0 + 8.06
    assert load["late_s"] < 0.001
    start = load["start_s"] - 100.0
    assert [watts for _, watts, _ in sensor.shown] == [2.0, 5.0, 8.0, 2.0]
    assert sensor.shown[1][0] == pytest.approx(start, abs=0.001)
    assert sensor.shown[2][0] == pytest.approx(start + 1.0, abs=0.001)


def test_a_login_long_enough_to_look_like_a_load_does_not_hide_the_load(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Power rises for that moment, as a board's would; the load after it is played from its own beginning."""
    _, loads = _play([(3.0, 3.2), (3.9, 7.0)], monkeypatch, tmp_path)

    assert [round(load["start_s"] - 100.0, 1) for load in loads] == [4.0]


def test_a_stuck_sensor_shows_nothing_more_while_joules_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From the second step on it stands, when the load has ended too."""
    sensor, loads = _play([(3.0, 7.0)], monkeypatch, tmp_path, stuck_after_s=0.5)

    assert [watts for _, watts, _ in sensor.shown] == [2.0, 5.0]
    assert len(loads) == 1


class _Counted(dict[str, Any]):
    """An event that counts how often its file is asked for."""

    asked = 0

    def __getitem__(self, key: str) -> Any:
        self.asked += key == "path"
        return super().__getitem__(key)


def test_an_event_happens_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A driver is unbound in the first load; the second one has nothing left to unbind."""
    event = _Counted(at_s=0.5, path=str(tmp_path / "unbind"), text="0-0040")

    _, loads = _play([(3.0, 5.0), (8.0, 10.5)], monkeypatch, tmp_path, events=[event])

    assert (len(loads), event.asked) == (2, 1)
    assert (tmp_path / "unbind").read_text() == "0-0040"


def test_a_counter_runs_at_rest_and_under_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Renewed every 5 ms: joules are those of the power that was shown until then."""
    sensor, loads = _play([(3.0, 7.0)], monkeypatch, tmp_path, tick_s=0.005)

    start, end = (loads[0][name] - 100.0 for name in ("start_s", "end_s"))
    last_s, _, joules = sensor.shown[-1]
    expected = 2.0 * start + 5.0 + 8.0 * (end - start - 1.0) + 2.0 * (last_s - end)
    assert joules == pytest.approx(expected, rel=1e-3)
    assert len(sensor.shown) > 11.9 / 0.006
