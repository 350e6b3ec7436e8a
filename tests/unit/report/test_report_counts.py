"""A count of instructions is never shown without the sentence that says what it cannot tell."""

from __future__ import annotations

import html as html_escapes
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.report import html, markdown, terminal
from harness.report.wording import COUNT_LIMITS
from harness.testing.record import SampleRun, go_run, no_go_run, sample_run

REPORT = Path(html.__file__).parent
COUNTED = re.compile(r"work\.(instructions|load|first)|instructions per inference", re.IGNORECASE)
ROW_WITH_A_COUNT = re.compile(r'<th scope="row">work\.(?:(?!</tr>)[\s\S])*?<span class="value">')
TEXTS: dict[str, Callable[[SampleRun], str]] = {
    "terminal": lambda run: terminal.render(run.record, run.judgement),
    "markdown": lambda run: markdown.render(run.record, run.judgement),
    "html": lambda run: html.render(run.record, run.judgement, run.samples),
}


def _plain(text: str) -> str:
    unescaped = html_escapes.unescape(text).replace("\\", "")
    return re.sub(r"\s+", " ", unescaped)


def _without_counts(run: SampleRun) -> SampleRun:
    """Leave out every gate of work and every session that counted."""
    verdicts = tuple(verdict for verdict in run.judgement.verdicts if not verdict.metric.startswith("work."))
    cells = tuple(
        replace(
            cell,
            sessions=tuple(
                replace(item, arrays={name: ref for name, ref in item.arrays.items() if name != "instructions"})
                for item in cell.sessions
            ),
        )
        for cell in run.record.cells
    )
    record, judgement = replace(run.record, cells=cells), replace(run.judgement, verdicts=verdicts)
    return SampleRun(record, judgement, run.samples)


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize("make", [go_run, no_go_run, sample_run])
def test_a_report_with_a_count_has_the_sentence(kind: str, make: Callable[[], SampleRun]) -> None:
    """Terminal, Markdown and HTML say it, whatever the decision is."""
    text = TEXTS[kind](make())

    assert COUNT_LIMITS in _plain(text)


@pytest.mark.parametrize("kind", ["terminal", "markdown"])
def test_a_report_without_a_count_has_not(kind: str) -> None:
    """Where nothing was counted, nothing is said about counts."""
    text = TEXTS[kind](_without_counts(no_go_run()))

    assert COUNTED.search(text) is None
    assert COUNT_LIMITS not in _plain(text)


def test_every_cell_of_the_page_with_a_count_has_the_sentence() -> None:
    """A reader who opens one cell sees it there, not only at the foot of the page; other cells do without."""
    cells = TEXTS["html"](no_go_run()).split('<details class="cell')[1:]
    cells[-1] = cells[-1].split("</section>")[0]

    counted = [cell for cell in cells if ROW_WITH_A_COUNT.search(cell)]
    assert len(counted) >= 2
    assert [cell[:300] for cell in counted if COUNT_LIMITS not in _plain(cell)] == []
    assert any(COUNT_LIMITS not in _plain(cell) for cell in cells)


def test_a_blocker_by_count_has_the_sentence() -> None:
    """A regression of work that blocks is shown with it, in the list of what blocks."""
    run = go_run()
    found = next(verdict for verdict in run.judgement.verdicts if verdict.metric == "work.instructions")
    name = f"{found.cell} {found.metric} {found.kind}"
    decision = replace(run.judgement.decision, blockers=(name,))
    page = html.render(run.record, replace(run.judgement, decision=decision), run.samples)

    blocks = page.split('id="blocks"')[1].split("</section>")[0]

    assert "work.instructions" in blocks
    assert COUNT_LIMITS in _plain(blocks)


def _speak_of_counts() -> set[str]:
    files = [*REPORT.glob("*.py"), *REPORT.glob("templates/*.j2")]
    return {file.name for file in files if re.search(r"\binstructions\b", _code(file))}


def _code(file: Path) -> str:
    """Give a source without its docstrings and comments."""
    text = file.read_text(encoding="utf-8")
    return re.sub(r'r?"""[\s\S]*?"""|^\s*#.*$', "", text, flags=re.MULTILINE) if file.suffix == ".py" else text


def test_whatever_speaks_of_instructions_knows_the_sentence() -> None:
    """A new part of the reports that shows counts brings the sentence, or its page does.

    `chart` and `work` draw into cells, `table` makes a file of bare numbers; both are named here with that reason.
    `trade` says which of its parts are counts (`is_counted`), and the pages that show them write the sentence.
    """
    shown_elsewhere = {"chart.py", "work.py", "trade.py", "cell.py", "wording.py", "report.html.j2", "macros.html.j2"}

    silent = {name for name in _speak_of_counts() - shown_elsewhere if not _names_it(name)}

    assert silent == set()


def _names_it(name: str) -> bool:
    (file,) = (path for path in (REPORT / name, REPORT / "templates" / name) if path.exists())
    return re.search(r"COUNT_LIMITS|count_limits", file.read_text(encoding="utf-8")) is not None
