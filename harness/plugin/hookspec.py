"""The hooks that outsiders implement, in a conftest.py or a plugin of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.farm.boards import Boards


@pytest.hookspec(firstresult=True)
def pytest_fleetgate_boards(config: pytest.Config) -> Boards | None:
    """Give the boards of this run: anything with the two methods of `harness.farm.boards.Boards`.

    Without an answer, boards are opened over SSH and emulated ones are started. `harness.testing.device.FakeBoards`
    rehearses a farm without hardware.
    """
