"""What is heard of a sustained session while it runs: words for people, and what is left when it is cut short."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.agent.message import SessionRequest, SustainRequest
from harness.device.sustained import Listener
from harness.errors import LinkLost

REQUEST = SessionRequest(
    "n-1", "sustained", "env", "onnxruntime", "a" * 64, ".onnx", "b" * 64, sustain=SustainRequest(1200.0)
)
DESCRIBED = {
    "scalars": {"load_s": 0.5}, "settings": {"allocator": "x"}, "flags": [], "cores": [3], "threads": 1,
    "provider": "CPU",
    "model_sha256": "a" * 64, "runtime_version": "1.32.0", "numpy": "2.2.6", "python": "3.11.2",
}  # fmt: skip
TOLD: dict[str, Any] = {
    "windows": [[101.0, 40.0, 0.02, 0.03], [102.0, 41.0, 0.02, 0.03]],
    "signs": [[100.0, 60.5, 1.5e9, None, None], [102.5, 61.5, 1.5e9, None, 3.25]],
}


def hear(*headers: dict[str, Any]) -> tuple[Listener, list[str]]:
    """Let a listener hear the headers of some pings."""
    said: list[str] = []
    listener = Listener(REQUEST, said.append)
    for header in headers:
        listener.hear(header)
    return listener, said


def test_a_line_says_how_it_stands() -> None:
    """Time, rate, heat, clock, power, and that throttling is not told; a ping without news says nothing."""
    _, said = hear({"progress": [{"described": DESCRIBED}]}, {"ok": True}, {"progress": [TOLD]})

    assert said == ["sustained 0:02 of 20:00, 41 /s, 61.5 °C, 1.5 GHz, 3.25 W, throttle unknown"]


def test_what_was_heard_is_kept_when_the_link_is_lost() -> None:
    """Rows and identity make a session with the flag that keeps it from deciding; the error goes with it."""
    error = LinkLost("gone", code="closed")
    more = {**TOLD, "windows": [[103.0, 42.0, 0.02, 0.03]], "signs": []}
    listener, _ = hear({"progress": [{"described": DESCRIBED}, TOLD]}, {"progress": [more]})

    left = listener.cut_short(error)

    assert left is not None
    assert left.cut_short is error
    assert left.reply.flags == ["cut-short"]
    assert (left.reply.model_sha256, left.reply.cores, left.reply.numpy) == ("a" * 64, [3], "2.2.6")
    assert left.reply.scalars == {"load_s": 0.5, "load_start_s": 100.0}
    assert list(left.arrays["window_calls"]) == [40.0, 41.0, 42.0]
    assert list(left.arrays["temperature_c"]) == [60.5, 61.5]
    assert np.isnan(left.arrays["mean_w"][0])
    assert "throttled" not in left.arrays


@pytest.mark.parametrize(
    "header",
    [
        {"progress": "nonsense"},
        {"progress": [{"windows": [[1.0, 2.0]]}]},
        {"progress": [{"windows": [["x", 1.0, 1.0, 1.0]]}]},
        {"progress": [{"described": {**DESCRIBED, "cores": [-1]}}]},
    ],
)
def test_what_cannot_be_read_counts_for_nothing(header: dict[str, Any]) -> None:
    """A board's nonsense is neither kept nor shown, and ends nothing."""
    listener, said = hear(header)

    assert listener.cut_short(LinkLost("gone", code="closed")) is None
    assert said == []
