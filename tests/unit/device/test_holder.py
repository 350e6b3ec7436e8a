"""Who holds a board, as whoever is refused reads it."""

from __future__ import annotations

import getpass
import os

import pytest

from harness.device import holder_name


def test_the_holder_is_named_by_user_host_and_process() -> None:
    """Enough to find the process."""
    assert holder_name().startswith(f"{getpass.getuser()}@")
    assert holder_name().endswith(f" pid {os.getpid()}")


def test_a_user_without_a_name_holds_boards_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run as a number that no passwd knows."""

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)

    assert holder_name().startswith(f"uid {os.getuid()}@")
