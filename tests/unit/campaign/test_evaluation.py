"""Long evaluations: in parts, until decided or the budget is spent, and taken up again where they were cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.agent.language.likelihood import take_part
from harness.agent.message import GenerationRequest, SessionReply, SessionRequest
from harness.campaign.evaluation import Evaluation
from harness.campaign.parts import PartFolder, parts_key
from harness.device.envelope import SessionResult
from harness.errors import InfraError, LinkLost
from harness.farm.boards import SessionSeen
from harness.gate.evaluation import QUESTIONS, TEXT
from harness.spec.workload import Generation

WINDOWS, LINES, WINDOW = 20, 10, 16
REQUEST = SessionRequest(
    "n", "accuracy", "env", "llamacpp", "m" * 64, ".gguf", "d" * 64, generation=GenerationRequest(window=WINDOW)
)
BOTH = frozenset({TEXT, QUESTIONS})


class Board:
    """Answers every part; each token takes `pace_s`, and the link breaks before the call `breaks`."""

    def __init__(self, pace_s: float = 0.01, breaks: int = -1, model: str = "m") -> None:
        self.pace_s, self.breaks, self.model = pace_s, breaks, model
        self.asked: list[GenerationRequest] = []

    def ask(self, request: SessionRequest) -> SessionResult:
        """Run one part."""
        assert request.generation is not None
        if len(self.asked) == self.breaks:
            raise LinkLost("cut")
        self.asked.append(request.generation)
        windows, lines = (
            take_part(count, part, 0)
            for count, part in ((WINDOWS, request.generation.windows), (LINES, request.generation.lines))
        )
        arrays: dict[str, np.ndarray] = {}
        if windows:
            arrays |= {"window_index": np.array(windows), "nll": np.array(windows)[:, None] * np.ones((1, WINDOW))}
        if lines:
            arrays["question_index"] = np.array(lines)
        if request.generation.writes:
            arrays["written"] = np.arange(3)
        tokens = {"text_tokens": float(WINDOW * len(windows)), "question_tokens": 5.0 * len(lines)}
        scalars = {"load_s": 0.1, "window_count": float(WINDOWS), "question_count": float(LINES), **tokens}
        reply = SessionReply("n", 0, "", end=True, scalars=scalars, model_sha256=self.model, runtime_version="1")
        return SessionResult(reply, arrays, self.pace_s * sum(tokens.values()))


def evaluate(
    folder: Path, board: Board, asked: Generation, opened: Iterable[frozenset[str]] = ()
) -> tuple[SessionSeen, list[str]]:
    """Evaluate on a board; `opened` says after each part what is undecided, both after its end."""
    answers, told = iter(opened), list[str]()
    evaluation = Evaluation(asked, PartFolder(folder), board.ask, lambda _: next(answers, BOTH), told.append)
    return evaluation.run(REQUEST), told


def test_parts_are_one_session(tmp_path: Path) -> None:
    """Everything is scored once, the prompts are continued once, and the record says how it went."""
    board = Board(pace_s=0.2)
    seen, told = evaluate(tmp_path / "e", board, Generation(budget_s=1e4))

    assert sorted(seen.arrays["window_index"].tolist()) == list(range(WINDOWS))
    assert sorted(seen.arrays["question_index"].tolist()) == list(range(LINES))
    np.testing.assert_array_equal(seen.arrays["nll"][:, 0], seen.arrays["window_index"])
    assert seen.arrays["written"].tolist() == [0, 1, 2]
    assert [asked.writes for asked in board.asked] == [True] + [False] * (len(board.asked) - 1)
    assert 3 <= len(told) == len(board.asked) <= 8
    assert told[0] == "1 of 20 windows, 1 of 10 questions, 21 tokens in 1 parts"
    assert seen.reply.settings["evaluation"].endswith(f"tokens in {len(told)} parts; ended: everything is scored")
    assert not (tmp_path / "e").exists()


def test_it_ends_when_decided(tmp_path: Path) -> None:
    """What has its answer is not scored further: first the text, then the questions."""
    seen, _ = evaluate(
        tmp_path, board := Board(pace_s=1.0), Generation(budget_s=1e4), [BOTH, frozenset({QUESTIONS}), frozenset()]
    )

    assert [asked.windows[1] for asked in board.asked] == [1, 1, 0]
    assert len(seen.arrays["question_index"]) == sum(asked.lines[1] for asked in board.asked)
    assert seen.reply.settings["evaluation"].endswith("ended: every gate is decided")


@pytest.mark.parametrize(
    ("asked", "pace_s", "most"),
    [(Generation(budget_tokens=150), 0.2, 190), (Generation(budget_s=40.0), 0.2, 240)],
)
def test_a_budget_is_kept(tmp_path: Path, asked: Generation, pace_s: float, most: int) -> None:
    """Tokens or time run out within one window of the budget."""
    seen, _ = evaluate(tmp_path, Board(pace_s), asked)
    tokens = seen.reply.scalars["text_tokens"] + seen.reply.scalars["question_tokens"]

    assert most - 60 <= tokens <= most
    assert seen.reply.settings["evaluation"].endswith("ended: the budget is spent")


def test_a_lost_link_costs_one_part(tmp_path: Path) -> None:
    """The next run goes on where the parts end, and says from when they are; a torn part is measured again."""
    with pytest.raises(LinkLost):
        evaluate(tmp_path / "e", Board(0.2, breaks=3), Generation(budget_s=1e4))
    (tmp_path / "e" / "0002.npz").write_bytes(b"torn")
    board = Board(0.2)

    seen, told = evaluate(tmp_path / "e", board, Generation(budget_s=1e4))

    assert board.asked[0].windows[0] > 1
    assert not any(asked.writes for asked in board.asked)
    assert sorted(seen.arrays["window_index"].tolist()) == list(range(WINDOWS))
    assert seen.arrays["written"].tolist() == [0, 1, 2]
    assert "2 of them from 20" in told[0]


def test_parts_of_other_builds_are_not_mixed(tmp_path: Path) -> None:
    """A runtime or file that changed meanwhile ends the evaluation."""
    with pytest.raises(LinkLost):
        evaluate(tmp_path, Board(0.2, breaks=2), Generation(budget_s=1e4))

    with pytest.raises(InfraError, match="different models or runtimes"):
        evaluate(tmp_path, Board(0.2, model="other"), Generation(budget_s=1e4))


def test_a_part_that_fails_is_the_answer(tmp_path: Path) -> None:
    """The reply with its error comes back, and what was measured before it is kept for the second try."""
    board = Board(0.2)
    failing = SessionReply("n", 0, "", end=True, error={"code": "run", "message": "no"})
    evaluation = Evaluation(
        Generation(budget_s=1e4),
        PartFolder(tmp_path),
        lambda request: SessionResult(failing) if board.asked else board.ask(request),
        lambda _: BOTH,
        lambda _: None,
    )

    assert evaluation.run(REQUEST).reply.error == {"code": "run", "message": "no"}
    assert len(PartFolder(tmp_path).load()) == 1


def test_every_change_starts_anew() -> None:
    """Another file, runtime, text, question, thread or board is another evaluation; the nonce is not."""
    assert REQUEST.generation is not None
    changes = [
        replace(REQUEST, model="x"),
        replace(REQUEST, env="x"),
        replace(REQUEST, data="x"),
        replace(REQUEST, threads=2),
        replace(REQUEST, generation=replace(REQUEST.generation, questions="x")),
        replace(REQUEST, generation=replace(REQUEST.generation, compared="x")),
    ]
    keys = [parts_key(request, ["board"]) for request in [REQUEST, *changes]] + [parts_key(REQUEST, ["other"])]

    assert len(set(keys)) == len(keys)
    assert parts_key(replace(REQUEST, nonce="other"), ["board"]) == keys[0]
