"""*.suite.yaml: artifacts, their workload, and the gates that decide about them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema

from harness.errors import Problem
from harness.spec import generation, questions, tool, validate, yaml
from harness.spec.consistency import Consistency, runtime_of
from harness.spec.form import Family, Form, MetricLimits, Name, Rate, Scope, Seconds, Task, Title, one_of
from harness.spec.generation import GenerationForm
from harness.spec.limits import read_scopes
from harness.spec.model import Artifact, LimitSet, Suite
from harness.spec.tool import ToolForm
from harness.spec.tree import Document
from harness.spec.workload import Split, Sustain, Workload

SPLITS = tuple(split.value for split in Split)


def _plain_sustain(value: object) -> object:
    return {"time": value} if isinstance(value, str) else value


class SustainForm(Form):
    """A load that lasts, so that heat has its time."""

    noun: ClassVar[str] = "a load that lasts"
    time: Seconds = Field(description="How long it lasts.", examples=["20 min"])
    rate: Rate = Field(
        default=0.0, description="Inferences per second; without: one after the other.", examples=["10 /s"]
    )


class WorkloadForm(Form):
    """What is done with every artifact of the suite."""

    noun: ClassVar[str] = "a workload"
    task: Task = Field(
        description="`classification`: labels decide. `parity`: only the reference does. "
        "`generation`: a language model. `tool`: a program on the board measures by its own means."
    )
    data: str = Field(
        default="",
        description="Evaluation data beside the suite: an .npz of `x` or one array per input, `y` for labels; "
        "a text for `generation`. Only `tool` may do without; it gets any file.",
        examples=["digits_eval.npz"],
        min_length=1,
    )
    repeat: int = Field(default=100, ge=1, le=1_000_000, description="Timed inferences per session.", examples=[200])
    warmup: int = Field(default=10, ge=0, le=100_000, description="Inferences before the timed ones.", examples=[10])
    batch: int = Field(default=1, ge=1, le=65_536, description="Samples per call of the accuracy pass.", examples=[1])
    output: int = Field(default=0, ge=0, le=255, description="Index of the output with the class scores.", examples=[0])
    deadline: Seconds = Field(default=300.0, description="Longest time of one session on a board.", examples=["5 min"])
    sustain: Annotated[
        SustainForm | None, BeforeValidator(_plain_sustain, json_schema_input_type=str | SustainForm)
    ] = Field(
        default=None,
        description="One more session under a load that lasts: a time, or a mapping of `time` and `rate`.",
        examples=["20 min", {"time": "20 min", "rate": "10 /s"}],
    )
    generation: GenerationForm | None = Field(
        default=None, description="What a language model is asked; for `task: generation`."
    )
    tool: ToolForm | None = Field(default=None, description="Which program measures; for `task: tool`.")
    attribution: Annotated[str, one_of("word", SPLITS), WithJsonSchema({"enum": list(SPLITS)})] = Field(
        default=Split.ON_LOSS.value,
        description="When a loss of accuracy is split into quantization and platform: `on-loss`, `always` or `never`.",
        examples=["always"],
    )


class ReferenceForm(Form):
    """The model that is right by definition, run once on the controller."""

    noun: ClassVar[str] = "a reference"
    file: str = Field(description="Model file beside the suite.", examples=["digits_fp32.onnx"], min_length=1)
    runtime: Family = Field(default="", description="Runtime that runs it; without: the file's suffix decides.")


def _reference_path(value: object) -> object:
    return {"file": value} if isinstance(value, str) else value


class ArtifactForm(Form):
    """A model file and the runtime that runs it."""

    noun: ClassVar[str] = "an artifact"
    file: str = Field(description="Model file beside the suite.", examples=["digits_int8.onnx"], min_length=1)
    runtime: Family = Field(
        description="Runtime family; the device says which build provides it.", examples=["onnxruntime"]
    )
    baseline: str = Field(
        default="",
        description="The previous release's file: measured again beside the candidate, on the same board.",
        examples=["digits_int8_v1.onnx"],
        min_length=1,
    )
    provider: str = Field(
        default="", description="Execution provider or delegate; falling back from it is an error.",
        examples=["XnnpackExecutionProvider"], pattern=r"^[A-Za-z0-9_.-]{1,64}$",
    )  # fmt: skip
    threads: int = Field(
        default=0, ge=1, le=1024, description="Threads of the runtime; without: the device's.", examples=[1]
    )
    build: str = Field(
        default="", description="Pins the package that provides the runtime.", examples=["tflite-runtime==2.14.0"]
    )
    devices: list[Name] = Field(
        default=[],
        description="Devices or profiles that it is meant for; without: all.",
        examples=[["rpi5"]],
        min_length=1,
    )


_Reference = ReferenceForm | None
_Written = str | ReferenceForm


class SuiteForm(Form):
    """One release suite."""

    noun: ClassVar[str] = "a suite"
    suite: Title = Field(description="Name of the suite.", examples=["digits"])
    workload: WorkloadForm = Field(description="What is done with every artifact.")
    reference: Annotated[
        ReferenceForm | None, BeforeValidator(_reference_path, json_schema_input_type=str | ReferenceForm)
    ] = Field(
        default=None,
        description="The model whose outputs count as right: a file, or file and runtime. Run on the controller.",
        examples=["digits_fp32.onnx"],
    )
    artifacts: dict[Title, ArtifactForm] = Field(description="The candidates by name.", min_length=1)
    gates: dict[Scope, MetricLimits] = Field(
        default={},
        description="Limits per scope: `all`, a profile (or one that it extends), or a device.",
        examples=[{"all": {"memory.peak": {"max": "64 MiB"}}}],
    )


def load_suite(path: Path) -> Suite:
    """Read one suite file.

    Args:
        path: the suite; files that it names are relative to its folder.

    Returns:
        The suite, its paths absolute and existing. Scopes are not checked: see `check_scopes`.

    Raises:
        SpecError: everything that is wrong in it.
    """
    problems: list[Problem] = []
    document = yaml.read(path, problems)
    form = validate.validate(SuiteForm, document, problems) if document is not None else None
    gates: tuple[LimitSet, ...] = ()
    if document is not None:
        gates = read_scopes(document, ["gates"], problems)
        Consistency(document, path.parent, problems).check(gates)
    if document is not None and form is not None:
        generation.check(document, form.workload.generation, problems)
        questions.check(document, form.workload.generation, path.parent, gates, problems)
        tool.check(document, form.workload.tool, problems)
    validate.finish(problems)
    assert form is not None
    assert document is not None
    return _suite(form, document, path, gates)


def _suite(form: SuiteForm, document: Document, path: Path, gates: tuple[LimitSet, ...]) -> Suite:
    folder = path.parent
    reference = form.reference
    return Suite(
        name=form.suite,
        file=yaml.shown(path),
        workload=_workload(form.workload, folder),
        artifacts=tuple(_artifact(name, entry, document, folder) for name, entry in form.artifacts.items()),
        gates=gates,
        reference=_absolute(folder, reference.file) if reference is not None else "",
        reference_runtime=(reference.runtime or runtime_of(reference.file)) if reference is not None else "",
    )


def _workload(work: WorkloadForm, folder: Path) -> Workload:
    written = work.generation
    said = work.model_fields_set
    return Workload(
        task=work.task,
        data=_absolute(folder, work.data) if work.data else "",
        repeat=work.repeat if "repeat" in said or written is None else generation.REPEAT,
        warmup=work.warmup if "warmup" in said or written is None else generation.WARMUP,
        batch=work.batch,
        output=work.output,
        deadline_s=work.deadline,
        attribution=Split(work.attribution),
        generation=generation.resolve(written, folder) if written is not None else None,
        sustain=Sustain(work.sustain.time, work.sustain.rate) if work.sustain is not None else None,
        tool=tool.resolve(work.tool, folder) if work.tool is not None else None,
    )


def _artifact(name: str, form: ArtifactForm, document: Document, folder: Path) -> Artifact:
    return Artifact(
        name=name,
        file=_absolute(folder, form.file),
        runtime=form.runtime,
        origin=document.origin(document.find(["artifacts", name], key=True)),
        baseline=_absolute(folder, form.baseline) if form.baseline else "",
        provider=form.provider,
        threads=form.threads,
        build=form.build,
        devices=tuple(form.devices),
    )


def _absolute(folder: Path, name: str) -> str:
    return str((folder / name).absolute())
