"""Folders of running machines and what crashed runs leave."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from harness.emulator.machine.workspace import Workspace, count_in_use, reap

_OWNER = """
import sys, time
from pathlib import Path
from harness.emulator.machine.workspace import Workspace
print(Workspace(Path(sys.argv[1])).path, flush=True)
time.sleep(60)
"""


def test_workspace_is_private_and_goes(tmp_path: Path) -> None:
    """A workspace is for its user alone and leaves nothing behind when closed, twice too."""
    workspace = Workspace(tmp_path)
    (workspace.path / "disk").write_text("x")

    assert workspace.path.stat().st_mode & 0o777 == 0o700
    workspace.close()
    workspace.close()
    assert list(tmp_path.iterdir()) == []


def test_reaping_spares_the_living(tmp_path: Path) -> None:
    """A folder whose owner lives is counted as in use and is not removed."""
    workspace = Workspace(tmp_path)

    assert count_in_use(tmp_path) == 1
    assert reap(tmp_path) == 0
    assert workspace.path.exists()
    workspace.close()


def test_reaping_removes_what_a_killed_run_left(tmp_path: Path) -> None:
    """After SIGKILL of the owner the next start removes its folder and its lock file."""
    owner = subprocess.Popen([sys.executable, "-c", _OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    folder = Path(owner.stdout.readline().strip())
    assert folder.exists()
    assert reap(tmp_path) == 0

    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()

    assert reap(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []
