"""One run folder, written: the plan first, samples as they come, the record and the verdicts last.

reports/runs/20261124T081500Z-7f3a9c/
plan.json           written before the first contact with a board
samples/<cell>.npz  raw arrays, one file per cell
log.txt
run.json            the record; its presence says that the run was finished
verdicts.json       what the gate concluded
reports/runs/latest ->  the run that finished last
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import RecordError
from harness.records.canonical import slug, to_json
from harness.records.plan import Plan
from harness.records.run import RunRecord
from harness.records.verdict import Judgement
from harness.store.file import read_bounded, write_whole
from harness.store.samples import MOST_FILE_BYTES, AnyArray, pack, unpack

PLAN, RUN, VERDICTS, LOG, SAMPLES, LATEST = "plan.json", "run.json", "verdicts.json", "log.txt", "samples", "latest"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run folder that is being filled; workers of one run may share it."""

    path: Path

    @classmethod
    def create(cls, root: Path, run_id: str) -> RunFolder:
        """Make the folder `<root>/<run_id>`.

        Args:
            root: `reports/runs`; made when it is missing.
            run_id: time and random part, of letters, digits, `-` and `_`.

        Raises:
            RecordError: the folder is there already, or the id is no plain name.
        """
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", run_id):
            raise RecordError(f"run id {run_id!r} is no plain name")
        path = root / run_id
        root.mkdir(parents=True, exist_ok=True)
        try:
            path.mkdir()
        except FileExistsError as error:
            raise RecordError(f"{path}: is there already; a run is never written over another") from error
        (path / SAMPLES).mkdir()
        return cls(path)

    def write_plan(self, plan: Plan) -> None:
        """Write the plan; what it names and does not come back is held against the release."""
        write_whole(self.path / PLAN, to_json(plan))

    def write_samples(self, cell_key: str, arrays: Mapping[str, AnyArray]) -> str:
        """Write the raw arrays of a cell.

        Returns:
            The SHA-256 of the file, for `CellRecord.samples_sha256`; empty when there are no arrays and so no file.
        """
        if not arrays:
            return ""
        return write_whole(samples_path(self.path, cell_key), pack(arrays))

    def arrays(self, cell_key: str) -> Mapping[str, AnyArray]:
        """Read back what `write_samples` wrote, so that the folder serves the judge; empty when there is nothing.

        Raises:
            RecordError: the file was torn meanwhile.
        """
        path = samples_path(self.path, cell_key)
        return unpack(read_bounded(path, MOST_FILE_BYTES), str(path)) if path.exists() else {}

    def log(self, line: str) -> None:
        """Add a line to the log; control characters of boards are shown, not obeyed."""
        shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in line)
        with (self.path / LOG).open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(f"{datetime.now(UTC):%H:%M:%S} {shown}\n")

    def finish(self, run: RunRecord, judgement: Judgement) -> None:
        """Write verdicts and record, each whole or not at all, and point `latest` here.

        Raises:
            RecordError: the plan was not written first, or the record is of another run.
        """
        if not (self.path / PLAN).exists():
            raise RecordError(f"{self.path}: has no {PLAN}: the plan is written before anything is measured")
        if run.run_id != self.path.name or judgement.run_id != run.run_id:
            raise RecordError(f"{self.path}: the record is of run {run.run_id!r}")
        write_whole(self.path / VERDICTS, to_json(judgement))
        write_whole(self.path / RUN, to_json(run))
        self._point_latest()

    def _point_latest(self) -> None:
        """Swap the link; a file system without links goes without."""
        fresh = self.path.parent / f".{LATEST}-{os.getpid()}"
        try:
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(self.path.name)
            fresh.replace(self.path.parent / LATEST)
        except OSError:
            fresh.unlink(missing_ok=True)


def samples_path(folder: Path, cell_key: str) -> Path:
    """Return the sample file of a cell."""
    return folder / SAMPLES / f"{slug(cell_key)}.npz"
