"""The catalogue of metrics: what each figure is and which limits make sense on it.

Values are SI. How a figure is computed is `harness.stats`' business, which tier may decide it `harness.gate.tier`'s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.spec.model import LimitKind
from harness.units import Dimension

_WORSE_WHEN_MORE = (LimitKind.MAX, LimitKind.REGRESS)
_WORSE_WHEN_LESS = (LimitKind.MIN, LimitKind.REGRESS)


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure per device x artifact x workload."""

    name: str
    dimension: Dimension
    description: str
    lower_is_better: bool
    needs: str
    """Kind of session that measures it (`timing`, `memory`, `accuracy`, `energy`, `sustained`); empty: none."""
    kinds: tuple[LimitKind, ...]
    """Limits that make sense."""
    moves_with_day: bool
    """False where a committed record can serve as baseline because the figure is the same on any day."""
    low: float = 0.0
    high: float = math.inf
    """Range of the figure; a limit must lie inside."""
    zero_is_possible: bool = False
    against_reference: bool = False
    needs_labels: bool = False
    modelled: bool = False
    """An emulated board may compute it from a declared model, if the gate says `accept: modelled`."""
    generates: bool = False
    """Whether only `task: generation` measures it."""
    told: bool = False
    """Whether a tool of `task: tool` reports it, by its own method."""


def _latency(name: str, description: str) -> Metric:
    return Metric(name, Dimension.TIME, description, True, "timing", _WORSE_WHEN_MORE, True)


def _work(name: str, description: str) -> Metric:
    return Metric(name, Dimension.COUNT, description, True, "timing", _WORSE_WHEN_MORE, moves_with_day=False)


def _memory(name: str, description: str) -> Metric:
    return Metric(name, Dimension.BYTES, description, True, "memory", _WORSE_WHEN_MORE, True)


def _energy(name: str, dimension: Dimension, description: str, *, modelled: bool = False) -> Metric:
    return Metric(name, dimension, description, True, "energy", _WORSE_WHEN_MORE, True, modelled=modelled)


def _accuracy(name: str, description: str) -> Metric:
    kinds = (LimitKind.MIN, LimitKind.DROP, LimitKind.REGRESS)
    return Metric(
        name, Dimension.RATIO, description, False, "accuracy", kinds, moves_with_day=False, high=1.0, needs_labels=True
    )


def _likeness(name: str, dimension: Dimension, description: str, *, low: float, high: float) -> Metric:
    kinds = (LimitKind.MIN,) if dimension is Dimension.DECIBEL else _WORSE_WHEN_LESS
    return Metric(
        name, dimension, description, False, "accuracy", kinds,
        moves_with_day=False, low=low, high=high, zero_is_possible=low < 0, against_reference=True,
    )  # fmt: skip


def _conformance(name: str, dimension: Dimension, description: str) -> Metric:
    return Metric(
        name, dimension, description, True, "accuracy", (LimitKind.MAX,), moves_with_day=False, zero_is_possible=True
    )


def _distance(name: str, description: str) -> Metric:
    return Metric(
        name, Dimension.NUMBER, description, True, "accuracy", _WORSE_WHEN_MORE,
        moves_with_day=False, zero_is_possible=True, against_reference=True,
    )  # fmt: skip


def _written(name: str, description: str) -> Metric:
    return Metric(name, Dimension.TIME, description, True, "timing", _WORSE_WHEN_MORE, True, generates=True)


def _token_rate(name: str, description: str) -> Metric:
    return Metric(name, Dimension.RATE, description, False, "timing", _WORSE_WHEN_LESS, True, generates=True)


def _token_work(name: str, description: str) -> Metric:
    return Metric(
        name, Dimension.COUNT, description, True, "timing", _WORSE_WHEN_MORE, moves_with_day=False, generates=True
    )


def _told(name: str, dimension: Dimension, description: str) -> Metric:
    less = dimension is not Dimension.RATE
    kinds = _WORSE_WHEN_MORE if less else _WORSE_WHEN_LESS
    return Metric(name, dimension, f"{description}, as a tool reports it.", less, "timing", kinds, True, told=True)


def _surprise(name: str, description: str) -> Metric:
    kinds = (LimitKind.MAX, LimitKind.REGRESS, LimitKind.DROP)
    return Metric(
        name, Dimension.NUMBER, description, True, "accuracy", kinds,
        moves_with_day=False, zero_is_possible=True, generates=True,
    )  # fmt: skip


def _divergence(name: str, description: str) -> Metric:
    return Metric(
        name, Dimension.NUMBER, description, True, "accuracy", (LimitKind.MAX,),
        moves_with_day=False, zero_is_possible=True, against_reference=True, generates=True,
    )  # fmt: skip


def _answered(name: str, description: str) -> Metric:
    return Metric(
        name, Dimension.RATIO, description, False, "accuracy", (LimitKind.MIN, LimitKind.DROP),
        moves_with_day=False, high=1.0, generates=True,
    )  # fmt: skip


def _token_energy(name: str, description: str) -> Metric:
    return Metric(name, Dimension.ENERGY, description, True, "energy", _WORSE_WHEN_MORE, True, generates=True)


_ALL = (
    _latency("latency.p50", "Median time of one inference, single stream."),
    _latency("latency.p90", "90th percentile of the time of one inference."),
    _latency("latency.p95", "95th percentile of the time of one inference."),
    _latency("latency.p99", "99th percentile of the time of one inference."),
    _latency("latency.mean", "Mean time of one inference."),
    _latency("latency.first", "Time of the first inference after loading."),
    _latency("load.time", "Time to load the model into the runtime."),
    Metric("throughput", Dimension.RATE, "Inferences per second.", False, "timing", _WORSE_WHEN_LESS, True),
    _work("work.instructions", "User-mode instructions of one inference."),
    _work("work.load", "User-mode instructions to load the model into the runtime."),
    _work("work.first", "User-mode instructions of the first inference after loading."),
    _memory("memory.peak", "Largest resident memory of the process that runs the model."),
    _memory("memory.model", "Peak memory above that of the runtime without a model."),
    Metric(
        "memory.cache", Dimension.BYTES, "Size of a language model's full cache of keys and values, by its shape.",
        True, "memory", _WORSE_WHEN_MORE, moves_with_day=False, generates=True,
    ),
    Metric(
        "storage.size", Dimension.BYTES, "Size of the model file.", True, "", _WORSE_WHEN_MORE, moves_with_day=False
    ),
    _energy("power.mean", Dimension.POWER, "Mean power of the board under load."),
    _energy("power.idle", Dimension.POWER, "Mean power of the board at rest, before and after the load."),
    _energy("energy.per_inference", Dimension.ENERGY, "Energy of one inference.", modelled=True),
    Metric(
        "thermal.max", Dimension.TEMPERATURE, "Highest temperature of the board under load.", True, "timing",
        (LimitKind.MAX,), True, low=-60.0, high=150.0, zero_is_possible=True,
    ),
    Metric(
        "sustained.throughput", Dimension.RATE, "Inferences per second in the last third of a load that lasts.",
        False, "sustained", _WORSE_WHEN_LESS, True,
    ),
    Metric(
        "sustained.latency", Dimension.TIME, "Median time of one inference in the last third of a load that lasts.",
        True, "sustained", _WORSE_WHEN_MORE, True,
    ),
    Metric(
        "sustained.fade", Dimension.RATIO, "What a load that lasts loses of its speed in 10 minutes.",
        True, "sustained", (LimitKind.MAX,), True, high=1.0, zero_is_possible=True,
    ),
    Metric(
        "sustained.time_to_throttle", Dimension.TIME, "Time under load until the board throttles.",
        False, "sustained", (LimitKind.MIN,), True,
    ),
    Metric(
        "sustained.temperature", Dimension.TEMPERATURE, "Highest temperature of the board under a load that lasts.",
        True, "sustained", (LimitKind.MAX,), True, low=-60.0, high=150.0, zero_is_possible=True,
    ),
    _accuracy("accuracy.top1", "Share of samples whose best class is the label."),
    _accuracy("accuracy.top5", "Share of samples whose label is among the five best classes."),
    _likeness("parity.cosine", Dimension.NUMBER, "Cosine of outputs and reference outputs.", low=-1.0, high=1.0),
    _distance("parity.max_abs", "Largest absolute difference of any output to the reference."),
    _likeness("parity.snr_db", Dimension.DECIBEL, "Signal-to-noise ratio to the reference.", low=-500.0, high=500.0),
    _distance("parity.kl", "Kullback-Leibler divergence of the class scores from the reference's."),
    _likeness(
        "parity.top1_agreement", Dimension.RATIO, "Share of samples whose best class is the reference's.",
        low=0.0, high=1.0,
    ),
    _written("llm.ttft", "Time from a prompt to its first token."),
    _written("llm.tpot.p50", "Median time from one token to the next."),
    _written("llm.tpot.p95", "95th percentile of the time from one token to the next."),
    _written("llm.tpot.max", "Longest time from one token to the next."),
    _token_rate("llm.prefill_rate", "Prompt tokens per second until the first token."),
    _token_rate("llm.decode_rate", "Tokens per second after the first."),
    _token_work("work.prompt_token", "User-mode instructions up to the first token, per token of the prompt."),
    _token_work("work.new_token", "User-mode instructions of each token after the first."),
    _surprise("llm.perplexity", "Perplexity of the data, per token."),
    _surprise("llm.nll", "Negative log-likelihood of the data in nats per token."),
    _surprise("llm.bits_per_byte", "Negative log-likelihood of the data in bits per byte of text."),
    _divergence("llm.kl", "Kullback-Leibler divergence from the reference in nats per token."),
    _divergence("llm.kl_p999", "99.9 % quantile over tokens of the divergence from the reference."),
    Metric(
        "llm.same_top", Dimension.RATIO, "Share of tokens whose most likely successor is the reference's.", False,
        "accuracy", (LimitKind.MIN,), moves_with_day=False, high=1.0, against_reference=True, generates=True,
    ),
    _answered("llm.choice_accuracy", "Share of questions whose right choice has the highest log-likelihood."),
    _answered("llm.choice_accuracy_norm", "The same by log-likelihood per byte of the choice's text."),
    _answered("llm.pass_rate", "Share of questions whose written answer passes, or mean score of their checker."),
    _answered("llm.format_rate", "The same of questions of kind `format`."),
    _answered("llm.refusal_rate", "The same of questions of kind `refusal`."),
    _answered("llm.exact_match", "Share of questions whose written answer is the text: see the warning in the guide."),
    _token_energy("energy.per_token", "Energy of all texts, prompts included, per token written."),
    _token_energy("energy.prompt_token", "Energy up to the first token, per token of the prompt."),
    _token_energy("energy.new_token", "Energy of each token after the first."),
    _told("tool.latency.mean", Dimension.TIME, "Mean time of one inference"),
    _told("tool.latency.p50", Dimension.TIME, "Median time of one inference"),
    _told("tool.latency.p90", Dimension.TIME, "90th percentile of the time of one inference"),
    _told("tool.latency.p95", Dimension.TIME, "95th percentile of the time of one inference"),
    _told("tool.latency.p99", Dimension.TIME, "99th percentile of the time of one inference"),
    _told("tool.latency.first", Dimension.TIME, "Time of the first inference"),
    _told("tool.load.time", Dimension.TIME, "Time to load the model"),
    _told("tool.throughput", Dimension.RATE, "Inferences per second"),
    _told("tool.prefill_rate", Dimension.RATE, "Prompt tokens per second"),
    _told("tool.decode_rate", Dimension.RATE, "Written tokens per second"),
    _told("tool.memory.peak", Dimension.BYTES, "Peak memory"),
    _conformance(
        "conformance.flips", Dimension.COUNT,
        "Samples whose best class on the board is not the controller's for the same file, ties apart.",
    ),
    _conformance(
        "conformance.max_abs", Dimension.NUMBER, "Largest absolute difference of the same file on board and controller."
    ),
    _conformance(
        "conformance.max_ulp", Dimension.NUMBER, "The same in units of the last place of the sample's largest output."
    ),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}


_ANY_TASK = frozenset(
    {
        "load.time", "work.load", "memory.peak", "memory.model", "storage.size", "thermal.max",
        "power.mean", "power.idle",
    }
)  # fmt: skip
_TOLD_TASK = frozenset({"memory.peak", "storage.size"})
GENERATION, TOOL = "generation", "tool"
"""Tasks that measure figures of their own."""


def measured_by(metric: Metric, task: str) -> bool:
    """Tell whether a task measures a metric."""
    if task == TOOL:
        return metric.told or metric.name in _TOLD_TASK
    if metric.told:
        return False
    return metric.name in _ANY_TASK or metric.generates is (task == GENERATION)


def limit_dimension(metric: Metric, kind: LimitKind) -> Dimension:
    """Tell what the value of a limit measures: the figure itself, a relative change or a loss.

    The loss of a share is in points; how much less a language model expects its text is a relative change.
    """
    if kind is LimitKind.REGRESS or (kind is LimitKind.DROP and _is_surprise(metric)):
        return Dimension.RATIO
    return Dimension.POINTS if kind is LimitKind.DROP else metric.dimension


def limit_range(metric: Metric, kind: LimitKind) -> tuple[float, float]:
    """Give the smallest and largest value that a limit can have and still mean something."""
    if kind is LimitKind.REGRESS:
        return 0.0, 10.0 if metric.lower_is_better else 1.0
    if kind is LimitKind.DROP:
        return 0.0, 10.0 if _is_surprise(metric) else 1.0
    return metric.low, metric.high


def _is_surprise(metric: Metric) -> bool:
    return metric.generates and metric.dimension is Dimension.NUMBER
