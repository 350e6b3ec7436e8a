"""Fetch and unpack Debian packages into a tar, those of a board without running one foreign instruction.

mmdebstrap's `extract` variant downloads with the host's apt, verifies signatures and unpacks; no package is configured.
Knows no board: what is done with the tar is the matter of `kernel` and `rootfs`.
"""

from __future__ import annotations

import collections
import os
import shlex
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.emulator.image.requirement import program
from harness.errors import ImageError

PACKAGE_LIST = "board-packages.txt"
"""Path inside the tar: one line per unpacked package file, `name_version_architecture.deb`."""

MIRROR_VARIABLE = "FLEETGATE_MIRROR"

_LIST_HOOK = f'cd "$1/var/cache/apt/archives" && ls *.deb > "$1/{PACKAGE_LIST}"'
_ALONE_HOOK = """set -e
cd "$1" && mkdir -m 0777 alone && cd alone
APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get -qq download {packages}
for each in *.deb; do dpkg-deb --fsys-tarfile "$each" | tar -x -C ..; done
cd .. && rm -r alone"""
_SHOWN = ("running apt-get update", "downloading packages", "extracting archives", "creating tarball")


@dataclass(frozen=True, slots=True)
class Selection:
    """Which packages of which Debian release; their dependencies come along, recommended ones do not."""

    suite: str
    packages: tuple[str, ...]
    architectures: tuple[str, ...] = ("arm64",)
    """The first one is that of packages that are named without."""
    alone: tuple[str, ...] = ()
    """Packages whose own files are wanted and nothing that they depend on."""


def extract_command(selection: Selection, tar: Path, *, mirror: str, is_root: bool) -> list[str]:
    """Compose the mmdebstrap call.

    Args:
        selection: what is unpacked.
        tar: the file to write.
        mirror: URL of a Debian mirror; empty: mmdebstrap's default, with its updates and security suites.
        is_root: False unpacks in a user namespace.
    """
    command = [
        # Should the controller be killed, mmdebstrap is told to end too. That signal comes when the calling *thread*
        # ends, which waits for mmdebstrap all the time.
        *(program("setpriv") or "setpriv", "--pdeathsig", "TERM"),
        program("mmdebstrap") or "mmdebstrap",
        "--mode=root" if is_root else "--mode=unshare",
        f"--architectures={','.join(selection.architectures)}",
        "--variant=extract",
        f"--include={','.join(selection.packages)}",
        f"--extract-hook={_LIST_HOOK}",
        *([f"--extract-hook={_ALONE_HOOK.format(packages=shlex.join(selection.alone))}"] if selection.alone else []),
        selection.suite,
        str(tar),
    ]
    return [*command, mirror] if mirror else command


def extract_packages(selection: Selection, tar: Path, *, mirror: str, progress: Callable[[str], None]) -> None:
    """Write the files of the selected packages to `tar`.

    Raises:
        ImageError: mmdebstrap failed; the message carries its last lines.
    """
    mirror = mirror or os.environ.get(MIRROR_VARIABLE, "")
    command = extract_command(selection, tar, mirror=mirror, is_root=os.geteuid() == 0)
    environment = os.environ | {"LC_ALL": "C"}
    last = collections.deque[str](maxlen=8)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,  # mmdebstrap answers SIGTERM by ending its process group, which must not be ours
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last.append(line.rstrip())
                _show(line.removeprefix("I: ").strip().rstrip("."), selection.suite, progress)
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            raise
    if process.returncode != 0:
        tail = "\n  ".join(last)
        raise ImageError(
            f"mmdebstrap could not unpack the packages of {selection.suite} (exit {process.returncode}); is the mirror "
            f"reachable? Another one can be named with {MIRROR_VARIABLE} or --mirror. Its last lines:\n  {tail}"
        )


def _show(step: str, suite: str, progress: Callable[[str], None]) -> None:
    if step.startswith(_SHOWN):
        progress(f"packages of {suite}: {step}")
