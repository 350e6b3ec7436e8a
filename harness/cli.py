"""`fleetgate`: what is done beside pytest, one subcommand per act.

Parses arguments, prints, and turns exceptions into one line and an exit code; the acts themselves live in their rooms.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from harness.campaign import calibrate_arguments, isa_arguments
from harness.errors import FleetgateError, RecordError, SpecError

EXIT_USAGE = 4
EXIT_ERROR = 20
"""The same word as a run that infrastructure held: nothing was decided."""
_WRONG_PATH = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError)
"""What the operating system says of a path that cannot be what was meant; never to be read as a decision."""

EXIT_PIPE = 141
"""As the shell says it of a program that SIGPIPE ended; 0 would read as GO, and 1 as NO-GO."""

_EPILOG = """\
measuring itself is pytest's: pytest --devices=farm.yaml [suites…]

exit codes of `gate`, `regate` (the worst run's) and pytest --devices:
0 GO, 1 NO-GO, 10 HOLD, 20 HOLD for infrastructure alone, 40 SECURITY
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit code."""
    words, program_arguments = isa_arguments.split(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(words, argparse.Namespace(argv=program_arguments))
    try:
        code = int(arguments.act(arguments))
        sys.stdout.flush()
        return code
    except SpecError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    except RecordError as error:
        print(f"fleetgate: {error}", file=sys.stderr)
        return EXIT_USAGE
    except FleetgateError as error:
        print(f"fleetgate: {error}", file=sys.stderr)
        return EXIT_ERROR
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except OSError as error:
        print(f"fleetgate: {error.filename or 'input or output'}: {error.strerror or error}", file=sys.stderr)
        return EXIT_USAGE if isinstance(error, _WRONG_PATH) else EXIT_ERROR
    except KeyboardInterrupt:
        print("fleetgate: interrupted", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """Ends with the exit code of everything that was asked wrongly; argparse's own is that of an interrupted run."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="fleetgate",
        description="Release gate for compressed models on edge devices.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fleetgate {_version()}")
    acts = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_gate(acts)
    _add_regate(acts)
    _add_isa(acts)
    _add_calibrate(acts)
    _add_doctor(acts)
    _add_baseline(acts)
    _add_schema(acts)
    _add_image(acts)
    return parser


def _add_gate(acts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    gate = acts.add_parser(
        "gate",
        help="judge a stored run again, offline",
        description="Compute the verdicts of a stored run again from its raw samples: no board, no network, no suite.",
    )
    gate.add_argument("run", type=Path, metavar="RUN", help="a folder of reports/runs/ (or reports/runs/latest)")
    gate.add_argument("--json", action="store_true", help="print the verdicts as canonical JSON, as in verdicts.json")
    gate.add_argument("--html", type=Path, metavar="PATH", help="also write the HTML report there")
    gate.add_argument("--markdown", type=Path, metavar="PATH", help="also write a summary for CI pages there")
    gate.add_argument("--csv", type=Path, metavar="PATH", help="also write the verdicts as a flat table there")
    gate.set_defaults(act=_gate)


def _add_regate(acts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    regate = acts.add_parser(
        "regate",
        help="judge stored runs by other limits, offline",
        description="Judge stored runs by the gates of a policy in place of their suites' own, and show both decisions "
        "and every verdict that changed. What a run did not measure is NOT_RUN. Nothing stored is changed.",
    )
    regate.add_argument("--policy", type=Path, required=True, metavar="POLICY", help="YAML with `gates:` as in a suite")
    regate.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folders of reports/runs/")
    regate.add_argument("--json", action="store_true", help="print decisions, changes and new verdicts as JSON")
    regate.set_defaults(act=_regate)


def _add_isa(acts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    isa = acts.add_parser(
        "isa",
        help="compare a model file on several instruction sets",
        description=isa_arguments.DESCRIPTION,
        epilog=isa_arguments.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    isa_arguments.add(isa)
    isa.set_defaults(act=_isa)


def _add_calibrate(acts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    calibrate = acts.add_parser(
        "calibrate",
        help="measure how much boards scatter, and what their gates can see",
        description=calibrate_arguments.DESCRIPTION,
        epilog=calibrate_arguments.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    calibrate_arguments.add(calibrate)
    calibrate.set_defaults(act=_calibrate)


def _add_doctor(acts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    doctor = acts.add_parser(
        "doctor",
        help="what boards can measure of their power and heat, and the YAML for it",
        description="Reach every board of a farm, list its power sources with one reading each, say what it does not "
        "expose, and propose the `power:` line. Changes nothing on a board.",
    )
    doctor.add_argument(
        "farm", type=str, metavar="FARM", help="farm.yaml, or farm.yaml::selector for some of its boards"
    )
    doctor.set_defaults(act=_doctor)


def _add_baseline(acts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    baseline = acts.add_parser("baseline", help="committed baselines of figures that do not move with the day")
    steps = baseline.add_subparsers(required=True, metavar="STEP")
    promote = steps.add_parser(
        "promote",
        help="make the exact figures of a GO run the baseline",
        description="Write work, storage, accuracy and parity of a GO run as small files to be reviewed and committed. "
        "Times, power and memory are never recorded: they are measured again beside the candidate.",
    )
    promote.add_argument("run", type=Path, metavar="RUN", help="a folder of reports/runs/ whose decision is GO")
    promote.add_argument(
        "--to", type=Path, default=Path("reports/baselines"), metavar="DIR", help="default: %(default)s"
    )
    promote.add_argument(
        "--anchor",
        action="store_true",
        help="start new chains at this release: what earlier ones spent of their creep budgets is forgiven, on record",
    )
    promote.set_defaults(act=_promote)


def _add_schema(acts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    schema = acts.add_parser(
        "schema",
        help="print the JSON Schema of a YAML file, for completion in editors",
        description="Print a JSON Schema. With the YAML language server in an editor, the first line of farm.yaml may "
        "say: # yaml-language-server: $schema=farm.schema.json",
    )
    schema.add_argument("kind", choices=("farm", "profile", "suite", "policy"))
    schema.set_defaults(act=_schema)


def _add_image(acts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    image = acts.add_parser("image", help="images and snapshots of emulated boards")
    steps = image.add_subparsers(required=True, metavar="STEP")
    build = steps.add_parser(
        "build",
        help="build the board image (a run does it too, when it is missing)",
        description="Build kernel, initramfs and root file system of the emulated boards, without running a foreign "
        "instruction. Cached by the hash of its recipe.",
    )
    build.add_argument("--suite", default="bookworm", help="Debian release of the board (default: %(default)s)")
    build.add_argument("--mirror", default="", metavar="URL", help="package mirror (default: that of mmdebstrap)")
    build.set_defaults(act=_image_build)
    steps.add_parser("list", help="what the cache holds, with sizes").set_defaults(act=_image_list)
    steps.add_parser("clean", help="empty the cache").set_defaults(act=_image_clean)


def _gate(arguments: argparse.Namespace) -> int:
    from harness.campaign import gate_command

    return gate_command.run(arguments, out=_say, news=_tell)


def _regate(arguments: argparse.Namespace) -> int:
    from harness.campaign import regate_command

    return regate_command.run(arguments, out=_say)


def _isa(arguments: argparse.Namespace) -> int:
    from harness.campaign import isa_command

    return isa_command.run(arguments, out=_say, news=_tell)


def _calibrate(arguments: argparse.Namespace) -> int:
    from harness.campaign import calibrate_command

    return calibrate_command.run(arguments, out=_say, news=_tell)


def _doctor(arguments: argparse.Namespace) -> int:
    from harness.campaign import doctor

    return doctor.run(arguments.farm, out=_say, news=_tell)


def _promote(arguments: argparse.Namespace) -> int:
    from harness.campaign import gate_command
    from harness.gate import judge
    from harness.store import load_run, promote
    from harness.store.baseline import describe_chains
    from harness.store.read import is_reproduced

    run = load_run(arguments.run)
    if not is_reproduced(run, judge(run.record, run.samples)):
        _tell(gate_command.not_reproduced(run))
    written = promote(run, arguments.to, anchor=arguments.anchor)
    for path in written:
        print(path)
        for line in describe_chains(path):
            print(f"  {line}")
    print(f"{len(written)} baselines; review and commit them")
    return 0


def _schema(arguments: argparse.Namespace) -> int:
    from harness.spec import schema

    print(json.dumps(schema(arguments.kind), indent=2))
    return 0


def _image_build(arguments: argparse.Namespace) -> int:
    from harness.emulator import command
    from harness.spec.profile import DEBIAN

    if arguments.suite not in DEBIAN:
        print(f"fleetgate: no board image for suite {arguments.suite!r}; there are {', '.join(DEBIAN)}",
              file=sys.stderr)  # fmt: skip
        return EXIT_USAGE
    return command.build(suite=arguments.suite, mirror=arguments.mirror, out=_say)


def _image_list(_: argparse.Namespace) -> int:
    from harness.emulator import command

    return command.show(out=_say)


def _image_clean(_: argparse.Namespace) -> int:
    from harness.emulator import command

    return command.clean(out=_say)


def _say(line: str) -> None:
    print(line, flush=True)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _version() -> str:
    from importlib.metadata import version

    return version("fleetgate")


if __name__ == "__main__":
    sys.exit(main())
