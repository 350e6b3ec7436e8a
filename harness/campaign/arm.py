"""One arm of a cell: a model file as it lies on the board and the environment that runs it.

Owns what a session of it is asked, and what is recorded of the answer.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.agent.message import (
    EXTERNAL,
    GenerationRequest,
    MeterRequest,
    SessionReply,
    SessionRequest,
    SustainRequest,
    ToolRequest,
)
from harness.campaign.energy import NOT_METERED, EnergyTimes, energy_times
from harness.campaign.incident import flaky_runtime_incident, incident_of
from harness.campaign.session import MEMORY_REPEAT, PlannedSession
from harness.errors import ArtifactError
from harness.records.cell import ArrayRef, Incident, RuntimeRecord, SessionKind, SessionRecord, Stage
from harness.records.plan import PlannedCell
from harness.spec.model import MODELLED, Device, Tier
from harness.spec.workload import Sustain, Tool, Workload

if TYPE_CHECKING:
    from harness.farm.boards import OpenBoard, RuntimeEnvironment

_CONTROLLERS = frozenset({"questions", "checker", "budget_tokens", "budget_s"})
"""What is said of a generation and is not the board's business, or goes there as a file."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What runs: `model` is the file's hash in the board's store, `env` the environment of its runtime."""

    model: str
    suffix: str
    family: str
    build: str
    env: str
    provider: str = ""

    def request(
        self,
        session: PlannedSession,
        planned: PlannedCell,
        device: Device,
        *,
        data: str,
        compared: str = "",
        questions: str = "",
    ) -> SessionRequest:
        """Ask for one session.

        Args:
            session: what it measures.
            planned: the cell, with its workload.
            device: the board.
            data: hash of the evaluation data in the board's store.
            compared: hash there of what a language model's reference brought; empty: nothing is compared.
            questions: hash there of the questions to it; empty: none.
        """
        workload = planned.workload
        is_judged = session.kind is SessionKind.ACCURACY
        energy = session.kind is SessionKind.ENERGY
        lasting = workload.sustain if session.kind is SessionKind.SUSTAINED else None
        times = energy_times(device.power) if energy and device.power else NOT_METERED
        return SessionRequest(
            nonce=secrets.token_hex(16),
            kind=session.kind.value,
            env=self.env,
            runtime=self.family,
            model=self.model,
            suffix=self.suffix,
            data=data,
            provider=self.provider,
            threads=planned.threads,
            cores=list(device.cores),
            warmup=workload.warmup,
            repeat=min(workload.repeat, MEMORY_REPEAT) if session.kind is SessionKind.MEMORY else workload.repeat,
            batch=workload.batch,
            window_s=times.window_s,
            idle_s=times.idle_s,
            lead_s=times.lead_s,
            deadline_s=workload.deadline_s + _longer_s(workload, times, lasting),
            deterministic=device.tier is Tier.DETERMINISTIC,
            fresh=session.stage is Stage.CONFIRM and session.pair == 0,
            meter=_meter(device) if energy or lasting else None,
            sustain=_sustain(lasting, device) if lasting else None,
            generation=generation_request(
                workload, compared=compared if is_judged else "", questions=questions if is_judged else "", probes=0
            ),
            tool=_tool_request(workload.tool),
        )

    def record(
        self, session: PlannedSession, reply: SessionReply, order: int, arrays: Mapping[str, ArrayRef]
    ) -> SessionRecord:
        """Record what came back.

        Args:
            session: what was asked.
            reply: what the board said.
            order: position in the cell, from 0.
            arrays: where the raw arrays lie.
        """
        return SessionRecord(
            order=order,
            role=session.role,
            kind=session.kind,
            model_sha256=reply.model_sha256,
            runtime=RuntimeRecord(
                family=self.family,
                build=self.build,
                version=reply.runtime_version,
                provider=reply.provider,
                threads=reply.threads,
                env=self.env,
                python=reply.python,
                numpy=reply.numpy,
            ),
            cores=tuple(reply.cores),
            scalars=dict(reply.scalars),
            arrays=dict(arrays),
            flags=tuple(reply.flags),
            settings=dict(reply.settings),
            stage=session.stage,
            pair=session.pair,
        )


def generation_request(workload: Workload, *, compared: str, questions: str, probes: int) -> GenerationRequest | None:
    """Ask a language model; None for other tasks. See the fields of GenerationRequest."""
    asked = workload.generation
    if asked is None:
        return None
    fields = {name: value for name, value in dataclasses.asdict(asked).items() if name not in _CONTROLLERS}
    fields |= {"prompts": list(asked.prompts), "probes": probes}
    return GenerationRequest(**fields, compared=compared, questions=questions)


def _sustain(lasting: Sustain, device: Device) -> SustainRequest:
    return SustainRequest(lasting.time_s, lasting.rate_hz, device.power.root if device.power else "/sys")


def _tool_request(tool: Tool | None) -> ToolRequest | None:
    return ToolRequest(tool.program, tool.sha256, list(tool.argv)) if tool is not None else None


def _longer_s(workload: Workload, times: EnergyTimes, lasting: Sustain | None) -> float:
    """Say how much longer than another a session takes that is metered, or that lasts."""
    windows = 2 if workload.generation else 1
    return windows * times.longest_s + (lasting.time_s if lasting else 0.0)


def _meter(device: Device) -> MeterRequest | None:
    power = device.power
    if power is None or power.kind == MODELLED:
        return None
    kind = EXTERNAL if power.is_external else power.kind
    return MeterRequest(kind, power.root, power.rail, power.rate_hz)


def bring_runtime(
    board: OpenBoard, planned: PlannedCell, report: Callable[[Incident], None]
) -> RuntimeEnvironment | None:
    """Bring a cell's runtime; one that twice needs what the board's processor lacks fails the cell, never the board."""
    try:
        return board.ensure_runtime(planned.runtime, planned.build)
    except ArtifactError as error:
        first = error
    try:
        runtime = board.ensure_runtime(planned.runtime, planned.build)
    except ArtifactError as error:
        report(incident_of(error))
        return None
    report(flaky_runtime_incident(first))
    return runtime
