"""Profiles come from boards: nothing beyond bounds is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.errors import RecordError
from harness.records.canonical import to_json
from harness.records.profile import Profile, parse_profile, read_text
from harness.testing.profile import make_profile

GOOD = make_profile({"conv Conv": 900, "relu Relu": -3})
FIRST = GOOD.operators[0]


def test_a_profile_survives_the_way() -> None:
    """Written and read again it is the same, negative costs included."""
    assert parse_profile(to_json(GOOD)) == GOOD


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, operators=()),
        replace(GOOD, operators=(replace(FIRST, name="x" * 401),)),
        replace(GOOD, operators=(replace(FIRST, instructions=2**60),)),
        replace(GOOD, operators=(FIRST,) * 4097),
    ],
    ids=["empty", "long-name", "huge-count", "too-many"],
)
def test_beyond_bounds_is_refused(bad: Profile) -> None:
    """Names, numbers and lengths are bounded."""
    with pytest.raises(RecordError):
        parse_profile(to_json(bad))


@pytest.mark.parametrize("text", [b"[]", b'{"operators": []}', to_json(GOOD)[:-20], b" " * (2**22 + 1)])
def test_what_is_no_profile_is_refused(text: bytes) -> None:
    """Another form, a cut text, a flood."""
    with pytest.raises(RecordError):
        parse_profile(text)


def test_a_text_is_an_array_of_bytes() -> None:
    """Anything else is no text."""
    assert read_text(np.frombuffer(b"{}", np.uint8)) == b"{}"
    with pytest.raises(RecordError, match="float64"):
        read_text(np.zeros(3))
