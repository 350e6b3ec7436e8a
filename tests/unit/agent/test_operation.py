"""Requests of a session: what is unknown or empty is refused before anything runs."""

from __future__ import annotations

import pytest

from harness.agent.message import MeterRequest, SessionRequest
from harness.agent.operation import parse_request
from harness.agent.process import describe_status
from harness.agent.refusal import Refusal

FIELDS: dict[str, object] = {
    "nonce": "n", "kind": "timing", "env": "system", "runtime": "onnxruntime",
    "model": "a", "suffix": ".onnx", "data": "b",
}  # fmt: skip


def test_fields_become_a_request() -> None:
    """Wire words are dropped, the meter becomes its own type."""
    request = parse_request(dict(FIELDS, v=1, id=7, op="session", meter={"kind": "hwmon", "rail": "vdd"}))

    assert request == SessionRequest(**FIELDS, meter=MeterRequest("hwmon", rail="vdd"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "extra", [{"warmupp": 3}, {"kind": "speed"}, {"repeat": 0}, {"threads": 0}, {"deadline_s": 0}, {"warmup": -1},
     {"data": ""}, {"data": "", "kind": "accuracy"}, {"data": "", "kind": "accuracy", "samples": 1, "seed": -1}],
)  # fmt: skip
def test_wrong_requests_are_refused(extra: dict[str, object]) -> None:
    """An unknown field, an unknown kind and a run of nothing are errors of the request."""
    with pytest.raises(Refusal) as refused:
        parse_request({**FIELDS, **extra})

    assert refused.value.code == "request"


@pytest.mark.parametrize(
    ("status", "words"),
    [(11, "signal 11 (SIGSEGV)"), (9, "signal 9 (SIGKILL)"), (3 << 8, "exit status 3"), (120, "120")],
)
def test_wait_status_in_words(status: int, words: str) -> None:
    """Signals are named, also those that Python has no name for."""
    assert words in describe_status(status)
