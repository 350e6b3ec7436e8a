"""The memory session: an empty runtime, the model loaded, its first inference, and N more; the peak of each phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.agent.meters.memory import read_peak, read_resident, reset_peak, touch_remembered
from harness.agent.tasks.load import bind_first, quiesce

if TYPE_CHECKING:
    from harness.agent.session import Session


def run(session: Session) -> None:
    """Measure resident memory.

    Scalars: rss_start_bytes (the empty runtime, as a fresh process would have it), hwm_load_bytes, hwm_first_bytes,
    hwm_bytes (the peak of all), pss_bytes, private_bytes, anon_bytes (at the end), repeat_count, touched_pages.
    """
    quiesce()
    touched = touch_remembered()
    is_reset = reset_peak()
    start = read_resident()
    model = session.load()
    peaks = {"hwm_load_bytes": read_peak()}
    call = bind_first(session, model)
    session.enter("run")
    call()
    peaks["hwm_first_bytes"] = read_peak()
    for _ in range(session.request.repeat):
        call()
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
        repeat_count=float(session.request.repeat),
        touched_pages=float(touched),
    )
