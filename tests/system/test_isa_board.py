"""`fleetgate isa` on two emulated CPUs, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import main

pytestmark = [pytest.mark.board, pytest.mark.system]

DIGITS = Path(__file__).parents[2] / "suites" / "digits"


def test_one_file_on_two_instruction_sets(capsys: pytest.CaptureFixture[str]) -> None:
    """Dynamic int8 answers alike, takes another kernel with a dot product, and is dearer than fp32 without."""
    model, other = (str(DIGITS / name) for name in ("digits_int8_dynamic.onnx", "digits_fp32.onnx"))

    code = main(["isa", model, "--against", other, "--json", "--cpu", "cortex-a53", "cortex-a76"])

    (file,) = json.loads(capsys.readouterr().out)["files"]
    old, new = file["rows"]
    assert code == 0
    assert old["outputs_sha256"] == new["outputs_sha256"]
    assert ("asimddp" in old["features"], "asimddp" in new["features"]) == (False, True)
    assert new["instructions"] < 0.8 * old["instructions"]
    assert old["instructions"] > 1.2 * old["against"]
    assert old["load_instructions"] > old["first_instructions"] > old["instructions"]
    assert old["peak_bytes"] > 2**24
    assert {item["code"] for item in file["findings"]} == {"kernel", "dearer"}
