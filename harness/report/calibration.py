"""What is known of a board's noise, in words: beside each verdict, and as the result of `fleetgate calibrate`.

Computes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.records.calibration import Calibration
from harness.records.plan import CalibratedNoise, PlannedCell
from harness.records.verdict import Verdict
from harness.report.wording import count, figure, is_relative, neutral
from harness.stats.noise import usual_noise
from harness.stats.outlook import RESOLVES, resolvable
from harness.units import Dimension


def calibration_of(verdict: Verdict, planned: PlannedCell, board: str) -> str:
    """Say what was known of the noise behind a verdict: `board noise 1.2 %, 0 of 20 false alarms (<= 13.9 %), …`.

    Args:
        verdict: of a gate of the cell.
        planned: the cell, with its calibration.
        board: hash of the lasting facts of the board that was met; empty: it was not.

    Returns:
        Empty for a gate that is not decided in pairs.
    """
    if verdict.trail is None:
        return ""
    known = planned.calibration
    if known is None:
        return "not calibrated"
    source = neutral(known.source)
    if known.stale:
        return f"not calibrated: {source} does not hold: {neutral(known.stale)}"
    if known.board != board:
        return f"not calibrated: {source} is of another board or system"
    noise = next((noise for noise in known.noise if noise.metric == verdict.metric), None)
    if noise is None:
        return f"not calibrated: {source} does not have {verdict.metric}"
    return f"board {noise_words(noise)}" if is_relative(verdict.kind) else f"board noise {_noise(noise)}"


def noise_words(noise: CalibratedNoise) -> str:
    """Say noise, false alarms and the detectable effect of one metric."""
    return f"noise {_noise(noise)}, {_alarms(noise)}, {_sees(noise)}"


def calibration_lines(calibration: Calibration) -> Iterator[str]:
    """List a calibration: what each metric's pairs tell, and what does not resolve."""
    pairs = min(noise.pairs for noise in calibration.noise)
    void = f", {count(calibration.void, 'pair')} void" if calibration.void else ""
    key = f"{calibration.suite}::{calibration.artifact}[{calibration.device}]"
    yield f"{neutral(key)}: {count(pairs, 'pair')} of {neutral(calibration.model.name)} with itself{void}"
    for noise in calibration.noise:
        yield f"  {noise.metric}: {noise_words(noise)}"
        yield f"    {_test(noise)}; {noise.expected_pairs:.1f} pairs expected"
        if usual_noise(noise) > RESOLVES * math.log1p(noise.margin):
            least = _ratio(resolvable(usual_noise(noise)))
            yield f"    cannot resolve a margin of {_ratio(noise.margin)}: allow at least {least}"


def _noise(noise: CalibratedNoise) -> str:
    usual = usual_noise(noise)
    whole = f" ({_ratio(noise.sd)} with its outliers)" if usual < noise.sd else ""
    return f"{_ratio(usual)}{whole}"


def _alarms(noise: CalibratedNoise) -> str:
    bound = f"(<= {figure(noise.alarm_bound, Dimension.RATIO)})"
    return f"{noise.alarms} of {noise.gates} false alarms {bound}"


def _sees(noise: CalibratedNoise) -> str:
    if noise.detectable is None:
        return f"detects nothing beside a margin of {_ratio(noise.margin)}"
    return f"detects {figure(noise.detectable, Dimension.RATIO, signed=True)} beside a margin of {_ratio(noise.margin)}"


def _test(noise: CalibratedNoise) -> str:
    shape = f"excess kurtosis {noise.kurtosis:.1f}, normal at p {noise.normal_p:.2g}"
    return f"sign flips decide ({shape})" if noise.is_heavy else f"the t test decides ({shape})"


def _ratio(value: float) -> str:
    return figure(value, Dimension.RATIO)
