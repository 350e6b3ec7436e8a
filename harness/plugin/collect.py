"""`*.suite.yaml` as pytest items: one per artifact and board, its gates as subtests.

Owns what an item is. Contacts no board: collecting works without a network.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import SpecError
from harness.plugin.message import Evidence, Measured
from harness.plugin.trial import judge_trials, report_findings
from harness.plugin.verdict import report_cell
from harness.records.plan import FileIdentity, PlannedCell
from harness.spec.model import Farm
from harness.spec.workload import Workload

if TYPE_CHECKING:
    from harness.plugin.measuring import Measuring

SUFFIXES = (".suite.yaml", ".suite.yml")
MEASURING_KEY = pytest.StashKey["Measuring"]()
EVIDENCE_KEY = pytest.StashKey[Evidence]()
PYTHON_TASK = "python"
"""Task of a cell whose suite is written in Python, before it ran."""


def measuring_of(config: pytest.Config) -> Measuring:
    """Give the measuring part of this process."""
    return config.stash[MEASURING_KEY]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take suite files."""
    if file_path.name.endswith(SUFFIXES):
        return SuiteFile.from_parent(parent, path=file_path)
    return None


class SuiteFile(pytest.File):
    """One suite file."""

    def collect(self) -> Iterable[pytest.Item]:
        """Give one item per artifact and board, sorted as the files say."""
        from harness.spec import load_suite

        measuring = measuring_of(self.config)
        try:
            suite = load_suite(Path(os.path.relpath(self.path, self.config.invocation_params.dir)))
        except SpecError as error:
            measuring.problems += error.problems
            return
        measuring.add_suite(suite)
        for artifact in suite.artifacts:
            for device in measuring.farm.devices:
                item: CellItem = CellItem.from_parent(
                    self, name=f"{artifact.name}[{device.name}]", callobj=measure_and_judge
                )
                item.key = f"{suite.name}::{artifact.name}[{device.name}]"
                item.board = device.name
                item.line = artifact.origin.line - 1
                yield item


def measure_and_judge(request: pytest.FixtureRequest, subtests: pytest.Subtests) -> None:
    """Wait for the item's cell, then judge each of its gates as a subtest."""
    item = request.node
    assert isinstance(item, CellItem)
    measuring = measuring_of(item.config)
    if measuring.options.selftest:
        try_gates(item, subtests)
        return
    planned = measuring.cells[item.key]
    if planned.skip_reason:
        pytest.skip(planned.skip_reason)
    result = measuring.wait(item.key, item.board)
    item.stash[EVIDENCE_KEY] = Evidence(item.key, (Measured(result.record),), result.device)
    report_cell(item, subtests, measuring.campaign.plan, planned, result)


def try_gates(item: CellItem, subtests: pytest.Subtests) -> None:
    """Wait for the trials of an item, then report each planted fault at each gate as a subtest."""
    measuring = measuring_of(item.config)
    trials = measuring.trials(item)
    if not trials:
        pytest.skip("every gate of this cell is tried on another cell of the board")
    results = [measuring.wait(planned.key, item.board) for planned in trials]
    measured = tuple(Measured(result.record) for result in results)
    item.stash[EVIDENCE_KEY] = Evidence(item.key, measured, results[-1].device)
    report_findings(item, subtests, judge_trials(measuring.campaign.plan, trials, results))


class CellItem(pytest.Function):
    """One artifact on one board: a function item, so that fixtures and subtests work as in any test."""

    key = ""
    board = ""
    line = 0

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Point to the artifact's line of the suite."""
        return self.path, self.line, self.name


def board_of(item: pytest.Item) -> str:
    """Name the board of an item, or nothing for ordinary tests."""
    if isinstance(item, CellItem):
        return item.board
    specification = getattr(item, "callspec", None)
    name = specification.params.get("device", "") if specification is not None else ""
    known = {device.name for device in measuring_of(item.config).farm.devices}
    return name if isinstance(name, str) and name in known else ""


def is_gate_item(item: pytest.Item) -> bool:
    """Tell whether the plan must know an item: suite cells, and Python tests that measure on a board."""
    if isinstance(item, CellItem):
        return True
    return bool(board_of(item)) and not {"measure", "gate"}.isdisjoint(getattr(item, "fixturenames", ()))


def placeholder(item: pytest.Item, farm: Farm) -> PlannedCell:
    """Plan a Python test before it says what it measures: without evidence of it the release holds."""
    device = next(device for device in farm.devices if device.name == board_of(item))
    nothing = FileIdentity("", "", 0)
    file = item.nodeid.partition("::")[0]
    return PlannedCell(
        key=item.nodeid,
        suite=Path(file).stem,
        suite_file=file,
        artifact=getattr(item, "originalname", item.name),
        device=device.name,
        profile=device.profile,
        tier=device.tier,
        runtime="",
        build="",
        provider="",
        threads=device.threads,
        workload=Workload(task=PYTHON_TASK, data="", repeat=0),
        limits=(),
        model=nothing,
        data=nothing,
    )
