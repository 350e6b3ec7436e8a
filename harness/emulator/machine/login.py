"""One command on a board through OpenSSH's own client, with the host key pinned.

For making snapshots, before any transport exists; measuring goes through harness.transport. Owns the options of the
`ssh` call only.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.emulator.image.requirement import program
from harness.errors import ImageError

_ALIAS = "fleetgate-board"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How to reach a running board."""

    host: str
    port: int
    user: str
    identity_file: Path
    host_key: str
    """Pinned public key, `ssh-ed25519 AAAA…`; anything else that answers is not the board."""


def ssh_command(endpoint: Endpoint, known_hosts: Path, command: str, *, connect_timeout_s: int) -> list[str]:
    """Compose a call of `ssh` that reads no configuration of the user and trusts only the pinned key."""
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": str(connect_timeout_s),
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlias": _ALIAS,
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "LogLevel": "ERROR",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "UserKnownHostsFile": str(known_hosts),
    }
    flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    target = f"{endpoint.user}@{endpoint.host}"
    identity = ["-i", str(endpoint.identity_file), "-p", str(endpoint.port)]
    return [program("ssh") or "ssh", "-F", "none", *flags, *identity, target, command]


def run_on_board(endpoint: Endpoint, folder: Path, command: str, *, timeout_s: float, given: bytes = b"") -> str:
    """Run one shell command on the board and give its standard output.

    Args:
        endpoint: the board.
        folder: where the known_hosts file is written.
        command: for the board's shell.
        timeout_s: for connecting and running together.
        given: what the command reads on its standard input.

    Raises:
        ImageError: no login, a non-zero exit, or no end in time.
    """
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(f"{_ALIAS} {endpoint.host_key}\n", encoding="utf-8")
    call = ssh_command(endpoint, known_hosts, command, connect_timeout_s=max(int(timeout_s), 1))
    try:
        done = subprocess.run(call, input=given, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"the board did not finish {command[:60]!r} within {timeout_s:.0f} s") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-500:]
        raise ImageError(f"the board answered {command[:60]!r} with exit {done.returncode}: {said}")
    return done.stdout.decode(errors="replace")
