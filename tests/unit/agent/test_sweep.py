"""Sweeping up the children that a session left."""

from __future__ import annotations

import subprocess
import sys


def test_ended_and_running_children_are_swept() -> None:
    """A child that has ended is reaped, one that runs is killed and reaped; afterwards there is none."""
    code = (
        "import os, time\n"
        "from harness.agent.process import list_children, sweep\n"
        "if os.fork() == 0: os._exit(0)\n"
        "if os.fork() == 0: time.sleep(600)\n"
        "sweep()\n"
        "print(list_children(os.getpid()))\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_without_children_there_is_nothing_to_do() -> None:
    """Nothing of /proc is read when the kernel knows of no child."""
    code = (
        "import os\nfrom harness.agent.process import sweep\nos.listdir = lambda *_: 1 / 0\nsweep()\nprint('swept')\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "swept\n"
