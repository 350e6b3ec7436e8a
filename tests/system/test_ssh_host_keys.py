"""Host keys over real connections: nobody is believed who is not written down."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import InfraError, LinkLost, SecurityError
from harness.spec.model import Ssh
from harness.testing.sshd import LocalSshd
from harness.transport.endpoint import Endpoint, resolve
from harness.transport.host_key import Trust, parse_public_key, trust_pin
from harness.transport.ssh import SshTransport

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def board() -> Iterator[LocalSshd]:
    """Run an sshd that offers three types of host key."""
    with LocalSshd(host_key_type="ed25519,ecdsa,rsa") as running:
        yield running


@pytest.fixture(scope="module")
def gate() -> Iterator[LocalSshd]:
    """Run an sshd that lets pass through."""
    with LocalSshd(forwarding=True) as running:
        yield running


def say_hello(endpoint: Endpoint) -> bytes:
    """Connect and run one program."""
    with SshTransport(endpoint) as transport:
        channel = transport.open(["echo", "hello"])
        return channel.read(100, timeout_s=20)


def fingerprints(board: LocalSshd) -> list[str]:
    """Return the fingerprints of a board's keys, in the order of their types."""
    return [parse_public_key(line).fingerprint for line in board.host_keys]


def write_config(folder: Path, board: LocalSshd, extra: str = "") -> str:
    """Write an ssh_config that knows `pi`, with an empty known_hosts of its own."""
    path = folder / "config"
    (folder / "known").touch()
    path.write_text(
        f"Host pi\n HostName 127.0.0.1\n Port {board.port}\n User {board.user}\n IdentityFile {board.identity_file}\n"
        f" IdentitiesOnly yes\n UserKnownHostsFile {folder}/known\n GlobalKnownHostsFile /dev/null\n{extra}"
    )
    return str(path)


def test_unknown_key_is_an_error_that_shows_the_pin(board: LocalSshd, tmp_path: Path) -> None:
    """Without pin and known_hosts line nothing is sent; the message holds a line for farm.yaml that works."""
    config = write_config(tmp_path, board)

    with pytest.raises(SecurityError) as caught:
        say_hello(resolve(Ssh("pi"), config=config))

    assert caught.value.code == "host_key_unknown"
    pin = str(caught.value).split('host_key: "')[1].split('"')[0]
    assert pin in fingerprints(board)
    assert say_hello(resolve(Ssh("pi", host_key=pin), config=config)) == b"hello\n"


def test_checking_cannot_be_switched_off_by_ssh_config(board: LocalSshd, tmp_path: Path) -> None:
    """StrictHostKeyChecking=no of a careless ssh_config does not count."""
    config = write_config(tmp_path, board, " StrictHostKeyChecking no\n")

    with pytest.raises(SecurityError, match="unknown"):
        say_hello(resolve(Ssh("pi"), config=config))


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_pinned_fingerprint_of_any_type(board: LocalSshd, kind: int) -> None:
    """A pin of the host's ecdsa or rsa key works although the host offers ed25519 first."""
    endpoint = dataclasses.replace(board.endpoint(), trust=trust_pin(fingerprints(board)[kind]))

    assert say_hello(endpoint) == b"hello\n"


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_pinned_key_line_of_any_type(board: LocalSshd, kind: int) -> None:
    """A pinned key line is asked for by its own type."""
    endpoint = dataclasses.replace(board.endpoint(), trust=trust_pin(board.host_keys[kind]))

    assert say_hello(endpoint) == b"hello\n"


def test_wrong_pin_is_an_attack_until_shown_otherwise(board: LocalSshd, gate: LocalSshd) -> None:
    """Another host's fingerprint is refused with both fingerprints shown."""
    endpoint = dataclasses.replace(board.endpoint(), trust=trust_pin(fingerprints(gate)[0]))

    with pytest.raises(SecurityError, match="CHANGED") as caught:
        say_hello(endpoint)

    assert fingerprints(gate)[0] in str(caught.value)
    assert fingerprints(board)[0] in str(caught.value)


def test_changed_key_line_is_refused(board: LocalSshd, gate: LocalSshd) -> None:
    """A known key of the same type that differs is refused."""
    endpoint = dataclasses.replace(board.endpoint(), trust=Trust(keys=(parse_public_key(gate.host_key),)))

    with pytest.raises(SecurityError, match="CHANGED"):
        say_hello(endpoint)


def test_host_that_lacks_the_known_type_is_refused(gate: LocalSshd, board: LocalSshd) -> None:
    """A host that no longer offers the known type has changed, and is not simply asked for another type."""
    rsa = parse_public_key(board.host_keys[2])
    endpoint = dataclasses.replace(gate.endpoint(), trust=Trust(keys=(rsa,)))

    with pytest.raises(SecurityError, match="CHANGED"):
        say_hello(endpoint)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_known_hosts_line_is_believed(board: LocalSshd, tmp_path: Path, kind: int) -> None:
    """A line of the user's known_hosts, whatever its type, lets the board in."""
    config = write_config(tmp_path, board)
    (tmp_path / "known").write_text(f"[127.0.0.1]:{board.port} {board.host_keys[kind]}\n")

    assert say_hello(resolve(Ssh("pi"), config=config)) == b"hello\n"


def test_jump_host_is_verified_too(board: LocalSshd, gate: LocalSshd, tmp_path: Path) -> None:
    """A board behind a jump host is reached only when both keys are known."""
    config = write_config(
        tmp_path,
        board,
        " ProxyJump gate\n"
        f"Host gate\n HostName 127.0.0.1\n Port {gate.port}\n User {gate.user}\n IdentityFile {gate.identity_file}\n"
        f" IdentitiesOnly yes\n UserKnownHostsFile {tmp_path}/known\n GlobalKnownHostsFile /dev/null\n",
    )
    (tmp_path / "known").write_text(f"[127.0.0.1]:{board.port} {board.host_key}\n")

    with pytest.raises(SecurityError, match="jump host"):
        say_hello(resolve(Ssh("pi"), config=config))
    (tmp_path / "known").write_text(
        f"[127.0.0.1]:{board.port} {board.host_key}\n[127.0.0.1]:{gate.port} {gate.host_key}\n"
    )

    assert say_hello(resolve(Ssh("pi"), config=config)) == b"hello\n"


def test_refused_login_says_which_keys_were_offered(board: LocalSshd, gate: LocalSshd) -> None:
    """Another key than the authorised one is refused at once, without a retry or a password prompt."""
    endpoint = dataclasses.replace(board.endpoint(), identity_files=(gate.identity_file,), patience_s=60.0)

    with pytest.raises(InfraError, match="authorized_keys") as caught:
        say_hello(endpoint)

    assert caught.value.code == "auth"
    assert gate.identity_file in str(caught.value)


def test_refused_connection_is_tried_again_and_then_given_up(board: LocalSshd) -> None:
    """A port that nobody listens on is tried for the patience of the endpoint, not longer."""
    with LocalSshd() as gone:
        endpoint = dataclasses.replace(gone.endpoint("pi"), patience_s=1.0)

        assert say_hello(endpoint) == b"hello\n"
    endpoint = dataclasses.replace(endpoint, identity_files=(board.identity_file,))

    with pytest.raises(LinkLost, match="cannot connect"):
        say_hello(endpoint)
