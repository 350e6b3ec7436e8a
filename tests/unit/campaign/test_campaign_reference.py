"""What the controller computes beside the boards, and what takes only one computation away."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from harness.campaign.incident import UNUSABLE
from harness.campaign.reference import Computation, compute
from harness.errors import InfraError
from harness.farm.boards import OpenBoard
from harness.spec.workload import Workload


class Unfit:
    """A controller that brings no runtime."""

    def __init__(self, code: str) -> None:
        self.code = code

    def ensure_runtime(self, family: str, build: str) -> None:
        """Refuse."""
        raise InfraError(f"{build} does not fit", code=self.code)


@pytest.mark.parametrize(("code", "seen"), [("wheel", UNUSABLE), ("disk", "disk")])
def test_a_runtime_without_a_build_for_this_machine_costs_one_computation(code: str, seen: str) -> None:
    """No wheel for the controller is the file's matter and leaves it in use; any other error is the controller's."""
    workload = Workload("classification", "d.npz", 1)
    asked = Computation(Path("m.pte"), "0" * 64, "executorch", Path("d.npz"), "1" * 64, workload)

    with pytest.raises(InfraError, match="does not fit") as caught:
        compute(cast(OpenBoard, Unfit(code)), asked)

    assert caught.value.code == seen
