"""Two files compared on one deterministic board through the real way of the data: plan, fresh sessions, record, judge.

Owns the smallest suite that asks for nothing but the work of a candidate against its baseline. What is concluded from
many such comparisons is the caller's.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.campaign.budget import Budget
from harness.campaign.cell import CellMeasurement
from harness.campaign.cell_files import SUFFIX_RUNTIMES
from harness.campaign.plan import build
from harness.campaign.reference import Controller
from harness.campaign.session import wanted_by_limits
from harness.campaign.work import CellWork
from harness.farm.boards import OpenBoard, RealBoards
from harness.gate import judge
from harness.records.run import SCHEMA_VERSION, Environment, RunRecord
from harness.records.verdict import Verdict
from harness.spec import load_farm, load_suite

if TYPE_CHECKING:
    from harness.spec.model import Farm

METRIC = "work.instructions"
SAMPLES = 4
"""Samples of the accuracy session, which every cell has: it shows that the file runs."""
SUITE = """
suite: work
workload: {{task: parity, data: {data}, repeat: {repeat}, warmup: {warmup}}}
reference: {baseline}
artifacts:
  candidate: {{file: {candidate}, runtime: {runtime}, baseline: {baseline}}}
gates:
  all: {{{metric}: {{regress: {limit}}}}}
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """What is compared: two model files and the data that both are fed with."""

    baseline: Path
    candidate: Path
    data: Path

    @property
    def runtime(self) -> str:
        """Name the runtime family by the candidate's suffix."""
        return SUFFIX_RUNTIMES[self.candidate.suffix]


@dataclass(frozen=True, slots=True)
class Ask:
    """How it is compared: the limit as a suite writes it, and how many inferences a session counts."""

    limit: str = "0.01 %"
    repeat: int = 10
    warmup: int = 2


@dataclass(frozen=True, slots=True)
class Compared:
    """One comparison: the verdict of the gate, and the figures of both arms in instructions per inference."""

    pair: Pair
    verdict: Verdict

    @property
    def candidate(self) -> float:
        """Give the candidate's count; infinite when the gate has none, so that no table takes it for a good one."""
        return self.verdict.candidate.value if self.verdict.candidate else math.inf

    @property
    def baseline(self) -> float:
        """Give the baseline's count; 1 when the gate has none."""
        return self.verdict.baseline.value if self.verdict.baseline else 1.0

    @property
    def ratio(self) -> float:
        """Give candidate / baseline."""
        return self.candidate / self.baseline


@dataclass(frozen=True, slots=True)
class _Samples:
    """The arrays of the one cell, still in memory."""

    held: Mapping[str, Any]

    def arrays(self, _: str) -> Mapping[str, Any]:
        return self.held


class GatedBoard:
    """One open board; `compare` may be called any number of times, by one thread."""

    def __init__(self, board: OpenBoard, farm: Farm, folder: Path, cancel: threading.Event) -> None:
        self._board = board
        self._farm = farm
        self._folder = folder
        self._cancel = cancel

    def compare(self, pair: Pair, ask: Ask) -> Compared:
        """Measure both files in fresh sessions and let the gate decide; never raises for what it decides."""
        (device,) = self._farm.devices
        campaign = build(self._farm, [load_suite(_write_suite(self._folder, pair, ask))])
        (planned,) = campaign.plan.cells
        work = CellWork(planned, device, campaign.files[planned.key], wanted_by_limits(planned))
        seen = CellMeasurement(self._board, work, self._cancel, Budget()).run(Controller())
        if seen.fatal is not None:
            raise seen.fatal
        run = RunRecord(
            SCHEMA_VERSION, "benchmark", "", "", Environment("", "", "", ()), campaign.plan, (self._board.record,),
            (seen.record,),
        )  # fmt: skip
        verdicts = judge(run, _Samples(seen.arrays)).verdicts
        return Compared(pair, next(verdict for verdict in verdicts if verdict.metric == METRIC))


@contextlib.contextmanager
def open_board(
    name: str, profile: str, pairs: list[Pair], boards: RealBoards, cancel: threading.Event
) -> Iterator[GatedBoard]:
    """Open one board of `profile` with the runtimes that `pairs` need.

    Args:
        name: of the board, for progress and records.
        profile: a device profile, `qemu-cortex-a53`.
        pairs: what will be compared on it.
        boards: opens it, from its snapshot or from its image.
        cancel: set by another thread to end the board at once.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        text = f"farm: benchmark\ndevices:\n  - {{name: {name}, profile: {profile}}}\n"
        (folder / "farm.yaml").write_text(text, encoding="utf-8")
        farm = load_farm(folder / "farm.yaml")
        (device,) = farm.devices
        builds: set[tuple[str, str]] = set()
        for pair in pairs:
            builds |= build(farm, [load_suite(_write_suite(folder, pair, Ask()))]).builds(name)
        progress = teller(name)
        with boards.open(device, builds=builds, holder="", progress=progress, cancel=cancel) as board:
            progress("open")
            yield GatedBoard(board, farm, folder, cancel)


def teller(name: str) -> Callable[[str], None]:
    """Give a function that writes progress with the seconds since now to stderr."""
    started = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - started:5.0f} s {name}: {line}", file=sys.stderr, flush=True)

    return tell


def few_samples(data: Path, folder: Path) -> Path:
    """Write the first samples of an evaluation file without its labels; return the new file."""
    kept = folder / f"few_{data.name}"
    with np.load(data) as arrays:
        np.savez(kept, **{name: arrays[name][:SAMPLES] for name in arrays.files if name != "y"})
    return kept


def _write_suite(folder: Path, pair: Pair, ask: Ask) -> Path:
    file = folder / "work.suite.yaml"
    names = {name: json.dumps(str(getattr(pair, name))) for name in ("baseline", "candidate", "data")}
    text = SUITE.format(
        **names, runtime=pair.runtime, metric=METRIC, limit=ask.limit, repeat=ask.repeat, warmup=ask.warmup
    )
    file.write_text(text, encoding="utf-8")
    return file
