"""Run folders, read back: hashes checked, sizes bounded, every doubt a RecordError that names the file.

A replay judges what is stored; it needs no board, no network and no suite files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import RecordError
from harness.gate import judge
from harness.records.canonical import dump, from_json, parse, to_json
from harness.records.cell import ArrayRef, CellRecord
from harness.records.run import SCHEMA_VERSION, RunRecord
from harness.records.verdict import Judgement
from harness.store.file import read_bounded
from harness.store.run_folder import PLAN, RUN, VERDICTS, samples_path
from harness.store.samples import MOST_FILE_BYTES, AnyArray, digest, unpack

MOST_RECORD_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class StoredSamples:
    """The samples of a stored run; each file is checked when it is read, and the last one is kept."""

    folder: Path
    cells: Mapping[str, CellRecord]
    _kept: dict[str, Mapping[str, AnyArray]] = field(default_factory=dict)

    def arrays(self, cell_key: str) -> Mapping[str, AnyArray]:
        """Return the arrays of one cell by key; empty when the cell has none.

        Raises:
            RecordError: the file is missing, torn, edited, or not what the record says of it.
        """
        if cell_key not in self._kept:
            found = self._read(cell_key)
            self._kept.clear()
            self._kept[cell_key] = found
        return self._kept[cell_key]

    def _read(self, cell_key: str) -> Mapping[str, AnyArray]:
        record = self.cells.get(cell_key)
        refs = _refs(record) if record else ()
        if record is None or not (record.samples_sha256 or refs):
            return {}
        path = samples_path(self.folder, cell_key)
        data = read_bounded(path, MOST_FILE_BYTES)
        if digest(data) != record.samples_sha256:
            raise RecordError(f"{path}: its hash is not the one in run.json: torn or edited")
        arrays = unpack(data, str(path))
        for ref in refs:
            array = arrays.get(ref.key)
            if array is None or array.shape != ref.shape or str(array.dtype) != ref.dtype:
                raise RecordError(f"{path}: array {ref.key!r} is not the {ref.dtype}{list(ref.shape)} of run.json")
        return arrays


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as it lies on disk."""

    path: Path
    record: RunRecord
    samples: StoredSamples

    def verdicts(self) -> bytes:
        """Return the stored verdicts.json as it is."""
        return read_bounded(self.path / VERDICTS, MOST_RECORD_BYTES)


def load_run(path: Path) -> StoredRun:
    """Read a run folder (or its run.json).

    Raises:
        RecordError: something is missing, torn, edited, or written by a newer version; the message names the file.
    """
    folder = path.parent if path.name == RUN else path
    if not folder.is_dir():
        raise RecordError(f"{folder}: no such run folder")
    if not (folder / RUN).exists() and (folder / PLAN).exists():
        raise RecordError(f"{folder}: the run was never finished: it has a plan and no {RUN}")
    data = read_bounded(folder / RUN, MOST_RECORD_BYTES)
    raw = parse(data, str(folder / RUN))
    _check_version(raw, str(folder / RUN))
    record = from_json(RunRecord, data, source=str(folder / RUN))
    _check_plan(raw, record.plan.sha256, str(folder / RUN))
    cells = {cell.key: cell for cell in record.cells}
    return StoredRun(folder, record, StoredSamples(folder, cells))


def replay(path: Path) -> Judgement:
    """Judge a stored run again; the same bytes as its verdicts.json, or the folder was edited.

    Raises:
        RecordError: as `load_run`.
    """
    run = load_run(path)
    return judge(run.record, run.samples)


def is_reproduced(run: StoredRun, judgement: Judgement) -> bool:
    """Tell whether a judgement equals the stored one byte for byte."""
    return to_json(judgement) == run.verdicts()


def _check_plan(raw: object, claimed: str, source: str) -> None:
    """Hash the plan as it lies in the file, so that fields which later versions add do not disturb old runs."""
    plan = raw.get("plan") if isinstance(raw, dict) else None
    if not isinstance(plan, dict) or digest(dump({**plan, "sha256": ""})) != claimed:
        raise RecordError(f"{source}: the plan does not have its own hash: edited after the run")


def _check_version(raw: object, source: str) -> None:
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise RecordError(f"{source}: no schema_version: not a record of fleetgate")
    if version > SCHEMA_VERSION:
        raise RecordError(f"{source}: schema version {version} is newer than {SCHEMA_VERSION}: upgrade fleetgate")


def _refs(record: CellRecord) -> tuple[ArrayRef, ...]:
    of_sessions = [ref for session in record.sessions for ref in session.arrays.values()]
    return (*of_sessions, *record.reference_arrays.values(), *record.documents.values())
