"""The command `fleetgate isa`: measure, tell progress, print the comparison, and give the exit code.

Parsing arguments is the command line's matter.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Sequence

from harness.campaign.isa import IsaRun
from harness.campaign.isa_request import IsaRequest, check_request, parse_cpus, parse_runtimes, parse_shapes
from harness.campaign.news import News
from harness.farm.boards import RealBoards
from harness.records.canonical import to_json
from harness.records.instruction_set import BLOCKING, ISA_SCHEMA_VERSION, FindingCode, InstructionSets, IsaReport
from harness.report import instruction_set
from harness.report.wording import COUNT_LIMITS

EXIT_SAME, EXIT_DIFFERENT, EXIT_INFRA = 0, 1, 20


def run(arguments: argparse.Namespace, *, out: Callable[[str], None], news: Callable[[str], None]) -> int:
    """Measure and print.

    Args:
        arguments: those of `isa_arguments`.
        out: gets the result.
        news: gets a line for whatever takes long.

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
    """Say 1 when a file crashed or answered otherwise on some CPU, else 20 when a board or count is missing, else 0."""
    codes = {finding.code for file in compared for finding in file.findings}
    if codes & BLOCKING:
        return EXIT_DIFFERENT
    return EXIT_INFRA if codes & {FindingCode.BOARD, FindingCode.UNREPEATED} else EXIT_SAME
