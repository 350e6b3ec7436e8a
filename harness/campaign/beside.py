"""What this machine computed for a cell, kept beside the board's samples so that a replay needs nothing else.

Owns which of it is kept and under which names; computes nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.campaign.incident import CONFORMANCE, controller_incident
from harness.campaign.language import LanguageWork
from harness.campaign.reference import Computed, Controller, read_labels
from harness.campaign.work import CellWork
from harness.errors import FleetgateError
from harness.records.cell import ArrayRef, Incident

if TYPE_CHECKING:
    import numpy as np

PROBED = "probe_token"
"""Only the board needs to know which tokens it was asked about."""


class Beside:
    """Labels, keys and outputs of one cell that no board brought.

    Args:
        work: the cell.
        language: of a language model.
        add: keeps an array under a key among the cell's samples.
        report: takes what could not be computed.
    """

    def __init__(
        self,
        work: CellWork,
        language: LanguageWork,
        add: Callable[[str, np.ndarray], ArrayRef],
        report: Callable[[Incident], None],
    ) -> None:
        self._work, self._language, self._add, self._report = work, language, add, report
        self.arrays: dict[str, ArrayRef] = {}
        self.builds: dict[str, str] = {}
        """The build that computed, by what it computed."""

    def keep(self, controller: Controller) -> None:
        """Keep labels and keys, and what the controller computed so far."""
        try:
            workload = self._work.planned.workload
            is_array = workload.generation is None and workload.tool is None
            labels = read_labels(self._work.files.data) if is_array else None
        except FleetgateError as error:
            self._report(controller_incident("reference", error))
            return
        if labels is not None:
            self.arrays["labels"] = self._add("labels", labels)
        for name, array in self._language.key().items():
            self.arrays[name] = self._add(name, array)
        if controller.reference is not None:
            self.keep_computed("reference", controller.reference)
        if controller.candidate is not None and self._work.wanted.conformance:
            self.keep_computed(CONFORMANCE, controller.candidate)

    def keep_computed(self, name: str, computed: Computed) -> None:
        """Keep the outputs of one computation, or the incident that there are none."""
        try:
            outputs = computed.outputs()
        except FleetgateError as error:
            self._report(controller_incident(name, error))
            return
        self.builds[name] = computed.build
        for output, array in (self._language.with_scores(outputs) if name == "reference" else outputs).items():
            if output != PROBED:
                self.arrays[f"{name}/{output}"] = self._add(f"{name}/{output}", array)
