"""*.suite.yaml: artifacts, their workload, and the gates that decide about them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from harness.errors import Problem
from harness.spec import validate, yaml
from harness.spec.form import RUNTIMES, Family, Form, MetricLimits, Name, Scope, Seconds, Task, Title, check_build
from harness.spec.limits import read_scopes
from harness.spec.metric import METRICS
from harness.spec.model import Artifact, Limit, LimitKind, LimitSet, Suite, Workload
from harness.spec.tree import Document, Location
from harness.spec.validate import Refusal, quoted, suggest


class WorkloadForm(Form):
    """What is done with every artifact of the suite."""

    noun: ClassVar[str] = "a workload"
    task: Task = Field(description="`classification`: labels decide. `parity`: only the reference does.")
    data: str = Field(
        description="Evaluation data (.npz) beside the suite: `x` or one array per input, `y` for labels.",
        examples=["digits_eval.npz"],
        min_length=1,
    )
    repeat: int = Field(default=100, ge=1, le=1_000_000, description="Timed inferences per session.", examples=[200])
    warmup: int = Field(default=10, ge=0, le=100_000, description="Inferences before the timed ones.", examples=[10])
    batch: int = Field(default=1, ge=1, le=65_536, description="Samples per call of the accuracy pass.", examples=[1])
    output: int = Field(default=0, ge=0, le=255, description="Index of the output with the class scores.", examples=[0])
    deadline: Seconds = Field(default=300.0, description="Longest time of one session on a board.", examples=["5 min"])


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
    if document is not None and form is not None:
        _Checker(form, document, path.parent, problems).check(gates)
    validate.finish(problems)
    assert form is not None
    assert document is not None
    return _suite(form, document, path, gates)


def _suite(form: SuiteForm, document: Document, path: Path, gates: tuple[LimitSet, ...]) -> Suite:
    folder = path.parent
    work, reference = form.workload, form.reference
    return Suite(
        name=form.suite,
        file=yaml.shown(path),
        workload=Workload(
            task=work.task,
            data=_absolute(folder, work.data),
            repeat=work.repeat,
            warmup=work.warmup,
            batch=work.batch,
            output=work.output,
            deadline_s=work.deadline,
        ),
        artifacts=tuple(_artifact(name, entry, document, folder) for name, entry in form.artifacts.items()),
        gates=gates,
        reference=_absolute(folder, reference.file) if reference is not None else "",
        reference_runtime=(reference.runtime or _runtime_of(reference.file)) if reference is not None else "",
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


def _runtime_of(file: str) -> str:
    suffix = Path(file).suffix.lower()
    return next((family for family, suffixes in RUNTIMES.items() if suffix in suffixes), "")


class _Checker:
    """Checks of a suite that no single field can make: files, reference, and gates against the workload."""

    def __init__(self, form: SuiteForm, document: Document, folder: Path, problems: list[Problem]) -> None:
        self.form, self.document, self.folder, self.problems = form, document, folder, problems

    def check(self, gates: tuple[LimitSet, ...]) -> None:
        """Add every problem."""
        self._check_data()
        self._check_reference()
        for name, artifact in self.form.artifacts.items():
            self._check_artifact(name, artifact)
        for limit in (limit for scope in gates for limit in scope.limits):
            self._check_limit(limit)

    def _report(self, where: Location, message: str, hint: str = "") -> None:
        self.problems.append(self.document.problem(self.document.find(where), message, hint))

    def _has_file(self, where: Location, name: str) -> bool:
        path = self.folder / name
        try:
            if path.is_file():
                return True
            siblings = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        except (OSError, ValueError):
            siblings = []
        close = suggest(Path(name).name, siblings)
        self._report(
            where, f"no such file: {quoted(name)}", close if close.startswith("did") else "relative to the suite"
        )
        return False

    def _check_data(self) -> None:
        where, data = ["workload", "data"], self.form.workload.data
        if not data.endswith(".npz"):
            self._report(where, f"{quoted(data)} is not an .npz file", "save the arrays with numpy.savez_compressed")
        elif self._has_file(where, data):
            try:
                arrays = zipfile.ZipFile(self.folder / data).namelist()
            except (OSError, zipfile.BadZipFile):
                self._report(where, f"{quoted(data)} is not an .npz file inside", "numpy.savez_compressed makes one")
                return
            if self.form.workload.task == "classification" and "y.npy" not in arrays:
                held = ", ".join(sorted(Path(name).stem for name in arrays)) or "nothing"
                self._report(where, f"{quoted(data)} has no labels 'y' for a classification", f"it holds: {held}")

    def _check_reference(self) -> None:
        reference = self.form.reference
        if reference is None:
            if self.form.workload.task == "parity":
                self._report(
                    ["workload", "task"], "a parity suite needs the key 'reference'", "the file to compare with"
                )
            return
        self._has_file(["reference", "file"], reference.file)
        runtime = reference.runtime or _runtime_of(reference.file)
        if not runtime:
            self._report(
                ["reference"], f"no runtime is known for {quoted(reference.file)}", "write {file: …, runtime: …}"
            )
        else:
            self._check_suffix(["reference", "file"], reference.file, runtime)

    def _check_suffix(self, where: Location, file: str, runtime: str) -> None:
        other = _runtime_of(file)
        if other and other != runtime:
            self._report(where, f"{quoted(file)} is a file for {other}, not for {runtime}", f"runtime: {other}")

    def _check_artifact(self, name: str, artifact: ArtifactForm) -> None:
        where = ["artifacts", name]
        if self._has_file([*where, "file"], artifact.file):
            self._check_suffix([*where, "file"], artifact.file, artifact.runtime)
        if artifact.baseline and self._has_file([*where, "baseline"], artifact.baseline):
            self._check_suffix([*where, "baseline"], artifact.baseline, artifact.runtime)
            if (self.folder / artifact.baseline).resolve() == (self.folder / artifact.file).resolve():
                self._report(
                    [*where, "baseline"], "the baseline is the candidate itself", "name the previous release's file"
                )
        if artifact.build:
            try:
                check_build(artifact.runtime, artifact.build)
            except Refusal as refusal:
                self._report([*where, "build"], str(refusal), refusal.hint)

    def _check_limit(self, limit: Limit) -> None:
        metric = METRICS[limit.metric]
        place = (limit.origin.file, limit.origin.line, limit.origin.column)
        if metric.needs_labels and self.form.workload.task != "classification":
            hint = "use a parity metric, or 'task: classification'"
            self.problems.append(Problem(*place, f"{metric.name} needs 'task: classification'", hint))
        elif (metric.against_reference or limit.kind is LimitKind.DROP) and self.form.reference is None:
            said = f"{limit.kind} of {metric.name} compares with a reference, and the suite has none"
            self.problems.append(Problem(*place, said, "add 'reference: FILE'"))
