"""What each operator of a model costs on a board, as a profile session brought it: hostile until parsed here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import RecordError
from harness.records.canonical import from_json

if TYPE_CHECKING:
    import numpy as np

MOST_OPERATORS = 4096
MOST_TEXT = 400
MOST_NOTES = 32
MOST_BYTES = 4 * 2**20
MOST_INSTRUCTIONS = 2**53


@dataclass(frozen=True, slots=True)
class OperatorCost:
    """One operator as it ran: shapes in words (`[1,8,8,32] [64] -> [1,8,8,64]`), instructions per inference.

    The cost may be negative: an operator that lets the runtime fuse others makes the whole cheaper.
    """

    name: str
    kind: str
    shapes: str
    instructions: int


@dataclass(frozen=True, slots=True)
class Profile:
    """All operators of one model in the order in which they run."""

    method: str
    counts: int
    """Counts per operator, of which one is taken."""
    spread: int
    """Largest distance of two counts of one part: what the figures resolve at worst."""
    outside: int
    """Instructions of a call without any operator."""
    notes: tuple[str, ...]
    operators: tuple[OperatorCost, ...]


def parse_profile(data: bytes, *, source: str = "profile") -> Profile:
    """Read a profile, whoever wrote it.

    Raises:
        RecordError: it is no profile, or beyond its bounds.
    """
    if len(data) > MOST_BYTES:
        raise RecordError(f"{source}: {len(data)} bytes, a profile has at most {MOST_BYTES}")
    profile = from_json(Profile, data, source=source)
    if not 0 < len(profile.operators) <= MOST_OPERATORS or len(profile.notes) > MOST_NOTES:
        raise RecordError(f"{source}: {len(profile.operators)} operators, a profile has 1 to {MOST_OPERATORS}")
    for operator in profile.operators:
        if any(len(text) > MOST_TEXT for text in (operator.name, operator.kind, operator.shapes)):
            raise RecordError(f"{source}: an operator's texts are longer than those of a profile")
        if abs(operator.instructions) > MOST_INSTRUCTIONS:
            raise RecordError(f"{source}: {operator.instructions} instructions are beyond all bounds")
    return profile


def read_text(array: np.ndarray) -> bytes:
    """Return the bytes of a text that was sent or stored as an array.

    Raises:
        RecordError: it is no array of bytes.
    """
    if array.ndim != 1 or str(array.dtype) != "uint8":
        raise RecordError(f"a text is stored as bytes, this is {array.dtype}{list(array.shape)}")
    return array.tobytes()
