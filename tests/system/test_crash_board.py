"""Absent instructions on emulated cores: a dot product crashes and says so on Cortex-A53; it works on Cortex-A76."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.device import OpenDevice, open_device, session
from harness.device.envelope import SessionResult
from harness.device.program import program_request
from harness.device.runtime import RuntimeEnv, Wheel
from harness.errors import ArtifactError
from harness.spec.model import Device, Emulation, Origin, Tier
from harness.testing.native import AARCH64, DOTS, RETURNS, SAYS_HI, elf, unfit_wheel

NEEDS = "sdot v0.4s, v1.16b, v2.16b: needs asimddp, which this CPU does not have: Cortex-A53"

pytestmark = [pytest.mark.board, pytest.mark.system]


@contextlib.contextmanager
def board(cpu: str) -> Iterator[OpenDevice]:
    """Open a deterministic board without any runtime."""
    emulation = Emulation(cpu, 1 << 30, icount=True)
    profile = f"qemu-{cpu}"
    spec = Device(
        cpu, profile, (profile,), Tier.DETERMINISTIC, Origin("farm.yaml", 1, 1), emulation=emulation
    )  # fmt: skip
    with open_device(spec, progress=lambda _: None) as device:
        yield device


def run(board: OpenDevice, path: Path, code: bytes) -> SessionResult:
    """Write a program and run it on a board."""
    path.write_bytes(elf(AARCH64, code))
    return board.measure(program_request(board.deploy(path)))


def test_core_without_dot_product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program's instructions are counted one by one; programs and runtimes that need a dot product say so."""
    wheel = tmp_path / "numpy-0-py3-none-any.whl"
    wheel.write_bytes(unfit_wheel(DOTS[:4] + RETURNS[AARCH64]))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    unfit = RuntimeEnv("needs-dot", "onnxruntime", "onnxruntime==0", (Wheel(wheel.name, digest, wheel),))
    monkeypatch.setattr(session, "resolve", lambda *_, **__: unfit)

    with board("cortex-a53") as device:
        sound = run(device, tmp_path / "hi", SAYS_HI[AARCH64])
        illegal = run(device, tmp_path / "dots", DOTS)
        with pytest.raises(ArtifactError, match=re.escape(f"onnxruntime==0 does not run on this CPU: {NEEDS}")):
            device.ensure_runtime("onnxruntime", "onnxruntime==0")

    assert sound.reply.error is None
    assert sound.arrays["instructions"].tolist() == [9, 9, 9]
    assert illegal.reply.error is not None
    assert illegal.reply.error["code"] == "illegal_instruction"
    assert illegal.reply.error["message"].startswith(NEEDS)


def test_core_with_dot_product(tmp_path: Path) -> None:
    """The same program runs: its dot product and the three instructions of its end are counted."""
    with board("cortex-a76") as device:
        result = run(device, tmp_path / "dots", DOTS)

    assert result.reply.error is None
    assert result.arrays["instructions"].tolist() == [4, 4, 4]
