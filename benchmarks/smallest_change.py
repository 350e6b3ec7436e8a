"""The smallest change of work that each method catches with no false alarm in 100 tries, side by side.

The same model (the digits CNN, batch of eight, onnxruntime, one thread) and the same planted changes, three ways:

- `board`: instructions on a deterministic board, through plan, sessions, record and gate. Four boards restored from one
  snapshot, two at work at a time; every comparison is two fresh sessions per file. The same counts compared across
  boards are a row of their own.
- `wall`: the clock of this machine as one should use it: fresh processes in turns, one core, warm-up, the median of
  1,000 calls per process, the median of 3 processes per file.
- `valgrind`: callgrind's count of the calls alone, in a fresh process per figure, without address randomisation and
  with fixed hash seeds; the median of 11 calls. Optional: `apt-get install valgrind`; x86_64 only.

100 comparisons of the model with itself give the largest |ratio - 1|: whatever is larger is caught with no false alarm
in 100 tries. Then models with planted operators are compared: caught, when the ratio is above that.

Needs onnx and onnxruntime (`make .venv/ready-dev` brings both). Takes about an hour on two quiet cores;
`--tries 10` a tenth of it; `--arms board` one arm. Prints a Markdown table; progress goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from host_arm import Valgrind, WallClock
from planted import Planted, plant

NODES = [1, 2, 9, 18, 90]
"""Planted operators: about 0.05, 0.1, 0.5, 1 and 5 % of the model's instructions on the board."""
PROFILE = "qemu-cortex-a53"
BOARDS = 4
AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Found:
    """What one method says: ratios of the model to itself, and of each changed model to it."""

    name: str
    same: list[float]
    changed: dict[str, list[float]]

    @property
    def smallest(self) -> float:
        """Give the largest |ratio - 1| without a change: what is above it raises no false alarm in these tries."""
        return max(abs(ratio - 1) for ratio in self.same)

    def row(self) -> str:
        """Write the row of the table."""
        cells = [f"{statistics.median(ratios) - 1:+.3%}, {self._caught(ratios)}" for ratios in self.changed.values()]
        return f"| {self.name} | {self.smallest:.4%} of {len(self.same)} | " + " | ".join(cells) + " |"

    def _caught(self, ratios: Sequence[float]) -> str:
        return f"{sum(ratio - 1 > self.smallest for ratio in ratios)} of {len(ratios)}"


def board_arm(models: Planted, tries: int, again: int) -> list[Found]:
    """Compare on deterministic boards; one row within a board, one across boards of one snapshot."""
    from board_arm import compare_on_boards

    found = compare_on_boards(models, PROFILE, boards=BOARDS, at_once=AT_ONCE, tries=tries, again=again)
    return [
        Found("deterministic board, same board", found.same_board, found.changed),
        Found("deterministic board, another board of the snapshot", found.across, found.changed_across),
    ]


def wall_arm(models: Planted, tries: int, again: int) -> list[Found]:
    """Compare by the clock of this machine."""
    return [_on_host("wall clock of the host", WallClock(models.data).ratios, models, tries, again)]


def valgrind_arm(models: Planted, tries: int, again: int) -> list[Found]:
    """Compare by callgrind's counts; nothing when there is no valgrind."""
    if reason := Valgrind.missing():
        print(f"valgrind: left out, {reason}", file=sys.stderr)
        return []
    return [_on_host("valgrind (callgrind) on the host", Valgrind(models.data).ratios, models, tries, again)]


ARMS: dict[str, Callable[[Planted, int, int], list[Found]]] = {
    "board": board_arm,
    "wall": wall_arm,
    "valgrind": valgrind_arm,
}


def _on_host(
    name: str, ratios: Callable[[Path, Path, int], list[float]], models: Planted, tries: int, again: int
) -> Found:
    same = ratios(models.model, models.copy, tries)
    return Found(name, same, {what: ratios(models.model, file, again) for what, file in models.changed.items()})


def main() -> int:
    """Run the arms that were asked for and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tries", type=int, default=100, help="comparisons of the model with itself (default 100)")
    parser.add_argument("--again", type=int, default=10, help="comparisons per planted change (default 10)")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="methods (default: all)")
    parser.add_argument("--json", type=Path, help="also write every ratio there")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = plant(Path(folder), NODES)
        found = [row for arm in asked.arms for row in ARMS[arm](models, asked.tries, asked.again)]
    heads = list(models.changed)
    print("| method | largest without a change | " + " | ".join(heads) + " |\n" + "|---" * (2 + len(heads)) + "|")
    print("\n".join(row.row() for row in found))
    if asked.json:
        asked.json.write_text(
            json.dumps([{"name": row.name, "same": row.same, "changed": row.changed} for row in found])
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
