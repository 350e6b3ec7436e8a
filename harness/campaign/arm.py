"""One arm of a cell: a model file as it lies on the board and the environment that runs it.

Owns what a session of it is asked, and what is recorded of the answer.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from harness.agent.message import MeterRequest, SessionReply, SessionRequest
from harness.campaign.session import ENERGY_IDLE_S, ENERGY_WINDOW_S, MEMORY_REPEAT, PlannedSession
from harness.records.cell import ArrayRef, RuntimeRecord, SessionKind, SessionRecord, Stage
from harness.records.plan import PlannedCell
from harness.spec.model import Device, Tier


@dataclass(frozen=True, slots=True)
class Arm:
    """What runs: `model` is the file's hash in the board's store, `env` the environment of its runtime."""

    model: str
    suffix: str
    family: str
    build: str
    env: str
    provider: str = ""

    def request(self, session: PlannedSession, planned: PlannedCell, device: Device, *, data: str) -> SessionRequest:
        """Ask for one session.

        Args:
            session: what it measures.
            planned: the cell, with its workload.
            device: the board.
            data: hash of the evaluation data in the board's store.
        """
        workload = planned.workload
        energy = session.kind is SessionKind.ENERGY
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
            window_s=ENERGY_WINDOW_S if energy else 0.0,
            idle_s=ENERGY_IDLE_S if energy else 0.0,
            deadline_s=workload.deadline_s,
            deterministic=device.tier is Tier.DETERMINISTIC,
            fresh=session.stage is Stage.CONFIRM and session.pair == 0,
            meter=_meter(device) if energy else None,
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


def _meter(device: Device) -> MeterRequest | None:
    power = device.power
    return MeterRequest(power.kind, power.root, power.rail, power.rate_hz) if power else None
