"""A sustained session as it is heard while it runs: a line of progress, and what is left of it when it is cut short.

What a board tells on the way is as hostile as its replies; what cannot be read ends nothing and counts for nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from harness.agent.message import SessionReply, SessionRequest
from harness.device.envelope import SessionResult
from harness.errors import FleetgateError
from harness.units import Dimension, format

SUSTAINED = "sustained"
CUT_SHORT = "cut-short"
MOST_POINTS = 1200
"""Of a trace of power that the controller reads beside it."""
_WINDOWS = ("window_end_s", "window_calls", "window_median_s", "window_longest_s")
_SIGNS = ("signs_t_s", "temperature_c", "frequency_hz", "throttled", "mean_w")
_MOST = 10_000
"""Rows that are kept of one session; an honest one has some more than a thousand."""
_Number = Annotated[float, Field(allow_inf_nan=False)]


@dataclasses.dataclass(frozen=True, slots=True)
class _Described:
    scalars: dict[str, _Number]
    settings: dict[str, str]
    cores: list[Annotated[int, Field(ge=0, le=1 << 20)]]
    threads: Annotated[int, Field(ge=0, le=1 << 20)]
    provider: str
    model_sha256: str
    runtime_version: str
    numpy: str
    python: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Progress:
    described: _Described | None = None
    windows: list[tuple[_Number, _Number, _Number, _Number]] = dataclasses.field(default_factory=list)
    signs: list[tuple[_Number, _Number | None, _Number | None, _Number | None, _Number | None]] = dataclasses.field(
        default_factory=list
    )


_ADAPTER = TypeAdapter(list[_Progress])


class Listener:
    """Takes what a session tells on the way; `hear` is called from the thread that listens to the board.

    Args:
        request: the session, with how long it lasts.
        progress: gets a line of words.
    """

    def __init__(self, request: SessionRequest, progress: Callable[[str], None]) -> None:
        self._request, self._progress = request, progress
        self._described: _Described | None = None
        self._windows: list[tuple[float, ...]] = []
        self._signs: list[tuple[float | None, ...]] = []

    def hear(self, header: Mapping[str, Any]) -> None:
        """Take the header of a ping's reply."""
        try:
            told = _ADAPTER.validate_python(header.get("progress", []))
        except ValidationError:
            return
        for item in told:
            self._described = self._described or item.described
            self._windows = [*self._windows, *item.windows][:_MOST]
            self._signs = [*self._signs, *item.signs][:_MOST]
        if told and self._windows:
            self._progress(self._words())

    def cut_short(self, error: FleetgateError) -> SessionResult | None:
        """Return what was heard before `error` ended the session; None where it is nothing yet."""
        described = self._described
        if described is None or not self._windows:
            return None
        reply = SessionReply(nonce=self._request.nonce, wait_status=0, sha256="", end=False, flags=[CUT_SHORT])
        reply = dataclasses.replace(reply, **{name: getattr(described, name) for name in _Described.__slots__})
        reply.scalars["load_start_s"] = self._signs[0][0] or 0.0 if self._signs else self._windows[0][0]
        windows, signs = (np.array(rows, dtype=np.float64) for rows in (self._windows, self._signs))
        arrays = {name: windows[:, column] for column, name in enumerate(_WINDOWS)}
        columns = {name: signs.reshape(-1, len(_SIGNS))[:, column] for column, name in enumerate(_SIGNS)}
        arrays |= {name: column for name, column in columns.items() if np.isfinite(column).any()}
        return SessionResult(reply, arrays, cut_short=error)

    def _words(self) -> str:
        asked = self._request.sustain
        start = self._signs[0][0] if self._signs else self._windows[0][0]
        elapsed_s = self._windows[-1][0] - (start or 0.0)
        words = [f"sustained {_clock(elapsed_s)} of {_clock(asked.time_s if asked else 0.0)}"]
        if len(self._windows) > 1:
            last, before = self._windows[-1], self._windows[-2]
            words.append(format(last[1] / max(last[0] - before[0], 1e-9), Dimension.RATE))
        if self._signs:
            _, celsius, hertz, throttled, watts = self._signs[-1]
            told = ((celsius, Dimension.TEMPERATURE), (hertz, Dimension.FREQUENCY), (watts, Dimension.POWER))
            words += [format(value, dimension) for value, dimension in told if value is not None]
            words.append("throttle unknown" if throttled is None else "throttled" if throttled else "not throttled")
        return ", ".join(words)


def _clock(seconds: float) -> str:
    whole = max(0, min(round(seconds), 10**7))
    return f"{whole // 60}:{whole % 60:02d}"
