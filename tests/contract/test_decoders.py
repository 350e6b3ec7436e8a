"""One body over every runtime that generates text: the same weights, the same text, the same figures."""

from __future__ import annotations

import io
import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest

from harness.agent.facts import abi_tag, libc_version
from harness.agent.message import GenerationRequest, MeterRequest, SessionRequest
from harness.device.envelope import SessionResult, open_envelope
from harness.device.runtime import resolve
from harness.records.run import Facts
from harness.testing.agent import LocalAgent

TINYGPT = Path(__file__).parents[2] / "suites" / "tinygpt"
TEXT = (TINYGPT / "eval.txt").read_bytes()
HELD_OUT_NLL = 1.17066
"""Of the first 1,024 bytes, by torch on the trained weights (suites/tinygpt/network.py)."""


@dataclass(frozen=True)
class Build:
    """A runtime build, a file of the trained weights, and one that is quantised."""

    runtime: str
    requirement: str
    whole: str
    small: str


BUILDS = [
    pytest.param(Build("onnxruntime", "system", "tinygpt_fp32.onnx", "tinygpt_int4.onnx"), id="onnxruntime"),
    pytest.param(
        Build("llamacpp", "xllamacpp==2026.10.11549", "tinygpt_f32.gguf", "tinygpt_q4_0.gguf"),
        id="llamacpp",
        marks=pytest.mark.system,
    ),
]


@dataclass(frozen=True)
class Board:
    """An agent with one runtime build installed."""

    agent: LocalAgent
    build: Build
    env: str

    def session(self, kind: str, model: bytes, data: bytes = TEXT, **asked: object) -> SessionResult:
        """Run one session; the reply is checked to be whole."""
        fields = {"prompts": ["And God said "], "new_tokens": 12, "context": 256, "tokens": 1024, **asked}
        request = SessionRequest(
            nonce="n", kind=kind, env=self.env, runtime=self.build.runtime, model=self.agent.put(model),
            suffix=Path(self.build.whole).suffix, data=self.agent.put(data), repeat=2, warmup=1, deadline_s=60.0,
            generation=GenerationRequest(**fields),  # type: ignore[arg-type]
        )  # fmt: skip
        reply = self.agent.ask("session", **asdict(request))
        assert reply.header["ok"], reply.header
        return open_envelope(reply.header, reply.payload, request, where="here")

    def file(self, name: str) -> bytes:
        """Read a model."""
        return (TINYGPT / name).read_bytes()


@pytest.fixture(scope="module", params=BUILDS)
def board(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """This machine as a board with one build."""
    build: Build = request.param
    facts = Facts(
        architecture=platform.machine(), cpu="", cores=1, features=(), memory_bytes=0, kernel=platform.release(),
        libc=libc_version(), python=platform.python_version(), python_abi=abi_tag(),
    )  # fmt: skip
    env = resolve(build.runtime, build.requirement, facts, progress=lambda _: None)
    with LocalAgent(tmp_path_factory.mktemp("board")) as agent:
        agent.hello()
        if env.wheels:
            wheels = [{"digest": agent.put(item.path.read_bytes()), "filename": item.filename} for item in env.wheels]
            assert agent.ask("env", env=env.id, wheels=wheels).header["ok"]
        yield Board(agent, build, env.id)


def pack(found: SessionResult, **changed: np.ndarray) -> bytes:
    """Write what a reference brought as the file that a candidate is compared with."""
    buffer = io.BytesIO()
    np.savez(buffer, **{**found.arrays, **changed})  # type: ignore[arg-type]
    return buffer.getvalue()


def test_the_text_is_as_likely_as_torch_says(board: Board) -> None:
    """The mean NLL of the trained weights is torch's, whichever runtime computes it."""
    found = board.session("accuracy", board.file(board.build.whole))

    assert found.reply.error is None
    assert found.arrays["nll"].shape == (8, 128)
    assert float(found.arrays["nll"].mean()) == pytest.approx(HELD_OUT_NLL, abs=3e-5)
    assert bytes(found.arrays["tokens"].astype(np.uint8).ravel()) == TEXT[:1024]
    assert found.arrays["window_bytes"].tolist() == [128] * 8


def test_a_quantised_file_diverges_a_little(board: Board) -> None:
    """Beside its reference an int4 file shows a small positive divergence, alike at few and at all probes."""
    found = []
    for probes in (64, 257):
        reference = board.session("accuracy", board.file(board.build.whole), probes=probes)
        compared = board.agent.put(pack(reference))
        ours = board.session("accuracy", board.file(board.build.small), compared=compared)
        terms = reference.arrays["probe_weight"] * (reference.arrays["probe_logp"] - ours.arrays["probe_logq"])
        found.append(float(terms.sum(axis=2).mean()))

    assert 1e-3 < found[1] < 0.1
    assert found[0] == pytest.approx(found[1], rel=0.05)


def test_what_is_timed_is_what_is_judged(board: Board) -> None:
    """A timing session writes the accuracy pass's text, with a time for each token."""
    model = board.file(board.build.small)
    judged, timed = board.session("accuracy", model), board.session("timing", model)

    np.testing.assert_array_equal(timed.arrays["written"], judged.arrays["written"])
    assert timed.arrays["ttft_s"].shape == (2,)
    assert timed.arrays["token_s"].shape == (2 * 11,)
    assert (timed.arrays["token_s"] > 0).all()
    assert bytes(judged.arrays["text"]).decode()
    assert timed.reply.scalars["load_s"] > 0


def test_parts_are_the_whole(board: Board) -> None:
    """The windows of two parts are those of the whole in another order, each as likely; probes pair by index."""
    model = board.file(board.build.small)
    reference = board.session("accuracy", board.file(board.build.whole), probes=16)
    compared = board.agent.put(pack(reference))
    whole = board.session("accuracy", model, compared=compared)
    parts = [
        board.session("accuracy", model, compared=compared, windows=part, writes=False) for part in ([0, 3], [3, 5])
    ]

    index = np.concatenate([part.arrays["window_index"] for part in parts])
    assert sorted(index.tolist()) == list(range(8))
    assert index.tolist() != list(range(8))
    assert "written" not in parts[0].arrays
    for name in ("nll", "probe_logq", "tokens"):
        np.testing.assert_array_equal(np.concatenate([part.arrays[name] for part in parts]), whole.arrays[name][index])


def test_an_answer_is_as_likely_as_the_text(board: Board) -> None:
    """The log-likelihood of an answer is that of its tokens in a text: here the sum of their NLL in a window."""
    text, cut = TEXT[:128].decode(), 100
    prompt, right = text[:cut], text[cut:]
    lines = [
        {"prompt": prompt, "choices": [right, "x" * len(right)], "answer": 0},
        {"prompt": prompt, "choices": [right[0], "x"], "answer": 0},
        {"prompt": "And it came to ", "regex": "pass"},
    ]
    questions = board.agent.put("\n".join(json.dumps(line) for line in lines).encode())

    found = board.session("accuracy", board.file(board.build.whole), questions=questions, new_tokens=4)

    nll = found.arrays["nll"][0].astype(np.float64)
    logp = found.arrays["choice_logp"]
    assert found.arrays["choice_count"].tolist() == [2, 2, 0]
    assert found.arrays["choice_bytes"].tolist() == [28, 28, 1, 1]
    assert logp[0] == pytest.approx(-nll[cut:].sum(), rel=1e-3)
    assert logp[2] == pytest.approx(-nll[cut], rel=1e-3)
    assert logp[0] > logp[1]
    assert bytes(found.arrays["check_text"]) == b"pass"
    assert found.arrays["check_length"].tolist() == [4]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": 7}', "question 0: AttributeError"),
        ('{"prompt": "a", "choices": [""]}', "question 0: an answer has no token behind the prompt"),
        (json.dumps({"prompt": "a" * 300, "regex": "b"}), "question 0: 301 tokens and 12 more do not fit"),
        ("[" * 100_000, "question 0: RecursionError"),
    ],
)
def test_a_question_that_is_none_is_the_users(board: Board, line: str, said: str) -> None:
    """What cannot be asked ends the session with `input` and names the question."""
    found = board.session("accuracy", board.file(board.build.small), questions=board.agent.put(line.encode()))

    assert found.reply.error is not None
    assert found.reply.error["code"] == "input"
    assert said in found.reply.error["message"]


def test_energy_has_a_window_of_first_tokens(board: Board) -> None:
    """Under an external meter the session marks whole texts, then their first tokens only, which take less time."""
    asked = GenerationRequest(prompts=["And God said ", "And he "], new_tokens=12, context=256, stops=False)
    request = SessionRequest(
        nonce="n", kind="energy", env=board.env, runtime=board.build.runtime,
        model=board.agent.put(board.file(board.build.small)), suffix=Path(board.build.whole).suffix,
        data=board.agent.put(TEXT), repeat=3, warmup=1, window_s=0.2, idle_s=0.05, lead_s=0.05, deadline_s=60.0,
        meter=MeterRequest("external"), generation=asked,
    )  # fmt: skip
    reply = board.agent.ask("session", **asdict(request))
    found = open_envelope(reply.header, reply.payload, request, where="here").reply.scalars

    opened = found["prompt_tokens"] - len(b"And God said And he ")
    assert opened in {0, 2}
    assert found["new_tokens"] == 24
    assert found["load_start_s"] < found["window_start_s"] < found["window_end_s"] < found["part_start_s"]
    assert found["part_end_s"] - found["part_start_s"] >= 0.2
    assert found["part_end_s"] <= found["load_end_s"] < found["idle_after_start_s"]
    whole_s = (found["window_end_s"] - found["window_start_s"]) / found["inference_count"]
    assert (found["part_end_s"] - found["part_start_s"]) / found["part_count"] < whole_s


def test_memory_knows_the_cache(board: Board) -> None:
    """The cache's size follows from layers, heads and context; it doubles with the context."""
    model = board.file(board.build.small)
    sizes = [board.session("memory", model, context=size).reply.scalars["cache_bytes"] for size in (256, 512)]

    item = 4 if board.build.runtime == "onnxruntime" else 2
    assert sizes == [2 * 2 * 96 * 256 * item, 2 * 2 * 96 * 512 * item]


def test_other_tokens_are_a_verdict(board: Board) -> None:
    """A reference that split the text otherwise ends the session with `tokens`: there is nothing to compare."""
    reference = board.session("accuracy", board.file(board.build.whole), probes=16)
    other = reference.arrays["tokens"].copy()
    other[0, 0] += 1

    found = board.session(
        "accuracy", board.file(board.build.small), compared=board.agent.put(pack(reference, tokens=other))
    )

    assert found.reply.error is not None
    assert found.reply.error["code"] == "tokens"
    assert "1023 of 1024" in found.reply.error["message"]


@pytest.mark.parametrize("cut", [0.02, 0.5, 0.98])
def test_a_damaged_file_does_not_load(board: Board, cut: float) -> None:
    """A file that ends too early is refused by the runtime, with its words."""
    whole = board.file(board.build.whole)

    found = board.session("timing", whole[: int(len(whole) * cut)])

    assert found.reply.error is not None
    assert found.reply.error["code"] == "load"


def test_a_cache_that_does_not_fit_is_refused(board: Board) -> None:
    """A context whose cache is larger than the memory that is left ends the session before it is touched."""
    from harness.agent.meters.memory import read_available

    positions = 1 << 20
    needed = 2 * 2 * 96 * positions * (4 if board.build.runtime == "onnxruntime" else 2)
    found = board.session("memory", board.file(board.build.small), context=positions)

    if needed > read_available():
        assert found.reply.error is not None
        assert found.reply.error["code"] == "memory"
    else:
        assert found.reply.error is None
        assert found.reply.scalars["cache_bytes"] == needed


def test_a_model_that_never_ends_is_cut(board: Board) -> None:
    """With the end token ignored, every text is as long as the cap."""
    found = board.session("timing", board.file(board.build.small), stops=False, new_tokens=200)

    assert found.arrays["token_count"].tolist() == [200, 200]


def test_tokens_may_be_given(board: Board) -> None:
    """An .npz of tokens is the same text as the text itself."""
    buffer = io.BytesIO()
    np.savez(buffer, tokens=np.frombuffer(TEXT[:1024], np.uint8).astype(np.int64))
    model = board.file(board.build.whole)

    given = board.session("accuracy", model, buffer.getvalue(), prompts=[], prompt_tokens=20)

    np.testing.assert_array_equal(given.arrays["nll"], board.session("accuracy", model).arrays["nll"])
