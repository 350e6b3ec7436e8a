"""Whether a loss of accuracy is worth the two more runs that say where it comes from.

The artifact on the controller costs no board: it is run when the candidate lost accuracy, and splits the loss into
quantization and platform. The reference on the board costs a session there, and perhaps the installation of another
runtime: it is run only when the board really answers otherwise than the controller.
"""

from __future__ import annotations

from harness.gate import check_limit
from harness.records.outcome import Outcome
from harness.spec.workload import Split
from harness.stats import Evidence, Missing, loss
from harness.stats.attribution import MAIN, loss_split

CLASSIFIED = "classification"


def wants_controller(evidence: Evidence) -> bool:
    """Tell whether the artifact is to be run on the controller.

    On loss: the loss of accuracy is shown, or there is one and a limit on accuracy does not pass.
    """
    planned = evidence.planned
    mode = planned.workload.attribution
    if planned.reference is None or planned.workload.task != CLASSIFIED or mode is Split.NEVER:
        return False
    if mode is Split.ALWAYS:
        return True
    found = loss(evidence, MAIN)
    if isinstance(found, Missing) or found.estimate.value <= 0:
        return False
    if found.estimate.low is not None and found.estimate.low > 0:
        return True
    limits = [limit for limit in planned.limits if limit.metric.startswith("accuracy.")]
    return any(check_limit(evidence, limit).outcome is not Outcome.PASS for limit in limits)


def wants_board(evidence: Evidence) -> bool:
    """Tell whether the reference is to be run on the board, once the artifact was run on the controller."""
    split = loss_split(evidence)
    if split is None:
        return False
    differs = split.platform.components["lost"] + split.platform.components["won"] > 0
    return differs or evidence.planned.workload.attribution is Split.ALWAYS
