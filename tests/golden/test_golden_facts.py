"""Facts of boards: the raw reply in, the parsed facts out, per kind of board."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from harness.device.facts import parse_facts

BOARDS = sorted(path.parent for path in (Path(__file__).parent / "facts").glob("*/raw.json"))


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_facts_of_a_board(board: Path) -> None:
    """Each board's raw texts give exactly the facts that a person has reviewed."""
    raw = json.loads((board / "raw.json").read_text())

    found = json.loads(json.dumps(dataclasses.asdict(parse_facts(raw))))

    expected = board / "expected.json"
    if os.environ.get("FLEETGATE_UPDATE_GOLDEN"):
        expected.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(expected.read_text())


def test_every_kind_of_board_has_a_golden() -> None:
    """Boards of the shipped profiles are all here."""
    names = {board.name for board in BOARDS}

    assert {"rpi4", "rpi5", "jetson-orin-nano", "imx8mp", "qemu-cortex-a53", "qemu-cortex-a76", "x86-host"} <= names
