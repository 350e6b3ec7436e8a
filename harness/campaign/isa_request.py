"""What `fleetgate isa` was asked: files, CPUs, runtimes and inputs, from the words of the command line.

Contacts nothing; every mistake is a SpecError with what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.campaign.cell_files import runtime_of
from harness.device.program import is_program
from harness.device.runtime import requirement_of
from harness.errors import Problem, SpecError
from harness.spec.board import settle
from harness.spec.form import check_build
from harness.spec.model import Device, Emulation, Origin, Tier
from harness.spec.profile import CPUS, ProfileShelf, shipped_profiles
from harness.spec.validate import Refusal, quoted, suggest

DEFAULT_CPUS = ("cortex-a35", "cortex-a53", "cortex-a72", "cortex-a76", "max")
_FAMILIES = {"onnxruntime": "onnxruntime", "ai-edge-litert": "tflite", "tflite-runtime": "tflite", "tflite": "tflite"}
_SHAPE = re.compile(r"(?P<name>.+)=(?P<sizes>\d+(?:x\d+)*)")
_MEMORY_BYTES = 1 << 30
_COMMAND_LINE = "fleetgate isa"


@dataclass(frozen=True, slots=True)
class IsaRequest:
    """A command, checked."""

    models: tuple[Path, ...]
    against: Path | None = None
    cpus: tuple[str, ...] = DEFAULT_CPUS
    data: Path | None = None
    argv: tuple[str, ...] = ()
    """Arguments of programs, after their names."""
    builds: Mapping[str, str] = field(default_factory=dict)
    """Runtime family -> requirement, where not the default."""
    shapes: Mapping[str, list[int]] = field(default_factory=dict)
    samples: int = 8
    seed: int = 1
    repeat: int = 24

    def files(self) -> tuple[Path, ...]:
        """List what is measured, each file once."""
        return tuple(dict.fromkeys((*self.models, *((self.against,) if self.against else ()))))

    def build_of(self, path: Path) -> tuple[str, str]:
        """Give the runtime family and the requirement that a file is run by, the same on every CPU."""
        family = runtime_of(path)
        return family, requirement_of(family, self.builds.get(family, ""))

    def builds_needed(self) -> frozenset[tuple[str, str]]:
        """List the runtimes that the boards must have; programs need none."""
        return frozenset(self.build_of(path) for path in self.files() if not is_program(path))

    def devices(self) -> tuple[Device, ...]:
        """Describe a deterministic board of every CPU."""
        return tuple(board_of(cpu) for cpu in self.cpus)

    def inputs_in_words(self, path: Path) -> str:
        """Say where the inputs of a file come from."""
        if is_program(path):
            return f"called with {' '.join(self.argv)}" if self.argv else "called without arguments"
        if self.data is not None:
            return f"the first {self.samples} samples of {self.data.name}"
        return f"{self.samples} samples drawn from seed {self.seed}"


def board_of(cpu: str) -> Device:
    """Describe an emulated board with an instruction clock: that of the CPU's profile, or a plain one."""
    origin = Origin(_COMMAND_LINE, 1, 1)
    emulation = Emulation(cpu, _MEMORY_BYTES, icount=True)
    device = Device(cpu, f"qemu-{cpu}", (f"qemu-{cpu}",), Tier.DETERMINISTIC, origin, emulation=emulation)
    shelf = ProfileShelf((shipped_profiles(),))
    profile = shelf.resolve(device.profile, []) if shelf.has(device.profile) else None
    if profile is None or profile.emulation is None:
        return device
    runtimes = settle(profile.chain).runtimes
    return replace(device, emulation=replace(profile.emulation, icount=True), runtimes=runtimes)


def check_files(paths: Sequence[Path]) -> None:
    """Refuse what is neither a model file nor a program.

    Raises:
        SpecError: a file is missing, or has a suffix that no runtime takes.
    """
    problems: list[Problem] = []
    for path in paths:
        try:
            if not is_program(path):
                runtime_of(path)
        except OSError as error:
            problems.append(_problem(str(path), f"cannot read it: {error.strerror}"))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)


def parse_cpus(words: Sequence[str]) -> tuple[str, ...]:
    """Read `--cpu`: names of QEMU, each once.

    Raises:
        SpecError: an unknown name.
    """
    unknown = [word for word in words if word not in CPUS]
    if unknown:
        raise SpecError([_problem("--cpu", f"unknown CPU {quoted(word)}", suggest(word, CPUS)) for word in unknown])
    return tuple(dict.fromkeys(words)) or DEFAULT_CPUS


def parse_runtimes(words: Sequence[str]) -> dict[str, str]:
    """Read `--runtime`: a family, or one release of a package that provides it.

    Raises:
        SpecError: an unknown package, two builds of one family, or a version of a family that several packages provide.
    """
    builds: dict[str, str] = {}
    for word in words:
        package, pinned, version = word.partition("==")
        family = _FAMILIES.get(package)
        if family is None:
            raise SpecError([_problem("--runtime", f"unknown runtime {quoted(package)}", suggest(package, _FAMILIES))])
        if package == "tflite" and pinned:
            hint = f"write ai-edge-litert=={version} or tflite-runtime=={version}"
            raise SpecError([_problem("--runtime", "two packages provide tflite", hint)])
        if family in builds:
            raise SpecError([_problem("--runtime", f"{family} is given twice", "one build is run on every CPU")])
        try:
            builds[family] = check_build(family, word) if pinned else ""
        except Refusal as refusal:
            raise SpecError([_problem("--runtime", str(refusal), refusal.hint)]) from refusal
    return builds


def parse_shapes(words: Sequence[str]) -> dict[str, list[int]]:
    """Read `--shape NAME=1x3x224x224`.

    Raises:
        SpecError: no name, no sizes, or one name twice.
    """
    shapes: dict[str, list[int]] = {}
    for word in words:
        match = _SHAPE.fullmatch(word)
        if match is None or match["name"] in shapes:
            said = f"{quoted(word)} is not a shape" if match is None else f"{match['name']} is given twice"
            raise SpecError([_problem("--shape", said, "write NAME=1x3x224x224")])
        shapes[match["name"]] = [int(size) for size in match["sizes"].split("x")]
    return shapes


def check_request(request: IsaRequest) -> IsaRequest:
    """Refuse a combination that means nothing.

    Raises:
        SpecError: runtimes that no file is run by, shapes beside data, arguments without a program, impossible figures.
    """
    check_files(request.files())
    used = {family for family, _ in request.builds_needed()}
    unused = sorted(set(request.builds) - used)
    problems = [_problem("--runtime", f"no file here is run by {family}") for family in unused]
    if request.data is not None and request.shapes:
        problems.append(_problem("--shape", "the data of --data has a shape already", "remove one of the two"))
    if request.data is not None and not request.data.is_file():
        problems.append(_problem("--data", f"no file {str(request.data)!r}"))
    if request.argv and not any(is_program(path) for path in request.files()):
        problems.append(_problem("--", "arguments are for programs, and no file here is one"))
    figures = (("--samples", request.samples, 1), ("--repeat", request.repeat, 1), ("--seed", request.seed, 0))
    problems += [
        _problem(name, f"{value} is too small", f"at least {low}") for name, value, low in figures if value < low
    ]
    if problems:
        raise SpecError(problems)
    return request


def _problem(where: str, message: str, hint: str = "") -> Problem:
    return Problem(where, 0, 0, message, hint)
