"""The memory session of a language model: an empty runtime, model and cache loaded, every prompt continued once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.agent.language.text import make_prompts
from harness.agent.language.writing import make_choice, write
from harness.agent.meters.memory import read_peak, read_resident, reset_peak, touch_remembered
from harness.agent.tasks.load import quiesce

if TYPE_CHECKING:
    from harness.agent.session import Session


def run(session: Session) -> None:
    """Measure resident memory.

    Scalars: as in `harness.agent.tasks.footprint`, and cache_bytes, the size of a full cache by its shape.
    """
    request, asked = session.request, session.request.generation
    assert asked is not None
    quiesce()
    touched = touch_remembered()
    is_reset = reset_peak()
    start = read_resident()
    decoder = session.decode(asked.context)
    peaks = {"hwm_load_bytes": read_peak()}
    prompts = make_prompts(asked, session.stored(request.data), decoder)
    session.enter("run")
    for prompt in prompts:
        write(decoder, prompt.tokens, asked, make_choice(asked), lambda: None)
        peaks.setdefault("hwm_first_bytes", read_peak())
    end = read_resident()
    # VmHWM is kept with a small per-thread error on older kernels; what is resident now is a lower bound for the peak.
    peaks["hwm_bytes"] = max(read_peak(), end.rss, start.rss)
    session.flags += [] if touched else ["note-lazy-file-pages"]
    session.flags += [] if is_reset else ["note-no-peak-reset"]
    session.scalars.update({name: float(value) for name, value in peaks.items()})
    session.scalars.update(
        rss_start_bytes=float(start.rss),
        pss_bytes=float(end.pss),
        private_bytes=float(end.private),
        anon_bytes=float(end.anonymous),
        repeat_count=1.0,
        touched_pages=float(touched),
        cache_bytes=float(decoder.cache_bytes()),
    )
