"""The process that decides: writes the plan first, gathers evidence, joins it to the plan, judges, owns the exit code.

The only writer of run.json and verdicts.json. Measures nothing.
"""

from __future__ import annotations

import platform
import secrets
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.campaign.incident import incident_of
from harness.campaign.plan import seal
from harness.errors import InfraError, SpecError
from harness.gate.decision import EXIT_HOLD
from harness.plugin.message import EVIDENCE, Collected, Evidence
from harness.plugin.options import Options, command_line, is_distributing, usage_error
from harness.plugin.terminal import Status, collection_lines, forecast_lines, header_lines
from harness.records.canonical import from_json
from harness.records.cell import CellRecord, Incident
from harness.records.outcome import Attribution, Outcome
from harness.records.plan import Plan, PlannedCell
from harness.records.run import SCHEMA_VERSION, DeviceRecord, Environment, RunRecord
from harness.records.verdict import Judgement
from harness.spec.model import Farm
from harness.store.proof import read_proofs, write_proofs
from harness.store.run_folder import RunFolder

if TYPE_CHECKING:
    import numpy as np

    from harness.farm.job import Progress
    from harness.records.instruction_set import InstructionSets

PYTEST_OWNS = frozenset({pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR})


class Deciding:
    """The ledger of one run; a `Peer` of the measuring part when both live in one process."""

    def __init__(self, config: pytest.Config, options: Options, farm: Farm) -> None:
        self.config = config
        self.options = options
        self.farm = farm
        started = datetime.now(UTC)
        self.run_id = f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        self._started_at = started.isoformat(timespec="seconds")
        self.folder = options.runs / self.run_id
        self.status = Status(config)
        self.judgement: Judgement | None = None
        self._compared: tuple[InstructionSets, ...] = ()
        self.record: RunRecord | None = None
        self._plan: Plan | None = None
        self._store: RunFolder | None = None
        self._cells: dict[str, CellRecord] = {}
        self._replaced: dict[str, tuple[PlannedCell, ...]] = {}
        self._devices: dict[str, DeviceRecord] = {}
        self._lost: dict[str, Incident] = {}
        self._cancelled = False
        self._is_empty = False

    @property
    def devices(self) -> tuple[str, ...]:
        """All boards: this process measures them itself."""
        return tuple(device.name for device in self.farm.devices)

    def planned(self, collected: Collected) -> None:
        """Write the plan, before anything runs.

        Raises:
            pytest.UsageError: something in the suites is wrong.
        """
        if collected.problems:
            raise usage_error(SpecError(list(collected.problems)))
        if not collected.plan.cells:
            return
        self._plan = collected.plan
        if not self.config.getoption("collectonly"):
            self._store = RunFolder.create(self.options.runs, self.run_id)
            self._store.write_plan(collected.plan)

    def keep(self, key: str, arrays: Mapping[str, np.ndarray]) -> str:
        """Write the samples of a cell."""
        assert self._store is not None
        return self._store.write_samples(key, arrays)

    def show(self, progress: Progress) -> None:
        """Log the news of a board and keep it for the terminal."""
        if self._store is not None:
            self._store.log(f"{progress.device}: {progress.text}")
        self.status.take(progress)
        if is_distributing(self.config):
            self.status.tick()

    def tick(self) -> None:
        """Show what is new."""
        self.status.tick()

    def is_cancelled(self) -> bool:
        """In one process, cancellation comes as KeyboardInterrupt."""
        return False

    def accept(self, evidence: Evidence) -> None:
        """Take the evidence of one item."""
        self._devices[evidence.device.name] = evidence.device
        replaced = tuple(cell.planned for cell in evidence.cells if cell.planned is not None)
        if replaced:
            self._replaced[evidence.item] = replaced
        for cell in evidence.cells:
            self._cells[cell.record.key] = cell.record

    def left_over(self, evidence: Evidence) -> None:
        """Take evidence of an item that did not run to its end, unless it did."""
        if evidence.item not in self._cells:
            self.accept(evidence)

    def lose(self, devices: Collection[str], reason: str) -> None:
        """Mark boards whose worker died: what they did not finish is INFRA."""
        for name in devices:
            self._lost[name] = incident_of(InfraError(reason, code="worker"))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take evidence out of a report before JUnit or a report log sees it."""
        self.status.clear()
        for name, value in report.user_properties:
            if name == EVIDENCE:
                self.accept(from_json(Evidence, str(value).encode(), source=report.nodeid))
        report.user_properties = [(name, value) for name, value in report.user_properties if name != EVIDENCE]

    def pytest_report_header(self) -> list[str]:
        """Say what is measured where."""
        return header_lines(self.farm)

    def pytest_report_collectionfinish(self) -> list[str]:
        """Show the matrix of `--co`, or its size."""
        if self._plan is None:
            return []
        whole = bool(self.config.getoption("collectonly"))
        return [*collection_lines(self._plan, whole=whole), *forecast_lines(self._plan, self.options)]

    def announce(self) -> None:
        """Say the size of the plan where pytest's own hook for it is not called: on xdist's controller."""
        reporter = self.config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and self._plan is not None and self.config.get_verbosity() >= 0:
            reporter.ensure_newline()
            for line in (*collection_lines(self._plan, whole=False), *forecast_lines(self._plan, self.options)):
                reporter.write_line(line)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Tell a person's Ctrl-C (or CI's SIGTERM) from pytest's own early stop."""
        if not isinstance(excinfo.value, pytest.Session.Interrupted):
            self._cancelled = True

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Judge and own the exit code."""
        self.status.end()
        if self._plan is None or self._store is None:
            if exitstatus == pytest.ExitCode.OK and not self.config.getoption("collectonly"):
                self._is_empty = True
                session.exitstatus = EXIT_HOLD
            return
        self.record = self._complete(self._plan)
        self.judgement = self._judge(self._store, self.record)
        if exitstatus in PYTEST_OWNS or self._cancelled:
            return
        if self._exit_code():  # a GO leaves what pytest says: ordinary tests may have failed or been interrupted
            session.exitstatus = self._exit_code()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table of verdicts and the decision."""
        if self._is_empty:
            terminalreporter.write_line("HOLD: --devices was given, and no cell was planned: nothing was measured.")
        if self.record is None or self.judgement is None:
            return
        from harness.report import terminal

        writer = self.config.get_terminal_writer()
        terminalreporter.section("release gate", sep="=")
        text = terminal.render(
            self.record, self.judgement, self._compared, width=writer.fullwidth, color=writer.hasmarkup
        )
        terminalreporter.write_line(text.rstrip())
        for line in self._notes(terminalreporter):
            terminalreporter.write_line(line)

    def _exit_code(self) -> int:
        assert self.judgement is not None
        return self.judgement.decision.exit_code

    def _notes(self, reporter: pytest.TerminalReporter) -> list[str]:
        notes = [f"report: {self._shown(self.options.report)}   record: {self._shown(self.folder)}"]
        if self._exit_code() == 0 and reporter.stats.get("failed"):
            notes.append("Tests outside of the gates failed: exit code 1 all the same.")
        if self._cancelled:
            notes.append("The run was cancelled: what is above is partial.")
        return notes

    def _shown(self, path: Path) -> str:
        with suppress(ValueError):
            return str(path.relative_to(self.config.invocation_params.dir))
        return str(path)

    def _complete(self, plan: Plan) -> RunRecord:
        """Join what came back to the plan; what did not come back says why, or stays absent and holds."""
        cells: list[PlannedCell] = []
        for cell in plan.cells:
            cells += self._replaced.get(cell.key, (cell,))
        plan = seal(replace(plan, cells=tuple(cells)))
        records = [record for cell in cells if (record := self._record_of(cell)) is not None]
        return RunRecord(
            schema_version=SCHEMA_VERSION,
            run_id=self.run_id,
            started_at=self._started_at,
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
            environment=_environment(self.config),
            plan=plan,
            devices=tuple(self._devices[device.name] for device in plan.devices if device.name in self._devices),
            cells=tuple(records),
            cancelled=self._cancelled,
            proofs=read_proofs(self.options.runs) if plan.selftest is None else None,
        )

    def _record_of(self, cell: PlannedCell) -> CellRecord | None:
        record = self._cells.get(cell.key)
        if record is not None or cell.skip_reason:
            return record
        if self._cancelled:
            incident = Incident(Outcome.CANCELLED, Attribution.USER, "cancelled", "the run was cancelled")
            return CellRecord(cell.key, incidents=(incident,))
        if cell.device in self._lost:
            return CellRecord(cell.key, incidents=(self._lost[cell.device],))
        return None

    def _judge(self, store: RunFolder, record: RunRecord) -> Judgement:
        from harness.gate import judge
        from harness.gate.instruction_set import compare_boards
        from harness.report import html

        judgement = judge(record, store)
        store.finish(record, judgement)
        if record.plan.selftest is not None:
            write_proofs(self.options.runs, record, judgement.findings)
        else:
            self._compared = compare_boards(record, store)
        page = html.render(record, judgement, store)
        for path in (self.folder / "report.html", self.options.report):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(page, encoding="utf-8")
        return judgement


def _environment(config: pytest.Config) -> Environment:
    from importlib.metadata import version

    return Environment(
        fleetgate=version("fleetgate"),
        python=platform.python_version(),
        platform=f"{sys.platform} {platform.machine()} {platform.release()}",
        command=command_line(config),
    )
