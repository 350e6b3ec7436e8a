"""How often is the gate wrong on this machine, with a real model? A/A cells, and cells with a planted slow-down.

Every cell goes the real way: sshd on loopback, the agent, a fresh process per session, pairs until the gate is decided,
a failure confirmed on fresh pairs. The baseline is the same graph as the candidate in a file of other bytes. The
slow-down is busy work after each inference (`harness.agent.plant`); planting itself costs some more, so that 6 % of the
digits model's 31 µs are measured as 10 %. What the pairs measured is printed.

Prints wrong verdicts with their Clopper-Pearson bounds (one-sided, 95 %), mean pairs, and the share of INCONCLUSIVE.

Run: `python benchmarks/host_gate.py [--seconds 240] [--cells 60] [--load N]`; A/A and planted cells alternate.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from harness.campaign.budget import Budget
from harness.campaign.cell import CellMeasurement
from harness.campaign.plan import Campaign, build
from harness.campaign.reference import Controller
from harness.campaign.selftest.planting import planted
from harness.campaign.session import wanted_by_limits
from harness.campaign.work import CellWork
from harness.farm.boards import OpenBoard, RealBoards
from harness.gate.calibration import void_pairs
from harness.gate.cell import judge_cell
from harness.records.fingerprint import board_fingerprint
from harness.records.outcome import Outcome
from harness.records.trial import Place, Trial
from harness.records.verdict import Verdict
from harness.spec import load_farm, load_suite
from harness.stats import Evidence
from harness.stats.proportion import exact_lower_bound, exact_upper_bound

ROOT = Path(__file__).parents[1]
METRIC = "latency.p50"
MODELS = {
    "digits": ("suites/digits/digits_fp32.onnx", "suites/digits/digits_eval.npz", "classification"),
}
SUITE = """
suite: host
workload: {{task: {task}, data: {data}, repeat: {repeat}}}
artifacts:
  model: {{file: candidate.onnx, runtime: onnxruntime, baseline: baseline.onnx}}
gates:
  all: {{{metric}: {{regress: {margin} %}}}}
"""


@dataclass(slots=True)
class Tally:
    """What came of the cells of one kind."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    pairs: list[int] = field(default_factory=list)
    void: int = 0
    ratios: list[float] = field(default_factory=list)
    words: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: Verdict, void: int) -> None:
        """Count one cell."""
        self.outcomes[verdict.outcome] += 1
        self.void += void
        if verdict.trail is not None:
            self.pairs.append(sum(len(leg.values) for leg in verdict.trail.legs))
            self.ratios += [value for leg in verdict.trail.legs for value in leg.values]
        if verdict.abstained is not None:
            self.words[verdict.abstained.value] += 1

    @property
    def cells(self) -> int:
        """Count the cells."""
        return self.outcomes.total()


def main() -> None:
    """Measure and print."""
    asked = _arguments()
    with tempfile.TemporaryDirectory() as scratch, _load(asked.load):
        campaign = _plan(Path(scratch), asked)
        (device,) = campaign.plan.devices
        builds = campaign.builds(device.name)
        cancel = threading.Event()
        with RealBoards().open(device, builds=builds, holder="", progress=_say, cancel=cancel) as board:
            found = _measure(board, campaign, asked)
    for name, tally in found.items():
        print("\n".join(_lines(name, tally, asked)), flush=True)
    print(f"{asked.model}, {asked.repeat} calls per session, margin {asked.margin:g} %, {asked.load} other processes")


def _measure(board: OpenBoard, campaign: Campaign, asked: argparse.Namespace) -> dict[str, Tally]:
    """Measure cells of both kinds in turns until the time is over, or there are enough."""
    found = {"A/A": Tally(), "planted": Tally()}
    trials = (None, Trial("busy", "busy work", Place.SESSION, (), kinds=("timing",), ratio=asked.busy / 100))
    (device,), (cell,) = campaign.plan.devices, campaign.plan.cells
    ends = time.monotonic() + asked.seconds
    while time.monotonic() < ends and min(tally.cells for tally in found.values()) < asked.cells:
        for (name, tally), trial in zip(found.items(), trials, strict=True):
            planned = replace(cell, trial=trial)
            work = CellWork(planned, device, campaign.files[cell.key], wanted_by_limits(planned))
            measurement = CellMeasurement(planted(board, planned), work, threading.Event(), Budget())
            seen = measurement.run(Controller())
            if seen.fatal is not None:
                raise seen.fatal
            known = board_fingerprint(board.record.facts)
            evidence = Evidence(planned, device, seen.record, seen.arrays, board=known)
            verdict = next(item for item in judge_cell(planned, evidence, None) if item.metric == METRIC)
            tally.add(verdict, void_pairs(evidence))
            _say(f"{name} {tally.cells}: {verdict.outcome.value}: {verdict.reason}")
    return found


def _lines(name: str, tally: Tally, asked: argparse.Namespace) -> Iterator[str]:
    wrong = Outcome.REGRESSION if name == "A/A" else Outcome.PASS
    right = Outcome.PASS if name == "A/A" else Outcome.REGRESSION
    cells, counts = tally.cells, tally.outcomes
    ratios = np.log1p(tally.ratios)
    yield f"{name}: {cells} cells: " + ", ".join(f"{count} {kind.value}" for kind, count in sorted(counts.items()))
    yield f"  wrong ({wrong.value}): {counts[wrong]} of {cells}, at most {exact_upper_bound(counts[wrong], cells):.1%}"
    yield f"  right ({right.value}): {counts[right]} of {cells}, at least {exact_lower_bound(counts[right], cells):.1%}"
    yield f"  INCONCLUSIVE: {counts[Outcome.INCONCLUSIVE] / max(cells, 1):.1%} " + str(dict(tally.words))
    yield f"  mean pairs {np.mean(tally.pairs):.1f} (fresh ones included), {tally.void} void pairs"
    yield f"  pairs: mean {np.expm1(ratios.mean()):+.2%}, standard deviation of the log-ratio {ratios.std(ddof=1):.2%}"


def _plan(folder: Path, asked: argparse.Namespace) -> Campaign:
    """Write farm, suite and the two files; plan the one cell, on a board where faults may be planted."""
    import onnx

    source, data, task = MODELS[asked.model]
    for name in ("candidate", "baseline"):
        model = onnx.load(ROOT / source)
        model.doc_string = f"the {name}: the same graph"
        onnx.save(model, folder / f"{name}.onnx")
    file = folder / "host.suite.yaml"
    text = SUITE.format(
        task=task, data=json.dumps(str(ROOT / data)), repeat=asked.repeat, metric=METRIC, margin=asked.margin
    )
    file.write_text(text, encoding="utf-8")
    (folder / "farm.yaml").write_text("farm: host\ndevices:\n  - {name: here, profile: host}\n", encoding="utf-8")
    farm = load_farm(folder / "farm.yaml")
    farm = replace(farm, devices=tuple(replace(device, selftest=True) for device in farm.devices))
    return build(farm, [load_suite(file)])


@contextlib.contextmanager
def _load(processes: int) -> Iterator[None]:
    """Keep so many processes busy meanwhile."""
    others = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(processes)]
    for other in others:
        other.start()
    try:
        yield
    finally:
        for other in others:
            other.kill()


def _spin() -> None:
    while True:
        pass


def _say(line: str) -> None:
    print(line, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=sorted(MODELS), default="digits")
    parser.add_argument("--cells", type=int, default=60, help="of each kind, at most (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=240.0, help="begin no cell after (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=500, help="timed calls per session (default: %(default)s)")
    parser.add_argument("--margin", type=float, default=5.0, help="per cent (default: %(default)s)")
    parser.add_argument("--busy", type=float, default=6.0, help="per cent of an inference (default: %(default)s)")
    parser.add_argument("--load", type=int, default=0, help="other processes that are busy meanwhile")
    return parser.parse_args()


if __name__ == "__main__":
    main()
