"""What a cell of a language model has beside others: what it is compared with and asked, and long evaluations.

Owns nothing of a cell's record: what it finds is handed to the measurement of the cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.agent.message import SessionRequest
from harness.campaign.checker import CHECKER, Grader
from harness.campaign.evaluation import Evaluation, LongRun
from harness.campaign.parts import PartFolder, parts_key
from harness.campaign.reference import Arrays, Computed
from harness.campaign.work import CellWork
from harness.device.envelope import SessionResult
from harness.errors import FleetgateError
from harness.gate.evaluation import undecided
from harness.records.cell import ArrayRef, CellRecord, Incident, SessionKind, SessionRecord
from harness.records.outcome import Attribution, Outcome
from harness.stats import Evidence

if TYPE_CHECKING:
    import numpy as np

    from harness.farm.boards import SessionSeen

Ask = Callable[[SessionRequest], "SessionSeen"]


def reference_of(name: str, array: np.ndarray) -> ArrayRef:
    """Describe an array for a record."""
    return ArrayRef(name, tuple(int(size) for size in array.shape), str(array.dtype))


@dataclass(frozen=True, slots=True)
class SoFar:
    """A cell as it stands: its record, its arrays, how a reply becomes a session of it, and the board's fingerprint."""

    record: CellRecord
    arrays: Arrays
    as_session: Callable[[SessionSeen, dict[str, ArrayRef]], SessionRecord]
    board: str


class LanguageWork:
    """The language model's part in the measurement of a cell; without one, what it is asked for is nothing.

    Args:
        work: the cell.
        ask: runs one session.
        note: hears of incidents.
        reference: what the controller computes of the reference.
        long_run: for evaluations in parts; None: they are made in one.
    """

    def __init__(
        self,
        work: CellWork,
        ask: Ask,
        note: Callable[[Incident], None],
        reference: Computed | None,
        long_run: LongRun | None,
    ) -> None:
        self._work, self._ask, self._note = work, ask, note
        self._reference = reference if work.planned.workload.generation is not None else None
        self._long_run = long_run
        self._grader: Grader | None = None
        self._checker_failed = False
        self.compared = ""
        """Hash in the board's store of what the reference brought; empty: nothing is compared."""
        self.questions = ""
        """Hash there of the questions; empty: none."""

    def deploy(self, bring: Callable[[Path, str], str]) -> None:
        """Bring what the board is to be compared with and asked.

        Args:
            bring: brings a file with its planned hash (empty: none was planned) to the board and returns its hash.
        """
        files, planned = self._work.files, self._work.planned
        if self._reference is not None and self._outputs() is not None:
            self.compared = bring(self._reference.path, "")
        if files.questions and planned.questions:
            self.questions = bring(files.questions, planned.questions.sha256)
            self._grader = Grader.read(files.questions, files.checker)

    def observe(self, kind: SessionKind, request: SessionRequest, so_far: Callable[[], SoFar]) -> SessionSeen:
        """Run one session, or the parts of a long evaluation; what was written is judged."""
        planned, long_run = self._work.planned, self._long_run
        asked = planned.workload.generation if kind is SessionKind.ACCURACY else None
        if asked is None or not asked.in_parts or long_run is None or planned.trial is not None:
            return self._ask_and_grade(request)
        folder = PartFolder(long_run.root / parts_key(request, [planned.device, so_far().board]))

        def open_ends(seen: SessionSeen) -> frozenset[str]:
            return undecided(self._foresee(so_far(), seen))

        return Evaluation(asked, folder, self._ask_and_grade, open_ends, long_run.tell).run(request)

    def key(self) -> Arrays:
        """Give which answers are right, and what each question counts for."""
        return self._grader.key() if self._grader else {}

    def with_scores(self, outputs: Arrays) -> Arrays:
        """Add the scores of what was written; a checker that fails takes only its own figures away."""
        if self._grader is None:
            return outputs
        scores, problem = self._grader.grade(outputs)
        if problem and not self._checker_failed:
            self._checker_failed = True
            self._note(Incident(Outcome.INCONCLUSIVE, Attribution.USER, CHECKER, problem))
        return {**outputs, **scores}

    def _ask_and_grade(self, request: SessionRequest) -> SessionSeen:
        seen = self._ask(request)
        if seen.reply.error is not None or self._grader is None:
            return seen
        return SessionResult(seen.reply, dict(self.with_scores(seen.arrays)), seen.seconds)

    def _outputs(self) -> Arrays | None:
        """Wait for the reference; one that cannot be computed is an incident of its own at the end of the cell."""
        try:
            return self._reference.outputs() if self._reference else None
        except FleetgateError:
            return None

    def _foresee(self, so_far: SoFar, seen: SessionSeen) -> Evidence:
        """Give the evidence as it would be if the evaluation ended with what was seen so far."""
        known = dict(self.key())
        known |= {f"reference/{name}": array for name, array in self.with_scores(self._outputs() or {}).items()}
        order = len(so_far.record.sessions)
        names = {name: f"{order}/{name}" for name in seen.arrays}
        session = so_far.as_session(seen, {name: reference_of(names[name], seen.arrays[name]) for name in names})
        cell = replace(
            so_far.record,
            sessions=(*so_far.record.sessions, session),
            reference_arrays={name: reference_of(name, array) for name, array in known.items()},
        )
        arrays = {**so_far.arrays, **known, **{names[name]: array for name, array in seen.arrays.items()}}
        return Evidence(self._work.planned, self._work.device, cell, arrays)
