"""One running QEMU board: start, reach, watch, save, end.

Owns the process and its folder. Where disks come from and what is kept in the cache is the matter of `snapshot`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.emulator.image import Image
from harness.emulator.machine import guard
from harness.emulator.machine.disk import make_overlay
from harness.emulator.machine.login import Endpoint, run_on_board
from harness.emulator.machine.qemu import CONSOLE, DISK, STATE, forwarded_port, qemu_command
from harness.emulator.machine.qmp import Qmp, QmpClosed
from harness.emulator.machine.workspace import Workspace, reap, workspaces_folder
from harness.errors import ImageError
from harness.spec.model import Emulation

READY = "BOARD-READY"
"""What the board's init prints on the console when sshd listens."""
_FAILED = ("BOARD-FAILED", "Kernel panic")

_ANSWER_S = 60.0
_END_S = 5.0
_POLL_S = 0.05
_PROCESS_CPU_CLOCK = 2
"""CPUCLOCK_SCHED of Linux: of all threads together, to the nanosecond."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a machine starts from: a disk that stays as it is and, to continue, the machine state that goes with it."""

    disk: Path
    disk_format: str
    state: Path | None = None
    id: str = ""
    """Of the snapshot that they make together; empty when the machine boots."""


def cpu_s_of(pid: int) -> float:
    """Return the processor time that a process has used, all its threads together, in seconds.

    Raises:
        OSError: there is no such process.

    Source: clock_getcpuclockid(3), and how Linux makes that clock's number.
    """
    return time.clock_gettime((~pid << 3) | _PROCESS_CPU_CLOCK)


class Machine:
    """One QEMU process under its guard. Leaving the context ends it and removes its folder."""

    def __init__(self, image: Image, emulation: Emulation, source: Source, *, shift: int = 0) -> None:
        """Start QEMU on an overlay of `source.disk`; returns when its processor runs.

        Args:
            image: kernel, initramfs and keys.
            emulation: CPU, memory and kind.
            source: what it starts from.
            shift: see `qemu_command`; a saved state continues under the shift that it was saved with.

        Raises:
            ImageError: QEMU did not start; the message carries what it said.
        """
        self.image = image
        self.emulation = emulation
        self.source = source
        self._shift = shift
        self._ending = contextlib.ExitStack()
        self._ending_lock = threading.RLock()
        try:
            reap(workspaces_folder())
            workspace = Workspace(workspaces_folder())
            self._ending.callback(workspace.close)
            self.folder = workspace.path
            make_overlay(source.disk, source.disk_format, self.folder / DISK)
            if source.state is not None:
                (self.folder / STATE).symlink_to(source.state)
            self._launch(restore=source.state is not None)
        except QmpClosed as error:
            message = self._describe_end()
            self.kill()
            raise ImageError(message) from error
        except OSError as error:
            self.kill()
            raise ImageError(f"cannot start the board {emulation.cpu}: {error}") from error
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def alive(self) -> bool:
        """Tell whether QEMU runs."""
        return self._guard.poll() is None

    def cpu_s(self) -> float:
        """Return the processor time that QEMU has used, seconds: what the board does, as it is seen from outside.

        Raises:
            OSError: QEMU has ended.
        """
        return cpu_s_of(self.pid)

    def kill(self) -> None:
        """End QEMU at once and remove its folder, from any thread; further calls do nothing."""
        with self._ending_lock:
            self._ending.close()

    def console(self, lines: int = 20) -> str:
        """Give the last lines of the serial console."""
        return _last_lines(self.folder / CONSOLE, lines)

    def run(self, command: str, *, timeout_s: float = 120.0, given: bytes = b"") -> str:
        """Run a shell command on the board over SSH, with `given` as its input; see `login.run_on_board`."""
        return run_on_board(self.endpoint, self.folder, command, timeout_s=timeout_s, given=given)

    def wait_until_ready(self, *, timeout_s: float, progress: Callable[[str], None]) -> None:
        """Wait until the board's init says that sshd listens.

        Raises:
            ImageError: QEMU ended, the board's init failed, or the time is over; with the last console lines.
        """
        started = time.monotonic()
        said = 0.0
        while READY not in (text := self.console(100)):
            waited = time.monotonic() - started
            if not self.alive():
                raise ImageError(self._describe_end())
            if waited > timeout_s or any(word in text for word in _FAILED):
                raise ImageError(f"the board did not come up within {waited:.0f} s; console:\n{self.console()}")
            if waited - said > 5:
                progress(f"booting the board {self.emulation.cpu} ({waited:.0f} s)")
                said = waited
            time.sleep(_POLL_S)

    def save(self, folder: Path) -> None:
        """Write the disk and the machine state to `folder` (files DISK and STATE) and end the machine.

        The disk keeps the backing file that this machine had.

        Raises:
            ImageError: QEMU ended or could not write.
        """
        self._qmp.call("stop")
        # The default limit of the migration stream is that of a network.
        self._qmp.call("migrate-set-parameters", **{"max-bandwidth": 10 * 2**30})
        (self.folder / STATE).unlink(missing_ok=True)
        self._qmp.call("migrate", uri=f"exec:cat > {STATE}")
        while (status := self._migration_status()) != "completed":
            if status in {"failed", "cancelled"}:
                raise ImageError(f"QEMU could not save the state of the board: {status}")
            time.sleep(_POLL_S)
        with contextlib.suppress(QmpClosed):
            self._qmp.call("quit")
        self._guard.wait(_ANSWER_S)
        try:
            for name in (DISK, STATE):
                (self.folder / name).rename(folder / name)
        except OSError as error:
            raise ImageError(f"cannot keep the state of the board in {folder}: {error}") from error
        self.kill()

    def _launch(self, *, restore: bool) -> None:
        ours, theirs = socket.socketpair()
        self._ending.callback(ours.close)
        with theirs:
            command = qemu_command(
                self.image, self.emulation, channel=theirs.fileno(), restore=restore, shift=self._shift
            )
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(self.folder), str(theirs.fileno()), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # Ctrl-C in the terminal reaches the controller alone
            )
        self._ending.callback(self._end_guard)
        assert self._guard.stdout is not None
        self.pid = int(self._guard.stdout.readline() or b"0")
        """Process id of QEMU."""
        self._qmp = Qmp(ours, timeout_s=_ANSWER_S)
        if restore:
            self._resume()
        usernet = self._qmp.call("human-monitor-command", **{"command-line": "info usernet"})
        port = forwarded_port(str(usernet))
        self.endpoint = Endpoint("127.0.0.1", port, "root", self.image.identity_file, self.image.host_key)

    def _resume(self) -> None:
        deadline = time.monotonic() + _ANSWER_S
        while (status := self._status("query-status")) == "inmigrate":
            if time.monotonic() > deadline:
                raise ImageError(f"the saved state of the board was not read within {_ANSWER_S:.0f} s")
            time.sleep(0.01)
        if status != "running":
            self._qmp.call("cont")

    def _status(self, command: str) -> str:
        answer = self._qmp.call(command)
        return str(answer.get("status", "")) if isinstance(answer, dict) else ""

    def _migration_status(self) -> str:
        return self._status("query-migrate")

    def _end_guard(self) -> None:
        process = self._guard
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _describe_end(self) -> str:
        said = _last_lines(self.folder / "qemu.log", 10)
        console = self.console()
        return (
            f"QEMU of the board {self.emulation.cpu} ended"
            + (f"; it said:\n{said}" if said else " without a word")
            + (f"\nlast console lines:\n{console}" if console else "")
        )


def _last_lines(path: Path, lines: int) -> str:
    try:
        text = path.read_bytes()[-16384:].decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.replace("\r", "").rstrip().split("\n")[-lines:])
