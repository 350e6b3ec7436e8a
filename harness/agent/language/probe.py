"""Probes: the tokens at which two distributions are compared without sending either of them whole.

Of each position the reference's most likely tokens, and some drawn from the rest by their probability. With the weight
that each stands for, sum(weight * (log p - log q)) is the Kullback-Leibler divergence of q from p: exact over the most
likely ones, an unbiased estimate over the rest (docs/decisions). All tokens are taken where they are few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from harness.agent.runtimes import Array

DRAWN = 0.25
"""Share of the probes that is drawn."""


class Probes(NamedTuple):
    """For n positions and k probes: tokens int32 (n, k), their log-probability and weight float32 (n, k)."""

    token: Array
    logp: Array
    weight: Array


def choose(logp: Array, count: int, generator: np.random.Generator) -> Probes:
    """Choose probes.

    Args:
        logp: log-probabilities of the reference, shape (n, vocabulary).
        count: k; the vocabulary if that is less.
        generator: draws the rest.
    """
    n, vocabulary = logp.shape
    if count >= vocabulary:
        token = np.tile(np.arange(vocabulary, dtype=np.int32), (n, 1))
        return Probes(token, logp.astype(np.float32), np.exp(logp).astype(np.float32))
    drawn = int(count * DRAWN)
    kept = count - drawn
    top = np.argpartition(logp, vocabulary - kept, axis=1)[:, vocabulary - kept :]
    rest = np.exp(logp.astype(np.float64))
    weight = np.take_along_axis(rest, top, 1)
    np.put_along_axis(rest, top, 0.0, 1)
    mass = rest.sum(1, keepdims=True)
    others = np.stack([_draw(row, drawn, generator) for row in rest])
    share = np.repeat(mass / max(1, drawn), drawn, axis=1)
    token = np.concatenate([top, others], 1).astype(np.int32)
    found = np.take_along_axis(logp, token, 1).astype(np.float32)
    return Probes(token, found, np.concatenate([weight, share], 1).astype(np.float32))


def _draw(weights: Array, count: int, generator: np.random.Generator) -> Array:
    """Draw by weight, by inversion; a row without any weight gives its first tokens, which then weigh nothing."""
    edges = np.cumsum(weights)
    points = generator.random(count) * edges[-1]
    found: Array = np.minimum(np.searchsorted(edges, points, side="right"), len(weights) - 1)
    return found
