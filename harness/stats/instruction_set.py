"""Instruction sets compared: the same file on several CPUs, its answers and its work against those of the first.

Pure. What differs is told in sentences; whether that blocks a release is not decided here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from harness.records.instruction_set import CpuRow, Finding, FindingCode
from harness.stats.grid import is_on_a_grid
from harness.units import Dimension, format

AnyArray = npt.NDArray[np.generic]

FEATURES = ("fphp", "asimdhp", "atomics", "asimdrdm", "asimddp", "sve", "sve2", "svei8mm", "i8mm", "bf16", "sme")
"""Features of 64-bit Arm that kernels of runtimes dispatch on, oldest first, as /proc/cpuinfo spells them."""
TOLD = ("asimddp", "asimdhp", "sve2", "i8mm", "bf16")
"""Those that matter most for neural networks, for narrow tables."""
ROUNDING = 1e-4
"""Float answers this close, relative to their largest magnitude, differ by the order of additions alone."""
SAME_CODE = 0.01
"""Counts this close come from the same kernels: other snapshots count the same code with up to 0.1 % difference."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One file as it was seen on one CPU."""

    cpu: str
    board: str = ""
    exists: bool = True
    features: tuple[str, ...] = ()
    outputs: tuple[AnyArray, ...] = ()
    """In the model's order, first axis = sample, dequantised."""
    output_types: tuple[str, ...] = ()
    """As the runtime returned them (`int8`); empty: not told."""
    written_sha256: str = ""
    """Of what a program wrote, which has no outputs."""
    varies: bool = False
    """Whether a program wrote something else in each run."""
    instructions: float | None = None
    """User instructions of one inference, repeated by a second session."""
    counts: tuple[float, ...] = ()
    """The median of each session."""
    uncounted: str = ""
    """Why there is no count although the file ran; it is the board's."""
    unrepeated: str = ""
    """What the runs of a program counted, if no count came back; it is the program's or the board's."""
    load_instructions: float | None = None
    first_instructions: float | None = None
    peak_bytes: float | None = None
    failure: str = ""
    """Why the file did not run; it is the file's."""
    lost: str = ""
    """Why nothing is known; it is the board's."""

    @property
    def answer(self) -> str:
        """Hash of what it answered; empty when it did not run, or answers otherwise each time."""
        return self.written_sha256 or outputs_sha256(self.outputs)


@dataclass(frozen=True, slots=True)
class Contrast:
    """Rows in the order given, and what there is to say."""

    rows: tuple[CpuRow, ...]
    findings: tuple[Finding, ...] = field(default=())


def contrast(name: str, seen: Sequence[Sighting], other: str = "", against: Sequence[Sighting] = ()) -> Contrast:
    """Compare one file over CPUs.

    Args:
        name: of the file, for the sentences.
        seen: the file on each CPU; the first that ran is what the others are compared with.
        other: name of another file, or empty.
        against: that file on the same CPUs, to say where `name` needs more instructions.
    """
    reference = next((item for item in seen if item.answer), None)
    counted = next((item for item in seen if item.instructions), None)
    others = {item.cpu: item.instructions for item in against}
    rows = tuple(_row(item, reference, counted, others.get(item.cpu)) for item in seen)
    findings = [
        *_failures(name, seen),
        *_unrepeated(name, seen),
        *_varying(name, seen),
        *(_answers(rows, seen, reference) if reference else ()),
        *_kernels(rows),
        *_dearer(name, other, rows),
    ]
    return Contrast(rows, tuple(findings))


def outputs_sha256(outputs: Sequence[AnyArray]) -> str:
    """Hash answers: type, shape and bytes of every array, in order; empty for no answers."""
    digest = hashlib.sha256()
    for array in outputs:
        digest.update(f"{array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest() if outputs else ""


def _row(item: Sighting, reference: Sighting | None, counted: Sighting | None, other: float | None) -> CpuRow:
    work, base = item.instructions, counted.instructions if counted else None
    absolute, relative = _distance(item, reference) if reference and item.outputs else (None, None)
    return CpuRow(
        cpu=item.cpu,
        board=item.board,
        exists=item.exists,
        features=tuple(name for name in FEATURES if name in item.features),
        outputs_sha256=item.answer,
        max_abs=absolute,
        max_rel=relative,
        instructions=work,
        counts=item.counts,
        ratio=work / base if work and base else None,
        load_instructions=item.load_instructions,
        first_instructions=item.first_instructions,
        peak_bytes=item.peak_bytes,
        failure=item.failure or item.lost,
        against=other,
    )


def _distance(item: Sighting, reference: Sighting) -> tuple[float | None, float | None]:
    """Give the largest absolute and relative difference; None where values cannot be subtracted."""
    if [a.shape for a in item.outputs] != [a.shape for a in reference.outputs]:
        return None, None
    worst, share = 0.0, 0.0
    for ours, theirs in zip(item.outputs, reference.outputs, strict=True):
        if ours.size == 0 or np.array_equal(ours, theirs, equal_nan=True):
            continue
        if not (np.isfinite(ours) == np.isfinite(theirs)).all():
            return None, None
        both = np.isfinite(ours)
        first, second = (array[both].astype(np.float64) for array in (ours, theirs))
        if first.size == 0:
            return None, None
        difference, scale = float(np.abs(first - second).max()), float(np.abs(second).max())
        worst = max(worst, difference)
        share = max(share, difference / scale if scale else float(difference > 0))
    return worst, share


def _failures(name: str, seen: Sequence[Sighting]) -> list[Finding]:
    found = []
    for item in seen:
        if item.failure:
            found.append(Finding(FindingCode.CRASH, (item.cpu,), f"{name} does not run on {item.cpu}: {item.failure}"))
        elif item.lost:
            found.append(Finding(FindingCode.BOARD, (item.cpu,), f"{item.cpu} was not measured: {item.lost}"))
        elif item.uncounted:
            found.append(
                Finding(FindingCode.BOARD, (item.cpu,), f"{name} has no count on {item.cpu}: {item.uncounted}")
            )
    return found


def _unrepeated(name: str, seen: Sequence[Sighting]) -> list[Finding]:
    """Name both causes: a board's count is exact, a program's work need not be."""
    found = [item for item in seen if item.unrepeated]
    told = listed([f"{item.cpu} ({item.unrepeated})" for item in found]) if found else ""
    text = (
        f"no count of {name} came back on {told}: either the program does other work in each run (clock, random "
        "numbers, its process id, threads), or the board is broken, which a second program or a model would show"
    )
    return [Finding(FindingCode.UNREPEATED, tuple(item.cpu for item in found), text)] if found else []


def _varying(name: str, seen: Sequence[Sighting]) -> list[Finding]:
    cpus = tuple(item.cpu for item in seen if item.varies)
    text = f"what {name} writes differs from run to run on {listed(cpus)}: it cannot be compared" if cpus else ""
    return [Finding(FindingCode.VARIES, cpus, text)] if cpus else []


def _answers(rows: Sequence[CpuRow], seen: Sequence[Sighting], reference: Sighting) -> list[Finding]:
    """Sort the CPUs whose answers differ by what kind of difference it is, one finding for each kind."""
    together: dict[FindingCode, list[tuple[CpuRow, str]]] = {}
    for row, item in zip(rows, seen, strict=True):
        if item.answer and item.answer != reference.answer:
            code, words = _difference(row, item, reference)
            if code is not None:
                together.setdefault(code, []).append((row, words))
    return [
        Finding(
            code,
            tuple(row.cpu for row, _ in found),
            _SENTENCES[code](reference.cpu, listed([f"{row.cpu}{words}" for row, words in found])),
        )
        for code, found in together.items()
    ]


_SENTENCES: dict[FindingCode, Callable[[str, str], str]] = {
    FindingCode.BYTES: lambda first, where: f"it writes other bytes than on {first}: {where}",
    FindingCode.SHAPE: lambda first, where: f"outputs have another shape than on {first}: {where}",
    FindingCode.NOT_FINITE: lambda first, where: f"outputs are no numbers where {first} has some: {where}",
    FindingCode.INTEGERS: lambda first, where: (
        f"integer outputs differ by instruction set: {where}, against {first}; the same file answers otherwise there"
    ),
    FindingCode.FLOATS: lambda first, where: f"float outputs differ by more than rounding: {where}, against {first}",
}


def _difference(row: CpuRow, item: Sighting, reference: Sighting) -> tuple[FindingCode | None, str]:
    if item.written_sha256:
        return FindingCode.BYTES, ""
    if [a.shape for a in item.outputs] != [a.shape for a in reference.outputs]:
        shapes = " ".join(str(array.shape) for array in item.outputs)
        return FindingCode.SHAPE, f" {shapes}"
    if row.max_abs is None or row.max_rel is None:
        return FindingCode.NOT_FINITE, ""
    changed = [
        k
        for k, (ours, theirs) in enumerate(zip(item.outputs, reference.outputs, strict=True))
        if not np.array_equal(ours, theirs, equal_nan=True)
    ]
    share = format(row.max_rel, Dimension.RATIO, digits=2)
    size = f" (by up to {row.max_abs:.3g}, {share} of the largest value)"
    if any(_is_integer(reference, k) and _is_integer(item, k) for k in changed):
        return FindingCode.INTEGERS, size
    return (FindingCode.FLOATS, size) if row.max_rel > ROUNDING else (None, "")


def _is_integer(item: Sighting, index: int) -> bool:
    """Tell whether an output holds integer codes: by its type, or because its values lie on a grid."""
    if index < len(item.output_types) and not item.output_types[index].startswith("float"):
        return True
    return is_on_a_grid(item.outputs[index])


def _kernels(rows: Sequence[CpuRow]) -> list[Finding]:
    """Group CPUs by their amount of work, and compare each group with the first."""
    groups: list[list[CpuRow]] = []
    for row in rows:
        if row.instructions is None:
            continue
        near = (group for group in groups if abs(row.instructions / (group[0].instructions or 1.0) - 1.0) <= SAME_CODE)
        group = next(near, None)
        if group is None:
            groups.append([row])
        else:
            group.append(row)
    if len(groups) < 2:
        return []
    first = listed([row.cpu for row in groups[0]])
    return [
        Finding(
            FindingCode.KERNEL,
            tuple(row.cpu for row in group),
            f"another kernel on {listed([row.cpu for row in group])}: {times(group[0].ratio or 0.0)} "
            f"the instructions of {first}",
        )
        for group in groups[1:]
    ]


def _dearer(name: str, other: str, rows: Sequence[CpuRow]) -> list[Finding]:
    worse: dict[str, list[str]] = {}
    for row in rows:
        if row.instructions and row.against and row.instructions / row.against > 1.0 + SAME_CODE:
            worse.setdefault(times(row.instructions / row.against), []).append(row.cpu)
    return [
        Finding(FindingCode.DEARER, tuple(cpus), f"{name} costs {ratio} the instructions of {other} on {listed(cpus)}")
        for ratio, cpus in worse.items()
    ]


def times(ratio: float) -> str:
    """Say a ratio of work: `0.49 of`, `1.46 times`."""
    return f"{ratio:.2f} of" if ratio < 1 else f"{ratio:.2f} times"


def listed(names: Sequence[str]) -> str:
    """Say `a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
