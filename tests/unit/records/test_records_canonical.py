"""Records as bytes: canonical one way, suspicious the other."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import RecordError
from harness.records.canonical import from_json, plan_sha256, schema, slug, to_json
from harness.records.cell import ArrayRef, CellRecord, Incident
from harness.records.outcome import Attribution, Outcome
from harness.records.run import RunRecord
from harness.records.verdict import Estimate
from harness.testing.evidence import Scene, run_of

NUMBER = st.floats(allow_nan=False, allow_infinity=False)


def _estimate(**changes: object) -> bytes:
    fields = {"value": 1.5, "low": 1.0, "high": 2.0, "n": 6, "method": "m", "label": "", "components": {}}
    return json.dumps({**fields, **changes}).encode()


def test_a_run_survives_the_way_there_and_back() -> None:
    """Reading what was written gives the same run, and writing it again the same bytes."""
    run, _ = run_of([Scene(baseline=0.98).evidence()])

    data = to_json(run)

    assert from_json(RunRecord, data) == run
    assert to_json(from_json(RunRecord, data)) == data
    assert data.endswith(b"}\n")


def test_keys_are_sorted_and_text_is_utf8() -> None:
    """The bytes do not depend on the order of fields or on the platform."""
    incident = Incident(Outcome.INFRA, Attribution.INFRA, "link", "Verbindung getrennt: é")

    text = to_json(incident).decode()

    assert [*json.loads(text)] == ["attribution", "code", "message", "outcome", "role"]
    assert "é" in text


@given(NUMBER, st.one_of(st.none(), NUMBER), st.text())
def test_any_estimate_round_trips(value: float, end: float | None, method: str) -> None:
    """Floats keep every bit and text keeps every valid character."""
    estimate = Estimate(value, end, None, 3, method)

    assert from_json(Estimate, to_json(estimate)) == Estimate(
        value, end, None, 3, method.encode("utf-8", "replace").decode()
    )


def test_an_unbounded_end_is_null() -> None:
    """JSON has no infinity: an open interval is written as null and read as None."""
    assert json.loads(to_json(Estimate(1.0, None, None, 2, "m")))["low"] is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_figure_is_never_written(bad: float) -> None:
    """NaN and infinity are refused with the path of the field."""
    with pytest.raises(RecordError, match=r"Estimate\.value"):
        to_json(Estimate(bad, None, None, 2, "m"))


def test_an_int_in_a_float_field_is_written_as_the_float_that_is_read() -> None:
    """Equal records give equal bytes, whichever number type a board's JSON had."""
    assert to_json(Estimate(1, 1, 2, 3, "m")) == to_json(Estimate(1.0, 1.0, 2.0, 3, "m"))


def test_numpy_scalars_are_plain_numbers() -> None:
    """A float32 or int64 that slipped in is written as a number."""
    written = to_json(ArrayRef("k", (np.int64(3),), "float32"))  # type: ignore[arg-type]

    assert json.loads(written)["shape"] == [3]


def test_broken_unicode_of_a_board_does_not_lose_the_run() -> None:
    """A lone surrogate in a log line becomes `?`."""
    incident = Incident(Outcome.INFRA, Attribution.INFRA, "x", "bad \udc80 byte")

    assert from_json(Incident, to_json(incident)).message == "bad ? byte"


HOSTILE = {
    "duplicate key": (b'{"value": 1.0, "value": 2.0}', "stands twice"),
    "NaN": (b'{"value": NaN}', "NaN is not a figure"),
    "infinity": (b'{"value": -Infinity}', "-Infinity is not a figure"),
    "beyond float": (b'{"value": 1e999}', "beyond every figure"),
    "endless integer": (b'{"n": ' + b"9" * 5000 + b"}", "5000 digits"),
    "deep nesting": (b"[" * 100_000, "nested too deeply"),
    "not UTF-8": (b'{"method": "\xff"}', "not readable as JSON"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "not readable as JSON"),
    "truncated": (_estimate()[:-5], "not readable as JSON"),
    "two documents": (_estimate() + _estimate(), "not readable as JSON"),
    "empty": (b"", "not readable as JSON"),
    "unknown key": (_estimate(colour="red"), "unknown key 'colour'"),
    "missing key": (b'{"value": 1.0}', "problems in all"),
    "wrong type": (_estimate(value="1.5"), r"value: Input should be a valid number"),
    "bool for a number": (_estimate(n=True), r"n: Input should be a valid integer"),
    "list for an object": (b"[1, 2]", "problems in all"),
}


@pytest.mark.parametrize(("data", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_are_refused_by_name(data: bytes, message: str) -> None:
    """Every bad input is a RecordError that names the file."""
    with pytest.raises(RecordError, match=message) as caught:
        from_json(Estimate, data, source="some/run.json")

    assert str(caught.value).startswith("some/run.json")


def test_an_unknown_key_deep_inside_is_found() -> None:
    """The check for unknown keys reaches every level."""
    raw = json.loads(to_json(CellRecord("k", incidents=(Incident(Outcome.INFRA, Attribution.INFRA, "a", "b"),))))
    raw["incidents"][0]["severity"] = 1

    with pytest.raises(RecordError, match=r"incidents\[0\]: unknown key 'severity'"):
        from_json(CellRecord, json.dumps(raw).encode())


@given(st.binary(max_size=200))
def test_random_bytes_raise_nothing_else(data: bytes) -> None:
    """Whatever the bytes are, the answer is a record or a RecordError."""
    try:
        from_json(Estimate, data)
    except RecordError:
        return


def test_plan_hash_covers_all_but_itself() -> None:
    """The hash does not change with the hash field and does with any limit."""
    run, _ = run_of([Scene().evidence()])
    other, _ = run_of([Scene(repeat=201).evidence()])

    assert plan_sha256(run.plan) == run.plan.sha256
    assert plan_sha256(other.plan) != run.plan.sha256


def test_slugs_are_readable_safe_and_unique() -> None:
    """Keys that look alike as file names stay apart, and nothing leaves the folder."""
    keys = ["digits::int8[a53]", "digits--int8-a53", "../../etc/passwd", "a" * 500, "", "é\udc80", "digits::INT8[a53]"]

    slugs = [slug(key) for key in keys]

    assert len({name.lower() for name in slugs}) == len(keys)
    assert all(len(name) <= 80 and "/" not in name and not name.startswith(".") for name in slugs)
    assert slugs[0].startswith("digits-int8-a53-")


def test_the_schema_names_the_fields_of_a_run() -> None:
    """The JSON Schema of run.json is made from the types."""
    assert {"plan", "cells", "schema_version"} <= set(schema(RunRecord)["properties"])
