"""The timing session of a language model: time and work of the first token and of each token after it.

What is counted and what is timed is written anew each time, as in `harness.agent.tasks.load`: a counter's system calls
must not fall between two clock readings.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from harness.agent.language.text import Prompt, make_prompts
from harness.agent.language.writing import make_choice, table, write
from harness.agent.meters.contention import ContentionWatch, flags_of
from harness.agent.meters.control import time_control_s
from harness.agent.meters.memory import read_swapped
from harness.agent.meters.thermal import Thermometer
from harness.agent.meters.time import ClockWatch, measure_resolution_s
from harness.agent.meters.work import InstructionCounter
from harness.agent.tasks.load import open_counter, quiesce

if TYPE_CHECKING:
    from harness.agent.message import GenerationRequest
    from harness.agent.runtimes import Decoder
    from harness.agent.session import Session


def run(session: Session) -> None:
    """Write every prompt's continuation `repeat` times.

    Arrays: ttft_s float64 (texts,), from the prompt (or its text, as asked) to the first token; token_s float64, the
    gaps between tokens of all texts in turn; token_count int64 (texts,); prompt_count int64 (prompts,); tokenize_s and
    detokenize_s float64; written int32 (prompts, new_tokens), -1 after the end; if counted: prefill_instructions int64
    (prompts,), decode_instructions int64 (tokens after the first, of all prompts).
    Scalars: load_s, load_instructions if counted, and those of every timed session.
    """
    request, asked = session.request, session.request.generation
    assert asked is not None
    if not request.deterministic:
        session.scalars["control_before_s"] = time_control_s()
    counter = open_counter(session)
    decoder = session.decode(asked.context, counter)
    prompts = make_prompts(asked, session.stored(request.data), decoder)
    session.enter("run")
    quiesce()
    for _ in range(request.warmup):
        write(decoder, prompts[0].tokens, asked, make_choice(asked), _unwatched)
    if counter is not None:
        _count(session, decoder, prompts, counter)
    clock, thermometer, watch = ClockWatch(), Thermometer(), ContentionWatch()
    wall_s = _time(session, decoder, prompts)
    contention = watch.scalars()
    session.flags += clock.flags()
    session.flags += ["swapped"] if read_swapped() else []
    if not request.deterministic:  # virtual time stands still for nobody else
        session.scalars["control_after_s"] = time_control_s()
        session.flags += flags_of(contention, wall_s=wall_s, calls=request.repeat * len(prompts))
    session.scalars.update(
        clock_resolution_s=measure_resolution_s(),
        warmup_count=float(request.warmup),
        cache_bytes=float(decoder.cache_bytes()),
        **contention,
        **thermometer.scalars(),
    )


def _time(session: Session, decoder: Decoder, prompts: list[Prompt]) -> float:
    """Time every text; return the time that all took."""
    asked = session.request.generation
    assert asked is not None
    first, gaps, counts = array("d"), array("d"), array("q")
    written: list[list[int]] = []
    clock = time.perf_counter
    began = clock()
    for _ in range(session.request.repeat):
        written = []
        for prompt in prompts:
            marks = array("d")
            start = clock()
            tokens = _prepare(prompt, asked, decoder)
            text = write(decoder, tokens, asked, make_choice(asked), _stopwatch(marks))
            first.append(marks[0] - start)
            gaps.extend(marks[k] - marks[k - 1] for k in range(1, len(marks)))
            counts.append(len(text))
            written.append(text)
    wall_s = clock() - began
    session.arrays.update(
        ttft_s=np.array(first),
        token_s=np.array(gaps),
        token_count=np.array(counts, dtype=np.int64),
        prompt_count=np.array([len(prompt.tokens) for prompt in prompts], dtype=np.int64),
        tokenize_s=np.array([prompt.tokenize_s for prompt in prompts]),
        detokenize_s=np.array([_time_text(decoder, text) for text in written]),
        written=table(written, asked.new_tokens),
    )
    return wall_s


def _stopwatch(marks: array[float]) -> Callable[[], None]:
    clock = time.perf_counter
    return lambda: marks.append(clock())


def _prepare(prompt: Prompt, asked: GenerationRequest, decoder: Decoder) -> list[int]:
    """Give the tokens of a prompt; where tokenizing counts, the text is tokenized once more for its time."""
    if asked.tokenizing and prompt.text:
        decoder.tokenize(prompt.text)
    return prompt.tokens


def _time_text(decoder: Decoder, tokens: list[int]) -> float:
    start = time.perf_counter()
    decoder.detokenize(tokens)
    return time.perf_counter() - start


def _count(session: Session, decoder: Decoder, prompts: list[Prompt], counter: InstructionCounter) -> None:
    """Count the instructions up to the first token and of each token after it, the choice of the token included."""
    asked = session.request.generation
    assert asked is not None
    prefill, decode = array("q"), array("q")
    for prompt in prompts:
        counts = array("q")

        def watch(counts: array[int] = counts) -> None:
            counts.append(counter.stop())
            counter.start()

        counter.start()
        write(decoder, prompt.tokens, asked, make_choice(asked), watch)
        counter.stop()
        prefill.append(counts[0])
        decode.extend(counts[1:])
    session.arrays["prefill_instructions"] = np.array(prefill, dtype=np.int64)
    session.arrays["decode_instructions"] = np.array(decode, dtype=np.int64)


def _unwatched() -> None:
    """Hear nothing."""
