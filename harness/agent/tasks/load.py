"""Load, first inference, warm-up, counted repeats, timed repeats. Single stream, closed loop, one sample.

Between two clock readings stands the bound call and nothing else, so that the figures are those of a plain loop.
Instructions are counted in repeats of their own, in which no clock is read, and before anything reads the board's
condition: what such reading leaves on the heap differs from session to session.
"""

from __future__ import annotations

import gc
import time
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.agent.meters.contention import ContentionWatch, flags_of
from harness.agent.meters.control import time_control_s
from harness.agent.meters.memory import read_swapped
from harness.agent.meters.thermal import Thermometer
from harness.agent.meters.time import ClockWatch, measure_resolution_s
from harness.agent.meters.work import InstructionCounter, NoCounter, observe

if TYPE_CHECKING:
    from harness.agent.runtimes import Array
    from harness.agent.session import Session

_COUNTED = 50
"""Most repeats that are counted: single counts scatter by 0.4 % (allocation), their median does not."""


def run(session: Session) -> None:
    """Measure latency and work.

    Arrays: latency_s float64 (repeat,), instructions int64 (<= 50,) if counted, timed_output float32 (of the last timed
    call; of the first inference if the model keeps state: flag `note-stateful`).
    Scalars: load_s, first_s, load_instructions and first_instructions if counted, clock_resolution_s,
    warmup_count, cpu_s, involuntary_switches, run_delay_s, and, where the board has company, control_before_s and
    control_after_s.
    """
    request = session.request
    if not request.deterministic:
        session.scalars["control_before_s"] = time_control_s()
    counter = open_counter(session)
    model = session.load(counter)
    call = bind_first(session, model)
    session.enter("run")
    raw, spent = observe(call, counter, exact=request.deterministic)
    session.note("first", spent)
    first = flatten(model.outputs(raw))
    del raw
    quiesce()
    for _ in range(request.warmup):
        call()
    if counter is not None:
        counts = _count(call, min(request.repeat, _COUNTED), counter)
        session.arrays["instructions"] = np.frombuffer(counts, dtype=np.int64)
    clock, thermometer, watch = ClockWatch(), Thermometer(session.sysfs), ContentionWatch()
    latencies, raw = _time(call, request.repeat)
    contention = watch.scalars()
    session.arrays["latency_s"] = times_s = np.frombuffer(latencies, dtype=np.int64) * 1e-9
    last = flatten(model.outputs(raw))
    # A model that keeps state (a streaming one) answers the same sample otherwise each time: only its first answer can
    # be compared with the accuracy pass, which has another history from its second sample on.
    is_stateful = not np.array_equal(first, last, equal_nan=True)
    session.arrays["timed_output"] = first if is_stateful else last
    session.flags += ["note-stateful"] if is_stateful else []
    session.flags += clock.flags()
    session.flags += ["swapped"] if read_swapped() else []
    if not request.deterministic:  # virtual time stands still for nobody else
        session.scalars["control_after_s"] = time_control_s()
        session.flags += flags_of(contention, wall_s=float(times_s.sum()), calls=request.repeat)
    session.scalars.update(
        clock_resolution_s=measure_resolution_s(),
        warmup_count=float(request.warmup),
        **contention,
        **thermometer.scalars(),
    )


def bind_first(session: Session, model: Any) -> Callable[[], Any]:  # noqa: ANN401  the Model protocol of runtimes
    """Bind one inference of sample 0."""
    assert session.samples is not None
    specs = model.inputs()
    given = session.samples.fixed_batch(specs) or 1
    bound: Callable[[], Any] = model.bind(session.samples.take(specs, 0, given))
    return session.plant.around(bound) if session.plant else bound


def quiesce() -> None:
    """Keep the garbage collector out of what follows."""
    gc.collect()
    gc.freeze()
    gc.disable()


def flatten(outputs: list[Array]) -> Array:
    """Return all outputs one after the other as float32."""
    return np.concatenate([output.ravel() for output in outputs]).astype(np.float32)


def open_counter(session: Session) -> InstructionCounter | None:
    """Return a counter if one is asked for and the board has it; what it lacks is flagged."""
    if not session.request.count_work:
        return None
    try:
        return InstructionCounter(threads=session.request.threads > 1)
    except NoCounter as reason:
        session.flags.append(f"no-counter:{reason}")
        return None


def _time(call: Callable[[], Any], repeat: int) -> tuple[array[int], Any]:
    clock = time.perf_counter_ns
    latencies = array("q", bytes(8 * repeat))
    last = repeat - 1
    # Results are dropped at once, as a plain loop does: keeping one while the next is made costs 0.25 µs of allocation.
    for k in range(last):
        before = clock()
        call()
        latencies[k] = clock() - before
    before = clock()
    raw = call()
    latencies[last] = clock() - before
    return latencies, raw


def _count(call: Callable[[], Any], repeat: int, counter: InstructionCounter) -> array[int]:
    counts = array("q", bytes(8 * repeat))
    for k in range(repeat):
        counter.start()
        call()
        counts[k] = counter.stop()
    return counts
