"""The command `fleetgate regate`: stored runs judged by a policy, shown beside what they were.

Parsing arguments is the command line's matter. Writes nothing.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator

from harness.gate.regate import regate
from harness.records.canonical import to_json
from harness.records.regate import REGATE_SCHEMA_VERSION, Regated, RegateReport
from harness.records.run import RunRecord
from harness.report.regate import regated_lines
from harness.spec import ProfileShelf
from harness.spec.policy import check_policy, load_policy
from harness.spec.profile import shipped_profiles
from harness.store.read import load_run

WORST_FIRST = (40, 1, 10, 20, 0)
"""Exit codes of decisions; of several runs the worst counts."""


def run(arguments: argparse.Namespace, *, out: Callable[[str], None]) -> int:
    """Judge and print.

    Args:
        arguments: `policy`, `runs` and `json`.
        out: gets the result.

    Returns:
        The exit code of the worst new decision.

    Raises:
        SpecError: the policy is wrong, or names what no run has.
        RecordError: a run cannot be read.
    """
    policy = load_policy(arguments.policy)
    stored = [load_run(path) for path in arguments.runs]
    known = (scope for item in stored for scope in _scopes(item.record))
    check_policy(policy, [*known, *ProfileShelf((shipped_profiles(),)).names()])
    found = tuple(regate(item.record, item.samples, policy.gates, path=str(item.path)) for item in stored)
    if arguments.json:
        out(to_json(RegateReport(REGATE_SCHEMA_VERSION, policy.file, found)).decode().rstrip())
    else:
        width = shutil.get_terminal_size((100, 24)).columns
        for item in found:
            for line in regated_lines(item, width=max(width, 72)):
                out(line)
    return worst_code(found)


def worst_code(found: tuple[Regated, ...]) -> int:
    """Give the exit code of the worst decision."""
    return min((item.after.decision.exit_code for item in found), key=WORST_FIRST.index)


def _scopes(record: RunRecord) -> Iterator[str]:
    for device in record.plan.devices:
        yield device.name
        yield from device.lineage
