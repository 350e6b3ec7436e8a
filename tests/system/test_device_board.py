"""Emulated boards from nothing to figures: prepared once, restored in seconds, lost when their process is."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.agent.message import SessionRequest
from harness.campaign.isa_request import board_of
from harness.device import OpenDevice, SessionResult, open_device
from harness.errors import LinkLost
from harness.spec.model import Device, Tier

pytestmark = [pytest.mark.board, pytest.mark.system]

DIGITS = Path(__file__).parents[2] / "suites" / "digits"
BUILD = "onnxruntime==1.32.0"


def make_spec(*, icount: bool) -> Device:
    """Describe the boards of two shipped profiles, so that their snapshots are those of other tests and of the demo."""
    if icount:
        return board_of("cortex-a53")
    board = board_of("cortex-a72")
    assert board.emulation is not None
    return replace(board, tier=Tier.FUNCTIONAL, emulation=replace(board.emulation, icount=False))


def run_session(device: OpenDevice, kind: str, *, repeat: int) -> SessionResult:
    """Run one session of the digits model."""
    env = device.ensure_runtime("onnxruntime", BUILD)
    model, data = device.deploy(DIGITS / "digits_fp32.onnx"), device.deploy(DIGITS / "digits_eval.npz")
    return device.measure(
        SessionRequest("", kind, env.id, "onnxruntime", model, ".onnx", data, repeat=repeat, deadline_s=120)
    )


def say(line: str) -> None:
    """Show progress where pytest is asked to (-s)."""
    sys.stderr.write(f"{line}\n")


def count_twice() -> tuple[str, list[SessionResult]]:
    """Restore a deterministic board; return its snapshot's id and two sessions there."""
    with open_device(make_spec(icount=True), builds=[("onnxruntime", BUILD)], progress=say) as device:
        assert device.facts.cpu == "Cortex-A53"
        assert "snapshot" in device.record.emulator
        results = [run_session(device, "timing", repeat=24) for _ in range(2)]
        snapshot = device.record.snapshot
    assert [result.reply.error for result in results] == [None, None]
    return snapshot, results


def test_counts_of_one_snapshot_are_equal_to_the_digit() -> None:
    """Two sessions of one board, and two of another that continues from the same snapshot, count the same.

    A repeat may be disturbed (`harness.stats.work`): the least of the two sessions is compared, repeat by repeat.
    Loading and the first inference run once per session and agree within 0.1 %.
    """
    snapshot, ours = count_twice()
    other, theirs = count_twice()

    first, second, third, fourth = (result.arrays["instructions"] for result in (*ours, *theirs))
    assert first.shape == (24,)
    assert first.min() > 100_000
    assert np.mean(first == second) > 0.5
    assert np.mean(third == fourth) > 0.5
    np.testing.assert_array_equal(np.minimum(first, second), np.minimum(third, fourth))
    assert snapshot == other != ""
    for name in ("load_instructions", "first_instructions"):
        once = [result.reply.scalars[name] for result in (*ours, *theirs)]
        assert min(once) > 100_000
        assert max(once) <= 1.001 * min(once)


def test_killed_machine_is_a_lost_link() -> None:
    """A board whose QEMU dies in the middle of a session is noticed at once, and its context still closes."""
    with open_device(make_spec(icount=False), builds=[("onnxruntime", BUILD)], progress=say) as device:
        run_session(device, "timing", repeat=1)
        (machine,) = _machines(os.getpid())
        killed = [0.0]

        def kill() -> None:
            killed[0] = time.monotonic()
            os.kill(machine, signal.SIGKILL)

        threading.Timer(1.0, kill).start()
        with pytest.raises(LinkLost):
            run_session(device, "timing", repeat=1_000_000)
        noticed = time.monotonic()

    assert noticed - killed[0] < 5
    assert time.monotonic() - noticed < 15


def _machines(ancestor: int) -> list[int]:
    """List the QEMU processes below a process."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
            except OSError:
                continue
            parents[int(entry.name)], names[int(entry.name)] = int(rest.split()[1]), name

    def is_below(pid: int) -> bool:
        while pid in parents and pid != ancestor:
            pid = parents[pid]
        return pid == ancestor

    return [pid for pid, name in names.items() if name.startswith("qemu-system") and is_below(pid)]
