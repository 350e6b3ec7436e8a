"""One self-contained HTML file: readable from a mail attachment, without a script, a request or a chart library.

Owns the page's security: autoescape, no undefined name, and a content security policy that allows this one style sheet
by its hash and nothing else. What is shown is `view`'s, how it is drawn is `chart`'s.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from harness.gate.instruction_set import compare_boards
from harness.records.outcome import Outcome
from harness.report import chart, instruction_set, selftest, wording
from harness.report.course import courses
from harness.report.files import view_files
from harness.report.limit_chart import gate_chart
from harness.report.pair_chart import pair_charts
from harness.report.trade_chart import trade_charts
from harness.report.view import view
from harness.report.work import view_work

DRAWN: Final = 300
"""Cells whose samples are drawn, the most urgent first: the file stays small enough to be mailed."""

if TYPE_CHECKING:
    from jinja2 import Environment

    from harness.gate import SampleReader
    from harness.records.run import RunRecord
    from harness.records.verdict import Judgement


def render(run: RunRecord, judgement: Judgement, samples: SampleReader) -> str:
    """Write the report of one run.

    Args:
        run: what was planned and seen.
        judgement: what the gate concluded about this very run.
        samples: gives the raw arrays of a cell for the drawings; read one cell at a time.

    Returns:
        A complete HTML document.

    Raises:
        RecordError: the judgement is of another run.
    """
    page = _environment().get_template("report.html.j2")
    shown = view(run, judgement)
    css = _style_sheet()
    drawn = sorted(
        (cell for cell in shown.cells if cell.record), key=lambda cell: wording.WORST_FIRST.index(cell.worst)
    )
    devices = {device.name: device for device in run.plan.devices}
    charts, works, files = {}, {}, {}
    for cell in drawn[:DRAWN]:
        arrays = samples.arrays(cell.planned.key)
        sessions = cell.record.sessions if cell.record else ()
        course = courses(cell.planned, sessions, devices[cell.planned.device], arrays)
        charts[cell.anchor] = (*pair_charts(cell), *chart.cell_charts(cell, arrays), *course)
        works[cell.anchor] = view_work(cell, devices[cell.planned.device], arrays)
        files[cell.anchor] = view_files(cell, devices[cell.planned.device], arrays)
    style = Markup(css)  # noqa: S704  our own file
    cells = {"charts": charts, "works": works, "files": files}
    compared = compare_boards(run, samples) if run.plan.selftest is None else ()
    return page.render(report=shown, compared=compared, css=style, css_hash=_hash(css), **cells)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("harness.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        Outcome=Outcome,
        MEANING=wording.MEANING,
        COUNT_LIMITS=wording.COUNT_LIMITS,
        FATE_MEANING=selftest.MEANING,
        FATE_SIGNS=selftest.SIGNS,
        count=wording.count,
        isa_headings=instruction_set.HEADINGS,
        isa_cells=instruction_set.cells_of,
        neutral=wording.neutral,
        gate_chart=gate_chart,
        trade_charts=trade_charts,
        is_emulated=wording.is_emulated,
    )
    environment.filters["breakable"] = _breakable
    return environment


@cache
def _style_sheet() -> str:
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, "report.css")[0]


def _breakable(path: str) -> Markup:
    """Let a long path break after its slashes."""
    return Markup("/<wbr>").join(path.split("/"))


def _hash(css: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
