"""One SSH connection to one board, by fabric, with what fabric leaves open closed.

fabric accepts every host key (its AutoAddPolicy), never notices a dead peer and reads configuration files of its own;
here keys are checked by `harness.transport.host_key`, sockets and channels have deadlines, and an `Endpoint` says
everything. fabric and paramiko are known in this module and in `channel` only.
Source: reliability of SSH farms: fabric issues 2071, 2138 (host keys) and 2197 (dead peers).
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import fabric
import paramiko
from paramiko.ssh_exception import AuthenticationException, IncompatiblePeer, SSHException

from harness.errors import FleetgateError, InfraError, LinkLost, SecurityError
from harness.transport.channel import SshChannel
from harness.transport.endpoint import Endpoint
from harness.transport.host_key import PublicKey

# Without a handler of anybody's, paramiko's refused connections would be printed with tracebacks.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

HANDSHAKE_S = 60.0
"""Longest wait for one step of the handshake; an emulated board takes up to 5 s for each."""
_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")


class _Unbelieved(Exception):  # noqa: N818  a signal inside this module
    """The host showed a key that is not believed."""

    def __init__(self, key: PublicKey) -> None:
        super().__init__(key.fingerprint)
        self.key = key


class _Checked(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]  # paramiko is untyped
    """Ask the endpoint's trust about the key of a host; paramiko's own lists are left empty so that all come here."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._trust = endpoint.trust

    def missing_host_key(self, client: object, hostname: str, key: paramiko.PKey) -> None:
        shown = PublicKey(key.get_name(), key.asbytes())
        if not self._trust.accepts(shown):
            raise _Unbelieved(shown)


class SshTransport:
    """The SSH connection of one board; see `harness.transport.protocol.Transport`.

    Args:
        endpoint: where, as whom, and which host keys are believed.
        cancel: set by another thread to give up while connecting.
        is_alive: False when the host is known to be gone, so that trying again makes no sense.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        cancel: threading.Event | None = None,
        is_alive: Callable[[], bool] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._cancel = cancel or threading.Event()
        self._is_alive = is_alive or (lambda: True)
        self._connections: list[fabric.Connection] = []
        self._opening: fabric.Connection | None = None

    def __enter__(self) -> Self:
        try:
            self._connect_patiently()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def describe(self) -> str:
        """Return `ssh label (user@host:port)`."""
        return f"ssh {self._endpoint}"

    def close(self) -> None:
        """Drop the connection and those to its jump hosts."""
        if self._opening is not None:
            self._opening.client.close()
        while self._connections:
            self._connections.pop().client.close()

    def open(self, argv: Sequence[str]) -> SshChannel:
        """Start a program on the board, without a terminal, and return its streams."""
        connection = self._connections[-1]
        # A peer that stops answering here would be waited for without end; closing the connection wakes the waiter.
        alarm = threading.Timer(HANDSHAKE_S, self.close)
        alarm.start()
        try:
            channel = connection.client.get_transport().open_session(timeout=HANDSHAKE_S)
            channel.exec_command(shlex.join(argv))
        except (SSHException, OSError, EOFError, AttributeError) as error:
            raise LinkLost(f"{self.describe()}: cannot start a program: {_why(error)}") from error
        finally:
            alarm.cancel()
        return SshChannel(channel, self.describe())

    def _connect_patiently(self) -> None:
        """Connect; try refusals and silence again, with growing pauses, and nothing else.

        OpenSSH 9.8 and later bans hosts that connect and leave, so pauses grow and every try is a real login.
        """
        give_up = time.monotonic() + self._endpoint.patience_s
        for pause_s in _pauses():
            try:
                self._connect()
            except (OSError, EOFError, SSHException) as error:
                self.close()
                if isinstance(error, AuthenticationException):
                    raise self._login_refused(error) from error
                if time.monotonic() + pause_s > give_up or self._cancel.is_set() or not self._is_alive():
                    raise LinkLost(f"{self.describe()}: cannot connect: {_why(error)}", code="connect") from error
            else:
                return
            self._cancel.wait(pause_s)

    def _login_refused(self, error: Exception) -> FleetgateError:
        offered = ", ".join(self._endpoint.identity_files) or "none found"
        return InfraError(
            f"{self.describe()}: login refused ({_why(error)}). Keys offered: {offered}"
            f"{' and those of the ssh agent' if self._endpoint.use_agent else ''}. "
            "Passwords are never asked for: put a key into the board's authorized_keys",
            code="auth",
        )

    def _connect(self) -> None:
        for hop in (*self._endpoint.jumps, self._endpoint):
            self._connections.append(self._hop(hop))

    def _hop(self, hop: Endpoint) -> fabric.Connection:
        """Connect to one host, through the one before it; try the other key types before a pin is called wrong."""
        shown: PublicKey | None = None
        for kinds in _orders(hop):
            if shown is not None and kinds == (shown.kind,):
                continue
            try:
                return self._login(hop, kinds)
            except _Unbelieved as error:
                shown = shown or error.key
            except IncompatiblePeer as error:
                if shown is None and hop.trust.kinds and "host key" in str(error):
                    raise SecurityError(
                        f"{hop} offers no host key of the type in {hop.trust.source} ({', '.join(hop.trust.kinds)}): "
                        "its key has CHANGED; nothing was sent",
                        code="host_key_changed",
                    ) from error
                if shown is None:
                    raise
        assert shown is not None
        raise hop.trust.refusal(shown, str(hop))

    def _login(self, hop: Endpoint, kinds: tuple[str, ...]) -> fabric.Connection:
        connection = fabric.Connection(
            hop.host,
            user=hop.user,
            port=hop.port,
            # Lazy and with an empty ssh_config: no fabric.yaml and no ssh_config of anybody is read.
            config=fabric.Config(lazy=True, ssh_config=paramiko.SSHConfig()),
            gateway=self._connections[-1] if self._connections else None,
            forward_agent=False,
            connect_timeout=max(1, int(hop.connect_timeout_s)),
            connect_kwargs={
                "key_filename": list(hop.identity_files),
                "allow_agent": hop.use_agent,
                "look_for_keys": False,
                "banner_timeout": HANDSHAKE_S,
                "auth_timeout": HANDSHAKE_S,
                "channel_timeout": HANDSHAKE_S,
                "transport_factory": _factory(kinds),
            },
        )
        connection.client.set_missing_host_key_policy(_Checked(hop))
        self._opening = connection
        try:
            connection.open()
        except BaseException:
            connection.client.close()
            raise
        finally:
            self._opening = None
        return connection


def _orders(hop: Endpoint) -> Iterator[tuple[str, ...]]:
    """Yield the sets of host key types to ask for, until one shows a key that is believed."""
    yield hop.trust.kinds or _KINDS
    if hop.trust.fingerprints:
        yield from ((kind,) for kind in _KINDS)


def _factory(kinds: tuple[str, ...]) -> Callable[..., paramiko.Transport]:
    """Return a maker of transports that ask the host for keys of `kinds` only, over sockets that notice a dead peer."""

    def make(sock: Any, **options: Any) -> paramiko.Transport:  # noqa: ANN401  paramiko is untyped
        if isinstance(sock, socket.socket):
            watch_peer(sock)
        transport = paramiko.Transport(sock, **options)
        transport.daemon = True
        security = transport.get_security_options()
        wanted = [name for kind in kinds for name in _ALGORITHMS.get(kind, (kind,))]
        offered = tuple(name for name in wanted if name in security.key_types)
        if offered:
            security.key_types = offered
        return transport

    return make


def watch_peer(sock: socket.socket) -> None:
    """Have the kernel end a connection whose peer is gone: 3 probes 5 s apart after 5 s; sent data has 15 s."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 15_000)):
        with contextlib.suppress(OSError, AttributeError):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _pauses() -> Iterator[float]:
    pause_s = 0.25
    while True:
        yield pause_s
        pause_s = min(pause_s * 2, 5.0)


def _why(error: BaseException) -> str:
    return str(error) or type(error).__name__
