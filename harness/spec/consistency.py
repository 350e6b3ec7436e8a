"""What no single field of a suite can say: do its files exist, does each runtime read them, can its gates be decided.

Works on the document, not on the form, so that a mistake in one place does not hide those in others. Looks at files
only as far as a directory listing and the headers of the .npz.
"""

from __future__ import annotations

from pathlib import Path

from harness.errors import Problem
from harness.spec.evaluation_data import check_data, check_text
from harness.spec.form import RUNTIMES, TASKS, check_build
from harness.spec.generation import FAMILIES, TASK
from harness.spec.metric import METRICS, TOOL, measured_by
from harness.spec.model import Limit, LimitKind, LimitSet
from harness.spec.tool import FAMILY as COMMAND
from harness.spec.tree import Document, Location
from harness.spec.validate import Refusal, quoted, suggest

_OWN = {TASK: "use llm.*, work.prompt_token, work.new_token", TOOL: "use tool.*, memory.peak, storage.size"}
"""What the gates of a task may name that measures figures of its own."""


def runtime_of(file: str) -> str:
    """Give the runtime family that the file's suffix belongs to; empty when none is known."""
    suffix = Path(file).suffix.lower()
    return next((family for family, suffixes in RUNTIMES.items() if suffix in suffixes), "")


class Consistency:
    """The checks of one suite document; `folder` is what its paths are relative to."""

    def __init__(self, document: Document, folder: Path, problems: list[Problem]) -> None:
        self.document, self.folder, self.problems = document, folder, problems
        self.task = document.text(["workload", "task"])
        self.reference = document.text(["reference"]) or document.text(["reference", "file"])
        self.has_reference = any(True for key, _ in document.keys([]) if key.text == "reference")
        self.has_sustain = any(True for key, _ in document.keys(["workload"]) if key.text == "sustain")

    def check(self, gates: tuple[LimitSet, ...]) -> None:
        """Add every problem, of the good limits in `gates` too."""
        self._check_data()
        tool: Location = ["workload", "tool", "file"]
        if self.document.text(tool):
            self._has_file(tool, self.document.text(tool))
        self._check_reference()
        self._check_sustain()
        for name, _ in self.document.keys(["artifacts"]):
            self._check_artifact(["artifacts", name.text])
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
        hint = close if close.startswith("did") else "paths are relative to the suite's folder"
        self._report(where, f"no such file: {quoted(name)}", hint)
        return False

    def _check_data(self) -> None:
        where: Location = ["workload", "data"]
        data = self.document.text(where)
        if not data:
            has_key = any(key.text == "data" for key, _ in self.document.keys(["workload"]))
            if self.task != TOOL and not has_key:
                self._report(["workload"], "a workload needs the key 'data'", "data: FILE")
            return
        if self.task == TOOL:  # any file: the tool knows what it is
            self._has_file(where, data)
        elif self.task == TASK:
            if self._has_file(where, data):
                self._check_text(where, data)
        elif not data.endswith(".npz"):
            self._report(where, f"{quoted(data)} is not an .npz file", "save the arrays with numpy.savez_compressed")
        elif self._has_file(where, data):
            self._check_arrays(where, data)

    def _check_arrays(self, where: Location, data: str) -> None:
        try:
            check_data(self.folder / data, classified=self.task == "classification")
        except Refusal as refusal:
            self._report(where, str(refusal), refusal.hint)

    def _check_sustain(self) -> None:
        if self.has_sustain and self.task == TASK:
            said = "how fast a language model writes under a load that lasts is not measured"
            self._report(["workload", "sustain"], said, "remove 'sustain'")

    def _check_text(self, where: Location, data: str) -> None:
        try:
            check_text(self.folder / data)
        except Refusal as refusal:
            self._report(where, str(refusal), refusal.hint)

    def _check_reference(self) -> None:
        if not self.has_reference:
            if self.task == "parity":
                hint = "add 'reference: FILE'"
                self._report(["workload", "task"], "a parity suite needs the key 'reference'", hint)
            return
        if self.task == TOOL:
            self._report(["reference"], "a tool brings no outputs to compare with a reference", "remove the key")
            return
        if not self.reference:
            return
        where: Location = ["reference", "file"]
        self._has_file(where, self.reference)
        runtime = self.document.text(["reference", "runtime"]) or runtime_of(self.reference)
        if not runtime:
            said = f"no runtime is known for {quoted(self.reference)}"
            self._report(where, said, "write 'reference: {file: …, runtime: …}'")
        self._check_suffix(where, self.reference, runtime)
        self._check_family(where, runtime)

    def _check_suffix(self, where: Location, file: str, runtime: str) -> None:
        other = runtime_of(file)
        if other and runtime in RUNTIMES and runtime not in {other, COMMAND}:
            self._report(where, f"{quoted(file)} is a file for {other}, not for {runtime}", f"runtime: {other}")

    def _check_artifact(self, where: Location) -> None:
        texts = {key: self.document.text([*where, key]) for key in ("file", "runtime", "baseline", "build")}
        if texts["runtime"] == COMMAND and self.document.text([*where, "provider"]):
            self._report([*where, "provider"], "a tool is told its provider by its argv", "remove the key")
        for key in ("file", "baseline"):
            if texts[key] and self._has_file([*where, key], texts[key]):
                self._check_suffix([*where, key], texts[key], texts["runtime"])
        if texts["file"] and texts["baseline"] and self._same(texts["file"], texts["baseline"]):
            hint = "name the previous release's file; for an A/A run, a copy of this one"
            self._report([*where, "baseline"], "the baseline is the candidate itself", hint)
        self._check_family([*where, "runtime"], texts["runtime"])
        if texts["build"] and texts["runtime"] in RUNTIMES:
            try:
                check_build(texts["runtime"], texts["build"])
            except Refusal as refusal:
                self._report([*where, "build"], str(refusal), refusal.hint)

    def _check_family(self, where: Location, runtime: str) -> None:
        if runtime not in RUNTIMES:
            return
        if self.task == TASK and runtime not in FAMILIES:
            self._report(where, f"{runtime} generates no text", f"use {' or '.join(FAMILIES)}")
        elif (self.task == TOOL) is not (runtime == COMMAND) and self.task in TASKS:
            hint = f"'task: {TOOL}' and 'runtime: {COMMAND}' belong together"
            self._report(where, f"{runtime} does not do 'task: {self.task}'", hint)
        elif self.task in TASKS and self.task != TASK and runtime == "llamacpp":
            self._report(where, "llamacpp runs language models only", "use 'task: generation'")

    def _same(self, one: str, other: str) -> bool:
        try:
            return (self.folder / one).resolve() == (self.folder / other).resolve()
        except (OSError, ValueError, RuntimeError):
            return False

    def _check_limit(self, limit: Limit) -> None:
        metric = METRICS[limit.metric]
        place = (limit.origin.file, limit.origin.line, limit.origin.column)
        if metric.needs == "sustained" and not self.has_sustain and self.task != TOOL:
            said = f"{metric.name} is measured under a load that lasts, and the workload has none"
            self.problems.append(Problem(*place, said, "add 'sustain: 20 min' to the workload"))
        elif self.task in TASKS and not measured_by(metric, self.task):
            hint = _OWN.get(self.task, "use 'task: tool'" if metric.told else "use 'task: generation'")
            self.problems.append(Problem(*place, f"{metric.name} is not measured by 'task: {self.task}'", hint))
        elif metric.needs_labels and self.task == "parity":
            hint = "use a parity metric, or 'task: classification'"
            self.problems.append(Problem(*place, f"{metric.name} needs 'task: classification'", hint))
        elif (metric.against_reference or limit.kind is LimitKind.DROP) and not self.has_reference:
            said = f"{limit.kind} of {metric.name} compares with a reference, and the suite has none"
            self.problems.append(Problem(*place, said, "add 'reference: FILE'"))
