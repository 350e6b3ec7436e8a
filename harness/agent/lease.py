"""The lease: one controller at a time, by a kernel lock that dies with its holder and is inherited by every child.

The owner written into the file is information for whoever is refused, never the lock itself. The fencing token is a
counter beside it that grows with every lease.
"""

from __future__ import annotations

import fcntl
import json
import os
import time

from harness.agent import process
from harness.agent.refusal import Refusal, from_os_error

BUSY = "lease_busy"


class Lease:
    """The lock on `<root>/lease`; `token` is 0 until it is taken, `fd` stays open in all children."""

    def __init__(self, root: str) -> None:
        self._path = os.path.join(root, "lease")
        self._token_path = os.path.join(root, "token")
        self.fd = -1
        self.token = 0
        self.ttl_s = 30.0
        self._renewed = time.monotonic()

    def take(self, holder: str, ttl_s: float) -> None:
        """Take the lease, or take it over from oneself.

        Raises:
            Refusal: `lease_busy` with `owner` and `strays` (processes that keep the lock of an owner who is gone).
        """
        try:
            if self.fd < 0:
                self.fd = self._lock()
            self.token = self._count()
            self._write_owner(holder)
        except OSError as error:
            raise from_os_error(error, "taking the lease") from error
        self.ttl_s = ttl_s
        self.renew()

    def renew(self) -> None:
        """Start the time to live again."""
        self._renewed = time.monotonic()

    def remaining_s(self) -> float:
        """Return how long the holder may still be silent, by the monotonic clock."""
        return self._renewed + self.ttl_s - time.monotonic()

    def release(self) -> None:
        """Give the lease back; children that are still alive keep the lock."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self.token = 0

    def _lock(self) -> int:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _read_owner(fd)
            strays = [] if _is_alive(owner) else _find_strays(fd)
            os.close(fd)
            raise Refusal(BUSY, _describe(owner, strays), owner=owner, strays=strays) from None
        return fd

    def _count(self) -> int:
        try:
            with open(self._token_path, encoding="ascii") as file:
                last = int(file.read() or 0)
        except (FileNotFoundError, ValueError):
            last = 0
        part = self._token_path + ".part"
        with open(part, "w", encoding="ascii") as file:
            file.write(str(last + 1))
            file.flush()
            os.fsync(file.fileno())
        os.rename(part, self._token_path)
        return last + 1

    def _write_owner(self, holder: str) -> None:
        pid = os.getpid()
        owner = {
            "holder": holder,
            "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "token": self.token,
            "pid": pid,
            "start": process.read_stat(pid).get("start", 0),
            "boot_id": read_boot_id(),
        }
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, json.dumps(owner).encode(), 0)


def read_boot_id() -> str:
    """Return the kernel's id of this boot; empty where there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _read_owner(fd: int) -> dict[str, object]:
    try:
        owner = json.loads(os.pread(fd, 4096, 0) or b"{}")
    except ValueError:
        owner = None
    return owner if isinstance(owner, dict) else {}


def _is_alive(owner: dict[str, object]) -> bool:
    pid = owner.get("pid")
    if not isinstance(pid, int):
        return False
    return owner.get("boot_id") == read_boot_id() and process.read_stat(pid).get("start") == owner.get("start")


def _find_strays(fd: int) -> list[dict[str, object]]:
    """Find who else has the lease file open: the lock's owner is gone, so these keep it. Nobody is killed."""
    wanted = os.fstat(fd)
    return [
        {"pid": int(name), "command": _read_command(name)}
        for name in os.listdir("/proc")
        if name.isdigit() and int(name) != os.getpid() and _has_open(name, wanted)
    ]


def _has_open(pid: str, wanted: os.stat_result) -> bool:
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            found = os.stat(f"/proc/{pid}/fd/{fd}")
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    except OSError:
        return False
    return False


def _read_command(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read(200).replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _describe(owner: dict[str, object], strays: list[dict[str, object]]) -> str:
    holder = f"{owner.get('holder') or 'somebody unnamed'} since {owner.get('since') or 'an unknown time'}"
    if strays:
        pids = ", ".join(str(stray["pid"]) for stray in strays)
        return f"the board is kept by processes that {holder} left behind: {pids}"
    return f"the board is held by {holder}"
