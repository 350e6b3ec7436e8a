"""What a zygote gets to see: messages of one length, an environment that is told, no telemetry."""

from __future__ import annotations

import json

import pytest

from harness.agent.refusal import Refusal
from harness.agent.spawn import MAX_MESSAGE, PAGE, RUNTIME_SETTINGS, encode_request


def test_messages_are_of_one_length() -> None:
    """The heap of a zygote remembers how long a message was: a short and a long request are alike to it."""
    short, longer = encode_request({"nonce": "a"}), encode_request({"nonce": "a" * 500})

    assert len(short) == len(longer) == PAGE
    assert json.loads(short) == {"nonce": "a"}


def test_a_message_that_fills_a_page_takes_another() -> None:
    """Longer requests take whole pages, up to what a zygote reads at once."""
    assert len(encode_request({"nonce": "a" * PAGE})) == 2 * PAGE
    with pytest.raises(Refusal, match="longer than"):
        encode_request({"nonce": "a" * MAX_MESSAGE})


def test_onnxruntime_reports_nothing() -> None:
    """Its telemetry sends what models are called and runs in a thread: it is off, and the record says so."""
    assert RUNTIME_SETTINGS["ORT_DISABLE_TELEMETRY"] == "1"
