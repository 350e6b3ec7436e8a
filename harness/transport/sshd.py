"""A private sshd on loopback: makes the controller a board that is reached like any other.

Owns keys, configuration and life of that sshd. It runs as the current user, root or not, lets in only the one key that
it made itself, and does not outlive the process that started it, however that ends.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.errors import InfraError
from harness.transport.endpoint import Endpoint
from harness.transport.host_key import Trust, parse_public_key

START_S = 15.0
# The guard's standard input is a pipe that only its starter holds: it ends when the starter ends, whatever the reason.
_GUARD = '"$@" </dev/null & read -r _; kill -9 $!; wait'
SESSIONS_END_S = 2.0
_CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
AuthenticationMethods publickey
AllowUsers {user}
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM {pam}
StrictModes no
PidFile none
AllowAgentForwarding no
AllowTcpForwarding {forwarding}
X11Forwarding no
PermitUserEnvironment no
MaxStartups 100
SetEnv "PATH={path}"
"""


class LocalSshd:
    """One running sshd; use it as a context manager.

    Args:
        host_key_type: `ed25519`, `ecdsa` or `rsa`; several by comma.
        forwarding: let clients pass through (a jump host).
    """

    def __init__(self, *, host_key_type: str = "ed25519", forwarding: bool = False) -> None:
        self._types = host_key_type.split(",")
        self._forwarding = forwarding
        self._guard: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.user = getpass.getuser()
        self.folder = Path()

    @property
    def identity_file(self) -> str:
        """Path of the private key that may log in."""
        return str(self.folder / "client_key")

    @property
    def host_key(self) -> str:
        """Public host key line (of the first type)."""
        return self.host_keys[0]

    @property
    def host_keys(self) -> tuple[str, ...]:
        """Public host key lines, one per type."""
        return tuple(" ".join(self._key(kind).with_suffix(".pub").read_text().split()[:2]) for kind in self._types)

    @property
    def pid(self) -> int:
        """Process id of the listening sshd."""
        assert self._guard is not None
        return _children(self._guard.pid)[0]

    def endpoint(self, label: str = "") -> Endpoint:
        """Return how to reach it: its own key pinned, its own client key."""
        trust = Trust(keys=tuple(parse_public_key(line) for line in self.host_keys), source="the private sshd")
        return Endpoint(
            "127.0.0.1", self.port, self.user, trust, identity_files=(self.identity_file,), label=label, patience_s=5.0
        )

    def session_pids(self) -> tuple[int, ...]:
        """Return the process ids of the sshd children that serve a connection each."""
        return tuple(_children(self.pid))

    def __enter__(self) -> Self:
        program = _program()
        self.folder = Path(tempfile.mkdtemp(prefix="fleetgate-sshd-"))
        try:
            self._make_keys()
            for _ in range(5):
                if self._start(program):
                    return self
            raise InfraError(f"the private sshd does not start: {self._log()[-500:]}", code="sshd")
        except BaseException:
            self._stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _key(self, kind: str) -> Path:
        return self.folder / ("host_key" if kind == self._types[0] else f"host_key_{kind}")

    def _make_keys(self) -> None:
        for path, kind in [(self.folder / "client_key", "ed25519"), *((self._key(kind), kind) for kind in self._types)]:
            argv = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "fleetgate", "-f", str(path)]
            subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, timeout=60)
        shutil.copy(self.folder / "client_key.pub", self.folder / "authorized_keys")

    def _start(self, program: str) -> bool:
        """Start on a free port; False when another program took the port in between or it does not come up."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # compiled into Debian's sshd
        config = _CONFIG.format(
            port=self.port,
            folder=self.folder,
            user=self.user,
            pam="yes" if _is_locked(self.user) else "no",
            forwarding="yes" if self._forwarding else "no",
            path=os.environ.get("PATH", os.defpath).replace('"', ""),
        )
        config += "".join(f"HostKey {self._key(kind)}\n" for kind in self._types[1:])
        (self.folder / "sshd_config").write_text(config)
        with (self.folder / "log").open("wb") as log:
            argv = ["sh", "-c", _GUARD, "sh", program, "-D", "-e", "-f", str(self.folder / "sshd_config")]
            self._guard = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        return self._wait_listening()

    def _wait_listening(self) -> bool:
        started = time.monotonic()
        while time.monotonic() - started < START_S:
            if "Server listening" in self._log():
                return True
            assert self._guard is not None
            is_gone = time.monotonic() - started > 1.0 and not _children(self._guard.pid)
            if "rror" in self._log() or is_gone:
                break
            time.sleep(0.02)
        self._kill()
        return False

    def _log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _kill(self) -> None:
        """End what serves connections, then the listener, then the guard: each is waited for by its parent."""
        if self._guard is None:
            return
        give_up = time.monotonic() + SESSIONS_END_S
        listeners = _children(self._guard.pid)
        while sessions := [child for listener in listeners for child in _children(listener)]:
            if time.monotonic() > give_up:
                for leader in sessions:  # they have left the guard's process group by setsid
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(leader, signal.SIGKILL)
                break
            time.sleep(0.02)
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        try:
            self._guard.wait(SESSIONS_END_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._guard.pid, signal.SIGKILL)
            self._guard.wait()
        self._guard = None

    def _stop(self) -> None:
        self._kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _program() -> str:
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", "/usr/local/sbin"])
    program = shutil.which("sshd", path=search)
    if program is None or shutil.which("ssh-keygen") is None:
        raise InfraError(
            "the `host` profile needs sshd and ssh-keygen: install openssh-server and openssh-client "
            f"({shlex.join(['apt', 'install', 'openssh-server', 'openssh-client'])})",
            code="missing_program",
        )
    return os.path.realpath(program) if os.path.isabs(program) else os.path.abspath(program)


def _is_locked(user: str) -> bool:
    """Tell whether sshd without PAM would refuse the account because its password is locked (Ubuntu's root)."""
    try:
        lines = Path("/etc/shadow").read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith(f"{user}:!") for line in lines)


def _children(pid: int) -> list[int]:
    """Return the direct children of a process, oldest first (field 4 of /proc/*/stat)."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.name))
    return sorted(found)
