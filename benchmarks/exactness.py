"""Do counts repeat? Five boards restored from one snapshot, five booted afresh, idle and loaded hosts, 100 comparisons.

For every artifact of the suites that is asked for (ONNX and TFLite), on one kind of deterministic board:

- `restored`: boards from one snapshot, every second one while busy loops load all cores of this machine. All counts of
  all sessions must be the same number.
- `fresh`: boards booted from their image, without a snapshot, likewise loaded every second time. Their counts must lie
  within 0.1 % of those of the restored ones.
- `alarms`: comparisons of each artifact with a copy of itself through plan, sessions, record and gate, spread over the
  restored boards. None may be anything but PASS.

Prints a Markdown table and exits with 1 when one of the three does not hold. Takes some 20 minutes on two quiet cores
for the suites digits and face on one profile; `--restored 2 --fresh 1 --alarms 4` is a short run.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gated_board import Ask, Compared, Pair, few_samples, open_board, teller

from harness.farm.boards import RealBoards
from harness.records.outcome import Outcome
from harness.spec import load_suite

ROOT = Path(__file__).parents[1]
SUITES = [ROOT / "suites" / "digits" / "digits.suite.yaml", ROOT / "suites" / "face" / "face.suite.yaml"]
ACROSS = 1e-3
"""Largest relative difference between a restored and a freshly booted board."""


@dataclass(slots=True)
class Counts:
    """What was seen of one artifact: the counts by kind of board, and what the gate said of each comparison."""

    restored: list[float] = field(default_factory=list)
    fresh: list[float] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def is_exact(self) -> bool:
        """Tell whether all sessions of all restored boards gave one number."""
        return len(set(self.restored)) == 1

    @property
    def away(self) -> float:
        """Give the largest relative distance of a fresh board's count from a restored one's."""
        return max((abs(new / old - 1) for new in self.fresh for old in set(self.restored)), default=0.0)

    @property
    def alarms(self) -> int:
        """Count the comparisons that did not pass."""
        return sum(outcome is not Outcome.PASS for outcome in self.outcomes)

    def row(self, name: str) -> str:
        """Write the row of the table."""
        shown = [f"{count:,.0f}" for count in sorted(set(self.restored))] or ["none"]
        counts = shown[0] if len(shown) == 1 else f"{shown[0]} to {shown[-1]} ({len(shown)} values)"
        return (
            f"| {name} | {counts} | {len(self.restored)} | {self.away:.4%} | {len(self.fresh)} | "
            f"{self.alarms} of {len(self.outcomes)} |"
        )


def pairs_of(suites: Sequence[Path], folder: Path) -> dict[str, Pair]:
    """Pair every distinct model file of the suites with a copy of itself."""
    pairs: dict[str, Pair] = {}
    for path in suites:
        suite = load_suite(path)
        data = few_samples(Path(suite.workload.data), folder)
        for artifact in suite.artifacts:
            file = Path(artifact.file)
            copy = shutil.copy(file, folder / f"copy_{suite.name}_{file.name}")
            pairs[f"{suite.name}::{artifact.name}"] = Pair(file, Path(copy), data)
    return pairs


def figures(compared: Compared) -> list[float]:
    """List the counts of all sessions of both arms, as far as the verdict holds them: lowest and highest of each."""
    arms = (compared.verdict.candidate, compared.verdict.baseline)
    ends = [(arm.low, arm.high) for arm in arms if arm is not None]
    return [end for pair in ends for end in pair if end is not None]


@contextlib.contextmanager
def busy(*, is_on: bool) -> Iterator[None]:
    """Load every core of this machine with a loop, or not."""
    loops = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(os.cpu_count() or 1) if is_on]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@dataclass(frozen=True, slots=True)
class Visit:
    """What is done on every board: the kind of board, how files are compared, and where the counts are kept."""

    profile: str
    ask: Ask
    seen: dict[str, Counts]


def visit(name: str, what: Visit, todo: Sequence[tuple[str, Pair]], *, fresh: bool) -> None:
    """Open one board and compare what is to be done there."""
    tell = teller(name)
    with open_board(
        name, what.profile, [pair for _, pair in todo], RealBoards(fresh=fresh), threading.Event()
    ) as board:
        for number, (artifact, pair) in enumerate(todo):
            compared = board.compare(pair, what.ask)
            counts = what.seen[artifact]
            (counts.fresh if fresh else counts.restored).extend(figures(compared))
            counts.outcomes.append(compared.verdict.outcome)
            verdict = compared.verdict
            tell(
                f"{number + 1} of {len(todo)}: {artifact} {verdict.outcome.value} {figures(compared)} {verdict.reason}"
            )


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("suites", nargs="*", type=Path, default=SUITES, help="suites whose artifacts are measured")
    parser.add_argument("--profile", default="qemu-cortex-a53", help="kind of board (default qemu-cortex-a53)")
    parser.add_argument("--restored", type=int, default=5, help="boards restored from the snapshot (default 5)")
    parser.add_argument("--fresh", type=int, default=5, help="boards booted afresh (default 5)")
    parser.add_argument("--alarms", type=int, default=100, help="comparisons on the restored boards (default 100)")
    parser.add_argument("--repeat", type=int, default=10, help="counted inferences per session (default 10)")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pairs = pairs_of(asked.suites, Path(folder))
        seen = {artifact: Counts() for artifact in pairs}
        what = Visit(asked.profile, Ask("0.001 %", asked.repeat), seen)
        rounds = max(1, -(-asked.alarms // (len(pairs) * asked.restored)))
        for number in range(asked.restored):
            with busy(is_on=bool(number % 2)):
                visit(f"restored{number}", what, list(pairs.items()) * rounds, fresh=False)
        for number in range(asked.fresh):
            with busy(is_on=bool(number % 2)):
                visit(f"fresh{number}", what, list(pairs.items()), fresh=True)
    print(f"{asked.profile}: {asked.restored} restored boards, {asked.fresh} fresh ones, every second under load\n")
    print("| artifact | instructions per inference | figures | fresh boots differ by | figures | alarms |")
    print("|---|---|---|---|---|---|")
    print("\n".join(counts.row(artifact) for artifact, counts in seen.items()))
    holds = all(item.is_exact and item.away <= ACROSS and not item.alarms for item in seen.values())
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
