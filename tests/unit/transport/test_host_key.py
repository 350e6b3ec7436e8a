"""Host keys: which are believed, and what is said of those that are not."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from harness.transport.host_key import (
    HostFiles,
    PublicKey,
    Trust,
    known_name,
    parse_known_hosts,
    parse_public_key,
    trust_files,
    trust_pin,
)


def make_key(kind: str = "ssh-ed25519", seed: str = "a") -> PublicKey:
    """Make a key blob of a kind; only its framing is real."""
    blob = len(kind).to_bytes(4, "big") + kind.encode() + hashlib.sha256(seed.encode()).digest()
    return PublicKey(kind, blob)


def line(key: PublicKey) -> str:
    """Write a key as OpenSSH does."""
    return f"{key.kind} {base64.b64encode(key.blob).decode()}"


def hashed(name: str) -> str:
    """Hash a name as HashKnownHosts does."""
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, name.encode(), "sha1").digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def test_fingerprint_is_that_of_ssh_keygen() -> None:
    """A key that ssh-keygen printed has the fingerprint that ssh-keygen printed with it."""
    key = parse_public_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMt2Tj2fQ6sV7ZpVfqfKzJb4bHk3mQ0Gq9N0wFqzV8aB comment")

    digest = base64.b64encode(hashlib.sha256(key.blob).digest()).decode().rstrip("=")

    assert key.fingerprint == f"SHA256:{digest}"
    assert len(key.fingerprint) == 50


@pytest.mark.parametrize(
    "text", ["", "ssh-ed25519", "ssh-ed25519 !!!", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIMt2Tj2fQ6sV7ZpVfqfKzJb4bHk3"]
)
def test_text_that_is_no_key_is_refused(text: str) -> None:
    """A key line without base64, or whose type contradicts its bytes, is an error and never an empty key."""
    with pytest.raises(ValueError, match="public key line"):
        parse_public_key(text)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("board", "board", True),
        ("board", "board2", False),
        ("Board,10.0.0.?", "10.0.0.7", True),
        ("*.lab", "pi.lab", True),
        ("*.lab,!pi.lab", "pi.lab", False),
        ("[board]:2222", "[board]:2222", True),
        ("[board]:2222", "board", False),
        ("board", "[board]:2222", False),
        (hashed("board"), "board", True),
        (hashed("[board]:2222"), "[board]:2222", True),
        (hashed("board"), "other", False),
        ("|1|broken", "board", False),
    ],
)
def test_known_hosts_patterns(pattern: str, name: str, expected: bool) -> None:
    """Names, wildcards, negations, ports and hashed names match as sshd(8) says."""
    (host,) = parse_known_hosts(f"{pattern} {line(make_key())} comment\n")

    assert host.is_for(name) is expected


def test_lines_that_openssh_skips_are_skipped() -> None:
    """Comments, empty lines and broken keys do not hide the good lines around them."""
    text = f"# comment\n\nboard ssh-ed25519 ???\nboard\n@revoked board {line(make_key())}\nboard {line(make_key())}\n"

    assert [host.marker for host in parse_known_hosts(text)] == ["@revoked", ""]


def test_known_name_follows_port_and_alias() -> None:
    """A port other than 22 is part of the name; HostKeyAlias replaces all of it."""
    assert known_name("Board", 22) == "board"
    assert known_name("Board", 2222) == "[board]:2222"
    assert known_name("board", 2222, "Alias") == "alias"


def test_files_believe_any_listed_key_and_no_other() -> None:
    """All keys of a name are believed; another key, and a certificate authority's, are not."""
    first, second, other = make_key(), make_key("ssh-rsa", "b"), make_key(seed="c")
    text = f"board {line(first)}\nboard {line(second)}\n@cert-authority board {line(other)}\nelse {line(other)}\n"

    trust = trust_files(HostFiles("board", (text,), ("known_hosts",)))

    assert trust.accepts(first)
    assert trust.accepts(second)
    assert not trust.accepts(other)
    assert trust.kinds == ("ssh-ed25519", "ssh-rsa")


def test_revoked_key_is_never_believed() -> None:
    """A @revoked line wins over a line that lists the same key."""
    key = make_key()
    trust = trust_files(HostFiles("board", (f"board {line(key)}\n@revoked * {line(key)}\n",), ("known_hosts",)))

    assert not trust.accepts(key)
    assert "revoked" in str(trust.refusal(key, "board"))


def test_unknown_key_says_how_to_pin_it() -> None:
    """The refusal of an unknown key holds its fingerprint and the very line for farm.yaml."""
    key = make_key()

    error = Trust(source="known_hosts").refusal(key, "pi")

    assert error.code == "host_key_unknown"
    assert f'host_key: "{key.fingerprint}"' in str(error)


def test_changed_key_shows_both_fingerprints() -> None:
    """The refusal of a changed key names what was seen and what was believed."""
    old, new = make_key(), make_key(seed="new")

    error = Trust(keys=(old,)).refusal(new, "pi")

    assert error.code == "host_key_changed"
    assert old.fingerprint in str(error)
    assert new.fingerprint in str(error)


def test_pin_by_fingerprint_with_or_without_padding() -> None:
    """A fingerprint pin believes that key alone, of whatever type."""
    key = make_key()

    trust = trust_pin(key.fingerprint + "=")

    assert trust.accepts(key)
    assert not trust.accepts(make_key(seed="other"))
    assert trust.kinds == ()


@pytest.mark.parametrize("text", ["SHA256:short", "MD5:00:11", "accept-new", "no"])
def test_pin_that_is_no_pin_is_refused(text: str) -> None:
    """Whatever is neither fingerprint nor key cannot switch checking off."""
    with pytest.raises(ValueError, match=r"fingerprint|public key"):
        trust_pin(text)
