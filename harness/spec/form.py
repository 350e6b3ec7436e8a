"""The words that farm, profile and suite files share: names, quantities, limits, runtimes.

A form is a file (or a part of one) as written; what it resolves to is `harness.spec.model`. Descriptions and examples
here are the hover texts of editors, through `harness.spec.json_schema`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from harness import units
from harness.spec.metric import METRICS
from harness.spec.model import MODELLED, SIMULATED
from harness.spec.validate import Refusal, quoted, suggest
from harness.units import Dimension

RUNTIMES: dict[str, tuple[str, ...]] = {
    "onnxruntime": (".onnx", ".ort"),
    "tflite": (".tflite", ".lite"),
    "llamacpp": (".gguf",),
    "executorch": (".pte",),
    "command": (),
}
"""Runtime families and the suffixes of their model files."""

_BUILDS = {
    "onnxruntime": ("onnxruntime",),
    "tflite": ("tflite-runtime", "ai-edge-litert"),
    "llamacpp": ("xllamacpp",),
    "executorch": ("executorch-numpy-runtime",),
}
ACCEPTED = (MODELLED, SIMULATED)
TASKS = ("classification", "parity", "generation", "tool")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_TITLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?|all|.*\.\..*|.*\.", re.IGNORECASE)
_BUILD = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==([0-9][A-Za-z0-9.!+_-]*)")
_REMOTE_PATH = re.compile(r"(?:~/|/)?[A-Za-z0-9_.+-]+(?:/[A-Za-z0-9_.+-]+)*")


class Form(BaseModel):
    """A part of a file: every key is known, every value has its own type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    noun: ClassVar[str] = "the file"


def one_of(what: str, names: Iterable[str]) -> AfterValidator:
    """Accept one of a closed list of names."""
    known = tuple(names)

    def check(value: str) -> str:
        if value not in known:
            raise Refusal(f"unknown {what} {quoted(value)}", suggest(value, known))
        return value

    return AfterValidator(check)


def check_name(value: str) -> str:
    """Accept what is safe as a file name, a test id and a word of a command line."""
    if not _NAME.fullmatch(value):
        tame = re.sub(r"[^a-z0-9._-]+", "-", value.lower()).strip("-._")[:63]
        meant = f": write '{tame}'" if tame and _NAME.fullmatch(tame) else ""
        hint = f"lower-case letters, digits, '.', '_' and '-', at most 63{meant}"
        raise Refusal(f"{quoted(value)} is not a name", hint)
    return _not_reserved(value)


def check_title(value: str) -> str:
    """Accept a name that may have capitals."""
    if not _TITLE.fullmatch(value):
        hint = "letters, digits, '.', '_' and '-', at most 63, a letter or digit first"
        raise Refusal(f"{quoted(value)} is not a name", hint)
    return _not_reserved(value)


def check_scope(value: str) -> str:
    """Accept `all`, or a name."""
    return value if value == "all" else check_title(value)


def _not_reserved(value: str) -> str:
    if _RESERVED.fullmatch(value):
        raise Refusal(f"the name {quoted(value)} is reserved", "choose another one")
    return value


def quantity(dimension: Dimension, *, low: float = 0.0, high: float = float("inf")) -> BeforeValidator:
    """Accept a quantity with its unit, above `low` and at most `high` (SI); the field holds SI."""

    def check(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Refusal(f"expected {units.describe(dimension)}")
        try:
            number = units.parse(str(value), dimension)
        except units.QuantityError as error:
            raise Refusal(error.message, error.hint) from None
        if not low < number <= high:
            bounds = f"above {units.format(low, dimension)}" + (
                f", at most {units.format(high, dimension)}" if high != float("inf") else ""
            )
            raise Refusal(f"{quoted(str(value))} is impossible here", bounds)
        return number

    return BeforeValidator(check)


def quantity_schema(dimension: Dimension) -> WithJsonSchema:
    """Describe a quantity to editors."""
    bare = dimension in {Dimension.COUNT, Dimension.NUMBER}
    kind: object = ["string", "number"] if bare else "string"
    return WithJsonSchema({"type": kind, "examples": [units.example(dimension)]})


def check_build(family: str, build: str) -> str:
    """Accept `system` or one exact release of a package that provides the runtime family."""
    if build == "system":
        return build
    if family not in _BUILDS:
        raise Refusal(f"{family} is no package", "a tool is on the board, or the suite brings it: see 'tool'")
    match = _BUILD.fullmatch(build)
    packages = _BUILDS[family]
    if match is None:
        hint = f"write '{packages[0]}==VERSION', or 'system' for what the board has"
        raise Refusal(f"{quoted(build)} is not a pinned runtime", hint)
    name = re.sub(r"[-_.]+", "-", match.group(1)).lower()
    if name not in packages and not name.startswith("onnxruntime-" if family == "onnxruntime" else packages):
        raise Refusal(f"{quoted(match.group(1))} does not provide {family}", suggest(name, packages))
    return build


def check_remote_path(value: str) -> str:
    """Accept a path on the board that no shell can misread."""
    if not _REMOTE_PATH.fullmatch(value) or value.startswith("-") or "/.." in f"/{value}":
        raise Refusal(f"{quoted(value)} is not a path on a board", "letters, digits and _ . + - / only, '~/' may lead")
    return value


MetricName = Annotated[
    str,
    one_of("metric", METRICS),
    WithJsonSchema({"type": "string", "enum": list(METRICS)}),
]
_SCATTERING = {"timing", "energy", "sustained"}
NOISY = ("control", *(name for name, metric in METRICS.items() if metric.needs in _SCATTERING))
"""What scatters from session to session: timed and metered figures, and the control work beside them."""
NoisyName = Annotated[str, one_of("figure", NOISY), WithJsonSchema({"type": "string", "enum": list(NOISY)})]
Family = Annotated[str, one_of("runtime", RUNTIMES), WithJsonSchema({"type": "string", "enum": list(RUNTIMES)})]
Task = Annotated[str, one_of("task", TASKS), WithJsonSchema({"type": "string", "enum": list(TASKS)})]
Name = Annotated[str, AfterValidator(check_name)]
Title = Annotated[str, AfterValidator(check_title)]
Scope = Annotated[str, AfterValidator(check_scope)]
RemotePath = Annotated[str, AfterValidator(check_remote_path)]
Watts = Annotated[float, quantity(Dimension.POWER, high=10_000.0), quantity_schema(Dimension.POWER)]
Joules = Annotated[float, quantity(Dimension.ENERGY, high=1.0), quantity_schema(Dimension.ENERGY)]
Rate = Annotated[float, quantity(Dimension.RATE, high=10_000.0), quantity_schema(Dimension.RATE)]
Frequency = Annotated[float, quantity(Dimension.FREQUENCY, high=1e11), quantity_schema(Dimension.FREQUENCY)]
Seconds = Annotated[float, quantity(Dimension.TIME, high=86_400.0), quantity_schema(Dimension.TIME)]
Ratio = Annotated[float, quantity(Dimension.RATIO, high=1.0), quantity_schema(Dimension.RATIO)]
Bytes = Annotated[float, quantity(Dimension.BYTES), quantity_schema(Dimension.BYTES)]
Bound = Annotated[object, WithJsonSchema({"type": ["string", "number"]})]
"""Read from the document by `harness.spec.limits`, which knows the metric and so the unit."""


class LimitForm(Form):
    """The limits on one metric."""

    noun: ClassVar[str] = "a limit"
    max: Bound = Field(default=None, description="Largest value that passes.", examples=["4 ms", "64 MiB", "1.2 M"])
    min: Bound = Field(default=None, description="Smallest value that passes.", examples=["96 %", 0.99, "30 dB"])
    regress: Bound = Field(default=None, description="Allowed worsening against the baseline.", examples=["5 %"])
    creep: Bound = Field(
        default=None,
        description="Budget of `regress` for all accepted releases since the anchor; without: that of one step.",
        examples=["8 %"],
    )
    drop: Bound = Field(default=None, description="Allowed loss against the reference.", examples=["0.5 pp"])
    accept: Annotated[str, one_of("word", ACCEPTED), WithJsonSchema({"enum": list(ACCEPTED)})] = Field(
        default="",
        description="`modelled`, `simulated`: a figure that no instrument gave may decide this gate, one computed from "
        "the profile's declared model or one of an emulated board's simulated meter.",
    )


MetricLimits = dict[MetricName, LimitForm]
