"""The port of external power meters, and which kinds there are."""

from __future__ import annotations

import importlib
from types import TracebackType
from typing import Protocol, Self

from harness.errors import DeviceError
from harness.spec.model import MeterSpec
from harness.spec.outside import load_meter

METERS = {"scpi": "harness.meters.scpi:ScpiMeter", "plug": "harness.meters.plug:PlugMeter"}
"""Kind -> class that takes a MeterSpec."""


class MeterError(DeviceError):
    """A meter is not there or does not say what a meter says."""

    code = "sensor"


class Meter(Protocol):
    """An open meter; entering connects, leaving lets go."""

    def __enter__(self) -> Self:
        """Connect and set up; MeterError when it is not there."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of it."""

    def read(self) -> float:
        """Return watts at this moment; MeterError when it gives no number."""

    def describe(self) -> str:
        """Say which meter this is, for the record."""


def make_meter(spec: MeterSpec) -> Meter:
    """Make the meter of a board, not connected yet.

    Raises:
        MeterError: no installed package has such a meter, or it cannot be loaded or made.
    """
    made: Meter
    if spec.kind in METERS:
        module, _, name = METERS[spec.kind].partition(":")
        made = getattr(importlib.import_module(module), name)(spec)
        return made
    try:
        made = load_meter(spec.kind)(spec)
    except Exception as error:
        raise MeterError(f"the meter {spec.kind!r} cannot be made: {error or type(error).__name__}") from error
    return made


def split_address(address: str, default_port: int) -> tuple[str, int]:
    """Split `host`, `host:port` or `[v6]:port`."""
    host, colon, port = address.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = address, ""
    return host.strip("[]"), int(port) if port else default_port
