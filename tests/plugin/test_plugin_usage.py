"""What was asked wrongly ends in exit code 4 before any board is touched; what was not asked does not show."""

from __future__ import annotations

import subprocess
import sys

import pytest

from harness.testing.device import BoardScript
from harness.testing.rehearsal import SUITE, Rehearsal

UNTOUCHABLE = {name: BoardScript(open_fault="security") for name in ("a53", "a72", "here")}


def test_collecting_shows_the_matrix_and_touches_no_board(rehearsal: Rehearsal) -> None:
    """`--co` prints items and matrix, opens nothing and writes nothing."""
    rehearsal.script(UNTOUCHABLE)

    finished = rehearsal.run("--co")

    assert finished.code == 0, finished.text
    assert "int8[a53]" in finished.text
    assert "digits::int8     5    4    5" in finished.text
    assert "6 cells, 28 gates on 3 boards" in finished.text
    assert not (rehearsal.folder / "reports").exists()


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_progress_stands_on_lines_of_its_own(rehearsal: Rehearsal, workers: str) -> None:
    """News of a board never continues a line of results."""
    finished = rehearsal.run(workers, devices="farm.yaml::here")

    assert finished.code == 0, finished.text
    news = [line for line in finished.text.splitlines() if "fleetgate: here: " in line]
    assert news
    assert all(line.startswith("fleetgate: here: ") for line in news), finished.text


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["one-process", "xdist"])
def test_everything_wrong_in_the_files_is_said_at_once(rehearsal: Rehearsal, workers: tuple[str, ...]) -> None:
    """Problems of a suite and a limit that a tier forbids: exit 4, file:line:column each, no traceback."""
    rehearsal.script(UNTOUCHABLE)
    bad = SUITE.replace("memory.peak", "memory.peek").replace("suite: digits", "suite: other")
    (rehearsal.suite_folder / "other.suite.yaml").write_text(bad)
    forbidden = SUITE.replace("  host:\n", "  qemu-cortex-a72:\n")
    (rehearsal.suite_folder / "digits.suite.yaml").write_text(forbidden)

    finished = rehearsal.run(*workers)

    assert finished.code == 4, finished.text
    assert "digits/other.suite.yaml:10:5: error:" in finished.text
    assert "did you mean 'memory.peak'" in finished.text
    assert "digits/digits.suite.yaml:14:" in finished.text
    assert "cannot be gated on a72" in finished.text
    assert "Traceback" not in finished.text
    assert not list(rehearsal.folder.glob("reports/runs/*"))


def test_limits_of_the_farm_for_a_suite_that_is_not_run_are_named(rehearsal: Rehearsal) -> None:
    """A misspelt suite name under `gates:` of a device would drop a limit unseen."""
    farm = rehearsal.folder / "farm.yaml"
    text = farm.read_text().replace("name: a53,", "name: a53, gates: {digts: {memory.peak: {max: 1 MiB}}},")
    assert "digts" in text
    farm.write_text(text)

    finished = rehearsal.run("--co")

    assert finished.code == 0, finished.text
    assert "the gates of a53 for suite 'digts' do not apply: this run has digits" in finished.text


def test_a_broken_farm_is_a_usage_error(rehearsal: Rehearsal) -> None:
    """The farm is read before anything else: exit 4 with its place, no traceback, also before workers start."""
    farm = rehearsal.folder / "farm.yaml"
    farm.write_text(farm.read_text().replace("profile: host", "profil: host"))

    finished = rehearsal.run("-nauto")

    assert finished.code == 4, finished.text
    assert "farm.yaml:5:18: error:" in finished.text
    assert "Traceback" not in finished.text


def test_a_run_that_plans_nothing_is_no_release(rehearsal: Rehearsal) -> None:
    """Boards were asked for and no cell was selected: green tests beside it do not make that exit 0."""
    (rehearsal.folder / "test_plain.py").write_text("def test_plain():\n    pass\n")

    finished = rehearsal.run("test_plain.py")

    assert finished.code == 10, finished.text
    assert "nothing was measured" in finished.text


def test_own_profiles_and_folders_are_used(rehearsal: Rehearsal) -> None:
    """`--gate-profiles`, `--gate-runs` and `--gate-report` name the places."""
    (rehearsal.folder / "mine").mkdir()
    (rehearsal.folder / "mine/lab.yaml").write_text("extends: host\ndescription: mine\n")
    farm = rehearsal.folder / "farm.yaml"
    farm.write_text(farm.read_text().replace("profile: host", "profile: lab"))

    finished = rehearsal.run(
        "--gate-profiles=mine", "--gate-runs=out/runs", "--gate-report=out/page.html", devices="farm.yaml::here"
    )

    assert finished.code == 0, finished.text
    assert (rehearsal.folder / "out/page.html").exists()
    assert (rehearsal.folder / "out/runs/latest/run.json").exists()
    assert not (rehearsal.folder / "reports").exists()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--gate-runs=farm.yaml", "is no folder"),
        ("--gate-runs=farm.yaml/runs", "is no folder"),
        ("--gate-baselines=farm.yaml", "is no folder"),
        ("--gate-report=digits", "is a folder: name the HTML file"),
        ("--gate-profiles=nowhere", "no such folder"),
    ],
)
def test_a_place_that_cannot_be_is_refused_before_anything_is_measured(
    rehearsal: Rehearsal, option: str, said: str
) -> None:
    """Exit code 4 that names the option; an error after the run would read as a verdict."""
    rehearsal.script(UNTOUCHABLE)

    finished = rehearsal.run(option)

    assert finished.code == 4, finished.text
    assert f"ERROR: {option.partition('=')[0]}=" in finished.text
    assert said in finished.text
    assert "Traceback" not in finished.text
    assert "INTERNALERROR" not in finished.text


def test_every_board_several_times_is_refused(rehearsal: Rehearsal) -> None:
    """`--dist=each` would run one board from two processes."""
    finished = rehearsal.run("-n2", "--dist=each")

    assert finished.code == 4, finished.text
    assert "--dist=each" in finished.text


def test_without_devices_the_plugin_is_not_there(rehearsal: Rehearsal) -> None:
    """No suite is collected, no line is printed, no file is written."""
    (rehearsal.folder / "test_plain.py").write_text("def test_plain():\n    pass\n")

    finished = rehearsal.run(devices="")

    assert finished.code == 0, finished.text
    assert "1 passed" in finished.text
    assert "fleetgate:" not in finished.text
    assert not (rehearsal.folder / "reports").exists()


def test_the_entry_module_imports_nothing_heavy() -> None:
    """A plain pytest run pays for the standard library and pytest only."""
    code = "import pytest, sys; import harness.plugin; print('\\n'.join(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = set(done.stdout.split())
    assert {name for name in loaded if name.startswith("harness")} == {"harness", "harness.plugin"}
    assert not loaded & {"numpy", "scipy", "pandas", "pydantic", "yaml", "fabric", "paramiko", "jinja2", "xdist"}


@pytest.mark.parametrize(
    ("budget", "words"), [("20", "has no unit"), ("twenty", "is not a time"), ("0 s", "would measure nothing")]
)
def test_a_budget_that_is_no_time_is_said_at_once(rehearsal: Rehearsal, budget: str, words: str) -> None:
    """Exit 4 before any board is touched."""
    rehearsal.script(UNTOUCHABLE)

    finished = rehearsal.run(f"--gate-budget={budget}")

    assert finished.code == 4, finished.text
    assert "--gate-budget" in finished.text
    assert words in finished.text


def test_the_forecast_of_a_board_stands_before_the_run(rehearsal: Rehearsal) -> None:
    """Cells, pairs, and after a first run the device time beside the budget."""
    rehearsal.script({"here": BoardScript(session_s=0.01)})

    first = rehearsal.run(devices="farm.yaml::here")
    second = rehearsal.run("--co", "--gate-budget=20m", devices="farm.yaml::here")

    assert "here: 2 cells in about 14 pairs; device time unknown before a first run" in first.text
    assert "here: 2 cells in about 14 pairs; 140 ms of device time" in second.text
