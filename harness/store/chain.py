"""The chains of releases that committed baselines carry: added to by a promotion, asked by a plan.

Owns which release a candidate was compared with; the arithmetic is `harness.gate.creep`'s.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.errors import RecordError
from harness.gate.creep import anchored, extended, spent_before, started
from harness.records.chain import Chain, Release
from harness.records.plan import FileIdentity, PlannedCell, SpentBudget
from harness.records.verdict import Estimate
from harness.spec.model import LimitKind

RESTART = "promote the release that it compares with first, or start a new chain with `baseline promote --anchor`"


@dataclass(frozen=True, slots=True)
class Link:
    """The release of a committed baseline, and the chains that it carries for one device by metric."""

    model: FileIdentity
    run_id: str
    chains: Mapping[str, Chain]


def chains_after(
    planned: PlannedCell, run_id: str, ratios: Mapping[str, Estimate], before: Link | None, *, anchor: bool
) -> dict[str, Chain]:
    """Add an accepted release to the chains of one device.

    Args:
        planned: the cell of the release.
        run_id: the run that is promoted.
        ratios: how much worse it was measured to be than what it was compared with, by metric.
        before: what the committed baseline carries; None when there is none.
        anchor: start new chains at this release.

    Returns:
        The chains by metric, those without a ratio in this run kept as they were.

    Raises:
        RecordError: the release was compared with a model that a chain does not know.
    """
    old = dict(before.chains) if before else {}
    released = _release(planned.model, run_id)
    base = _base(planned, before) or (released if anchor else None)
    if ratios and base is None:
        raise RecordError(f"{planned.key}: compares with a baseline record that is not there: {RESTART}")
    if anchor:
        old = {metric: started(released, chain.releases[-1].factor - 1.0) for metric, chain in old.items()}
    for metric, worse in ratios.items():
        assert base is not None
        chain = before.chains.get(metric) if before else None
        known = chain.find(base.sha256) if chain else replace(base, factor=1.0)
        if anchor:
            forgiven = known.factor * (1.0 + worse.value) - 1.0 if known and chain else 0.0
            old[metric] = anchored(base, released, worse, forgiven)
        elif known is None:
            raise RecordError(f"{planned.key}: {_unknown(base.model, metric, chain)}: {RESTART}")
        else:
            old[metric] = extended(chain or started(base), known, released, worse)
    return old


def spent_budgets(planned: PlannedCell, link: Link, source: str) -> tuple[SpentBudget, ...]:
    """Say what is spent of the budgets of a cell's `regress` limits.

    Args:
        planned: the cell.
        link: what the committed baseline carries for its device.
        source: how reports name that baseline.

    Raises:
        RecordError: the cell compares with a model that a chain does not know.
    """
    base = _base(planned, link)
    found: list[SpentBudget] = []
    for limit in planned.limits:
        chain = link.chains.get(limit.metric)
        if limit.kind is not LimitKind.REGRESS or chain is None or base is None:
            continue
        known = chain.find(base.sha256)
        if known is None:
            raise RecordError(f"{_unknown(base.model, limit.metric, chain)}: {RESTART}")
        found.append(spent_before(limit, chain, known, source))
    return tuple(found)


def check_chains(chains: Mapping[str, Mapping[str, Chain]], source: str) -> None:
    """Refuse chains that no promotion writes.

    Raises:
        RecordError: a factor that is none, or an anchor that is not among the releases.
    """
    for device, by_metric in chains.items():
        for metric, chain in by_metric.items():
            anchor = chain.find(chain.anchor)
            if anchor is None or anchor.factor != 1.0:
                raise RecordError(f"{source}: the chain of {metric} on {device} does not hold its anchor")
            if not all(math.isfinite(item.factor) and item.factor > 0 and item.doubt >= 0 for item in chain.releases):
                raise RecordError(f"{source}: the chain of {metric} on {device} has an impossible factor")


def chain_words(device: str, metric: str, chain: Chain) -> str:
    """Say in one line where a chain stands."""
    anchor, last = chain.find(chain.anchor), chain.releases[-1]
    name = anchor.name if anchor else "unknown"
    forgiven = f"; {chain.forgiven:+.2%} of the chain before it is forgiven" if chain.forgiven else ""
    return f"{metric} on {device}: {last.factor - 1:+.2%} since anchor {name}{forgiven}"


def _base(planned: PlannedCell, before: Link | None) -> Release | None:
    """Name the model that a cell is compared with: its baseline file, else that of the committed record."""
    if planned.baseline is not None:
        return _release(planned.baseline, "")
    return _release(before.model, before.run_id) if before else None


def _release(file: FileIdentity, run_id: str) -> Release:
    return Release(file.name, file.sha256, run_id, 1.0, 0.0)


def _unknown(model: str, metric: str, chain: Chain | None) -> str:
    known = ", ".join(release.model for release in chain.releases) if chain else ""
    return f"{metric}: {model} is none of the releases since the anchor ({known})"
