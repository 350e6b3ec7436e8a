"""Joulescope JS110 and JS220 as power meters of Fleetgate: `power: {meter: joulescope, averaging: 0.5 s, rate: 2 /s}`.

Written against the documented interface of the `joulescope` package (`scan_require_one`, the statistics structure and
`statistics_callback_register`) and tried on a stand-in of the same shape; it has not met an instrument. The instrument
integrates volts times amperes itself and sends one mean per update, twice a second as delivered: a reading is the
newest one, each is told once.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

from harness.meters.port import MeterError
from harness.spec.model import MeterSpec

PATIENCE_S = 5.0
"""Longest time between two updates."""
_OPTIONS = {"current_range": "i_range", "voltage_range": "v_range"}
"""Words of farm.yaml, and the instrument's names of these parameters."""


class JoulescopeMeter:
    """The one Joulescope that is plugged in."""

    def __init__(self, spec: MeterSpec) -> None:
        unknown = sorted(spec.options.keys() - _OPTIONS.keys())
        if unknown or spec.address or spec.channel:
            said = f"unknown option {unknown[0]!r}" if unknown else "it has no address and no channel"
            raise ValueError(f"{said}; options: {', '.join(_OPTIONS)}")
        self._options = spec.options
        self._device: Any = None
        self._seen = threading.Condition()
        self._watts: float | None = None

    def __enter__(self) -> Self:
        """Open the instrument and wait for its first word."""
        import joulescope

        try:
            self._device = joulescope.scan_require_one(config="off")
            self._device.open()
            for word, value in {"current_range": "auto", **self._options}.items():
                self._device.parameter_set(_OPTIONS[word], value)
            self._device.statistics_callback_register(self._hear, "sensor")
            self.read()
        except Exception as error:
            self._close()
            raise MeterError(f"joulescope: {error or type(error).__name__}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it; its output stays as it is, so that the board keeps its power."""
        self._close()

    def read(self) -> float:
        """Return the mean power of the newest update, which may be waited for; MeterError when none comes."""
        with self._seen:
            if not self._seen.wait_for(lambda: self._watts is not None, timeout=PATIENCE_S) or self._watts is None:
                raise MeterError(f"no reading for {PATIENCE_S:g} s")
            watts, self._watts = self._watts, None
            return watts

    def describe(self) -> str:
        """Return model and serial number as the package tells them."""
        return f"joulescope {self._device}"

    def _hear(self, statistics: dict[str, Any]) -> None:
        """Take one update; called from the package's thread."""
        with self._seen:
            self._watts = float(statistics["signals"]["power"]["µ"]["value"])
            self._seen.notify_all()

    def _close(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            device.close()
