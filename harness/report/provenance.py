"""Where the figures of one cell come from: what ran where, and the command that does it again, in words.

Owns those words. Must not know verdicts; text that came from a board is neutral here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from harness.records.cell import CellRecord, RuntimeRecord, SessionRecord
from harness.records.plan import FileIdentity, PlannedCell
from harness.records.run import RunRecord
from harness.report import wording
from harness.report.wording import neutral
from harness.units import Dimension


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and a value, both ready to show; `code` for what a reader may want to copy."""

    name: str
    value: str
    code: bool = False


_COMPUTED = {"controller": "this artifact", "reference": "the reference"}


def provenance(planned: PlannedCell, record: CellRecord | None) -> Iterable[Fact]:
    """Say what ran where: runtimes, files by their hashes, workload, order of sessions, times.

    Args:
        planned: what was asked.
        record: what was seen; None when nothing was.
    """
    sessions = record.sessions if record else ()
    yield from _runtimes(planned, sessions)
    yield Fact("Model", _identity(planned.model), code=True)
    files = {"Baseline": planned.baseline, "Reference": planned.reference, "Data": planned.data}
    for name, file in {**files, "Questions": planned.questions, "Checker": planned.checker}.items():
        if file is not None:
            yield Fact(name, _identity(file), code=True)
    if record is not None and record.controller_builds:
        builds = (f"{_COMPUTED.get(name, name)} by {build}" for name, build in sorted(record.controller_builds.items()))
        yield Fact("Computed on the controller", neutral(", ".join(builds)))
    yield Fact("Workload", _workload(planned))
    settings = dict(item for session in sessions for item in session.settings.items())
    if settings:
        yield Fact("Settings", neutral(", ".join(f"{name} {value}" for name, value in sorted(settings.items()))))
    if sessions:
        yield Fact("Sessions in order", order_of(sessions))
        yield Fact(
            "Cores used", ", ".join(sorted({" ".join(map(str, session.cores)) or "any" for session in sessions}))
        )
    if record is not None and record.started_at:
        yield Fact(
            "Measured", f"{neutral(record.started_at)}, took {wording.figure(record.duration_s, Dimension.TIME)}"
        )
    if record is not None and record.samples_sha256:
        yield Fact("Samples", f"sha256 {neutral(record.samples_sha256)}", code=True)


def _runtimes(planned: PlannedCell, sessions: Sequence[SessionRecord]) -> Iterable[Fact]:
    seen = list(dict.fromkeys(session.runtime for session in sessions))
    if not seen:
        yield Fact(
            "Runtime planned",
            neutral(f"{planned.build} for {planned.runtime}, {wording.count(planned.threads, 'thread')}"),
        )
    for runtime in seen:
        yield Fact("Runtime" if len(seen) == 1 else "Runtime (differs between sessions)", _runtime(runtime))


def _runtime(runtime: RuntimeRecord) -> str:
    return neutral(
        f"{runtime.family} {runtime.version} ({runtime.build}), provider {runtime.provider or 'CPU'}, "
        f"{wording.count(runtime.threads, 'thread')}, environment {runtime.env}, "
        f"Python {runtime.python}, numpy {runtime.numpy}"
    )


def _identity(file: FileIdentity) -> str:
    return neutral(f"{file.name}, {wording.figure(file.size_bytes, Dimension.BYTES)}, sha256 {file.sha256}")


def _workload(planned: PlannedCell) -> str:
    load = planned.workload
    return neutral(
        f"{load.task}, {wording.count(load.repeat, 'timed call')} after {load.warmup} to warm up, batch {load.batch}"
    )


def order_of(sessions: Sequence[SessionRecord]) -> str:
    """Write the order of the sessions: `timing: B C B C; memory: C C` (B baseline, C candidate, R reference)."""
    ordered = sorted(sessions, key=lambda session: session.order)
    runs = (
        f"{kind}: " + " ".join(session.role.value[0].upper() for session in group)
        for kind, group in groupby(ordered, key=lambda session: session.kind.value)
    )
    return "; ".join(runs) + " (B baseline, C candidate)"


def reproduce(planned: PlannedCell, run: RunRecord) -> str:
    """Give the command that measures one cell of a run again."""
    node = f"{planned.suite_file}::{planned.artifact}[{planned.device}]"
    if planned.key.startswith(f"{planned.suite_file}::"):  # a test of a Python suite, its second measurement is `#2`
        node = re.sub(r"#\d+$", "", planned.key)
    selftest = ["--gate-selftest"] if planned.trial is not None else []
    return neutral(shlex.join(["pytest", f"--devices={run.plan.farm_file}::{planned.device}", *selftest, node]))
