"""Cells of language models from a few knobs, seeded: two models that predict a text, one slightly worse."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from harness.records.cell import ArrayRef, Role, SessionKind, SessionRecord
from harness.spec.model import Limit, Tier
from harness.spec.workload import Generation, Workload
from harness.stats.evidence import AnyArray, Evidence
from harness.testing.evidence import Scene

WINDOWS, TOKENS, VOCABULARY = 24, 50, 30
PROMPTS, NEW = 2, 15


@dataclass(frozen=True, slots=True)
class LanguageScene:
    """A language model on one board; `blur` is the noise in its scores beside the reference's."""

    tier: Tier = Tier.DETERMINISTIC
    blur: float = 0.1
    baseline_blur: float | None = None
    limits: tuple[Limit, ...] = ()
    sessions: int = 2
    ttft_s: float = 0.2
    gap_s: float = 0.05
    work: int = 500_000
    seed: int = 3
    reference: bool = True

    def evidence(self) -> Evidence:
        """Draw the cell."""
        blank = Scene(
            tier=self.tier, sessions=1, limits=self.limits, baseline=None if self.baseline_blur is None else 1
        )
        plain = blank.evidence()
        arrays: dict[str, AnyArray] = {}
        kinds = [SessionKind.ACCURACY] + [SessionKind.TIMING] * self.sessions + [SessionKind.MEMORY] * 2
        templates = {session.role: session for session in plain.cell.sessions}
        sessions = tuple(
            self._session(number, replace(template, kind=kind), arrays)
            for number, (kind, template) in enumerate((kind, item) for kind in kinds for item in templates.values())
        )
        given = self._reference() if self.reference else {}
        arrays |= {f"reference/{name}": array for name, array in given.items()}
        refs = {f"reference/{name}": array_ref(f"reference/{name}", array) for name, array in given.items()}
        workload = Workload("generation", "eval.txt", 1, generation=Generation(prompts=("a", "b"), new_tokens=NEW))
        planned = replace(plain.planned, workload=workload)
        cell = replace(plain.cell, sessions=sessions, reference_arrays=refs)
        return Evidence(planned, plain.device, cell, arrays)

    def logp(self, blur: float) -> AnyArray:
        """Return log-probabilities of every token at every position, shape (windows, tokens, vocabulary)."""
        shape = (WINDOWS, TOKENS, VOCABULARY)
        scores = 2.0 * np.random.default_rng(self.seed).normal(size=shape)
        scores += blur * np.random.default_rng(self.seed + 1).normal(size=shape)
        found: AnyArray = scores - np.log(np.exp(scores).sum(axis=2, keepdims=True))
        return found

    def _reference(self) -> dict[str, AnyArray]:
        logp = self.logp(0.0)
        return {**self._judged(0.0), "probe_logp": logp, "probe_weight": np.exp(logp)}

    def _judged(self, blur: float) -> dict[str, AnyArray]:
        logp, tokens = self.logp(blur), self._tokens()
        return {
            "tokens": tokens,
            "nll": -np.take_along_axis(logp, tokens[..., None], 2)[..., 0],
            "best": logp.argmax(axis=2),
            "window_bytes": np.full(WINDOWS, 4 * TOKENS),
        }

    def _tokens(self) -> AnyArray:
        """Draw the text from the reference itself."""
        edges = np.exp(self.logp(0.0)).cumsum(axis=2)
        points = np.random.default_rng(self.seed + 2).random((WINDOWS, TOKENS, 1))
        found: AnyArray = np.minimum((edges < points).sum(axis=2), VOCABULARY - 1)
        return found

    def _session(self, number: int, template: SessionRecord, arrays: dict[str, AnyArray]) -> SessionRecord:
        is_candidate = template.role is Role.CANDIDATE
        blur = self.blur if is_candidate else self.baseline_blur or 0.0
        written = np.full((PROMPTS, NEW), 7, dtype=np.int32)
        made: dict[str, AnyArray] = {}
        if template.kind is SessionKind.ACCURACY:
            made = {**self._judged(blur), "probe_logq": self.logp(blur), "written": written}
        elif template.kind is SessionKind.TIMING:
            made = {
                "ttft_s": np.full(PROMPTS, self.ttft_s), "token_s": np.full(PROMPTS * (NEW - 1), self.gap_s),
                "prompt_count": np.array([10, 20]), "written": written,
                "prefill_instructions": np.array([10, 20]) * self.work,
                "decode_instructions": np.full(PROMPTS * (NEW - 1), self.work),
            }  # fmt: skip
        refs = {name: array_ref(f"{number}/{name}", array) for name, array in made.items()}
        arrays.update({f"{number}/{name}": array for name, array in made.items()})
        scalars = {
            "load_s": 0.1,
            "hwm_bytes": 5e7,
            "rss_start_bytes": 3e7,
            "cache_bytes": 1e6,
            "clock_resolution_s": 1e-9,
        }
        return replace(template, order=number, scalars=scalars, arrays=refs)


def array_ref(key: str, array: AnyArray) -> ArrayRef:
    """Describe an array for a record."""
    return ArrayRef(key, tuple(int(size) for size in array.shape), str(array.dtype))
