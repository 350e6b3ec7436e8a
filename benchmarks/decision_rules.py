"""How often is a release gate wrong, how often has it no answer, and what does it cost? Rules on simulated boards.

Every rule decides the same question: is the candidate more than 5 % slower than the baseline? Boards scatter normally,
with heavy tails (Student's t with 3 degrees of freedom), with 8 % of pairs grossly disturbed, or slow down by 3 % while
they are measured; one has its stored baseline from another day (2 % between days). The noise is the standard deviation
of a pair's log-ratio. Device time is counted in sessions (processes of the runtime on the board).

Peers, restated from their sources so that 10^5 cells take seconds:

- `compare-fail`: pytest-benchmark 5, `--benchmark-compare-fail=mean:5%`: the candidate's one run against a stored run,
  fail when the point estimate changed by more than 5 % (pytest_benchmark/utils.py, PercentageRegressionCheck).
- `welch`: inference-doctor 0.4.1, five runs of A, then five of B, Welch interval of the log-ratio of means at 90 %; on
  which side of the margin it lies decides (inference_doctor/stats.py, welch_log_ratio_interval; compared with the
  original where that is installed).
- `repeat`: pairs until a paired t test at 5 % is significant either way, from 3 pairs on, 12 at most (perfgate-paired).
- `fixed six`: six pairs, one paired t test at 5 % each way: what Fleetgate would do without looks.

Run: `python benchmarks/decision_rules.py [--cells N]`, about five minutes for 10^5 cells.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.stats.group_t import t_ends
from harness.stats.outlook import walk
from harness.stats.sign_flip import FLIP_LOOKS, is_extreme
from harness.stats.trial import CAP, CONFIRM_ALPHA, LOOKS

MARGIN = math.log(1.05)
EFFECTS = (0.0, MARGIN, math.log(1.10))
HEAD = f"{'rule':30}" + "".join(f"{name + ' FAIL':>12} {'PASS':>8} {'runs':>5}" for name in ("0 %", "+5 %", "+10 %"))
NOISES = (0.01, 0.02, 0.04)
FLIPPED = 1500
"""Cells for the exact sign-flip test, which lists 4096 patterns for each."""
Floats = npt.NDArray[np.float64]
Answers = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Cells:
    """Simulated log-times: per cell so many pairs, twice (first and fresh), and the runs of an unpaired comparison."""

    pairs: Floats
    fresh: Floats
    stored: Floats
    """Shape (cells,): a stored baseline run."""
    blocks: tuple[Floats, Floats]
    """A, then B: shape (cells, 5) each."""
    candidate: Floats


Noise = Callable[[np.random.Generator, tuple[int, ...]], Floats]


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Draw a unit normal."""
    return rng.standard_normal(shape)


def t3(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Draw Student's t with 3 degrees of freedom, scaled to unit variance."""
    return rng.standard_t(3, shape) / math.sqrt(3.0)


BOARDS = {"normal": normal, "t3": t3, "outliers": normal, "drift": normal, "other day": normal}


def simulate(board: str, noise: float, effect: float, cells: int) -> Cells:
    """Draw cells of one board; a session has 1/sqrt(2) of a pair's noise."""
    rng = np.random.default_rng(20)
    draw, level = BOARDS[board], noise / math.sqrt(2.0)

    def sessions(count: int, start: float = 0.0, end: float = 1.0) -> Floats:
        found = draw(rng, (cells, count)) * level
        if board == "outliers":
            found += (rng.random((cells, count)) < 0.04) * rng.normal(0.0, 0.15, (cells, count))
        if board == "drift":
            found += np.linspace(start, end, count) * math.log(1.03)
        return found

    def paired() -> Floats:
        line = sessions(2 * CAP).reshape(cells, CAP, 2)
        order = np.where(rng.random((cells, CAP)) < 0.5, 1.0, -1.0)
        return order * (line[:, :, 1] - line[:, :, 0]) + effect

    between = rng.normal(0.0, 0.02, cells) if board == "other day" else np.zeros(cells)
    a, b = sessions(5, 0.0, 0.5), sessions(5, 0.5, 1.0) + effect
    return Cells(paired(), paired(), sessions(1)[:, 0] + between, (a, b), sessions(1, 1.0, 1.0)[:, 0] + effect)


def pairs_until_decided(cells: Cells) -> tuple[Answers, Floats]:
    """Fleetgate's `gs_t`: a failure is confirmed on fresh pairs at 1 %, else it is no answer."""
    answers, used = walk(cells.pairs, MARGIN)
    failed = answers == 1
    confirmed, more = _confirm(cells.fresh[failed])
    answers[failed] = np.where(confirmed, 1, 0)
    used[failed] += more
    return answers, (2.0 * used).astype(np.float64)


def _confirm(fresh: Floats) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    answers, used = np.zeros(len(fresh), dtype=np.int8), np.full(len(fresh), CAP)
    for n in LOOKS:
        low, high = t_ends(fresh[:, :n], alpha=CONFIRM_ALPHA)
        now = np.where(low > MARGIN, 1, np.where(high < MARGIN, -1, 0))
        stops = (answers == 0) & (now != 0)
        answers[stops], used[stops] = now[stops], n
    return answers == 1, used


def flips_until_decided(cells: Cells) -> tuple[Answers, Floats]:
    """Fleetgate's `flip`, without the confirmation."""
    answers, used = [], []
    for row in cells.pairs[:FLIPPED]:
        answer, n = 0, CAP
        for n in FLIP_LOOKS:
            answer = int(is_extreme(row[:n] - MARGIN, 0.05)) - int(is_extreme(MARGIN - row[:n], 0.05))
            if answer:
                break
        answers.append(answer)
        used.append(n)
    return np.asarray(answers, dtype=np.int8), 2.0 * np.asarray(used)


def _t_side(pairs: Floats, alpha: float) -> Answers:
    n = pairs.shape[1]
    t = (pairs.mean(axis=1) - MARGIN) / (pairs.std(axis=1, ddof=1) / math.sqrt(n))
    limit = special.stdtrit(n - 1, 1.0 - alpha)
    return np.where(t > limit, 1, np.where(t < -limit, -1, 0)).astype(np.int8)


def fixed_six(cells: Cells) -> tuple[Answers, Floats]:
    """Test once, after six pairs."""
    return _t_side(cells.pairs[:, :6], 0.05), np.full(len(cells.pairs), 12.0)


def repeat(cells: Cells) -> tuple[Answers, Floats]:
    """Test after every pair at the full error, and stop when it is significant."""
    answers, used = np.zeros(len(cells.pairs), dtype=np.int8), np.full(len(cells.pairs), CAP)
    for n in range(3, CAP + 1):
        now = _t_side(cells.pairs[:, :n], 0.05)
        stops = (answers == 0) & (now != 0)
        answers[stops], used[stops] = now[stops], n
    return answers, 2.0 * used


def compare_fail(cells: Cells) -> tuple[Answers, Floats]:
    """Compare two point estimates."""
    worse = cells.candidate - cells.stored > MARGIN
    return np.where(worse, 1, -1).astype(np.int8), np.full(len(worse), 1.0)


def welch(cells: Cells) -> tuple[Answers, Floats]:
    """Compare two blocks of runs."""
    low, high = welch_ends(np.exp(cells.blocks[0]), np.exp(cells.blocks[1]))
    answers = np.where(low > MARGIN, 1, np.where(high < MARGIN, -1, 0)).astype(np.int8)
    return answers, np.full(len(answers), 10.0)


def welch_ends(baseline: Floats, candidate: Floats) -> tuple[Floats, Floats]:
    """Return the ends of inference-doctor's 90 % interval of the log-ratio of means; one row per cell."""
    terms = [arm.var(axis=1, ddof=1) / (arm.shape[1] * arm.mean(axis=1) ** 2) for arm in (baseline, candidate)]
    freedom = (terms[0] + terms[1]) ** 2 / sum(term**2 / (baseline.shape[1] - 1) for term in terms)
    half = special.stdtrit(freedom, 0.95) * np.sqrt(terms[0] + terms[1])
    middle = np.log(candidate.mean(axis=1) / baseline.mean(axis=1))
    return middle - half, middle + half


RULES = {
    "Fleetgate gs_t, confirmed": pairs_until_decided,
    "Fleetgate flip": flips_until_decided,
    "fixed six pairs": fixed_six,
    "repeat until significant": repeat,
    "inference-doctor welch": welch,
    "pytest-benchmark compare-fail": compare_fail,
}


def check_peer() -> str:
    """Compare the restated Welch interval with the installed peer's own, if there is one."""
    if importlib.util.find_spec("inference_doctor") is None:
        return "inference-doctor is not installed here: its rule is restated from its source"
    from inference_doctor.stats import welch_log_ratio_interval

    rng = np.random.default_rng(1)
    a, b = rng.lognormal(0, 0.02, (50, 5)), rng.lognormal(0.05, 0.03, (50, 5))
    low, high = welch_ends(a, b)
    theirs = [welch_log_ratio_interval(list(x), list(y), 0.90) for x, y in zip(a, b, strict=True)]
    worst = max(abs(math.log(item.low) - end) for item, end in zip(theirs, low, strict=True))
    worst = max(worst, *(abs(math.log(item.high) - end) for item, end in zip(theirs, high, strict=True)))
    return f"restated Welch interval against inference-doctor's own: largest difference {worst:.1e}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=100_000)
    cells = parser.parse_args().cells
    print(check_peer())
    print(
        f"{cells} cells each ({min(cells, FLIPPED)} for flip), margin 5 %. Wrong: FAIL at 0 %, either answer at +5 %."
    )
    for board in BOARDS:
        for noise in NOISES:
            print(f"\n{board}, noise {noise:.0%}\n{HEAD}", flush=True)
            drawn = [simulate(board, noise, effect, cells) for effect in EFFECTS]
            for rule, decide in RULES.items():
                print(f"{rule:30}" + "".join(_columns(*decide(item)) for item in drawn))


def _columns(answers: Answers, sessions: Floats) -> str:
    return f"{np.mean(answers == 1):12.5f} {np.mean(answers == -1):8.5f} {sessions.mean():5.1f}"


if __name__ == "__main__":
    main()
