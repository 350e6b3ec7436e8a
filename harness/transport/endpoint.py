"""Where a board is and how to log in there, as OpenSSH itself resolves it (`ssh -G`).

Owns the reading of `ssh -G`; opens no connection. Boards that the harness starts itself have endpoints made directly.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import InfraError, SecurityError
from harness.spec.model import Ssh
from harness.transport.host_key import HostFiles, Trust, known_name, trust_files, trust_pin

MAX_JUMPS = 8
_NAME = re.compile(r"^[A-Za-z0-9_\[:][A-Za-z0-9_.:%\[\]-]{0,253}$")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """All that is needed to open one SSH connection; times in seconds."""

    host: str
    port: int
    user: str
    trust: Trust
    identity_files: tuple[str, ...] = ()
    use_agent: bool = False
    jumps: tuple[Endpoint, ...] = ()
    """Hosts to pass through, first hop first; each has its own trust."""
    connect_timeout_s: float = 15.0
    patience_s: float = 10.0
    """How long a refused or unanswered connection is tried again."""
    label: str = ""
    """What the user calls it."""

    def __str__(self) -> str:
        where = f"{self.user}@{self.host}:{self.port}"
        return f"{self.label} ({where})" if self.label and self.label != self.host else where


def parse_options(text: str) -> dict[str, list[str]]:
    """Parse the output of `ssh -G`: lower-case option name -> its values in order."""
    options: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, value = line.strip().partition(" ")
        if name:
            options.setdefault(name.lower(), []).append(value.strip())
    return options


def parse_jumps(text: str) -> tuple[Ssh, ...]:
    """Parse ProxyJump: `[user@]host[:port]` or `ssh://…`, several by comma; `none` and nothing mean no jump.

    Raises:
        ValueError: a hop cannot be read.
    """
    if text in {"", "none"}:
        return ()
    hops = []
    for part in text.split(","):
        user, _, address = part.strip().removeprefix("ssh://").rstrip("/").rpartition("@")
        match = re.fullmatch(r"(\[[0-9a-fA-F:.%]+\]|[^:\[\]]+)(?::(\d+))?", address)
        if match is None:
            raise ValueError(f"cannot read the ProxyJump {part!r}")
        hops.append(Ssh(match[1].strip("[]"), user, int(match[2] or 0)))
    return tuple(hops)


def resolve(ssh: Ssh, *, label: str = "", config: str = "") -> Endpoint:
    """Ask OpenSSH how it would reach a host.

    Args:
        ssh: host or alias, with what farm.yaml says beside it.
        label: the device's name, for messages.
        config: another ssh_config file than the user's own.

    Raises:
        InfraError: there is no ssh program, it refuses its configuration, or the host needs a ProxyCommand.
        SecurityError: the host's name or the pin could not have been meant.
    """
    return _resolve(ssh, label=label or ssh.host, config=config, depth=0)


def _resolve(ssh: Ssh, *, label: str, config: str, depth: int) -> Endpoint:
    if depth > MAX_JUMPS:
        raise InfraError(f"{label}: ProxyJump leads in a circle", code="config")
    options = parse_options(_ask_openssh(ssh, config))
    first = {name: values[0] for name, values in options.items()}
    if first.get("proxycommand", "none") != "none":
        raise InfraError(
            f"{label}: ssh_config sets a ProxyCommand; use ProxyJump, which is checked hop by hop", code="config"
        )
    try:
        hops = parse_jumps(first.get("proxyjump", ""))
        endpoint = _endpoint(ssh, options, label=label, is_board=depth == 0)
    except ValueError as error:
        raise SecurityError(f"{label}: {error}", code="host_key_pin") from error
    if not hops:
        return endpoint
    # As OpenSSH does: the last hop may have jumps of its own only when it is the only one named.
    jumps = [_resolve(hop, label=hop.host, config=config, depth=depth + 1) for hop in hops]
    chain = [*jumps[0].jumps, *(replace(jump, jumps=()) for jump in jumps)]
    return replace(endpoint, jumps=tuple(chain))


def _ask_openssh(ssh: Ssh, config: str) -> str:
    if not _NAME.match(ssh.host) or (ssh.user and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.$-]*", ssh.user)):
        raise SecurityError(f"{ssh.user}@{ssh.host!r} is not a user and host name", code="host_name")
    argv = ["ssh", "-G", *(["-F", config] if config else []), *(["-l", ssh.user] if ssh.user else [])]
    argv += [*(["-p", str(ssh.port)] if ssh.port else []), "--", ssh.host]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise InfraError("there is no `ssh` program: install openssh-client", code="missing_program") from error
    except subprocess.TimeoutExpired as error:
        raise InfraError(
            f"`ssh -G {ssh.host}` gave no answer in 30 s (a Match exec in ssh_config?)", code="config"
        ) from error
    if done.returncode:
        raise InfraError(f"OpenSSH cannot read its configuration for {ssh.host}: {done.stderr.strip()}", code="config")
    return done.stdout


def _endpoint(ssh: Ssh, options: dict[str, list[str]], *, label: str, is_board: bool) -> Endpoint:
    first = {name: values[0] for name, values in options.items()}
    host, port, user = first["hostname"], int(first["port"]), first["user"]
    tokens = {"%": "%", "d": str(Path.home()), "h": host, "n": ssh.host, "p": str(port), "r": user}
    tokens |= {"u": os.environ.get("USER", user), "i": str(os.getuid())}
    timeout = first.get("connecttimeout", "none")
    identities = [_expand(path, tokens) for path in options.get("identityfile", [])]
    trust = trust_pin(ssh.host_key) if ssh.host_key else _known(first, tokens, host, port, is_board=is_board)
    only = first.get("identitiesonly", "no") == "yes" or first.get("identityagent", "") == "none"
    return Endpoint(
        host=host,
        port=port,
        user=user,
        trust=trust,
        identity_files=tuple(path for path in identities if Path(path).is_file()),
        use_agent=bool(os.environ.get("SSH_AUTH_SOCK")) and not only,
        connect_timeout_s=float(timeout) if timeout.isdigit() and int(timeout) else 15.0,
        label=label,
    )


def _known(first: dict[str, str], tokens: dict[str, str], host: str, port: int, *, is_board: bool) -> Trust:
    named = f"{first.get('userknownhostsfile', '')} {first.get('globalknownhostsfile', '')}".split()
    paths = [path for path in (_expand(name, tokens) for name in named) if path not in {"none", "/dev/null"}]
    texts = tuple(Path(path).read_text(errors="replace") for path in paths if Path(path).is_file())
    name = known_name(host, port, first.get("hostkeyalias", ""))
    return trust_files(HostFiles(name, texts, tuple(paths)), is_board=is_board)


def _expand(path: str, tokens: dict[str, str]) -> str:
    expanded = re.sub(r"%(.)", lambda match: tokens.get(match[1], match[0]), path.strip('"'))
    return os.path.expanduser(expanded)
