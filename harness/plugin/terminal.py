"""What the terminal shows before the verdicts: header, matrix, and the boards' progress while items wait."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from harness.records.plan import Plan, PlannedCell
from harness.spec.model import Farm
from harness.stats.outlook import ASSUMED_NOISE
from harness.units import Dimension

if TYPE_CHECKING:
    from harness.farm.job import Progress
    from harness.gate.forecast import Forecast
    from harness.plugin.options import Options

QUIET_S = {"opening": 5.0, "measuring": 30.0}
"""Without a terminal, a board that only moves on within a phase says so this often; a new phase is said at once."""
REDRAW_S = 0.5
NAMED_BOARDS = 6


def header_lines(farm: Farm) -> list[str]:
    """Say which boards of which tier are measured."""
    tiers = Counter(device.tier.value for device in farm.devices)
    counts = ", ".join(f"{count} {tier}" for tier, count in sorted(tiers.items()))
    names = ", ".join(device.name for device in farm.devices[:NAMED_BOARDS])
    more = f" and {len(farm.devices) - NAMED_BOARDS} more" if len(farm.devices) > NAMED_BOARDS else ""
    return [f"fleetgate: farm {farm.name} ({farm.file}): {names}{more} ({counts})"]


def collection_lines(plan: Plan, *, whole: bool) -> list[str]:
    """Show the size of the plan and, for `--co`, the matrix of its cells."""
    from harness.report.wording import count

    cells = [cell for cell in plan.cells if not cell.skip_reason]
    skipped = len(plan.cells) - len(cells)
    gates = sum(len(cell.limits) + 1 for cell in cells)
    lines = [
        f"fleetgate: plan {plan.sha256[:12]}: {count(len(cells), 'cell')}, {count(gates, 'gate')}"
        f" on {count(len({cell.device for cell in cells}), 'board')}"
        + (f", {count(skipped, 'cell')} skipped by the plan" if skipped else "")
    ]
    lines += [f"fleetgate: note: {note}" for note in (*_unused_limits(plan), *_stale_calibrations(plan))]
    return lines + _matrix(plan) if whole else lines


def forecast_lines(plan: Plan, options: Options) -> list[str]:
    """Say what the timed gates of each board will take and can see."""
    from harness.gate.forecast import forecast
    from harness.store.cost import pair_costs

    return [_forecast_line(board, options.budget_s) for board in forecast(plan, pair_costs(options.runs))]


def _forecast_line(board: Forecast, budget_s: float) -> str:
    from harness.report.wording import count, figure

    words = [f"{count(board.cells, 'cell')} in about {board.pairs:.0f} pairs"]
    if board.seconds is None:
        words.append("device time unknown before a first run")
    else:
        words.append(f"{figure(board.seconds, Dimension.TIME)} of device time")
        words += [f"more than --gate-budget {figure(budget_s, Dimension.TIME)}"] if board.seconds > budget_s else []
    if board.margin or board.detectable:
        noise = f"unknown noise, assuming {ASSUMED_NOISE:.0%}" if board.assumed else "from its known noise"
        seen = figure(board.detectable, Dimension.RATIO, signed=True)
        words.append(f"finds {seen} beside a margin of {figure(board.margin, Dimension.RATIO)} ({noise})")
        words.append(f"{board.undecided:.1%} chance that an unchanged candidate stays INCONCLUSIVE")
    return f"fleetgate: {board.device}: {'; '.join(words)}"


def _unused_limits(plan: Plan) -> list[str]:
    """Name limits of farm.yaml for suites that are not part of this run: a misspelt name would drop them unseen."""
    suites = sorted({cell.suite for cell in plan.cells})
    notes = []
    for device in plan.devices:
        for limits in device.overrides:
            if limits.scope != "all" and limits.scope not in suites:
                where = f"{limits.limits[0].origin}: " if limits.limits else ""
                notes.append(f"{where}the gates of {device.name} for suite '{limits.scope}' do not apply: "
                             f"this run has {', '.join(suites)}")  # fmt: skip
    return notes


def _stale_calibrations(plan: Plan) -> list[str]:
    """Name calibrations that do not hold for this plan: its gates judge as if nothing were known of the board."""
    known = ((cell.key, cell.calibration) for cell in plan.cells if cell.calibration is not None)
    return [f"{key}: {found.source} does not hold: {found.stale}" for key, found in known if found.stale]


def _matrix(plan: Plan) -> list[str]:
    """Draw artifacts by boards; an entry is the number of gates, `-` what the plan skips."""
    boards = [device.name for device in plan.devices]
    rows: dict[str, dict[str, str]] = {}
    for cell in plan.cells:
        rows.setdefault(f"{cell.suite}::{cell.artifact}", {})[cell.device] = _entry(cell)
    first = max([len(name) for name in rows] + [len("gates per cell")])
    lines = ["  ".join(["gates per cell".ljust(first), *boards])]
    for name, row in rows.items():
        lines.append("  ".join([name.ljust(first), *(row.get(board, "").center(len(board)) for board in boards)]))
    tiers = [f"{device.name} {device.profile} {device.tier.value}" for device in plan.devices]
    return [line.rstrip() for line in (*lines, "boards: " + "; ".join(tiers))]


def _entry(cell: PlannedCell) -> str:
    return "-" if cell.skip_reason else str(len(cell.limits) + 1)


class Status:
    """Where every board is: one line redrawn on a terminal, a line per change elsewhere.

    `take` may be called from any thread; `tick` and `end` by one at a time.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._boards: dict[str, Progress] = {}
        self._said: dict[str, tuple[str, str, float]] = {}
        self._drawn_at = 0.0
        self._width = 0

    def take(self, progress: Progress) -> None:
        """Keep the news of a board."""
        with self._lock:
            self._boards[progress.device] = progress

    def tick(self) -> None:
        """Show what is new, if it is time."""
        reporter = self._reporter()
        if reporter is not None and reporter.isatty:
            self._redraw(reporter)
        elif reporter is not None:
            self._list(reporter, quiet_s=QUIET_S)

    def clear(self) -> None:
        """Take the line away before pytest writes a result."""
        reporter = self._reporter()
        if reporter is not None and self._width:
            reporter.rewrite(" " * self._width)
            reporter.rewrite("")
            self._width = 0

    def end(self) -> None:
        """Show the last news and clear the line."""
        reporter = self._reporter()
        if reporter is not None and not reporter.isatty:
            self._list(reporter, quiet_s={})
        self.clear()

    def _reporter(self) -> pytest.TerminalReporter | None:
        if self._config.get_verbosity() < 0:
            return None
        found: pytest.TerminalReporter | None = self._config.pluginmanager.getplugin("terminalreporter")
        return found

    def _latest(self) -> list[Progress]:
        with self._lock:
            return list(self._boards.values())

    def _redraw(self, reporter: pytest.TerminalReporter) -> None:
        now = time.monotonic()
        if now - self._drawn_at < REDRAW_S:
            return
        self._drawn_at = now
        if not self._width:
            reporter.ensure_newline()
        line = " | ".join(_line(board) for board in self._latest())
        line = line[: self._config.get_terminal_writer().fullwidth - 1]
        reporter.rewrite(line.ljust(self._width))
        self._width = len(line)

    def _list(self, reporter: pytest.TerminalReporter, *, quiet_s: Mapping[str, float]) -> None:
        now = time.monotonic()
        for item in self._latest():
            phase, text, at = self._said.get(item.device, ("", "", 0.0))
            if item.text == text or (item.phase == phase and now - at < quiet_s.get(item.phase, 0.0)):
                continue
            self._said[item.device] = (item.phase, item.text, now)
            self._end_line(reporter)
            reporter.write_line(f"fleetgate: {_line(item)}")

    def _end_line(self, reporter: pytest.TerminalReporter) -> None:
        """Begin a new line, also after letters of results and a percentage, of which `ensure_newline` knows nothing."""
        reporter.ensure_newline()
        writer = self._config.get_terminal_writer()
        if writer.width_of_current_line:
            writer.line()


def _line(progress: Progress) -> str:
    """Say where a board is; what comes from it is made harmless to read."""
    from harness.report.wording import neutral

    count = f" ({progress.done + 1} of {progress.total})" if progress.phase == "measuring" else ""
    return neutral(f"{progress.device}: {progress.text}{count}", longest=160)
