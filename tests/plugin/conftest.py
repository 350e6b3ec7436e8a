"""Fixtures of the plugin's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.testing.rehearsal import Rehearsal


@pytest.fixture
def rehearsal(tmp_path: Path) -> Rehearsal:
    """A folder with a farm of three fake boards and a suite of two fake artifacts."""
    return Rehearsal(tmp_path / "rehearsal")
