"""Which host keys are believed: pins and known_hosts lines, compared by their bytes.

Owns parsing of public keys and known_hosts files, and the sentence that is shown for an unknown or changed key. Pure:
it reads no file and opens no connection.
Source: sshd(8), section SSH_KNOWN_HOSTS FILE FORMAT.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
from dataclasses import dataclass, field

from harness.errors import SecurityError


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A host key: `kind` is the SSH name of the key type (`ssh-ed25519`), `blob` the wire form."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """`SHA256:…` as ssh-keygen -l prints it."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def parse_public_key(text: str) -> PublicKey:
    """Parse `ssh-ed25519 AAAA… [comment]`.

    Raises:
        ValueError: the text is not an OpenSSH public key, or its type does not agree with its bytes.
    """
    words = text.split()
    if len(words) < 2:
        raise ValueError("a public key line has a type and a base64 text: `ssh-ed25519 AAAA…`")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except binascii.Error as error:
        raise ValueError("the second word of the public key line is not base64") from error
    length = int.from_bytes(blob[:4], "big")
    if blob[4 : 4 + length] != words[0].encode():
        raise ValueError(f"the public key line says {words[0]} but holds another kind of key")
    return PublicKey(words[0], blob)


@dataclass(frozen=True, slots=True)
class KnownHost:
    """One line of a known_hosts file: `marker` is empty, `@revoked` or `@cert-authority`."""

    marker: str
    patterns: tuple[str, ...]
    key: PublicKey

    def is_for(self, name: str) -> bool:
        """Tell whether the line speaks of `name` (lower case; `[host]:port` for a port other than 22)."""
        matched = False
        for pattern in self.patterns:
            negated = pattern.startswith("!")
            if _matches(pattern.removeprefix("!"), name):
                if negated:
                    return False
                matched = True
        return matched


def _matches(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        try:
            salt, expected = (base64.b64decode(part) for part in pattern[3:].split("|"))
        except (ValueError, binascii.Error):
            return False
        # The format of OpenSSH fixes SHA-1; it hides names here and protects nothing.
        return hmac.compare_digest(hmac.new(salt, name.encode(), "sha1").digest(), expected)
    # fnmatch knows [abc] sets, known_hosts does not: its brackets are the literal ones of `[host]:port`.
    return fnmatch.fnmatchcase(name, pattern.lower().replace("[", "[[]"))


def parse_known_hosts(text: str) -> tuple[KnownHost, ...]:
    """Parse a known_hosts file; lines that OpenSSH would skip are skipped."""
    hosts = []
    for line in text.splitlines():
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#"):
            continue
        try:
            key = parse_public_key(" ".join(words[1:3]))
        except ValueError:
            continue
        hosts.append(KnownHost(marker, tuple(words[0].split(",")), key))
    return tuple(hosts)


def known_name(host: str, port: int, alias: str = "") -> str:
    """Return the name under which OpenSSH looks a host up: HostKeyAlias, `host` or `[host]:port`."""
    if alias:
        return alias.lower()
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


@dataclass(frozen=True, slots=True)
class Trust:
    """The host keys that are believed for one host. Nothing is believed that is not written down somewhere."""

    keys: tuple[PublicKey, ...] = ()
    fingerprints: tuple[str, ...] = ()
    revoked: tuple[PublicKey, ...] = ()
    source: str = "known_hosts"
    """Where the belief comes from, for messages."""
    is_board: bool = True
    """False for a jump host, which farm.yaml cannot pin."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Key types that can be accepted, in order; empty when any may be (a fingerprint does not say its type)."""
        return () if self.fingerprints else tuple(dict.fromkeys(key.kind for key in self.keys))

    def accepts(self, key: PublicKey) -> bool:
        """Tell whether `key` is believed."""
        return key not in self.revoked and (key in self.keys or key.fingerprint in self.fingerprints)

    def refusal(self, key: PublicKey, where: str) -> SecurityError:
        """Say why `key` of `where` is not believed, and what to do."""
        seen = f"{key.kind} {key.fingerprint}"
        if key in self.revoked:
            return SecurityError(
                f"the host key of {where} ({seen}) is marked @revoked in {self.source}", code="revoked"
            )
        if self.keys or self.fingerprints:
            wanted = ", ".join([*self.fingerprints, *(f"{known.kind} {known.fingerprint}" for known in self.keys)])
            return SecurityError(
                f"the host key of {where} has CHANGED: it shows {seen}, but {self.source} says {wanted}. "
                "Either the board was installed anew or somebody stands between; nothing was sent. "
                "Only when you know why: replace the old key there",
                code="host_key_changed",
            )
        how = (
            f'pin it at this device in farm.yaml with this line:\n    host_key: "{key.fingerprint}"'
            if self.is_board
            else "add it to known_hosts by connecting to the jump host once with ssh"
        )
        return SecurityError(
            f"the host key of {where} is unknown: {seen} ({self.source} does not have it). "
            f"Compare it with the board's own (ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub), then {how}",
            code="host_key_unknown",
        )


def trust_pin(text: str) -> Trust:
    """Believe exactly what farm.yaml pins: `SHA256:…` or a public key line.

    Raises:
        ValueError: the text is neither.
    """
    source = "host_key of farm.yaml"
    if text.startswith("SHA256:"):
        body = text.removeprefix("SHA256:").rstrip("=")
        if len(body) != 43:
            raise ValueError("a SHA256: fingerprint has 43 characters after the colon")
        return Trust(fingerprints=("SHA256:" + body,), source=source)
    return Trust(keys=(parse_public_key(text),), source=source)


@dataclass(frozen=True, slots=True)
class HostFiles:
    """The texts of the known_hosts files of one host and the name to look up in them."""

    name: str
    texts: tuple[str, ...] = ()
    paths: tuple[str, ...] = field(default=())


def trust_files(files: HostFiles, *, is_board: bool = True) -> Trust:
    """Believe what known_hosts files say of a name."""
    lines = [line for text in files.texts for line in parse_known_hosts(text) if line.is_for(files.name)]
    return Trust(
        keys=tuple(line.key for line in lines if not line.marker),
        revoked=tuple(line.key for line in lines if line.marker == "@revoked"),
        source=", ".join(files.paths) or "known_hosts",
        is_board=is_board,
    )
