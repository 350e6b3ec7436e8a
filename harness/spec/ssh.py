"""How a physical board is reached, as written: host, user, port and pinned host key.

What is accepted here can stand on a command line of ssh without being read as an option or by a shell.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from harness.spec.form import Form
from harness.spec.validate import Refusal, quoted

_HOST = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9_.:%\[\]-]{0,252}")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}\$?")
_KEY_TYPES = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")


def _check_host(value: str) -> str:
    if "@" in value:
        user, _, host = value.partition("@")
        raise Refusal(f"{quoted(value)} is not a host", f"write 'ssh: {{host: {host}, user: {user}}}'")
    if not _HOST.fullmatch(value):
        raise Refusal(f"{quoted(value)} is not a host", "a name, an address or an alias of ~/.ssh/config")
    return value


def _check_user(value: str) -> str:
    if not _USER.fullmatch(value):
        raise Refusal(f"{quoted(value)} is not a user name", "letters, digits, '_', '.' and '-'")
    return value


def check_host_key(value: str) -> str:
    """Accept `SHA256:…` as ssh-keygen -l prints it, or a public key line."""
    if re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}=?", value):
        return value
    words = value.split()
    hint = "as `ssh-keygen -lf` prints it, 'SHA256:…' with 43 characters, or a public key line 'ssh-ed25519 AAAA…'"
    if len(words) < 2 or words[0] not in _KEY_TYPES or "\n" in value.strip():
        raise Refusal(f"{quoted(value)} is not a host key", hint)
    try:
        blob = base64.b64decode(words[1], validate=True)
    except binascii.Error:
        raise Refusal("the key's base64 text is damaged", hint) from None
    if not blob.startswith(len(words[0]).to_bytes(4, "big") + words[0].encode()):
        raise Refusal(f"the key's data is not of the type {words[0]}", hint)
    return value


class SshForm(Form):
    """How OpenSSH reaches a board; everything that is missing is ~/.ssh/config's."""

    noun: ClassVar[str] = "ssh"
    host: Annotated[str, AfterValidator(_check_host)] = Field(
        description="Name, address or alias of ~/.ssh/config.", examples=["pi-lab-3"]
    )
    user: Annotated[str, AfterValidator(_check_user)] = Field(
        default="", description="User on the board.", examples=["pi"]
    )
    port: int = Field(default=0, ge=1, le=65535, description="Port of sshd.", examples=[22])
