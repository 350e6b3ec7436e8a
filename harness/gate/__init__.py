"""Estimates + limits + baseline -> verdicts -> one release decision: pure functions of plan and records."""

from harness.gate.cell import check_limit, judge_cell
from harness.gate.decide import decide
from harness.gate.decision import decide_release
from harness.gate.judge import SampleReader, judge
from harness.gate.tier import forbidden

__all__ = ["SampleReader", "check_limit", "decide", "decide_release", "forbidden", "judge", "judge_cell"]
