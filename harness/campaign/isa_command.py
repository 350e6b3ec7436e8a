"""The command `fleetgate isa`: measure, tell progress, print the comparison, and give the exit code.

Parsing arguments is the command line's matter.
"""

from __future__ import annotations

import argparse
import shutil
import threading
import time
from collections.abc import Callable, Sequence

from harness.campaign.isa import IsaRun
from harness.campaign.isa_request import IsaRequest, check_request, parse_cpus, parse_runtimes, parse_shapes
from harness.farm.boards import RealBoards
from harness.farm.job import Progress
from harness.records.canonical import to_json
from harness.records.instruction_set import BLOCKING, ISA_SCHEMA_VERSION, FindingCode, InstructionSets, IsaReport
from harness.report import instruction_set
from harness.report.wording import COUNT_LIMITS, neutral

EXIT_SAME, EXIT_DIFFERENT, EXIT_INFRA = 0, 1, 20
PATIENCE_S = 2.0
"""What takes no longer than this is not worth a line."""


def run(arguments: argparse.Namespace, *, out: Callable[[str], None], news: Callable[[str], None]) -> int:
    """Measure and print.

    Args:
        arguments: those of `isa_arguments`.
        out: gets the result.
        news: gets a line for whatever takes longer than PATIENCE_S.

    Returns:
        See `exit_code`.

    Raises:
        SpecError: what was asked is wrong.
    """
    request = check_request(_request(arguments))
    progress = News(news)
    compared = IsaRun(request, RealBoards(fresh=arguments.fresh), progress.hear).measure(tick=progress.tell)
    if arguments.json:
        out(to_json(IsaReport(ISA_SCHEMA_VERSION, arguments.fresh, compared, COUNT_LIMITS)).decode().rstrip())
    else:
        if arguments.fresh:
            out("Each board was booted from its image and prepared anew.\n")
        out(instruction_set.render(compared, width=min(shutil.get_terminal_size((100, 24)).columns, 100)).rstrip())
    return exit_code(compared)


def _request(arguments: argparse.Namespace) -> IsaRequest:
    return IsaRequest(
        models=tuple(dict.fromkeys(arguments.models)),
        against=arguments.against,
        cpus=parse_cpus(arguments.cpu),
        data=arguments.data,
        argv=arguments.argv,
        builds=parse_runtimes(arguments.runtime),
        shapes=parse_shapes(arguments.shape),
        samples=arguments.samples,
        seed=arguments.seed,
        repeat=arguments.repeat,
    )


def exit_code(compared: Sequence[InstructionSets]) -> int:
    """Say 1 when a file crashed or answered otherwise on some CPU, else 20 when a board was not measured, else 0."""
    codes = {finding.code for file in compared for finding in file.findings}
    if codes & BLOCKING:
        return EXIT_DIFFERENT
    return EXIT_INFRA if FindingCode.BOARD in codes else EXIT_SAME


class News:
    """What the boards do, one line for whatever takes longer than PATIENCE_S."""

    def __init__(self, out: Callable[[str], None]) -> None:
        self._out = out
        self._latest: dict[str, tuple[str, float]] = {}
        self._said: dict[str, str] = {}
        self._lock = threading.Lock()

    def hear(self, progress: Progress) -> None:
        """Keep the news of a board; called from its thread."""
        count = f" ({progress.done + 1} of {progress.total})" if progress.phase == "measuring" else ""
        with self._lock:
            self._latest[progress.device] = (progress.text + count, time.monotonic())

    def tell(self) -> None:
        """Print what has lasted."""
        now = time.monotonic()
        with self._lock:
            lasting = {name: text for name, (text, since) in self._latest.items() if now - since >= PATIENCE_S}
        for name, text in lasting.items():
            if self._said.get(name) != text:
                self._said[name] = text
                self._out(neutral(f"{name}: {text}", longest=160))
