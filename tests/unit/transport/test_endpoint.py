"""Endpoints: what is read out of `ssh -G`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import InfraError, SecurityError
from harness.spec.model import Ssh
from harness.transport.endpoint import parse_jumps, parse_options, resolve

GOLDEN = Path(__file__).parents[2] / "golden" / "ssh"
KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIMt2Tj2fQ6sV7ZpVfqfKzJb4bHk3mQ0Gq9N0wFqzV8aB"


def test_options_keep_order_and_repetition() -> None:
    """Every value of a repeated option is kept, in OpenSSH's order; names are lower case."""
    options = parse_options((GOLDEN / "ssh-G.txt").read_text())

    assert options["hostname"] == ["pi-lab-3.lab.example"]
    assert options["identityfile"] == ["~/.ssh/farm key", "~/.ssh/id_ed25519"]
    assert options["proxyjump"] == ["gate@jump.lab.example:2222"]
    assert options["connecttimeout"] == ["7"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("none", ()),
        ("jump", (Ssh("jump"),)),
        ("me@jump:2222", (Ssh("jump", "me", 2222),)),
        ("a,b@c", (Ssh("a"), Ssh("c", "b"))),
        ("ssh://me@jump:22", (Ssh("jump", "me", 22),)),
        ("me@[::1]:22", (Ssh("::1", "me", 22),)),
    ],
)
def test_jumps(text: str, expected: tuple[Ssh, ...]) -> None:
    """ProxyJump is read in all its forms; `none` means no jump."""
    assert parse_jumps(text) == expected


def test_jump_that_cannot_be_read_is_refused() -> None:
    """A hop without sense is an error, not a host of that name."""
    with pytest.raises(ValueError, match="ProxyJump"):
        parse_jumps("a:b:c")


def write_config(folder: Path, text: str) -> str:
    """Write an ssh_config and return its path."""
    path = folder / "config"
    path.write_text(text)
    return str(path)


def test_alias_is_resolved_by_openssh(tmp_path: Path) -> None:
    """User, port, timeout, identity, known_hosts by alias and a jump come from ssh_config as OpenSSH reads it."""
    (tmp_path / "id").write_text("")
    (tmp_path / "known").write_text(f"[board.invalid]:2022 ssh-ed25519 {KEY}\n")
    config = write_config(
        tmp_path,
        f"Host pi\n HostName board.invalid\n User me\n Port 2022\n ConnectTimeout 7\n IdentityFile {tmp_path}/id\n"
        f" IdentityFile {tmp_path}/absent\n UserKnownHostsFile {tmp_path}/known\n ProxyJump gate\n"
        f"Host gate\n HostName gate.invalid\n User porter\n UserKnownHostsFile {tmp_path}/known\n",
    )

    endpoint = resolve(Ssh("pi"), label="lab-3", config=config)

    assert (endpoint.host, endpoint.port, endpoint.user) == ("board.invalid", 2022, "me")
    assert endpoint.identity_files == (f"{tmp_path}/id",)
    assert endpoint.connect_timeout_s == 7.0
    assert [key.kind for key in endpoint.trust.keys] == ["ssh-ed25519"]
    (jump,) = endpoint.jumps
    assert (jump.host, jump.user, jump.trust.keys) == ("gate.invalid", "porter", ())
    assert not jump.trust.is_board


def test_farm_file_wins_over_ssh_config(tmp_path: Path) -> None:
    """User, port and pin that farm.yaml names are used instead of those of ssh_config."""
    config = write_config(tmp_path, "Host pi\n User me\n Port 2022\n")
    pin = "SHA256:" + "A" * 43

    endpoint = resolve(Ssh("pi", "you", 23, pin), config=config)

    assert (endpoint.user, endpoint.port) == ("you", 23)
    assert endpoint.trust.fingerprints == (pin,)


def test_host_key_alias_names_the_line(tmp_path: Path) -> None:
    """With HostKeyAlias the line of the alias is believed, whatever the address."""
    (tmp_path / "known").write_text(f"alias ssh-ed25519 {KEY}\n")
    config = write_config(tmp_path, f"Host pi\n HostKeyAlias alias\n Port 99\n UserKnownHostsFile {tmp_path}/known\n")

    assert len(resolve(Ssh("pi"), config=config).trust.keys) == 1


def test_proxy_command_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """ProxyCommand runs programs on the controller: it is refused, and ProxyJump named."""
    config = write_config(tmp_path, "Host pi\n ProxyCommand nc %h %p\n")

    with pytest.raises(InfraError, match="ProxyJump"):
        resolve(Ssh("pi"), config=config)


def test_jump_circle_ends(tmp_path: Path) -> None:
    """Two hosts that jump through each other are an error, not an endless loop."""
    config = write_config(tmp_path, "Host a\n ProxyJump b\nHost b\n ProxyJump a\n")

    with pytest.raises(InfraError, match="circle"):
        resolve(Ssh("a"), config=config)


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "a b", "a;b", "$(x)", ""])
def test_host_that_is_an_option_or_a_command_is_refused(host: str) -> None:
    """A host name never becomes an option of ssh."""
    with pytest.raises(SecurityError, match="host name"):
        resolve(Ssh(host))


def test_bad_pin_is_refused(tmp_path: Path) -> None:
    """A host_key that is no key is a refusal; it never means that anything goes."""
    with pytest.raises(SecurityError, match="fingerprint"):
        resolve(Ssh("pi", host_key="SHA256:no"), config=write_config(tmp_path, ""))


def test_agent_is_used_only_where_openssh_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """IdentitiesOnly keeps the keys of the ssh agent out."""
    monkeypatch.setitem(os.environ, "SSH_AUTH_SOCK", str(tmp_path / "agent"))

    assert resolve(Ssh("pi"), config=write_config(tmp_path, "")).use_agent
    assert not resolve(Ssh("pi"), config=write_config(tmp_path, "Host *\n IdentitiesOnly yes\n")).use_agent
