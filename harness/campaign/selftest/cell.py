"""One cell of a self-test: the planned cell with its trial, and the changed files that it needs.

Baseline and candidate are the same model here (the baseline a copy with another hash), so that what a gate says of
their difference it says of the fault.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from harness.campaign.cell_files import CellFiles
from harness.campaign.selftest import mutation
from harness.campaign.selftest.catalogue import ANSWERS, WRONG_KEY
from harness.records.plan import FileIdentity, PlannedCell
from harness.records.trial import Trial
from harness.spec.model import Device, LimitKind

FEW_SAMPLES = 32
"""Samples of the evaluation data where answers are not judged."""
ENDLESS_S = 5.0
"""Deadline of a session that is not to end."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A cell of the release plan on which faults are tried."""

    planned: PlannedCell
    device: Device
    files: CellFiles

    def key(self, fault: str) -> str:
        """Name the cell of a fault."""
        return f"{self.planned.key} {fault}"


@dataclass(frozen=True, slots=True)
class TrialCell:
    """A planned trial and its files."""

    planned: PlannedCell
    files: CellFiles


def make_trial_cell(spot: Spot, trial: Trial, folder: Path, name: str) -> TrialCell | None:
    """Plan a trial; None where the model or the data cannot be changed as it needs.

    Args:
        spot: where.
        trial: the fault, or the control.
        folder: takes the changed files, named by their hash.
        name: what tells it from another trial of the same fault on this spot; may be empty.

    Raises:
        OSError: a file of the suite cannot be read.
    """
    gates = {(answer.metric, answer.kind) for answer in trial.answers}
    limits = tuple(limit for limit in spot.planned.limits if (limit.metric, limit.kind.value) in gates)
    model, data = spot.files.model.read_bytes(), spot.files.data.read_bytes()
    # A text is short already, and nothing says where it may be cut.
    judged = spot.planned.workload.generation is not None or any(limit.metric.startswith(ANSWERS) for limit in limits)
    changed, shown = _changed_model(trial, model), _changed_data(trial, data, judged=judged)
    asked = _changed_questions(trial, spot.files.questions)
    if changed is None or shown is None or (trial.fault == WRONG_KEY and asked is None):
        return None
    paired = any(limit.kind is LimitKind.REGRESS for limit in limits)
    kept = _Keeper(folder)
    model_path, data_path = kept.keep(changed, spot.files.model), kept.keep(shown, spot.files.data)
    questions = kept.keep(asked, spot.files.questions) if asked and spot.files.questions else None
    baseline = kept.keep(mutation.pad(model, len(model)), spot.files.model) if paired else None
    names = spot.planned
    planned = replace(
        names,
        key=spot.key(trial.fault) + name,
        limits=limits,
        trial=trial,
        workload=replace(names.workload, deadline_s=ENDLESS_S) if trial.fault == "endless" else names.workload,
        # A file that is changed after it was planned has the hash of the planned one in the plan.
        model=names.model if trial.fault == "changed-file" else _identity(model_path, names.model.name),
        data=_identity(data_path, names.data.name),
        baseline=_identity(baseline, f"{names.model.name} (copy)") if baseline is not None else None,
        recorded=(),
        creep=(),
        questions=_identity(questions, questions.name) if questions else names.questions,
    )
    files = replace(spot.files, model=model_path, data=data_path, baseline=baseline)
    return TrialCell(planned, replace(files, questions=questions or files.questions))


@dataclass(frozen=True, slots=True)
class _Keeper:
    folder: Path

    def keep(self, data: bytes, like: Path) -> Path:
        """Write bytes under their hash, with the suffix of the file that they were made of."""
        path = self.folder / f"{hashlib.sha256(data).hexdigest()}{like.suffix}"
        if not path.exists():
            path.write_bytes(data)
        return path


def _identity(path: Path, name: str) -> FileIdentity:
    return FileIdentity(name, path.stem, path.stat().st_size)


def _changed_model(trial: Trial, model: bytes) -> bytes | None:
    if trial.fault == "flipped-weights":
        return mutation.flip_weights(model)
    if trial.fault == "torn-file":
        return mutation.tear(model)
    if trial.fault == "changed-file":
        return mutation.pad(model, len(model) + 8)
    if trial.fault == "padded-file":
        return mutation.pad(model, max(int(len(model) * (1.0 + trial.ratio)), int(trial.target)) + 1)
    return model


def _changed_questions(trial: Trial, path: Path | None) -> bytes | None:
    """Give the questions of the fault that changes them; None for all others, and where there are none."""
    return mutation.spoil_key(path.read_bytes()) if path and trial.fault == WRONG_KEY else None


def _changed_data(trial: Trial, data: bytes, *, judged: bool) -> bytes | None:
    if trial.fault == "shuffled-labels":
        return mutation.shuffle_labels(data)
    return data if judged else mutation.shorten(data, FEW_SAMPLES)
