"""Faults in the figures that a session brings: samples that were dropped, sensors that died, answers of nobody.

Each takes the session's arrays, scalars and flags just before they are written. Pure but for that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from harness.agent.message import PlantRequest

    Spoil = Callable[["Figures", PlantRequest], None]


class Figures(Protocol):
    """What a session leaves: `harness.agent.session.Session`, or the rehearsal's."""

    scalars: dict[str, float]
    arrays: dict[str, Any]
    flags: list[str]


_MANY = 10_000
"""So many times a figure is beyond any limit that was meant."""
_POWER = ("power_t_s", "power_w")


def _array(name: str, change: Callable[[Any], Any]) -> Spoil:
    def spoil(figures: Figures, _: PlantRequest) -> None:
        if name in figures.arrays:
            figures.arrays[name] = change(np.array(figures.arrays[name]))

    return spoil


def _outputs(change: Callable[[Any], Any]) -> Spoil:
    def spoil(figures: Figures, _: PlantRequest) -> None:
        for name in figures.arrays:
            if name.startswith("output_"):
                figures.arrays[name] = change(np.array(figures.arrays[name]))

    return spoil


def _scalar(name: str, value: float) -> Spoil:
    def spoil(figures: Figures, _: PlantRequest) -> None:
        figures.scalars[name] = value

    return spoil


def _stretched(name: str) -> Spoil:
    """Make a scalar worse by the ratio, or take it over the target."""

    def spoil(figures: Figures, request: PlantRequest) -> None:
        worse = figures.scalars[name] * (1.0 + request.ratio)
        figures.scalars[name] = max(worse, 1.05 * request.target)

    return spoil


def _without(*names: str, flag: str = "") -> Spoil:
    """Leave out arrays and scalars; a name that ends with `*` stands for all that begin so."""

    def is_named(have: str) -> bool:
        return any(have.startswith(name[:-1]) if name.endswith("*") else have == name for name in names)

    def spoil(figures: Figures, _: PlantRequest) -> None:
        for found in (figures.arrays, figures.scalars):
            for have in [have for have in found if is_named(have)]:
                del found[have]
        figures.flags += [flag] if flag else []

    return spoil


def _all(*spoils: Spoil) -> Spoil:
    def spoil(figures: Figures, request: PlantRequest) -> None:
        for one in spoils:
            one(figures, request)

    return spoil


def _grow(figures: Figures, _: PlantRequest) -> None:
    figures.scalars["cache_bytes"] *= _MANY


def _times_many(array: Any) -> Any:  # noqa: ANN401  any array
    return array * _MANY


def _next_position(array: Any) -> Any:  # noqa: ANN401  any array
    return np.roll(array, 1, axis=1)


def _not_a_number(array: Any) -> Any:  # noqa: ANN401  any array
    array.flat[0] = np.nan
    return array


def _first_only(spoil: Spoil) -> Spoil:
    """Spoil the first session that carries the fault and none after it."""
    return lambda figures, request: None if request.count else spoil(figures, request)


def _set(at: float, value: float) -> Callable[[Any], Any]:
    """Give the change that sets one element, at this share of the length."""

    def change(array: Any) -> Any:  # noqa: ANN401  any array
        array[int(at * len(array))] = value
        return array

    return change


def _die(watts: Any) -> Any:  # noqa: ANN401  any array
    watts[len(watts) // 2 :] = np.nan
    return watts


def _metered(spoil: Spoil) -> Spoil:
    """Act where the board has readings of its own; in those of an external meter the controller plants the fault."""
    return lambda figures, request: spoil(figures, request) if "power_t_s" in figures.arrays else None


def _gap(figures: Figures, _: PlantRequest) -> None:
    """Lose the samples of the middle fifth of the window."""
    start, end = figures.scalars["window_start_s"], figures.scalars["window_end_s"]
    times = np.array(figures.arrays["power_t_s"])
    middle, width = (start + end) / 2, (end - start) / 10
    kept = abs(times - middle) > width
    for name in _POWER:
        figures.arrays[name] = np.array(figures.arrays[name])[kept]


def _sparse(figures: Figures, _: PlantRequest) -> None:
    """Keep some 60 samples of all."""
    for name in _POWER:
        array = np.array(figures.arrays[name])
        figures.arrays[name] = array[:: max(1, len(array) // 60)]


def _drift(figures: Figures, _: PlantRequest) -> None:
    """Double the power from the end of the window on."""
    late = np.array(figures.arrays["power_t_s"]) > figures.scalars["window_end_s"]
    figures.arrays["power_w"] = np.where(late, 2.0, 1.0) * figures.arrays["power_w"]


def _restless(figures: Figures, _: PlantRequest) -> None:
    """Double the power in the first half of the rest before the window."""
    start, end = figures.scalars["idle_before_start_s"], figures.scalars["idle_before_end_s"]
    times = np.array(figures.arrays["power_t_s"])
    figures.arrays["power_w"] = np.where(times < (start + end) / 2, 2.0, 1.0) * figures.arrays["power_w"]


def _uncovered(figures: Figures, _: PlantRequest) -> None:
    """Have the window end after the last sample."""
    figures.scalars["window_end_s"] = float(figures.arrays["power_t_s"][-1]) + 1.0


RESULTS: dict[str, Spoil] = {
    "dropped-samples": _array("latency_s", lambda array: array[: len(array) // 2]),
    "negative-latency": _array("latency_s", _set(0.5, -1e-3)),
    "endless-latency": _array("latency_s", _set(0.5, float("nan"))),
    "folded-latencies": _array("latency_s", lambda array: array.reshape(-1, 1)),
    "frozen-clock": _array("latency_s", lambda array: np.full_like(array, array.mean())),
    "other-timed-answer": _array("timed_output", lambda array: array + 1.0 + abs(array).max()),
    "no-timed-answer": _without("timed_output"),
    "no-counter": _without(
        "instructions",
        "load_instructions",
        "first_instructions",
        "prefill_instructions",
        "decode_instructions",
        flag="no-counter:EPERM",
    ),
    "few-counts": _array("instructions", lambda array: array[:5]),
    "negative-count": _array("instructions", _set(0.5, -1)),
    "slow-load": _stretched("load_s"),
    "slow-first": _stretched("first_s"),
    "busy-load": _stretched("load_instructions"),
    "busy-first": _stretched("first_instructions"),
    "no-memory-figure": _without("hwm_bytes"),
    "zero-memory": _scalar("hwm_bytes", 0.0),
    "swapped-out": _without(flag="swapped"),
    "dropped-outputs": _outputs(lambda array: array[:-1]),
    "nan-outputs": _outputs(_set(0.0, float("nan"))),
    "no-outputs": _without("output_*"),
    "shuffled-answers": _outputs(lambda array: array[np.random.RandomState(0).permutation(len(array))]),
    "other-platform": _outputs(lambda array: -array),
    "shuffled-continuations": _all(_array("best", _next_position), _array("probe_logq", _next_position)),
    "unlikely-text": _array("nll", lambda array: array + 20.0),
    "nan-likelihood": _all(_array("nll", _not_a_number), _array("probe_logq", _not_a_number)),
    "slow-tokens": _all(_array("ttft_s", _times_many), _array("token_s", _times_many)),
    "more-token-work": _all(_array("prefill_instructions", _times_many), _array("decode_instructions", _times_many)),
    "no-timed-text": _without("written"),
    "other-timed-text": _array("written", lambda array: array + 1),
    "grown-cache": _grow,
    "lying-thermometer": _scalar("thermal_max_c", 999.0),
    "lost-thermometer": _first_only(_without("thermal_max_c")),
    "hungry": _array("power_w", lambda array: array * 1000.0),
    "power-of-zeros": _array("power_w", np.zeros_like),
    "dying-sensor": _array("power_w", _die),
    "stuttering-sensor": _array("power_w", lambda array: np.repeat(array[::3], 3)[: len(array)]),
    "wrong-sign": _array("power_w", lambda array: -array),
    "power-gap": _metered(_gap),
    "sparse-power": _metered(_sparse),
    "uncovered-window": _metered(_uncovered),
    "backward-time": _array("power_t_s", lambda array: array[::-1]),
    "drifting-idle": _metered(_drift),
    "restless-idle": _metered(_restless),
    "late-sampler": _scalar("power_late_count", 1e6),
    "rival-sensor": _scalar("power_rival_ratio", 1.5),
    "few-inferences": _scalar("inference_count", 3.0),
    "no-power": _without(*_POWER),
}
"""Fault -> what it does to a session's figures."""
