"""The memory session: an empty runtime, the model loaded, its first inference, and N more; the peak of each phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.agent.meters.memory import read_peak, read_resident, reset_peak, touch_remembered
from harness.agent.tasks.load import bind_first, quiesce

if TYPE_CHECKING:
    from harness.agent.session import Session


class Footprint:
    """Resident memory of this process from now on, phase by phase; what a memory session of any task brings."""

    def __init__(self) -> None:
        quiesce()
        self._touched = touch_remembered()
        self._is_reset = reset_peak()
        self._start = read_resident()
        self._peaks: dict[str, float] = {}

    def mark(self, name: str) -> None:
        """Note the peak so far under a name, once."""
        self._peaks.setdefault(name, float(read_peak()))

    def tell(self, session: Session, *, repeat: int) -> None:
        """Write scalars and flags.

        Scalars: rss_start_bytes (the empty runtime, as a fresh process would have it), those marked, hwm_bytes (the
        peak of all), pss_bytes, private_bytes, anon_bytes (now), repeat_count, touched_pages.
        """
        end = read_resident()
        session.flags += [] if self._touched else ["note-lazy-file-pages"]
        session.flags += [] if self._is_reset else ["note-no-peak-reset"]
        session.scalars.update(self._peaks)
        session.scalars.update(
            # VmHWM is kept with a small per-thread error on older kernels; what is resident is a lower bound for it.
            hwm_bytes=float(max(read_peak(), end.rss, self._start.rss)),
            rss_start_bytes=float(self._start.rss),
            pss_bytes=float(end.pss),
            private_bytes=float(end.private),
            anon_bytes=float(end.anonymous),
            repeat_count=float(repeat),
            touched_pages=float(self._touched),
        )


def run(session: Session) -> None:
    """Measure resident memory.

    Scalars: those of `Footprint`, with hwm_load_bytes and hwm_first_bytes.
    """
    footprint = Footprint()
    model = session.load()
    footprint.mark("hwm_load_bytes")
    call = bind_first(session, model)
    session.enter("run")
    call()
    footprint.mark("hwm_first_bytes")
    for _ in range(session.request.repeat):
        call()
    footprint.tell(session, repeat=session.request.repeat)
