"""The process that measures: collects gate items into a plan, starts the boards, gives each item its cell.

The plan is known when the collection ends; boards are first contacted when the first item runs, which under xdist is
after the controller has written the plan.
"""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import wait
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from harness.campaign.plan import Campaign, build, narrow, seal
from harness.errors import Problem, SpecError
from harness.farm.boards import RealBoards
from harness.plugin.collect import EVIDENCE_KEY, CellItem, board_of, is_gate_item, placeholder
from harness.plugin.message import EVIDENCE, Collected, Evidence, Measured, Peer
from harness.plugin.options import Options, read_farm
from harness.records.canonical import to_json
from harness.records.plan import Plan, PlannedCell
from harness.spec.model import Suite

if TYPE_CHECKING:
    from harness.campaign.run import CampaignRun, CellResult
    from harness.farm.boards import Boards

POLL_S = 0.2


class Measuring:
    """Plan, boards and cells of this process."""

    def __init__(self, config: pytest.Config, options: Options, peer: Peer) -> None:
        self.config = config
        self.options = options
        self.farm = read_farm(config)
        self.peer = peer
        self.problems: list[Problem] = []
        self.campaign = Campaign(Plan(self.farm.name, self.farm.file, (), ()))
        self.cells: dict[str, PlannedCell] = {}
        self._suites: dict[str, Suite] = {}
        self._run: CampaignRun | None = None
        self._items: list[pytest.Item] = []
        self._changed_files: TemporaryDirectory[str] | None = None

    def add_suite(self, suite: Suite) -> None:
        """Remember a suite that was collected."""
        self._suites[suite.file] = suite

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Plan the selected items and hand the plan to the process that decides."""
        self._items = [item for item in session.items if is_gate_item(item)]
        try:
            self.campaign = self._plan()
        except SpecError as error:
            self.problems += error.problems
        self.cells = {cell.key: cell for cell in self.campaign.plan.cells}
        boards = {item.nodeid: board_of(item) for item in session.items if board_of(item)}
        self.peer.planned(Collected(self.campaign.plan, boards, tuple(sorted(set(self.problems)))))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Start the boards of this process when its first item runs."""
        if self._run is None and (self.campaign.plan.cells or board_of(item)):
            self._start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Send the evidence of an item with its last report."""
        report = yield
        if call.when == "teardown" and EVIDENCE_KEY in item.stash:
            report.user_properties.append((EVIDENCE, to_json(item.stash[EVIDENCE_KEY]).decode()))
            del item.stash[EVIDENCE_KEY]
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Release every board; hand over what was measured for items that did not run to their end."""
        if self._run is None:
            self._drop_files()
            return
        if session.shouldfail or session.shouldstop or exitstatus not in (0, 1):
            self._run.cancel()
        self._run.close()
        for cell in self.campaign.plan.cells:
            if self._run.future(cell.key) is not None:
                result = self._run.result(cell.key, cell.device)
                self.peer.left_over(Evidence(cell.key, (Measured(result.record),), result.device))
        self._drop_files()

    def _drop_files(self) -> None:
        if self._changed_files is not None:
            self._changed_files.cleanup()

    def wait(self, key: str, device: str) -> CellResult:
        """Wait for a cell, letting the terminal breathe and listening for cancellation."""
        run = self.running()
        future = run.future(key)
        if future is None:
            raise LookupError(f"{key} is not planned in this process")
        while not future.done():
            wait([future], timeout=POLL_S)
            with self._terminal():
                self.peer.tick()
            if self.peer.is_cancelled():
                run.cancel()
        return run.result(key, device)

    def running(self) -> CampaignRun:
        """Give the campaign that is under way."""
        if self._run is None:
            self._start()
        assert self._run is not None
        return self._run

    def _plan(self) -> Campaign:
        keys = {item.key for item in self._items if isinstance(item, CellItem)}
        suites = list(self._suites.values())
        baselines = self.options.baselines if self.options.baselines.is_dir() else None
        calibrations = self.options.calibrations if self.options.calibrations.is_dir() else None
        whole = build(self.farm, suites, baselines, calibrations)
        chosen = narrow(whole, keys)
        if self.options.selftest:
            return self._plan_selftest(chosen)
        extra = tuple(placeholder(item, self.farm) for item in self._items if not isinstance(item, CellItem))
        if not extra:
            return chosen
        used = {cell.device for cell in (*chosen.plan.cells, *extra)}
        devices = tuple(device for device in self.farm.devices if device.name in used)
        plan = Plan(self.farm.name, self.farm.file, devices, chosen.plan.cells + extra)
        return Campaign(seal(plan), chosen.files)

    def _plan_selftest(self, chosen: Campaign) -> Campaign:
        """Plan trials of the selected cells; tests in Python measure what they like and are no part of it."""
        from harness.campaign.selftest.planner import SelfTestPlanner

        self._changed_files = TemporaryDirectory(prefix="fleetgate-selftest-", ignore_cleanup_errors=True)
        return SelfTestPlanner(Path(self._changed_files.name)).plan(chosen)

    def trials(self, item: CellItem) -> tuple[PlannedCell, ...]:
        """Give the trials that belong to an item of a self-test: the control and its faults."""
        return tuple(cell for key, cell in self.cells.items() if key.startswith(f"{item.key} "))

    def _start(self) -> None:
        from harness.campaign.run import CampaignRun
        from harness.device import holder_name

        planned = {cell.device for cell in self.campaign.plan.cells if not cell.skip_reason}
        mine = [name for name in self.peer.devices if name in planned]
        more = {board_of(item) for item in self._items if not isinstance(item, CellItem)}
        self._run = CampaignRun(
            self.campaign,
            self._boards(),
            holder=holder_name(),
            keep=self.peer.keep,
            budget_s=self.options.budget_s,
        )
        self._run.start(mine, more=more, progress=self.peer.show)

    def _boards(self) -> Boards:
        found: Boards | None = self.config.hook.pytest_fleetgate_boards(config=self.config)
        return found if found is not None else RealBoards()

    def _terminal(self) -> AbstractContextManager[None]:
        capture = self.config.pluginmanager.getplugin("capturemanager")
        return capture.global_and_fixture_disabled() if capture is not None else nullcontext()
