"""The memory session of a language model: an empty runtime, model and cache loaded, every prompt continued once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.agent.language.text import make_prompts
from harness.agent.language.writing import make_choice, write
from harness.agent.tasks.footprint import Footprint

if TYPE_CHECKING:
    from harness.agent.session import Session


def run(session: Session) -> None:
    """Measure resident memory.

    Scalars: as in `harness.agent.tasks.footprint`, and cache_bytes, the size of a full cache by its shape.
    """
    request, asked = session.request, session.request.generation
    assert asked is not None
    footprint = Footprint()
    decoder = session.decode(asked.context)
    footprint.mark("hwm_load_bytes")
    prompts = make_prompts(asked, session.stored(request.data), decoder)
    session.enter("run")
    for prompt in prompts:
        write(decoder, prompt.tokens, asked, make_choice(asked), lambda: None)
        footprint.mark("hwm_first_bytes")
    footprint.tell(session, repeat=1)
    session.scalars["cache_bytes"] = float(decoder.cache_bytes())
