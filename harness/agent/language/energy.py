"""The energy session of a language model: a window of whole texts, then one of their first tokens only.

The difference is what the tokens after the first cost; no clock reading has to hit an edge of the power.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.agent.language.text import make_prompts
from harness.agent.language.writing import make_choice, write
from harness.agent.tasks.energy import Load, sample

if TYPE_CHECKING:
    from harness.agent.session import Session


def run(session: Session) -> None:
    """Sample power while every prompt is continued in turn, and while only its first token is.

    Arrays and scalars: as in `harness.agent.tasks.energy`, a call being all prompts once; and per call prompt_tokens
    and new_tokens, the first included.
    """
    sample(session, lambda: _bind(session))


def _bind(session: Session) -> Load:
    asked = session.request.generation
    assert asked is not None
    decoder = session.decode(asked.context)
    prompts = make_prompts(asked, session.stored(session.request.data), decoder)

    def whole() -> int:
        return sum(len(write(decoder, item.tokens, asked, make_choice(asked), lambda: None)) for item in prompts)

    def first() -> None:
        for item in prompts:
            decoder.reset()
            make_choice(asked)(decoder.feed(item.tokens, every=False))

    session.scalars["prompt_tokens"] = float(sum(len(item.tokens) for item in prompts))
    session.scalars["new_tokens"] = float(whole())
    return Load(whole, first)
