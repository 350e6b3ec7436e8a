"""ONNX decoders by their names and shapes alone: what exporters agree on, and files that are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from harness.agent.refusal import Refusal
from harness.agent.runtimes.onnxruntime_decoder import OnnxDecoder

HEADS, WIDTH, VOCABULARY = 2, 4, 9


@dataclass
class Node:
    """An input or output of a session."""

    name: str
    shape: Sequence[int | str] = ()
    type: str = "tensor(int64)"


@dataclass
class Meta:
    """The metadata of a file."""

    custom_metadata_map: dict[str, str]


@dataclass
class Session:
    """A session as onnxruntime has it: the cache grows by what is fed, the scores name the position."""

    extra: tuple[str, ...] = ("attention_mask", "position_ids")
    metadata: dict[str, str] = field(default_factory=dict)
    cache: Sequence[int | str] = ("batch", HEADS, "past", WIDTH)
    kind: str = "tensor(float16)"
    presents: int = 2
    width: int | str = VOCABULARY
    last_only: bool = False
    fed: list[Mapping[str, Any]] = field(default_factory=list)

    def get_inputs(self) -> list[Node]:
        """Name tokens, helpers and caches."""
        pasts = [Node(f"past_key_values.0.{part}", self.cache, self.kind) for part in ("key", "value")]
        return [Node("input_ids"), *(Node(name) for name in self.extra), *pasts]

    def get_outputs(self) -> list[Node]:
        """Name scores and caches."""
        presents = [Node(f"present.0.{part}") for part in ("key", "value")[: self.presents]]
        return [Node("logits", ("batch", "n", self.width)), *presents]

    def get_modelmeta(self) -> Meta:
        """Give the metadata."""
        return Meta(self.metadata)

    def run(self, names: Sequence[str], feed: Mapping[str, Any]) -> list[Any]:
        """Answer."""
        self.fed.append(feed)
        count, past = feed["input_ids"].shape[1], feed["past_key_values.0.key"].shape[2]
        scores = np.zeros((1, 1 if self.last_only else count, VOCABULARY), np.float16)
        scores[..., 0] = past + count
        grown = np.zeros((1, HEADS, past + count, WIDTH), feed["past_key_values.0.key"].dtype)
        return [scores, grown, grown][: len(names)]


def test_the_cache_goes_round() -> None:
    """Each call gets the cache of the last, a mask over all positions, and positions that go on; reset empties it."""
    session = Session()
    decoder = OnnxDecoder(session, "CPU", 16)

    decoder.feed([1, 2, 3], every=False)
    found = decoder.feed([4], every=False)
    decoder.reset()
    decoder.feed([5], every=False)

    second, third = session.fed[1:]
    assert second["past_key_values.0.value"].shape == (1, HEADS, 3, WIDTH)
    assert second["attention_mask"].tolist() == [[1, 1, 1, 1]]
    assert second["position_ids"].tolist() == [[3]]
    assert {second[name].dtype.name for name in ("input_ids", "attention_mask", "position_ids")} == {"int64"}
    assert third["past_key_values.0.key"].shape == (1, HEADS, 0, WIDTH)
    assert found.dtype == np.float32
    assert found[0, 0] == 4


def test_only_what_the_file_has_is_fed() -> None:
    """A file without mask and positions gets neither."""
    session = Session(extra=())

    OnnxDecoder(session, "CPU", 16).feed([1], every=True)

    assert set(session.fed[0]) == {"input_ids", "past_key_values.0.key", "past_key_values.0.value"}


def test_the_cache_is_sized_by_its_shape() -> None:
    """Two caches of half floats, 2 heads of 4, 16 positions."""
    assert OnnxDecoder(Session(), "CPU", 16).cache_bytes() == 2 * HEADS * WIDTH * 16 * 2


def test_a_width_that_is_not_told_is_tried() -> None:
    """Where the file has no number for its scores, one call tells it."""
    assert OnnxDecoder(Session(width="vocabulary"), "CPU", 16).vocabulary == VOCABULARY


def test_a_tokenizer_is_named_in_the_metadata() -> None:
    """Bytes are tokens where the file says so; without a tokenizer text is refused."""
    told = {"fleetgate.tokenizer": "bytes", "fleetgate.opening": "7", "fleetgate.ends": "7 8"}
    named, bare = OnnxDecoder(Session(metadata=told), "CPU", 16), OnnxDecoder(Session(), "CPU", 16)

    assert named.tokenize(b"ab") == [97, 98]
    assert named.detokenize([97, 300, 98]) == b"ab"
    assert (named.opening, named.ends) == (7, frozenset({7, 8}))
    assert (bare.opening, bare.ends) == (-1, frozenset())
    with pytest.raises(Refusal, match="names no tokenizer"):
        bare.tokenize(b"ab")


@pytest.mark.parametrize(
    ("session", "said"),
    [
        (Session(presents=1), "2 caches go in and 1 come out"),
        (Session(cache=("batch", "heads", "past", WIDTH)), "with known heads and width"),
        (Session(kind="tensor(int8)"), "not (1, heads, positions, width) of float or float16"),
    ],
)
def test_files_that_are_no_decoders_do_not_load(session: Session, said: str) -> None:
    """What is missing is said, with what a decoder has."""
    with pytest.raises(Refusal) as caught:
        OnnxDecoder(session, "CPU", 16)

    assert caught.value.code == "load"
    assert said in str(caught.value)


def test_a_context_is_not_exceeded() -> None:
    """More positions than the context has are refused, not cut."""
    decoder = OnnxDecoder(Session(), "CPU", 4)

    with pytest.raises(Refusal, match="5 positions do not fit into a context of 4"):
        decoder.feed([1, 2, 3, 4, 5], every=False)


def test_scores_of_the_last_token_alone_judge_no_text() -> None:
    """A file that answers after the last token only can write, and cannot be scored."""
    decoder = OnnxDecoder(Session(last_only=True), "CPU", 16)

    assert decoder.feed([1, 2], every=False).shape == (1, VOCABULARY)
    with pytest.raises(Refusal, match="cannot be judged on a text"):
        decoder.feed([1, 2], every=True)
