"""What is said about using a board, by its profiles and by farm.yaml, merged into one set of settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema

from harness.errors import Problem
from harness.spec.form import Family, Form, Frequency, NoisyName, Ratio, RemotePath, Title, check_build, one_of
from harness.spec.model import AS_SHIPPED, PINNED, MeterSpec, Noise
from harness.spec.outside import check_outside
from harness.spec.power import METERS, PowerForm, check_power, meter_spec
from harness.spec.tree import Document, Location
from harness.spec.validate import Refusal

CONDITIONS = (AS_SHIPPED, PINNED)
TAILS = ("normal", "heavy")


@dataclass(frozen=True, slots=True)
class Written:
    """A profile file or a device entry as written, and the file it stands in."""

    form: BoardForm
    document: Document
    where: Location = ()
    """Where in the document; empty: all of it."""


@dataclass(frozen=True, slots=True)
class BoardSettings:
    """What profile and device say together about using a board."""

    python: str
    root: str
    threads: int
    cores: tuple[int, ...]
    runtimes: dict[str, str]
    tools: dict[str, str]
    condition: str
    frequency_hz: float
    power: MeterSpec | None
    sessions: int
    noise: tuple[Noise, ...]


def _plain_noise(value: object) -> object:
    return {"sd": value} if isinstance(value, str) else value


class NoiseForm(Form):
    """How much a figure of a board scatters from pair to pair when nothing has changed."""

    noun: ClassVar[str] = "noise"
    sd: Ratio = Field(description="Standard deviation of a pair's log-ratio.", examples=["1.5 %"])
    tails: Annotated[str, one_of("word", TAILS), WithJsonSchema({"type": "string", "enum": list(TAILS)})] = Field(
        default="normal", description="`heavy`: outliers; the exact sign-flip test decides instead of the t test."
    )


NoiseEntry = Annotated[NoiseForm, BeforeValidator(_plain_noise, json_schema_input_type=str | NoiseForm)]


def _plain_condition(value: object) -> object:
    return {"mode": value} if isinstance(value, str) else value


class ConditionForm(Form):
    """Whether and how a run holds a board's clocks."""

    noun: ClassVar[str] = "a condition"
    mode: Annotated[str, one_of("condition", CONDITIONS), WithJsonSchema({"enum": list(CONDITIONS)})] = Field(
        description="`as-shipped`: clocks as the board's system sets them, for figures of a product. `pinned`: the "
        "governor `performance` at the highest allowed frequency, and a pause until the board is cool before each "
        "timed session, for comparisons; needs root on the board, and everything is put back."
    )
    frequency: Frequency = Field(
        default=0.0,
        description="pinned: the frequency to hold, one that the board can hold without throttling; without: the "
        "highest that is allowed.",
        examples=["1.5 GHz"],
    )


ConditionEntry = Annotated[ConditionForm, BeforeValidator(_plain_condition, json_schema_input_type=str | ConditionForm)]


class BoardForm(Form):
    """What a profile and a device may both say; the device's word is the stronger."""

    python: RemotePath = Field(default="python3", description="Python on the board, 3.8 or newer.")
    root: RemotePath = Field(default="~/.fleetgate", description="Folder on the board that holds all we put there.")
    threads: int = Field(default=1, ge=1, le=1024, description="Threads of the runtime.", examples=[1, 4])
    cores: list[Annotated[int, Field(ge=0, le=4095)]] = Field(
        default=[], description="CPUs that a session is pinned to; without: the last allowed ones.", examples=[[3]]
    )
    runtimes: dict[Family, str] = Field(
        default={},
        description="Which build provides each runtime on this board: a pinned package, or `system`.",
        examples=[{"tflite": "tflite-runtime==2.14.0", "onnxruntime": "system"}],
    )
    tools: dict[Title, RemotePath] = Field(
        default={},
        description="Where measuring tools lie on this board; without: in its PATH.",
        examples=[{"trtexec": "/usr/src/tensorrt/bin/trtexec"}],
    )
    condition: ConditionEntry | None = Field(
        default=None,
        description="`as-shipped` (the default) or `pinned`, or a mapping of `mode` and `frequency`.",
        examples=["pinned", {"mode": "pinned", "frequency": "1.5 GHz"}],
    )
    power: PowerForm | None = Field(default=None, description="The power source.")
    sessions: int = Field(
        default=0,
        ge=1,
        le=1000,
        description="Processes per arm of a timed measurement, fixed; without: pairs until every gate is decided.",
        examples=[6],
    )
    noise: dict[NoisyName, NoiseEntry] = Field(
        default={},
        description="What is known of the board's noise per metric, or of its `control` work; a margin that it cannot "
        "resolve is refused.",
        examples=[{"latency.p50": "1.2 %", "latency.p95": {"sd": "3 %", "tails": "heavy"}}],
    )


def check_board(form: BoardForm, document: Document, where: Location, problems: list[Problem]) -> None:
    """Check what no single field can: builds against their family, power against its meter, cores against repeats."""
    for family, build in form.runtimes.items():
        try:
            check_build(family, build)
        except Refusal as refusal:
            problems.append(document.problem(document.find([*where, "runtimes", family]), str(refusal), refusal.hint))
    if len(set(form.cores)) < len(form.cores):
        problems.append(document.problem(document.find([*where, "cores"]), "cores: a CPU is named twice"))
    if form.condition is not None and form.condition.frequency and form.condition.mode != PINNED:
        node = document.find([*where, "condition", "frequency"], key=True)
        problems.append(document.problem(node, "only a pinned clock has a 'frequency'", "mode: pinned"))
    if form.power is not None:
        check_power(form.power, document, [*where, "power"], problems)


def check_meter(meter: MeterSpec | None, chain: Sequence[Written]) -> list[Problem]:
    """Find out whether a meter that does not come with Fleetgate can be made from what is said of it.

    Args:
        meter: of the board, merged.
        chain: what is written about it, nearest first: the problem is told where the meter is named.
    """
    if meter is None or meter.kind in METERS:
        return []
    try:
        check_outside(meter)
    except Refusal as refusal:
        written = next(item for item in chain if item.form.power is not None)
        node = written.document.find([*written.where, "power", "meter"])
        return [written.document.problem(node, str(refusal), refusal.hint)]
    return []


def settle(chain: Sequence[Written]) -> BoardSettings:
    """Merge what is written about a board.

    Args:
        chain: the words, nearest (strongest) first. Scalars and lists replace, `runtimes` merge by family, `tools` by
            name, `noise` by metric, `power` by key as long as the meter is the same.

    Returns:
        The settings, with the defaults where nothing is written.
    """
    said: dict[str, Any] = {name: field.default for name, field in BoardForm.model_fields.items()}
    runtimes: dict[str, str] = {}
    tools: dict[str, str] = {}
    power: dict[str, Any] = {}
    noise: dict[str, Noise] = {}
    for written in reversed(chain):
        values = written.form.model_dump(include=set(BoardForm.model_fields), exclude_unset=True)
        runtimes |= values.pop("runtimes", {})
        tools |= values.pop("tools", {})
        more = values.pop("power", {})
        values.pop("noise", {})
        noise |= {item.metric: item for item in _noise(written)}
        power = {**power, **more} if not more or more["meter"] == power.get("meter") else more
        said |= values
    condition = ConditionForm.model_construct(**(said["condition"] or {"mode": AS_SHIPPED}))
    return BoardSettings(
        python=said["python"],
        root=said["root"],
        threads=said["threads"],
        cores=tuple(said["cores"]),
        runtimes=runtimes,
        tools=tools,
        condition=condition.mode,
        frequency_hz=condition.frequency,
        power=meter_spec(power) if power else None,
        sessions=said["sessions"],
        noise=tuple(noise.values()),
    )


def _noise(written: Written) -> Iterator[Noise]:
    for metric, entry in written.form.noise.items():
        origin = written.document.origin(written.document.find([*written.where, "noise", metric], key=True))
        yield Noise(metric, entry.sd, entry.tails == "heavy", f"stated in {origin}")
