"""Language sessions on the board, with a decoder whose answers are known: what is read, written and scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.agent.language import likelihood, probe, text, writing
from harness.agent.message import GenerationRequest
from harness.agent.refusal import Refusal

VOCABULARY = 12
END = 11


class Bigram:
    """A model whose scores depend on the last token only: token k is followed by k + 1, most likely."""

    provider = "CPU"
    vocabulary = VOCABULARY
    ends = frozenset({END})

    def __init__(self, opening: int = 0) -> None:
        self.opening = opening
        self.settings: dict[str, str] = {}
        self.read: list[int] = []
        self.scores = np.random.default_rng(0).normal(size=(VOCABULARY, VOCABULARY)).astype(np.float32)
        self.scores[np.arange(VOCABULARY), (np.arange(VOCABULARY) + 1) % VOCABULARY] = 6.0

    def tokenize(self, given: bytes) -> list[int]:
        """Take bytes modulo the vocabulary."""
        return [byte % VOCABULARY for byte in given]

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        """Write letters."""
        return bytes(97 + token for token in tokens)

    def reset(self) -> None:
        """Forget."""
        self.read = []

    def rewind(self, count: int) -> bool:
        """Cannot."""
        return False

    def feed(self, tokens: Sequence[int], *, every: bool) -> Any:
        """Answer by the last token of each position."""
        self.read += tokens
        return self.scores[list(tokens)] if every else self.scores[[tokens[-1]]]

    def cache_bytes(self) -> int:
        """Keep nothing."""
        return 0


def asked(**fields: Any) -> GenerationRequest:
    """Ask with small defaults."""
    return GenerationRequest(**{"prompts": ["a"], "new_tokens": 8, "context": 64, "window": 8, "tokens": 64, **fields})


def test_greedy_follows_the_scores_and_stops_at_the_end() -> None:
    """The most likely token is taken each time; the end token ends the text and is kept."""
    decoder = Bigram()
    seen: list[int] = []

    found = writing.write(decoder, [7], asked(), writing.make_choice(asked()), lambda: seen.append(1))

    assert found == [8, 9, 10, 11]
    assert len(seen) == 4
    assert decoder.read == [7, 8, 9, 10]


def test_a_model_that_never_ends_is_cut() -> None:
    """With `stops` off, or an end that never comes, the cap ends the text."""
    wanted = asked(stops=False, new_tokens=20)

    found = writing.write(Bigram(), [7], wanted, writing.make_choice(wanted), lambda: None)

    assert len(found) == 20
    assert found[:6] == [8, 9, 10, 11, 0, 1]


def test_sampling_is_seeded() -> None:
    """The same seed writes the same text, another one another; top_k 1 is greedy."""
    texts = []
    for seed, top_k in ((1, 0), (1, 0), (2, 0), (3, 1)):
        wanted = asked(temperature=5.0, seed=seed, top_k=top_k, stops=False, new_tokens=12)
        texts.append(writing.write(Bigram(), [3], wanted, writing.make_choice(wanted), lambda: None))

    assert texts[0] == texts[1] != texts[2]
    assert texts[3] == [4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3]


def test_texts_are_filled_up() -> None:
    """Texts of different lengths make one table."""
    assert writing.table([[1, 2], [3]], 3).tolist() == [[1, 2, -1], [3, -1, -1]]


def test_all_tokens_are_probes_where_they_are_few() -> None:
    """A vocabulary no larger than the probes is compared whole, weighted by its probability."""
    logp = np.log(np.full((2, 4), 0.25))

    found = probe.choose(logp, 9, np.random.default_rng(0))

    assert found.token.tolist() == [[0, 1, 2, 3]] * 2
    np.testing.assert_allclose(found.weight, 0.25)


def test_probes_estimate_the_divergence_without_bias() -> None:
    """Over many draws the weighted sum over probes has the mean of the divergence over all tokens."""
    generator = np.random.default_rng(1)
    p = generator.dirichlet(np.full(300, 0.3))[None]
    logp, logq = np.log(p + 1e-12), np.log(0.6 * p + 0.4 * generator.dirichlet(np.ones(300)))
    truth = float((np.exp(logp) * (logp - logq)).sum())

    draws = []
    for seed in range(600):
        found = probe.choose(logp, 40, np.random.default_rng(seed))
        draws.append(float((found.weight * (found.logp - np.take_along_axis(logq, found.token, 1))).sum()))
        assert found.weight.sum() == pytest.approx(1.0, abs=1e-5)

    error = np.std(draws) / np.sqrt(len(draws))
    assert abs(np.mean(draws) - truth) < 4 * error
    assert error < 0.05 * truth


def test_windows_are_read_behind_the_opening_token() -> None:
    """With an opening token all of a window is predicted, without it all but its first."""
    tokens = list(range(10)) * 2

    opened = likelihood._cut(tokens, asked(), opening=0)
    bare = likelihood._cut(tokens, asked(), opening=-1)

    assert [len(window.targets) for window in opened] == [8, 8]
    assert opened[1].read == [0, 8, 9, 0, 1, 2, 3, 4]
    assert opened[1].targets == [8, 9, 0, 1, 2, 3, 4, 5]
    assert bare[0].read == [0, 1, 2, 3, 4, 5, 6]
    assert bare[0].targets == [1, 2, 3, 4, 5, 6, 7]


def test_too_little_data_is_refused() -> None:
    """Less than one window is no evaluation."""
    with pytest.raises(Refusal, match="3 tokens, a window takes 8"):
        likelihood._cut([1, 2, 3], asked(), opening=0)


def test_scores_become_what_is_asked_for() -> None:
    """NLL, the most likely token and the reference's tokens are those of the softmax over all tokens."""
    decoder = Bigram()
    windows = likelihood._cut(list(range(8)), asked(), opening=0)
    reference = {"probe_token": np.zeros((1, 8, 2), np.int32)}
    judge = likelihood._Judge(asked(), VOCABULARY, windows, reference)

    for start, scores in likelihood._read(decoder, windows[0]):
        judge.hear(0, start, scores)

    rows = decoder.scores[windows[0].read].astype(np.float64)
    logp = rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(judge.arrays["nll"][0], -logp[np.arange(8), windows[0].targets], atol=1e-5)
    np.testing.assert_allclose(judge.arrays["probe_logq"][0, :, 1], logp[:, 0], atol=1e-5)
    assert judge.arrays["best"][0].tolist() == rows.argmax(axis=1).tolist()


def test_more_than_a_session_can_bring_is_refused() -> None:
    """Tokens times probes are bounded before anything is computed."""
    windows = [likelihood.Window([0] * 8, [0] * 8)] * 20_000

    with pytest.raises(Refusal, match="160000 tokens with 4096 probes"):
        likelihood._Judge(asked(probes=4096), 50_000, windows, {})


def test_data_is_text_or_tokens(tmp_path: Path) -> None:
    """A text is tokenized by the model, an .npz is taken as it is, and what is neither is refused."""
    (tmp_path / "a.txt").write_text("hello wörld")
    np.savez(tmp_path / "a.npz", tokens=np.arange(6))
    np.savez(tmp_path / "wild.npz", tokens=np.array([3, 99]))
    np.savez(tmp_path / "flat.npz", tokens=np.zeros((2, 2)))

    assert text.read_tokens(str(tmp_path / "a.txt"), Bigram(), 4) == [104 % 12, 101 % 12, 108 % 12, 108 % 12]
    assert text.read_tokens(str(tmp_path / "a.npz"), Bigram(), 4) == [0, 1, 2, 3]
    with pytest.raises(Refusal, match="token 99 of the data is none of the model's 12"):
        text.read_tokens(str(tmp_path / "wild.npz"), Bigram(), 4)
    with pytest.raises(Refusal, match="not whole numbers"):
        text.read_tokens(str(tmp_path / "flat.npz"), Bigram(), 4)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prompts": ["x" * 60]}, "60 tokens|61 tokens"),
        ({"prompt_tokens": 20}, "prompt 0 has 2 tokens, 20 were asked for"),
    ],
)
def test_prompts_that_do_not_fit_are_refused(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    """A prompt that is too long for the context, or shorter than it is to be cut to, ends the session."""
    (tmp_path / "a.txt").write_text("abc")

    with pytest.raises(Refusal, match=said):
        text.make_prompts(asked(**fields), str(tmp_path / "a.txt"), Bigram())


def test_prompts_are_opened_and_cut(tmp_path: Path) -> None:
    """The opening token counts as one of `prompt_tokens`; without prompts the data's beginning is continued."""
    (tmp_path / "a.txt").write_text("abcdefgh")

    (given,) = text.make_prompts(asked(prompts=["hgfedcba"], prompt_tokens=4), str(tmp_path / "a.txt"), Bigram())
    (taken,) = text.make_prompts(asked(prompts=[], prompt_tokens=4), str(tmp_path / "a.txt"), Bigram())

    assert given.tokens == [0, 104 % 12, 103 % 12, 102 % 12]
    assert taken.tokens == [0, 97 % 12, 98 % 12, 99 % 12]
