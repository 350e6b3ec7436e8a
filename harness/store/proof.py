"""What self-tests have shown, beside the runs: `selftest.json`, read by every later run of the same code.

A proof is of the code that answered. Code that was changed since has proven nothing, so its hash stands in the file and
proofs of other code are not read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from harness.records.canonical import from_json, to_json
from harness.records.outcome import Outcome
from harness.records.run import RunRecord
from harness.records.trial import Fate, Finding, Proof, Proofs
from harness.spec.model import Tier
from harness.store.file import read_bounded, write_whole

SELFTEST = "selftest.json"
MOST_BYTES = 2**20
_NO = frozenset({Outcome.FAIL, Outcome.REGRESSION})
"""A gate is proven when it said no to a fault; that it also says "not decidable" rightly is not enough."""

Gate = tuple[str, str, Tier]
"""Metric, kind and tier of the board."""


@lru_cache(maxsize=1)
def code_sha256() -> str:
    """Hash the program itself: every Python file of the package, by name."""
    folder = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def read_proofs(runs: Path) -> Proofs | None:
    """Read what self-tests of this very code have shown; None when there was none.

    Args:
        runs: the folder of runs.

    Raises:
        RecordError: the file is there and is not what it claims to be.
    """
    path = runs / SELFTEST
    if not path.exists():
        return None
    proofs = from_json(Proofs, read_bounded(path, MOST_BYTES), source=str(path))
    return proofs if proofs.code == code_sha256() else None


def write_proofs(runs: Path, run: RunRecord, findings: Sequence[Finding]) -> Proofs:
    """Add what a self-test has shown; a gate that let a fault pass in it loses its earlier proof.

    Raises:
        RecordError: the file that is there is not what it claims to be.
    """
    before = read_proofs(runs)
    kept = {_gate(proof): proof for proof in before.gates} if before is not None else {}
    for gate in {_gate(finding) for finding in findings if finding.fate is not Fate.LOST}:
        kept.pop(gate, None)
    kept.update(_proven(run, findings))
    proofs = Proofs(code_sha256(), tuple(kept[gate] for gate in sorted(kept)))
    write_whole(runs / SELFTEST, to_json(proofs))
    return proofs


def _proven(run: RunRecord, findings: Sequence[Finding]) -> dict[Gate, Proof]:
    spoilt = {_gate(finding) for finding in findings if finding.fate in {Fate.SURVIVED, Fate.BLIND}}
    return {
        _gate(found): Proof(found.metric, found.kind, found.tier, found.fault, run.run_id, run.started_at)
        for found in reversed(list(_refused(findings)))
        if _gate(found) not in spoilt
    }


def _refused(findings: Iterable[Finding]) -> Iterable[Finding]:
    return (found for found in findings if found.fate is Fate.KILLED and found.answered in _NO)


def _gate(shown: Finding | Proof) -> Gate:
    return shown.metric, shown.kind, shown.tier
