"""Plugs that tell their power over HTTP: Shelly of both generations, Tasmota.

They measure at the wall, renew their reading about once a second and tell tenths of a watt: good for minutes of load.
Source: vendors' API pages (Shelly Gen1 /meter, Gen2 Switch.GetStatus; Tasmota Status 8).
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

from harness.meters.port import MeterError, split_address
from harness.spec.model import MeterSpec

PATIENCE_S = 3.0
_LONGEST = 64 << 10


class Words(NamedTuple):
    """How one make is asked, and where its watts stand in the answer."""

    path: str
    pick: Callable[[Mapping[str, Any], int], object]


def _shelly_gen1(answer: Mapping[str, Any], _: int) -> object:
    return answer["power"] if answer.get("is_valid", True) is True else None


def _tasmota(answer: Mapping[str, Any], channel: int) -> object:
    power = answer["StatusSNS"]["ENERGY"]["Power"]
    return power[channel] if isinstance(power, list) else power


MAKES = {
    "shelly-gen1": Words("/meter/{channel}", _shelly_gen1),
    "shelly-gen2": Words("/rpc/Switch.GetStatus?id={channel}", lambda answer, _: answer["apower"]),
    "tasmota": Words("/cm?cmnd=Status%208", _tasmota),
}


class PlugMeter:
    """One output of one plug; each reading is a request of its own, as these small servers like it."""

    def __init__(self, spec: MeterSpec) -> None:
        self._host, self._port = split_address(spec.address, 80)
        self._make = spec.make
        self._channel = spec.channel

    def __enter__(self) -> Self:
        self.read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing stays open between readings."""

    def read(self) -> float:
        """Ask the plug."""
        words = MAKES[self._make]
        answer = self._get(words.path.format(channel=self._channel))
        try:
            watts = words.pick(answer, self._channel)
        except (KeyError, IndexError, TypeError) as error:
            raise MeterError(f"{self.describe()}: its answer has no power: {str(answer)[:80]}") from error
        if isinstance(watts, bool) or not isinstance(watts, int | float):
            raise MeterError(f"{self.describe()}: {str(watts)[:40]!r} is no number")
        return float(watts)

    def describe(self) -> str:
        """Return make, address and channel."""
        return f"{self._make} {self._host}:{self._port} channel {self._channel}"

    def _get(self, path: str) -> Mapping[str, Any]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=PATIENCE_S)
        try:
            connection.request("GET", path, headers={"Accept": "application/json", "Connection": "close"})
            response = connection.getresponse()
            body = response.read(_LONGEST)
        except (OSError, http.client.HTTPException) as error:
            raise MeterError(f"{self.describe()}: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise MeterError(f"{self.describe()}: HTTP status {response.status}")
        try:
            answer = json.loads(body, parse_constant=_refuse_constant)
        except ValueError as error:
            raise MeterError(f"{self.describe()}: its answer is no JSON: {body[:40]!r}") from error
        if not isinstance(answer, dict):
            raise MeterError(f"{self.describe()}: its answer is no object")
        return answer


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
