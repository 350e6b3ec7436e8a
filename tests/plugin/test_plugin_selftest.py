"""A self-test of the gate as a user runs it: exit codes, what is said, and that nothing of it counts for a release."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.testing.device import BoardScript
from harness.testing.rehearsal import CONFTEST, Finished, Rehearsal
from harness.testing.selftest import selftest_rehearsal

UNCHECKED = """\
import harness.device.envelope as envelope
from harness.testing.selftest import without_check

_missing = without_check(envelope, "if reply.nonce != request.nonce:", "if False:")
_missing.__enter__()
"""


@pytest.fixture
def tried(tmp_path: Path) -> Rehearsal:
    """A rehearsal with a gate of every family."""
    return selftest_rehearsal(tmp_path / "rehearsal")


def _fates(finished: Finished) -> set[str]:
    return {found["fate"] for found in finished.verdicts["findings"]}


def _promote(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness.cli", "baseline", "promote", "reports/runs/latest", "--to", "baselines"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_sound_gates_kill_every_fault(tried: Rehearsal) -> None:
    """Exit 0, every finding killed, the record replays byte for byte, and no baseline can be made of it."""
    finished = tried.run("--gate-selftest")

    assert finished.code == 0, finished.text
    assert _fates(finished) == {"killed"}
    assert finished.verdicts["decision"]["release"] == "SELF-TEST"
    assert finished.is_reproduced()
    assert "SELF-TEST: all" in finished.text
    assert "NOT TRIED" in finished.text
    refused = _promote(tried.folder)
    assert refused.returncode == 4
    assert "a self-test of the gate" in refused.stderr


def test_workers_find_the_same(tried: Rehearsal) -> None:
    """Two workers of xdist find what one process finds."""
    finished = tried.run("--gate-selftest", "-n2", devices="farm.yaml::a53,a72")

    assert finished.code == 0, finished.text
    assert _fates(finished) == {"killed"}
    assert {found["device"] for found in finished.verdicts["findings"]} == {"a53", "a72"}


def test_a_missing_check_is_found(tried: Rehearsal) -> None:
    """Exit 1 and the fault by name, in the terminal and as a failed subtest."""
    (tried.folder / "conftest.py").write_text(CONFTEST.format(scripts={}) + UNCHECKED, encoding="utf-8")

    finished = tried.run("--gate-selftest", devices="farm.yaml::a72")

    assert finished.code == 1, finished.text
    assert "SURVIVED  wrong-nonce at loads and runs on a72" in finished.text
    assert "SUBFAILED[wrong-nonce: crash runs]" in finished.text


def test_a_board_that_is_lost_is_no_survivor(tried: Rehearsal) -> None:
    """What a lost board did not try is said to be lost: exit 20."""
    tried.script({"a72": BoardScript(open_fault="busy")})

    finished = tried.run("--gate-selftest", devices="farm.yaml::a72")

    assert finished.code == 20, finished.text
    assert _fates(finished) == {"lost"}


def test_releases_say_which_gates_are_proven(tried: Rehearsal) -> None:
    """Before a self-test every gate is unproven; after it only those that it could not try."""
    before = tried.run(devices="farm.yaml::a72")
    tried.run("--gate-selftest", devices="farm.yaml::a72")

    after = tried.run(devices="farm.yaml::a72")

    words = " ".join(before.text.split())
    said = "Unproven (no self-test of this code saw them catch a planted fault): "
    assert re.search(re.escape(said) + r"all \d+ kinds of gate on emulated-functional boards\.", words)
    assert "Unproven" not in after.text
    assert after.code == before.code == 0
    page = (tried.folder / "reports/latest.html").read_text(encoding="utf-8")
    assert "by torn-file" in page


def test_python_suites_are_left_out(tried: Rehearsal) -> None:
    """A test in Python is skipped: it plants nothing and proves nothing."""
    test = "def test_x(device, artifact, measure):\n    measure(artifact('digits/int8.onnx'), 'memory.peak')\n"
    (tried.folder / "test_mine.py").write_text(test, encoding="utf-8")

    finished = tried.run("--gate-selftest", "test_mine.py", devices="farm.yaml::a72")

    assert "1 skipped" in finished.text
    assert finished.code == 10, finished.text
