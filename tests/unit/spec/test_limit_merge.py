"""The metric catalogue and the merging of limits."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from harness.errors import Problem
from harness.spec import effective_limits, yaml
from harness.spec.limits import read_limits
from harness.spec.metric import METRICS, limit_dimension, limit_range
from harness.spec.model import Device, Limit, LimitKind, LimitSet, Origin, Suite, Tier
from harness.spec.questions import METRIC_KINDS
from harness.spec.workload import Workload
from harness.units import Dimension

PLACES = ["budget", "all", "arm64", "rpi5", "pi-1", "farm all", "farm suite"]
"""Weakest first."""


def limit(value: int, *, metric: str = "storage.size", kind: LimitKind = LimitKind.MAX) -> Limit:
    """Make a limit that its value tells apart."""
    return Limit(metric, kind, float(value), str(value), Origin("f", value + 1, 1))


def merged(places: tuple[str, ...]) -> tuple[Limit, ...]:
    """Merge limits on one metric that are stated in these places; the value is the place's strength."""
    at = {place: (limit(PLACES.index(place)),) for place in places}
    scopes = {"all": "all", "arm64": "arm64", "rpi5": "rpi5", "pi-1": "pi-1"}
    device = Device(
        name="pi-1",
        profile="rpi5",
        lineage=("rpi5", "arm64"),
        tier=Tier.HARDWARE,
        origin=Origin("farm.yaml", 1, 1),
        budgets=at.get("budget", ()),
        overrides=(
            LimitSet("digits", at.get("farm suite", ())),
            LimitSet("all", at.get("farm all", ())),
            LimitSet("other", (limit(99),)),
        ),
    )
    gates = tuple(LimitSet(scope, at[place]) for place, scope in reversed(scopes.items()) if place in at)
    suite = Suite("digits", "s", Workload("parity", "d", 1), (), (*gates, LimitSet("rpi4", (limit(98),))))
    return effective_limits(suite, device)


@pytest.mark.parametrize(
    "places", [chosen for n in range(1, len(PLACES) + 1) for chosen in itertools.combinations(PLACES, n)]
)
def test_strongest_place_wins(places: tuple[str, ...]) -> None:
    """Of every set of places that state a limit, the strongest wins and keeps its origin."""
    strongest = max(PLACES.index(place) for place in places)

    assert merged(places) == (limit(strongest),)


def test_nothing_stated() -> None:
    """No place, no limit."""
    assert merged(()) == ()


def test_metrics_and_kinds_merge_apart() -> None:
    """A limit replaces only its own kind on its own metric."""
    gates = (
        LimitSet("all", (limit(1), limit(2, kind=LimitKind.REGRESS), limit(3, metric="memory.peak"))),
        LimitSet("pi-1", (limit(4),)),
    )
    device = Device("pi-1", "rpi5", ("rpi5",), Tier.HARDWARE, Origin("f", 1, 1))
    suite = Suite("digits", "s", Workload("parity", "d", 1), (), gates)

    found = [(one.metric, one.kind, one.value) for one in effective_limits(suite, device)]

    assert found == [
        ("memory.peak", LimitKind.MAX, 3.0),
        ("storage.size", LimitKind.MAX, 4.0),
        ("storage.size", LimitKind.REGRESS, 2.0),
    ]


def test_device_named_as_its_profile() -> None:
    """A device that has its profile's name is one scope, applied once and above the ancestors."""
    gates = (LimitSet("rpi5", (limit(1),)), LimitSet("arm64", (limit(2),)))
    device = Device("rpi5", "rpi5", ("rpi5", "arm64"), Tier.HARDWARE, Origin("f", 1, 1))

    found = effective_limits(Suite("digits", "s", Workload("parity", "d", 1), (), gates), device)

    assert [one.value for one in found] == [1.0]


def test_catalogue_names() -> None:
    """The catalogue holds the metrics of the design, each under its own name."""
    assert set(METRICS) == {
        *(f"latency.{name}" for name in ("p50", "p90", "p95", "p99", "mean", "first")),
        *("load.time", "throughput", "memory.peak", "memory.model", "storage.size"),
        *("work.instructions", "work.load", "work.first"),
        *("power.mean", "power.idle", "energy.per_inference", "thermal.max", "accuracy.top1", "accuracy.top5"),
        *(f"parity.{name}" for name in ("cosine", "max_abs", "snr_db", "kl", "top1_agreement")),
        *(f"conformance.{name}" for name in ("flips", "max_abs", "max_ulp")),
        *(f"llm.{name}" for name in ("ttft", "tpot.p50", "tpot.p95", "tpot.max", "prefill_rate", "decode_rate")),
        *(f"llm.{name}" for name in ("perplexity", "nll", "bits_per_byte", "kl", "kl_p999", "same_top")),
        *(f"sustained.{name}" for name in ("throughput", "latency", "fade", "time_to_throttle", "temperature")),
        *("memory.cache", "work.prompt_token", "work.new_token"),
        *(f"llm.{name}" for name in ("choice_accuracy", "choice_accuracy_norm", "exact_match")),
        *(f"llm.{name}_rate" for name in ("pass", "format", "refusal")),
        *(f"energy.{name}" for name in ("per_token", "prompt_token", "new_token")),
        *(f"tool.latency.{name}" for name in ("mean", "p50", "p90", "p95", "p99", "first")),
        *(f"tool.{name}" for name in ("load.time", "throughput", "prefill_rate", "decode_rate", "memory.peak")),
    }
    assert all(metric.name == name for name, metric in METRICS.items())


@pytest.mark.parametrize("name", METRICS)
def test_catalogue_is_consistent(name: str) -> None:
    """An absolute limit bounds the bad side; a loss is of right answers or of a likelihood; ranges are not empty."""
    metric = METRICS[name]

    absolute = LimitKind.MAX if metric.lower_is_better else LimitKind.MIN
    assert [kind for kind in metric.kinds if kind in {LimitKind.MAX, LimitKind.MIN}] == [absolute]
    loses = ("accuracy.", "llm.perplexity", "llm.nll", "llm.bits_per_byte")
    assert (LimitKind.DROP in metric.kinds) == (name.startswith(loses) or name in METRIC_KINDS)
    assert metric.needs in {"", "timing", "memory", "accuracy", "energy", "sustained"}
    for kind in metric.kinds:
        low, high = limit_range(metric, kind)
        assert low < high
        assert limit_dimension(metric, kind) in Dimension


@pytest.mark.parametrize(
    ("text", "creep", "said"),
    [
        ("{regress: 5 %, creep: 8 %}", 0.08, ""),
        ("{regress: 5 %}", None, ""),
        ("{max: 4 ms, creep: 8 %}", None, "'creep' is a budget of 'regress'"),
        ("{creep: 8 %}", None, "'creep' is a budget of 'regress'"),
        ("{regress: 5 %, creep: 3 %}", None, "less than one step may cost"),
        ("{regress: 5 %, creep: 8 ms}", None, "is not a ratio"),
    ],
)
def test_creep_is_a_budget_beside_regress(tmp_path: Path, text: str, creep: float | None, said: str) -> None:
    """It needs a `regress`, is a ratio, and is not smaller than one step."""
    path = tmp_path / "x.yaml"
    path.write_text(f"latency.p50: {text}\n", encoding="utf-8")
    problems: list[Problem] = []
    document = yaml.read(path, problems)
    assert document is not None

    limits = read_limits(document, [], problems)

    assert [one.creep for one in limits if one.kind is LimitKind.REGRESS] == ([creep] if "regress" in text else [])
    assert [problem.message for problem in problems if said and said in problem.message] or not said
    assert bool(problems) == bool(said)
