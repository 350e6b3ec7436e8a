"""What is foretold of a board's timed gates."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.gate.forecast import Forecast, forecast
from harness.records.plan import Plan
from harness.spec.model import Noise, Tier
from harness.stats.outlook import ASSUMED_NOISE, outlook
from harness.testing.evidence import Scene, limit

SLOWER = limit("latency.p50", "regress", 0.05, "5 %")
SCENE = Scene(limits=(SLOWER, limit("memory.peak", "max", 2**26)), baseline=1.0)


def _forecast(*scenes: Scene, costs: dict[str, float] | None = None) -> tuple[Forecast, ...]:
    cells = [scene.evidence() for scene in scenes]
    devices = {cell.device.name: cell.device for cell in cells}
    plan = Plan("lab", "farm.yaml", tuple(devices.values()), tuple(cell.planned for cell in cells))
    return forecast(plan, costs or {})


def test_unknown_noise_is_assumed_and_said_to_be() -> None:
    """Pairs, effect and chance are those of two percent; nobody knows the time before a first run."""
    (found,) = _forecast(SCENE, replace(SCENE, artifact="other"))
    expected = outlook(ASSUMED_NOISE, 0.05)

    assert (found.device, found.cells, found.assumed, found.seconds) == ("pi", 2, True, None)
    assert found.pairs == pytest.approx(2 * expected.pairs)
    assert found.detectable == expected.detectable
    assert found.undecided == pytest.approx(1 - (1 - expected.undecided) ** 2)


def test_known_noise_and_costs_are_used() -> None:
    """A noisy board needs more pairs, and an earlier run says how long one takes."""
    noisy = replace(SCENE, known_noise=(Noise("latency.p50", 0.035),))
    (found,) = _forecast(noisy, costs={noisy.key: 3.0})

    assert not found.assumed
    assert found.pairs == pytest.approx(outlook(0.035, 0.05).pairs)
    assert found.seconds == pytest.approx(3.0 * found.pairs)


def test_the_slowest_gate_of_a_cell_counts() -> None:
    """A quantile against a limit takes seven sessions, whatever is compared beside it."""
    both = replace(SCENE, limits=(SLOWER, limit("latency.p95", "max", 1.0)))
    (found,) = _forecast(both)

    assert found.pairs == 7.0
    assert found.margin == 0.05


def test_boards_without_timed_gates_are_not_foretold() -> None:
    """Memory, exact boards, and cells that the plan skips take no pairs."""
    still = replace(SCENE, limits=(limit("memory.peak", "max", 2**26),))

    assert _forecast(still, replace(SCENE, device="a53", tier=Tier.DETERMINISTIC)) == ()
    assert _forecast(replace(SCENE, skip_reason="not here")) == ()
