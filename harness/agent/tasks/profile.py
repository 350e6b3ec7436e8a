"""The profile session: what each operator costs, as instructions that it adds to the operators before it.

Operator k costs the count of the first k operators less that of the first k - 1, each loaded and run by the runtime as
it runs the whole. So the parts add up to the whole, and a count is exact to some tens of instructions; what a fusion
saves is on the operator that made it possible (and may be negative).
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.agent.meters.work import InstructionCounter, NoCounter
from harness.agent.refusal import Refusal
from harness.agent.tasks.load import quiesce

if TYPE_CHECKING:
    from harness.agent.runtimes import Array, InputSpec, Prefixes
    from harness.agent.session import Session

METHOD = "instructions that an operator adds to those before it, counted"
MOST_COUNTS = 5
COMFORT_S = 3.0
"""Of the board's clock: what several counts of each part may take. One count is enough where more would take longer."""
SHARE = 0.5
"""Of the session's time that the counts may take; the rest is a reserve, as their cost is only estimated."""


def run(session: Session) -> None:
    """Count every operator.

    Arrays: profile uint8, JSON: method, counts (per operator, of which the lower median is taken), spread (the largest
    distance of two counts of one part), outside (of a call without operators), notes, and operators: name, kind,
    shapes in words, instructions. Scalars: load_s.

    Raises:
        Refusal: `profile` when the board does not count, the model cannot be taken apart, or it would take too long.
    """

    def feed(specs: list[InputSpec]) -> list[Array]:
        samples = session.read_samples(specs)
        return samples.take(specs, 0, samples.fixed_batch(specs) or 1)

    try:
        counter = InstructionCounter(threads=session.request.threads > 1)
    except NoCounter as reason:
        raise Refusal("profile", f"the board counts no user instructions ({reason})") from reason
    prefixes = session.split(feed)
    session.enter("run")
    quiesce()
    try:
        found = count_parts(prefixes, counter, session.request.deadline_s * SHARE)
    finally:
        prefixes.close()
    text = json.dumps(found, ensure_ascii=False)
    session.arrays["profile"] = np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8)


def count_parts(prefixes: Prefixes, counter: InstructionCounter, budget_s: float) -> dict[str, object]:
    """Count a model with none, one, two … and all of its operators; see `run` for what comes back.

    Raises:
        Refusal: `profile` when it would take longer than `budget_s`.
    """
    repeat = _affordable(prefixes, budget_s)
    parts = [_count(prefixes.open(k), repeat, counter) for k in range(len(prefixes.operators) + 1)]
    return _describe(prefixes, parts)


def _affordable(prefixes: Prefixes, budget_s: float) -> int:
    """Return how many counts of each part to take, from one load and two runs of the whole.

    Raises:
        Refusal: `profile` when not even one fits into the time.
    """
    start = time.perf_counter()
    call = prefixes.open(len(prefixes.operators))
    call()
    loaded = time.perf_counter()
    call()
    load_s, run_s = loaded - start, time.perf_counter() - loaded
    parts = len(prefixes.operators) + 1

    def counts_within(seconds: float) -> int:
        # A part is half of the whole on average; its first run only warms it up.
        return int((seconds / parts - load_s) / max(run_s / 2, 1e-9)) - 1

    if counts_within(budget_s) < 1:
        need_s = parts * (load_s + run_s)
        words = f"{parts - 1} operators would take {need_s:.0f} s of the board's clock, {budget_s:.0f} s are there"
        raise Refusal("profile", f"{words}: a longer `deadline` of the workload gives more")
    return max(1, min(counts_within(budget_s), counts_within(COMFORT_S), MOST_COUNTS))


def _count(call: Callable[[], Any], repeat: int, counter: InstructionCounter) -> list[int]:
    call()
    counts = []
    for _ in range(repeat):
        counter.start()
        call()
        counts.append(counter.stop())
    del call
    gc.collect()  # a part must be gone before the next is loaded
    return sorted(counts)


def _describe(prefixes: Prefixes, parts: list[list[int]]) -> dict[str, object]:
    middle = [counts[(len(counts) - 1) // 2] for counts in parts]
    operators = [
        dict(operator._asdict(), instructions=after - before)
        for operator, before, after in zip(prefixes.operators, middle, middle[1:])  # noqa: B905  Python 3.8
    ]
    return {
        "method": METHOD,
        "counts": len(parts[0]),
        "spread": max(counts[-1] - counts[0] for counts in parts),
        "outside": middle[0],
        "notes": prefixes.notes,
        "operators": operators,
    }
