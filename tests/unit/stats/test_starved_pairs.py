"""A power trace that other work spoilt takes its pair away, not the gate; a sensor that is wrong ends the gate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from harness.records.cell import SessionKind, SessionRecord, Stage
from harness.records.outcome import Abstention
from harness.spec.model import MeterSpec
from harness.stats import Evidence, Missing
from harness.stats.observation import Observed, observe
from harness.stats.pair import rounds
from harness.testing.evidence import Scene, limit
from harness.testing.pairs import measure_in_pairs

METRIC = "energy.per_inference"
SCENE = Scene(power=MeterSpec("hwmon"), limits=(limit(METRIC, "regress", 0.05, "5 %"),), baseline=1.0)


def _changed(evidence: Evidence, pair: int, change: Callable[[SessionRecord], SessionRecord]) -> Evidence:
    """Change the energy sessions of one pair."""
    sessions = tuple(
        change(item) if item.kind is SessionKind.ENERGY and item.pair == pair else item
        for item in evidence.cell.sessions
    )
    return replace(evidence, cell=replace(evidence.cell, sessions=sessions))


def _starve(session: SessionRecord) -> SessionRecord:
    return replace(session, scalars={**session.scalars, "power_late_count": 300.0})


def _contradict(session: SessionRecord) -> SessionRecord:
    return replace(session, scalars={**session.scalars, "power_rival_ratio": 1.2})


def test_a_starved_sampler_voids_its_pair() -> None:
    """The second pair's readings came late: it is void for background load, the others count."""
    evidence = measure_in_pairs(SCENE)
    whole = observe(evidence, METRIC, Stage.FIRST, relative=True)

    spoilt = _changed(evidence, 1, _starve)
    seen = observe(spoilt, METRIC, Stage.FIRST, relative=True)

    assert isinstance(whole, Observed)
    assert isinstance(seen, Observed)
    assert len(seen.candidate) == len(whole.candidate) - 1 >= 2
    void = rounds(spoilt, SessionKind.ENERGY, Stage.FIRST, compared=True)[1]
    assert "samples were late" in void.void
    assert void.why is Abstention.LOAD


def test_a_sensor_that_contradicts_itself_ends_the_gate() -> None:
    """Volts times amperes are not watts: another pair would say the same."""
    found = observe(_changed(measure_in_pairs(SCENE), 1, _contradict), METRIC, Stage.FIRST, relative=True)

    assert isinstance(found, Missing)
    assert found.why is Abstention.SENSOR
