"""The command `fleetgate gate`: a stored run judged again, offline, and shown.

Parsing arguments is the command line's matter.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from harness.gate import judge
from harness.records.canonical import to_json
from harness.records.verdict import Judgement
from harness.store.read import StoredRun, is_reproduced, load_run


def run(arguments: argparse.Namespace, *, out: Callable[[str], None], news: Callable[[str], None]) -> int:
    """Judge, print, and write the views that are asked for.

    Args:
        arguments: `run`, `json`, `html`, `markdown` and `csv`.
        out: gets the table of verdicts.
        news: gets a line when the stored verdicts are others.

    Returns:
        The decision's exit code.

    Raises:
        RecordError: the run cannot be read, or was edited.
    """
    stored = load_run(arguments.run)
    judgement = judge(stored.record, stored.samples)
    _write_views(arguments, stored, judgement)
    if arguments.json:
        sys.stdout.buffer.write(to_json(judgement))
    else:
        from harness.gate.instruction_set import compare_boards
        from harness.report import terminal

        compared = compare_boards(stored.record, stored.samples)
        width = shutil.get_terminal_size((100, 24)).columns
        out(terminal.render(stored.record, judgement, compared, width=width, color=sys.stdout.isatty()))
    if not is_reproduced(stored, judgement):
        news(not_reproduced(stored))
    return judgement.decision.exit_code


def not_reproduced(stored: StoredRun) -> str:
    """Say that a run's stored verdicts are not those that its record gives."""
    return (
        f"fleetgate: these are not the verdicts stored in {stored.path}: another version judged, "
        "or the folder was edited"
    )


def _write_views(arguments: argparse.Namespace, stored: StoredRun, judgement: Judgement) -> None:
    if arguments.html:
        from harness.report import html

        _write(arguments.html, html.render(stored.record, judgement, stored.samples))
    if arguments.markdown:
        from harness.report import markdown

        _write(arguments.markdown, markdown.render(stored.record, judgement))
    if arguments.csv:
        from harness.report import table

        _write(arguments.csv, table.csv(stored.record, judgement))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
