"""`fleetgate isa` over fake boards: what is asked of them, what becomes of their answers, and what is refused."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.agent.message import SessionRequest
from harness.campaign.isa import IsaRun
from harness.campaign.isa_arguments import split
from harness.campaign.isa_command import exit_code
from harness.campaign.isa_request import (
    IsaRequest,
    board_of,
    check_request,
    parse_cpus,
    parse_runtimes,
    parse_shapes,
)
from harness.errors import ArtifactError, SpecError
from harness.farm.boards import SessionSeen
from harness.records.instruction_set import FindingCode, InstructionSets
from harness.spec.model import Device, Tier
from harness.testing.device import BoardScript, FakeBoard, FakeBoards, FakeRuntime, FakeSeen
from harness.testing.played import FakeModel, write_model


class Core(FakeBoard):
    """A board whose CPU is named by its behaviour: half the work on `cortex-a76`, other answers on `max`."""

    asked: list[SessionRequest]

    def ensure_runtime(self, family: str, build: str) -> FakeRuntime:
        """Refuse to load on a Cortex-A57."""
        if self.spec.name == "cortex-a57":
            raise ArtifactError(f"{build} does not run on this CPU: sdot needs asimddp")
        return super().ensure_runtime(family, build)

    def measure(self, request: SessionRequest) -> SessionSeen:
        """Play a session."""
        self.asked.append(request)
        seen = super().measure(request)
        if self.spec.name == "cortex-a76" and "instructions" in seen.arrays:
            seen.arrays["instructions"] = seen.arrays["instructions"] // 2
        if self.spec.name == "max" and "output_0" in seen.arrays:
            seen.arrays["output_0"] = seen.arrays["output_0"][::-1].copy()
        return seen


class Cores(FakeBoards):
    """Fake boards of several CPUs, and what was asked of each."""

    kind = Core

    def __init__(self, **scripts: BoardScript) -> None:
        super().__init__(scripts)
        self.asked: dict[str, list[SessionRequest]] = {}
        self.builds: dict[str, frozenset[tuple[str, str]]] = {}

    @contextlib.contextmanager
    def open(
        self,
        spec: Device,
        *,
        builds: Collection[tuple[str, str]],
        holder: str,
        progress: Callable[[str], None],
        cancel: threading.Event,
    ) -> Iterator[FakeBoard]:
        """Open a board."""
        self.builds[spec.name] = frozenset(builds)
        with super().open(spec, builds=builds, holder=holder, progress=progress, cancel=cancel):
            core = self.kind(spec, self._scripts.get(spec.name, BoardScript()), cancel)
            core.asked = self.asked.setdefault(spec.name, [])
            yield core


class ProgramBoard(Core):
    """A board that runs any program: 1,000 instructions, other words on each CPU."""

    def measure(self, request: SessionRequest) -> FakeSeen:
        """Run it."""
        self.asked.append(request)
        reply = self._reply(request, {}, None)
        reply.settings["output_sha256"] = self.spec.name
        counts = np.full(request.repeat, 1000, np.int64)
        return FakeSeen(reply, {"instructions": counts, "peak_bytes": np.full(request.repeat, 4096, np.int64)})


class Programs(Cores):
    """Boards for programs."""

    kind = ProgramBoard


class WaveringBoard(ProgramBoard):
    """A board on which a program works a little longer in each run."""

    def measure(self, request: SessionRequest) -> FakeSeen:
        """Run it."""
        seen = super().measure(request)
        seen.arrays["instructions"] = np.arange(1000, 1000 + request.repeat)
        return seen


class Wavering(Cores):
    """Boards for programs that do not repeat their work."""

    kind = WaveringBoard


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake model, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return write_model(tmp_path / "int8.onnx", FakeModel())


def compare(boards: FakeBoards, model: Path, *cpus: str, against: Path | None = None) -> InstructionSets:
    """Run the command's core on some CPUs."""
    request = IsaRequest((model,), cpus=cpus, against=against)
    (found,) = IsaRun(request, boards, lambda _: None).measure(tick=lambda: None)
    return found


def test_each_cpu_runs_the_sessions_that_are_needed_and_no_more(model: Path) -> None:
    """Answers from drawn inputs, two counts on the inputs that the board kept, one for memory."""
    boards = Cores()

    found = compare(boards, model, "cortex-a53", "cortex-a76")

    asked = boards.asked["cortex-a76"]
    assert [request.kind for request in asked] == ["accuracy", "timing", "timing", "memory"]
    assert (asked[0].data, asked[0].samples, asked[0].seed) == ("", 8, 1)
    assert len({request.data for request in asked[1:]}) == 1
    assert asked[1].data
    assert [row.instructions for row in found.rows] == [1e6, 5e5]
    assert [row.counts for row in found.rows] == [(1e6, 1e6), (5e5, 5e5)]
    assert [item.code for item in found.findings] == [FindingCode.KERNEL]
    assert exit_code([found]) == 0


def test_other_answers_block(model: Path) -> None:
    """Integer answers that differ on one CPU end with exit code 1."""
    found = compare(Cores(), model, "cortex-a53", "max")

    assert [item.code for item in found.findings] == [FindingCode.INTEGERS]
    assert exit_code([found]) == 1
    assert [row.exists for row in found.rows] == [True, False]


def test_a_file_that_fails_twice_has_crashed(model: Path) -> None:
    """One failure of two is tried again in a fresh process; two are the file's, in the board's words."""
    write_model(model, FakeModel(error="crash", errors=1))
    assert compare(Cores(), model, "cortex-a53").findings == ()

    write_model(model, FakeModel(error="crash"))
    found = compare(Cores(), model, "cortex-a53")

    assert found.rows[0].failure == "crash in its accuracy session: the fake model fails: crash"
    assert exit_code([found]) == 1


def test_a_runtime_that_does_not_run_on_a_cpu_is_the_files_failure(model: Path) -> None:
    """The other CPUs are measured; the sentence names the instruction."""
    found = compare(Cores(), model, "cortex-a57", "cortex-a53")

    assert "sdot needs asimddp" in found.rows[0].failure
    assert found.rows[1].instructions == 1e6
    assert exit_code([found]) == 1


def test_a_lost_board_is_infrastructure(model: Path) -> None:
    """Nothing is known about the file there: exit code 20, and the others are shown."""
    found = compare(Cores(**{"cortex-a76": BoardScript(open_fault="infra")}), model, "cortex-a53", "cortex-a76")

    assert [item.code for item in found.findings] == [FindingCode.BOARD]
    assert exit_code([found]) == 20


def test_inputs_that_do_not_fit_are_the_users(model: Path) -> None:
    """An input error is no crash: exit code 4, with the options that help."""
    write_model(model, FakeModel(error="input"))

    with pytest.raises(SpecError, match="--shape NAME="):
        compare(Cores(), model, "cortex-a53")


def test_another_file_is_measured_beside_it(tmp_path: Path, model: Path) -> None:
    """`--against` says where the file is dearer."""
    other = write_model(tmp_path / "fp32.onnx", FakeModel(instructions=800_000))

    found = compare(Cores(), model, "cortex-a53", against=other)

    assert [item.code for item in found.findings] == [FindingCode.DEARER]
    assert "int8.onnx costs 1.25 times the instructions of fp32.onnx on cortex-a53" in found.findings[0].text


def test_cancelling_ends_what_waits(model: Path) -> None:
    """An interrupt from the terminal closes the boards, also one whose session never ends."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    request = IsaRequest((model,), cpus=("cortex-a53",))
    run = IsaRun(request, Cores(**{"cortex-a53": BoardScript(hang=True)}), lambda _: None)

    with pytest.raises(KeyboardInterrupt):
        run.measure(tick=interrupt)
    assert not [thread for thread in threading.enumerate() if thread.name == "board-cortex-a53"]


def test_boards_are_those_of_the_profiles_with_an_instruction_clock() -> None:
    """A profile's runtimes come along, so that snapshots are shared; every CPU counts, also one without a profile."""
    boards = {cpu: board_of(cpu) for cpu in ("cortex-a53", "cortex-a72", "cortex-a57", "max")}

    assert {board.tier for board in boards.values()} == {Tier.DETERMINISTIC}
    assert all(board.emulation is not None and board.emulation.icount for board in boards.values())
    assert boards["cortex-a53"].runtimes["tflite"] == "tflite-runtime==2.14.0"
    assert [cpu for cpu, board in boards.items() if board.emulation and not board.emulation.exists] == ["max"]


def test_one_build_of_a_family_runs_on_every_cpu(model: Path) -> None:
    """The default, not each profile's: else runtimes would be compared instead of instruction sets."""
    lite = write_model(model.with_name("int8.tflite"), FakeModel())
    boards = Cores()

    compare(boards, lite, "cortex-a53", "cortex-a76")

    assert set(boards.builds.values()) == {frozenset({("tflite", "ai-edge-litert==2.3.0")})}


def test_a_program_runs_as_one_session_without_a_runtime(tmp_path: Path, model: Path) -> None:
    """By its first bytes, whatever its name; counted in each of its runs, compared by what it wrote."""
    program = tmp_path / "detector"
    program.write_bytes(b"\x7fELF\x02\x01")
    boards = Programs()
    request = check_request(IsaRequest((program,), cpus=("cortex-a53", "cortex-a76"), argv=("--self-test",)))

    (found,) = IsaRun(request, boards, lambda _: None).measure(tick=lambda: None)

    assert [(item.kind, item.argv) for item in boards.asked["cortex-a76"]] == [("binary", ["--self-test"])]
    assert set(boards.builds.values()) == {frozenset()}
    assert [row.instructions for row in found.rows] == [1000.0, 1000.0]
    assert [row.peak_bytes for row in found.rows] == [4096.0, 4096.0]
    assert [item.code for item in found.findings] == [FindingCode.BYTES]
    assert found.inputs == "called with --self-test"
    assert exit_code([found]) == 1


def test_a_program_that_counts_otherwise_in_each_run_may_be_the_cause(tmp_path: Path) -> None:
    """The finding names program and board, and what was counted; nothing is taken for measured."""
    (program := tmp_path / "tool").write_bytes(b"\x7fELF rest")

    (found,) = IsaRun(IsaRequest((program,), cpus=("cortex-a53",)), Wavering(), lambda _: None).measure(
        tick=lambda: None
    )

    (finding,) = found.findings
    assert finding.code is FindingCode.UNREPEATED
    assert finding.text.startswith(
        "no count of tool came back on cortex-a53 (1,000, 1,001 and 1,002): either the program"
    )
    assert "or the board is broken" in finding.text
    assert found.rows[0].instructions is None
    assert exit_code([found]) == 20


def test_words_behind_the_dashes_are_a_programs() -> None:
    """Only of this command; others keep theirs."""
    assert split(["isa", "tool", "--", "-v", "--"]) == (["isa", "tool"], ("-v", "--"))
    assert split(["isa", "m.onnx"]) == (["isa", "m.onnx"], ())
    assert split(["gate", "--", "run"]) == (["gate", "--", "run"], ())


def test_words_of_the_command_line() -> None:
    """CPUs, runtimes and shapes as a user writes them."""
    assert parse_cpus([])[0] == "cortex-a35"
    assert parse_cpus(["max", "cortex-a53", "max"]) == ("max", "cortex-a53")
    assert parse_runtimes(["tflite-runtime==2.14.0", "onnxruntime"]) == {
        "tflite": "tflite-runtime==2.14.0", "onnxruntime": "",
    }  # fmt: skip
    assert parse_shapes(["images=1x3x224x224", "a=b=2"]) == {"images": [1, 3, 224, 224], "a=b": [2]}


@pytest.mark.parametrize(
    ("parse", "words", "message"),
    [
        (parse_cpus, ["cortex-a5"], "--cpu: error: unknown CPU 'cortex-a5'"),
        (parse_runtimes, ["onnxruntim"], "did you mean 'onnxruntime'"),
        (parse_runtimes, ["tflite==2.14.0"], "write ai-edge-litert==2.14.0 or tflite-runtime==2.14.0"),
        (parse_runtimes, ["tflite-runtime==2.14.0", "tflite"], "tflite is given twice"),
        (parse_runtimes, ["onnxruntime==new"], "is not a pinned runtime"),
        (parse_shapes, ["3x224"], "write NAME=1x3x224x224"),
        (parse_shapes, ["x=1", "x=2"], "x is given twice"),
    ],
)
def test_words_that_mean_nothing_are_refused(
    parse: Callable[[list[str]], object], words: list[str], message: str
) -> None:
    """Each says what to write instead."""
    with pytest.raises(SpecError) as refused:
        parse(words)

    assert message in str(refused.value)


def test_requests_that_mean_nothing_are_refused(tmp_path: Path, model: Path) -> None:
    """Arguments without a program, missing files, unused runtimes, shapes beside data and empty runs, all at once."""
    request = IsaRequest((model,))

    for wrong, message in [
        (replace(request, argv=("--fast",)), "arguments are for programs"),
        (replace(request, models=(tmp_path / "none.onnx",)), "cannot read it: No such file"),
        (replace(request, builds={"tflite": ""}), "no file here is run by tflite"),
        (replace(request, data=model, shapes={"x": [1]}), "has a shape already"),
        (replace(request, data=tmp_path / "none.npz"), "--data: error: no file"),
        (replace(request, repeat=0), "--repeat: error: 0 is too small"),
    ]:
        with pytest.raises(SpecError) as refused:
            check_request(wrong)
        assert message in str(refused.value)
    assert check_request(request) is request
