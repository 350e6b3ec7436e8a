"""The replies of the agent's small operations, validated before anything else sees them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, TypeVar, cast

from pydantic import Field, TypeAdapter, ValidationError

from harness.agent.frame import Frame
from harness.errors import InfraError

T = TypeVar("T")
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Word = Annotated[str, Field(max_length=300)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class Hello:
    """The lease is taken: `token` grows with every lease of this board."""

    agent: str
    python: str
    pid: Count
    boot_id: str
    token: Count
    nonce: str


@dataclass(frozen=True, slots=True)
class Has:
    """Which files a board lacks, and how many bytes of interrupted ones it has."""

    missing: list[Digest]
    partial: dict[Digest, Count]


@dataclass(frozen=True, slots=True)
class Put:
    """How many bytes of a file a board has, and whether it has verified them all."""

    received: Count
    done: bool


@dataclass(frozen=True, slots=True)
class Installed:
    """Whether an environment was installed now (True) or was there."""

    installed: bool


@dataclass(frozen=True, slots=True)
class Clock:
    """The board's monotonic clock at the moment of its answer, seconds."""

    monotonic_s: Annotated[float, Field(allow_inf_nan=False, ge=0)]


@dataclass(frozen=True, slots=True)
class SettingHeld:
    """One file of sysfs that the agent changed and puts back."""

    path: Word
    before: Word
    after: Word


@dataclass(frozen=True, slots=True)
class Pinned:
    """What the agent holds until it ends."""

    settings: Annotated[list[SettingHeld], Field(min_length=1, max_length=1000)]


@dataclass(frozen=True, slots=True)
class RailSeen:
    """One power source of a board; zeros are not known, `reading` is in W, or in J of a counter."""

    meter: Word
    chip: Word
    place: Word
    channel: Word
    label: Word
    quantity: Word
    scope: Word
    window_s: Amount
    step: Amount
    range: Amount
    reading: Annotated[float, Field(allow_inf_nan=False)] | None
    fault: Annotated[str, Field(max_length=1000)]


@dataclass(frozen=True, slots=True)
class PowerSurvey:
    """Every power source that a board itself can read."""

    rails: Annotated[list[RailSeen], Field(max_length=1000)]


@lru_cache(maxsize=16)
def _adapter(kind: Any) -> TypeAdapter[Any]:  # noqa: ANN401  any dataclass
    return TypeAdapter(kind)


def parse_reply(kind: type[T], reply: Frame) -> T:
    """Take the fields of `kind` out of a reply's header.

    Raises:
        InfraError: a field is missing or is not what it must be.
    """
    names = kind.__dataclass_fields__  # type: ignore[attr-defined]
    try:
        fields = {name: reply.header[name] for name in names if name in reply.header}
        parsed: T = _adapter(cast(Any, kind)).validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part)[:40] for part in first["loc"])
        raise InfraError(f"a board's reply cannot be read: {where}: {first['msg']}", code="envelope") from error
    return parsed
