"""The command line: what is printed, where it goes, and with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import main
from harness.gate import judge
from harness.store import RunFolder
from harness.testing.evidence import Scene, limit, run_of

Captured = pytest.CaptureFixture[str]


def _stored(root: Path, *, most: float) -> Path:
    run, samples = run_of([Scene(limits=(limit("storage.size", "max", most),)).evidence()])
    folder = RunFolder.create(root, run.run_id)
    folder.write_plan(run.plan)
    hashes = [folder.write_samples(cell.key, samples.arrays(cell.key)) for cell in run.cells]
    cells = tuple(replace(cell, samples_sha256=sha) for cell, sha in zip(run.cells, hashes, strict=True))
    run = replace(run, cells=cells)
    folder.finish(run, judge(run, folder))
    return folder.path


def test_gate_without_a_run_says_so(capsys: Captured) -> None:
    """A path that is no run folder is a usage error of one line."""
    code = main(["gate", "no/such/run"])

    assert code == 4
    assert capsys.readouterr().err == "fleetgate: no/such/run: no such run folder\n"


@pytest.mark.parametrize("kind", ["farm", "profile", "suite", "policy"])
def test_schemas_are_printed_as_json(kind: str, capsys: Captured) -> None:
    """`fleetgate schema` prints a JSON Schema that describes an object."""
    assert main(["schema", kind]) == 0

    assert json.loads(capsys.readouterr().out)["type"] == "object"


def test_help_teaches_the_exit_codes(capsys: Captured) -> None:
    """--help names every exit code of the gate."""
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])

    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("0 GO", "1 NO-GO", "10 HOLD", "20 HOLD", "40 SECURITY"))


@pytest.mark.parametrize(("most", "code", "word"), [(100_000, 0, "GO"), (50_000, 1, "NO-GO")])
def test_gate_exits_with_the_decision(tmp_path: Path, capsys: Captured, most: float, code: int, word: str) -> None:
    """Judging a stored run again gives its decision, in words and as the exit code."""
    folder = _stored(tmp_path, most=most)

    assert main(["gate", str(folder)]) == code

    shown = capsys.readouterr()
    assert word in shown.out
    assert shown.err == ""


def test_gate_json_is_the_stored_file_byte_for_byte(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """--json prints what the run wrote into verdicts.json."""
    folder = _stored(tmp_path, most=100_000)

    main(["gate", str(folder), "--json"])

    assert capfdbinary.readouterr().out == (folder / "verdicts.json").read_bytes()


def test_gate_says_when_the_stored_verdicts_are_not_reproduced(tmp_path: Path, capsys: Captured) -> None:
    """Edited verdicts do not pass unnoticed."""
    folder = _stored(tmp_path, most=50_000)
    verdicts = folder / "verdicts.json"
    verdicts.write_text(verdicts.read_text().replace("NO-GO", "GO"))

    assert main(["gate", str(folder)]) == 1

    assert "not the verdicts stored" in capsys.readouterr().err


def test_gate_writes_the_report_and_the_summary(tmp_path: Path) -> None:
    """--html, --markdown and --csv write files from the record alone."""
    folder = _stored(tmp_path, most=100_000)

    main(
        [
            "gate",
            str(folder),
            f"--html={tmp_path / 'r.html'}",
            f"--markdown={tmp_path / 'r.md'}",
            f"--csv={tmp_path / 'r.csv'}",
        ]
    )

    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert "GO" in (tmp_path / "r.md").read_text()
    assert "storage.size,max,PASS" in (tmp_path / "r.csv").read_text()


def test_gate_shows_the_limit_at_which_each_verdict_would_flip(tmp_path: Path, capsys: Captured) -> None:
    """A figure with an interval that passes says from which limit on it would not."""
    run, samples = run_of([Scene(limits=(limit("memory.peak", "max", 64 * 2**20, "64 MiB"),)).evidence()])
    folder = RunFolder.create(tmp_path, run.run_id)
    folder.write_plan(run.plan)
    cells = tuple(
        replace(cell, samples_sha256=folder.write_samples(cell.key, samples.arrays(cell.key))) for cell in run.cells
    )
    folder.finish(replace(run, cells=cells), judge(replace(run, cells=cells), folder))

    assert main(["gate", str(folder.path)]) == 0

    assert "flips at 40" in capsys.readouterr().out


def _policy(tmp_path: Path, most: str) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(f"gates:\n  all:\n    storage.size: {{max: {most}}}\n", encoding="utf-8")
    return path


def test_regate_judges_old_runs_by_a_policy(tmp_path: Path, capsys: Captured) -> None:
    """Decision and verdicts before and after; the worst run gives the exit code, and nothing stored is touched."""
    folder = _stored(tmp_path, most=100_000)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    codes = [main(["regate", "--policy", str(_policy(tmp_path, most)), str(folder)]) for most in ("50 kB", "80 kB")]

    assert codes == [1, 0]
    shown = capsys.readouterr().out
    assert f"{folder}: GO -> NO-GO" in shown
    assert "storage.size max: PASS (100000) -> FAIL (50 kB): storage.size" in shown
    assert f"{folder}: GO, as before" in shown
    assert "no verdict changed" in shown
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_regate_tells_programs_as_json(tmp_path: Path, capsys: Captured) -> None:
    """The policy, and per run the old decision, the new judgement and the changes."""
    folder = _stored(tmp_path, most=100_000)

    assert main(["regate", "--json", "--policy", str(_policy(tmp_path, "50 kB")), str(folder), str(folder)]) == 1

    told = json.loads(capsys.readouterr().out)
    assert [run["before"]["release"] for run in told["runs"]] == ["GO", "GO"]
    assert [run["after"]["decision"]["release"] for run in told["runs"]] == ["NO-GO", "NO-GO"]
    assert told["runs"][0]["changes"][0]["after"] == "FAIL"
    assert told["policy"].endswith("policy.yaml")


def test_regate_never_makes_unmeasured_figures_green(tmp_path: Path, capsys: Captured) -> None:
    """A policy that asks for what the run did not measure holds it: exit 10."""
    path = tmp_path / "policy.yaml"
    path.write_text("gates: {all: {conformance.flips: {max: 0}}}\n", encoding="utf-8")

    assert main(["regate", "--policy", str(path), str(_stored(tmp_path, most=100_000))]) == 10

    assert "NOT RUN (0): this run did not measure it" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "text", ["gates: {all: {storage.size: {max: 1 lightyear}}}\n", "gates: {rpi55: {}}\n", "x: 1\n"]
)
def test_a_wrong_policy_is_a_usage_error_with_its_place(tmp_path: Path, capsys: Captured, text: str) -> None:
    """A unit, a scope and a key that nobody knows: exit 4 and file:line:column."""
    path = tmp_path / "policy.yaml"
    path.write_text(text, encoding="utf-8")

    assert main(["regate", "--policy", str(path), str(_stored(tmp_path, most=100_000))]) == 4

    assert "policy.yaml:1:" in capsys.readouterr().err


def test_only_a_go_run_becomes_a_baseline(tmp_path: Path, capsys: Captured) -> None:
    """Promoting a NO-GO run is refused; a GO run writes files and names them."""
    bad, good = _stored(tmp_path / "bad", most=50_000), _stored(tmp_path / "good", most=100_000)

    assert main(["baseline", "promote", str(bad), "--to", str(tmp_path / "b")]) == 4
    assert main(["baseline", "promote", str(good), "--to", str(tmp_path / "b")]) == 0

    shown = capsys.readouterr()
    assert "not a baseline" in shown.err
    assert str(tmp_path / "b" / "digits") in shown.out


@pytest.mark.parametrize("option", ["--html", "--markdown", "--csv"])
def test_a_view_that_cannot_be_written_is_no_decision(tmp_path: Path, capsys: Captured, option: str) -> None:
    """A folder where a file should go is one line and exit code 4, never the 1 of a NO-GO; new folders are made."""
    folder = _stored(tmp_path, most=100_000)

    assert main(["gate", str(folder), option, str(tmp_path)]) == 4
    assert main(["gate", str(folder), option, str(tmp_path / "new/folder/view")]) == 0

    assert capsys.readouterr().err == f"fleetgate: {tmp_path}: Is a directory\n"
    assert (tmp_path / "new/folder/view").stat().st_size


def test_promoting_into_a_file_is_a_usage_error(tmp_path: Path, capsys: Captured) -> None:
    """The path that is no folder is named."""
    folder = _stored(tmp_path, most=100_000)
    (tmp_path / "file").write_text("")

    assert main(["baseline", "promote", str(folder), "--to", str(tmp_path / "file")]) == 4

    assert "Not a directory" in capsys.readouterr().err


def test_promoting_says_when_the_stored_verdicts_are_not_reproduced(tmp_path: Path, capsys: Captured) -> None:
    """Whoever reviews the new baseline is told that its run was edited."""
    folder = _stored(tmp_path, most=100_000)
    verdicts = folder / "verdicts.json"
    verdicts.write_text(verdicts.read_text().replace("PASS", "FAIL", 1))

    main(["baseline", "promote", str(folder), "--to", str(tmp_path / "b")])

    assert "not the verdicts stored" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["nope"], ["gate"], ["schema", "nope"], ["baseline"], ["image"]])
def test_wrong_arguments_end_with_the_code_of_everything_asked_wrongly(words: list[str], capsys: Captured) -> None:
    """Exit code 4, as for YAML; 2 would say that a run was interrupted."""
    with pytest.raises(SystemExit) as stopped:
        main(words)

    assert stopped.value.code == 4
    assert "usage: fleetgate" in capsys.readouterr().err


def test_an_unknown_image_suite_is_a_usage_error(capsys: Captured) -> None:
    """The releases that there are images for are named; nothing is built."""
    assert main(["image", "build", "--suite", "buster"]) == 4

    assert capsys.readouterr().err == "fleetgate: no board image for suite 'buster'; there are bookworm, trixie\n"


def test_a_reader_that_left_is_no_decision(tmp_path: Path) -> None:
    """`fleetgate gate RUN | true` ends as programs end that SIGPIPE stops: neither 0 (GO) nor 1 (NO-GO)."""
    folder = _stored(tmp_path, most=50_000)
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "gate", str(folder)], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (141, b"")
