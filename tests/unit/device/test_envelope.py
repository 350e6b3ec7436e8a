"""The result envelope: what a hostile or broken board may answer, and that none of it is believed."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from harness.agent.message import ArraySpec, SessionRequest
from harness.device.envelope import open_envelope, unpack_arrays
from harness.errors import InfraError

MODEL = "a" * 64
REQUEST = SessionRequest("n" * 32, "timing", "system", "onnxruntime", MODEL, ".onnx", "b" * 64)
PAYLOAD = np.arange(6, dtype="<f8").tobytes()


def make_reply(**changes: Any) -> dict[str, Any]:
    """Make a complete header for PAYLOAD, with some fields changed."""
    header: dict[str, Any] = {
        "v": 1,
        "id": 7,
        "ok": True,
        "nonce": REQUEST.nonce,
        "wait_status": 0,
        "sha256": hashlib.sha256(PAYLOAD).hexdigest(),
        "end": True,
        "error": None,
        "arrays": [{"name": "latency_s", "dtype": "float64", "shape": [2, 3], "offset": 0, "nbytes": 48}],
        "scalars": {"load_s": 1},
        "model_sha256": MODEL,
    }
    return {**header, **changes}


def test_complete_reply_gives_its_arrays() -> None:
    """A whole envelope gives the reply and its arrays in their shape."""
    result = open_envelope(make_reply(), PAYLOAD, REQUEST, where="pi")

    assert result.reply.scalars == {"load_s": 1.0}
    np.testing.assert_array_equal(result.arrays["latency_s"], np.arange(6.0).reshape(2, 3))
    assert not result.arrays["latency_s"].flags.writeable


def test_failure_of_a_model_is_a_result() -> None:
    """A crash that the agent saw comes back as an error of the reply, not as an exception."""
    reply = make_reply(error={"code": "crash", "message": "signal 11"}, wait_status=11, model_sha256="", arrays=[])

    result = open_envelope(reply, PAYLOAD, REQUEST, where="pi")

    assert result.reply.error == {"code": "crash", "message": "signal 11"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"end": False}, "envelope"),
        ({"end": "true"}, "envelope"),
        ({"end": 1}, "envelope"),
        ({"nonce": "m" * 32}, "envelope"),
        ({"nonce": None}, "envelope"),
        ({"sha256": "0" * 64}, "integrity"),
        ({"model_sha256": "c" * 64}, "integrity"),
        ({"model_sha256": ""}, "integrity"),
        ({"wait_status": 9}, "envelope"),
        ({"wait_status": "0"}, "envelope"),
        ({"wait_status": 10**40, "error": {"code": "crash"}}, "envelope"),
        ({"threads": 10**40}, "envelope"),
        ({"cores": [10**40]}, "envelope"),
        ({"error": {"message": "no code"}}, "envelope"),
        ({"error": "crash"}, "envelope"),
        ({"scalars": {"load_s": float("inf")}}, "envelope"),
        ({"scalars": {"load_s": float("nan")}}, "envelope"),
        ({"scalars": {"load_s": "1"}}, "envelope"),
        ({"scalars": {"load_s": True}}, "envelope"),
        ({"scalars": [1]}, "envelope"),
        ({"arrays": [{"name": "x"}]}, "envelope"),
        ({"arrays": {"name": "x"}}, "envelope"),
    ],
)
def test_broken_reply_is_infrastructure(changes: dict[str, Any], code: str) -> None:
    """Anything missing, of the wrong type, contradicting or not finite is INFRA, never a verdict."""
    with pytest.raises(InfraError, match="no valid result") as caught:
        open_envelope(make_reply(**changes), PAYLOAD, REQUEST, where="pi")

    assert caught.value.code == code


@pytest.mark.parametrize("field", ["nonce", "wait_status", "sha256", "end"])
def test_missing_field_is_infrastructure(field: str) -> None:
    """Each field that proves completeness is required."""
    header = make_reply()
    del header[field]

    with pytest.raises(InfraError, match=field):
        open_envelope(header, PAYLOAD, REQUEST, where="pi")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (ArraySpec("../x", "float64", [6], 0, 48), "not a name"),
        (ArraySpec("", "float64", [6], 0, 48), "not a name"),
        (ArraySpec("x" * 65, "float64", [6], 0, 48), "not a name"),
        (ArraySpec("x", "object", [6], 0, 48), "type"),
        (ArraySpec("x", "O", [6], 0, 48), "type"),
        (ArraySpec("x", "<f8", [6], 0, 48), "type"),
        (ArraySpec("x", "datetime64[s]", [6], 0, 48), "type"),
        (ArraySpec("x", "float64", [-6], 0, 48), "shape"),
        (ArraySpec("x", "float64", [-2, -3], 0, 48), "shape"),
        (ArraySpec("x", "float64", [1] * 9, 0, 8), "shape"),
        (ArraySpec("x", "float64", [7], 0, 48), "do not hold"),
        (ArraySpec("x", "float64", [1 << 62], 0, 48), "do not hold"),
        (ArraySpec("x", "float64", [6], 8, 48), "outside"),
        (ArraySpec("x", "float64", [6], -8, 48), "outside"),
        (ArraySpec("x", "float64", [0], 49, 0), "outside"),
    ],
)
def test_array_outside_its_bounds_is_refused(spec: ArraySpec, words: str) -> None:
    """No name, type, shape or place that a board sends leads outside the payload."""
    with pytest.raises(ValueError, match=words):
        unpack_arrays([spec], PAYLOAD)


def test_arrays_of_one_name_are_refused() -> None:
    """A second array of a name cannot replace the first."""
    spec = ArraySpec("x", "float64", [6], 0, 48)

    with pytest.raises(ValueError, match="twice"):
        unpack_arrays([spec, spec], PAYLOAD)


def test_too_many_arrays_are_refused() -> None:
    """The number of arrays is bounded before any is looked at."""
    with pytest.raises(ValueError, match="more than"):
        unpack_arrays([ArraySpec(f"x{i}", "float64", [0], 0, 0) for i in range(65)], b"")


def test_scalar_and_empty_arrays_are_arrays() -> None:
    """Shapes () and (0,) are allowed."""
    arrays = unpack_arrays([ArraySpec("a", "float64", [], 0, 8), ArraySpec("b", "int8", [0], 48, 0)], PAYLOAD)

    assert arrays["a"].shape == ()
    assert arrays["b"].shape == (0,)
