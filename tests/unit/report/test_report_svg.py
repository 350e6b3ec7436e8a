"""Scales and shapes: known pixels, round ticks, nothing unescaped."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report import svg


def test_a_linear_scale_maps_its_ends_and_middle() -> None:
    """A value halfway in the domain lies halfway in pixels."""
    scale = svg.Scale(10, 20, 0, 100)

    assert [scale(value) for value in (10, 15, 20)] == [0, 50, 100]


def test_a_log_scale_maps_a_factor_to_a_distance() -> None:
    """The same factor is the same distance."""
    scale = svg.Scale(1, 100, 0, 200, log=True)

    assert scale(10) == pytest.approx(100)


def test_values_outside_are_clamped() -> None:
    """An infinite or far value lands on the edge and is known to be outside."""
    scale = svg.Scale(0, 1, 5, 95)

    assert scale(math.inf) == 95
    assert scale(-7) == 5
    assert not scale.holds(math.inf)


@given(
    low=st.floats(-1e9, 1e9),
    span=st.floats(1e-6, 1e9),
    count=st.integers(1, 12),
)
def test_ticks_are_inside_ascending_and_few(low: float, span: float, count: int) -> None:
    """Whatever the domain, ticks stay inside it, ascend, and are at most twice the number asked for."""
    high = low + span

    ticks = svg.nice_ticks(low, high, count)

    tolerance = 1e-6 * max(abs(low), abs(high), span)
    assert all(low - tolerance <= tick <= high + tolerance for tick in ticks)
    assert list(ticks) == sorted(ticks)
    assert len(ticks) <= 2 * count + 2


def test_ticks_are_round() -> None:
    """Ticks are multiples of 1, 2 or 5 times a power of ten."""
    assert svg.nice_ticks(0, 1, 5) == pytest.approx((0, 0.2, 0.4, 0.6, 0.8, 1.0))
    assert svg.nice_ticks(3.1, 6.2, 4) == pytest.approx((4, 5, 6))
    assert svg.log_ticks(1, 100, 5) == pytest.approx((1, 2, 5, 10, 20, 50, 100))


def test_a_log_domain_of_many_decades_shows_powers_of_ten() -> None:
    """Nine decades do not get twenty-seven labels."""
    assert svg.log_ticks(1, 1e9, 4) == pytest.approx(tuple(10.0**power for power in range(10)))


@pytest.mark.parametrize("values", [(), (math.nan,), (math.inf, 2.0), (5.0,), (0.0, 0.0)])
def test_a_scale_can_be_made_of_anything(values: tuple[float, ...]) -> None:
    """No data, one value, NaN and infinity still give a domain with some width."""
    scale = svg.scale_for(values, 0, 100)

    assert scale.low < scale.high
    assert math.isfinite(scale(5.0))


def test_a_log_scale_of_values_that_are_not_positive_is_linear() -> None:
    """A zero among the values makes the scale linear instead of an error."""
    assert not svg.scale_for([0, 5], 0, 100, log=True).log


def test_text_and_attributes_are_escaped() -> None:
    """Markup in a label or attribute stays text, and the drawing stays well-formed XML."""
    drawing = svg.picture("<script>'\"&", 10, 10, svg.text("tick", 1, 2, "</svg><script>"), class_='x" onload="y')

    root = ET.fromstring(drawing)

    assert root[0].text == "<script>'\"&"
    assert root[1].text == "</svg><script>"
    assert root.attrib["class"] == 'x" onload="y'
    assert "<script>" not in drawing


def test_an_ecdf_is_a_staircase_from_zero_to_its_last_share() -> None:
    """The path starts at share 0 and climbs at every value."""
    x, y = svg.Scale(0, 2, 0, 20), svg.Scale(0, 1, 10, 0)

    drawing = svg.ecdf("cand", [0, 1, 2], [1 / 3, 2 / 3, 1.0], x, y)

    assert 'd="M0 10H0V6.7H10V3.3H20V0"' in drawing


def test_a_whisker_points_where_its_interval_leaves_the_drawing() -> None:
    """An unbounded end is drawn as an arrow, a bounded one as a bar."""
    x = svg.Scale(0, 10, 0, 100)

    bounded, unbounded = svg.whisker("interval", 2, 4, x, 5), svg.whisker("interval", 2, math.inf, x, 5)

    assert bounded.count("<line") == 3
    assert unbounded.count("<line") == 2
    assert unbounded.count("<path") == 1
