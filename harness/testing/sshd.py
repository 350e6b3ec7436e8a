"""A private sshd for rehearsals and tests: a board that needs no hardware, reached as every other board is."""

from harness.transport.sshd import LocalSshd

__all__ = ["LocalSshd"]
