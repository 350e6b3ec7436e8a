"""One open board: the facade that campaigns use. Owns the order of things; each thing itself has its own module."""

from __future__ import annotations

import dataclasses
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.agent.message import EXTERNAL, PlantRequest, SessionRequest
from harness.device.client import AgentClient
from harness.device.condition import compare
from harness.device.connection import Reach
from harness.device.cooling import cool_down, hottest_of
from harness.device.crash import name_instruction
from harness.device.deploy import deploy
from harness.device.envelope import SessionResult, open_envelope
from harness.device.facts import REQUEST, parse_facts
from harness.device.metering import measure_externally
from harness.device.reply import Clock, Installed, PowerSurvey, parse_reply
from harness.device.runtime import SYSTEM, RuntimeEnv, resolve
from harness.device.sustained import MOST_POINTS, SUSTAINED, Listener
from harness.device.turn import turn
from harness.errors import ArtifactError, FleetgateError, InfraError
from harness.records.fingerprint import fingerprint
from harness.records.run import DeviceRecord, Facts
from harness.spec.model import PINNED, Device, Tier

INSTALL_S = 900.0
WARM_S = 660.0
"""Longer than the agent's own limit for loading a runtime."""
MARGIN_S = 120.0
"""Loading a runtime anew on a busy emulated board, and the way back of the result."""
VIRTUAL_RATIO = 0.1
"""Seconds of a deterministic board's clock per second of ours while it computes (10^9 instructions are one second)."""
SLOWEST = 4.0
"""How much slower than that a busy host may run it before the board is given up."""
WATCHED = frozenset({"timing", "energy", SUSTAINED})
"""Kinds of session whose figures depend on the board's condition."""
OF_HEAT = frozenset({"throttled", "frequency-changed"})
"""What a sustained session is there to show spoils none."""


class OpenDevice:
    """A board that is connected, identified and leased; made by `open_device` and `open_local`.

    Args:
        spec: the board as the farm describes it.
        client: its agent, with the lease taken.
        reach: how it is reached.
        progress: gets a line for whatever takes longer than some seconds.
        cancel: set by another thread to give up.
    """

    def __init__(
        self, spec: Device, client: AgentClient, reach: Reach, progress: Callable[[str], None], cancel: threading.Event
    ) -> None:
        self.spec = spec
        self._client = client
        self._reach = reach
        self._progress = progress
        self._cancel = cancel
        self._where = f"{spec.name} ({reach.transport.describe()})"
        self._envs: dict[tuple[str, str], RuntimeEnv] = {}
        self._sent: dict[Path, tuple[int, int, str]] = {}
        self.facts: Facts = self._read_facts()

    @property
    def record(self) -> DeviceRecord:
        """The board as it was met, with the environments that were used so far."""
        envs = [env.id for env in self._envs.values()]
        return DeviceRecord(
            name=self.spec.name,
            profile=self.spec.profile,
            tier=self.spec.tier,
            facts=self.facts,
            fingerprint=fingerprint(self.facts, envs, self._reach.emulator),
            emulator=self._reach.emulator,
            snapshot=self._reach.snapshot,
        )

    def deploy(self, path: Path) -> str:
        """Bring a file into the board's store and return its SHA-256; nothing is sent when it is there.

        Raises:
            DeviceError: the board's disk is full or read-only.
            InfraError: the file arrived damaged twice, or the link failed.
        """
        stat = path.stat()
        known = self._sent.get(path)
        if known is None or known[:2] != (stat.st_mtime_ns, stat.st_size):
            (digest,) = deploy(self._client, [path], progress=self._progress)
            self._sent[path] = known = (stat.st_mtime_ns, stat.st_size, digest)
        return known[2]

    def ensure_runtime(self, family: str, build: str = "") -> RuntimeEnv:
        """Bring a runtime onto the board, unless it is there, and load it once.

        Args:
            family: `onnxruntime` or `tflite`.
            build: a requirement, `system` for what the board has installed, or empty for the family's default.

        Raises:
            ArtifactError: the runtime needs an instruction that the board's processor does not have.
            InfraError: no wheel fits the board, or the runtime cannot be loaded there.
            DeviceError: the board's disk is full or read-only.
        """
        if (family, build) not in self._envs:
            env = self.install_runtime(family, build)
            fields = {"env": env.id, "runtime": family, "deterministic": self._is_deterministic}
            with turn(self.spec, timed=False, cancel=self._cancel):
                self._warm(env, fields)
            self._envs[family, build] = env
        return self._envs[family, build]

    def install_runtime(self, family: str, build: str = "") -> RuntimeEnv:
        """Bring a runtime onto the board, unless it is there, without loading it; see `ensure_runtime`."""
        env = resolve(family, build, self.facts, progress=self._progress, cancel=self._cancel)
        if env.id != SYSTEM and self._install(env):
            self._progress(f"installed {env.requirement} on {self.spec.name}")
        return env

    def measure(self, request: SessionRequest) -> SessionResult:
        """Run one session on the board and return its validated result.

        A model that does not load, crashes or takes too long is in `reply.error`, never an exception. A missing nonce
        and, for deterministic boards, their flag and the deadline by their own clock are set here.

        Raises:
            LinkLost: the link or the emulated board ended.
            InfraError: the result is not complete and whole, or the runtime could not be started.
            DeviceError: the board restarted.
        """
        asked = self._complete(request)
        # An emulated board has no frequency, heat or neighbours: reading them would only disturb it.
        is_watched = asked.kind in WATCHED and self.spec.emulation is None
        with turn(self.spec, timed=asked.kind in WATCHED, cancel=self._cancel):
            started = time.monotonic()
            # What lasts is told from where it begins: two loads in a row must not be two different ones.
            cools = is_watched and (self.spec.condition == PINNED or asked.kind == SUSTAINED)
            flags = self._cool() if cools else []
            before = self._read_facts(asked.plant) if is_watched else None
            result = self._run(asked, longest_s(request, asked) + MARGIN_S)
        if result.reply.error is not None:
            result.reply.error["message"] = name_instruction(result.reply.error, self.facts)
        if before is not None and result.cut_short is None:
            seen = compare(before, self._read_facts(asked.plant, after=True), where=self._where)
            flags += [flag for flag in seen if asked.kind != SUSTAINED or flag not in OF_HEAT]
            result.reply.flags = list(dict.fromkeys([*result.reply.flags, *flags]))
        return dataclasses.replace(result, seconds=time.monotonic() - started)

    def _run(self, asked: SessionRequest, deadline_s: float) -> SessionResult:
        """Send one session, beside the recording of a meter that the controller reads."""

        def run() -> SessionResult:
            fields = dataclasses.asdict(asked)
            listener = Listener(asked, self._progress)
            heard = listener.hear if asked.kind == SUSTAINED else None
            try:
                reply = self._client.request(
                    "session", fields, deadline_s=deadline_s, quiet=asked.deterministic, heard=heard
                )
            except FleetgateError as error:
                left = listener.cut_short(error)
                if left is None:
                    raise
                return left
            if _is_file_gone(reply.header):
                self._send_again(asked.model)
            return open_envelope(reply.header, reply.payload, asked, where=self._where)

        meter = self._reach.meter or self.spec.power
        if meter is None or asked.meter is None or asked.meter.kind != EXTERNAL:
            return run()
        most = MOST_POINTS if asked.kind == SUSTAINED else None
        return measure_externally(meter, self._read_clock, run, nonce=asked.nonce, most=most)

    def _cool(self) -> list[str]:
        """Wait until the board is about as warm as when it was opened."""
        cooled = cool_down(
            lambda: hottest_of(self._read_facts()), reference_c=hottest_of(self.facts), wait=self._cancel.wait
        )
        return [] if cooled else ["note-not-cooled"]

    def _read_clock(self) -> float:
        return parse_reply(Clock, self._client.request("clock", deadline_s=30.0)).monotonic_s

    def survey_power(self) -> PowerSurvey:
        """List every power source that the board itself can read, with one reading of each."""
        root = self.spec.power.root if self.spec.power else "/sys"
        return parse_reply(PowerSurvey, self._client.request("sensors", {"root": root}, deadline_s=60.0))

    @property
    def _is_deterministic(self) -> bool:
        return self.spec.tier is Tier.DETERMINISTIC

    def _complete(self, request: SessionRequest) -> SessionRequest:
        """Add the nonce and what hangs on the kind of board; deadlines are told in the seconds of its own clock."""
        deadline_s = request.deadline_s
        if self._is_deterministic:
            deadline_s = VIRTUAL_RATIO * deadline_s + (request.sustain.time_s if request.sustain else 0.0)
        return dataclasses.replace(
            request,
            nonce=request.nonce or secrets.token_hex(16),
            deterministic=self._is_deterministic,
            deadline_s=deadline_s,
        )

    def _warm(self, env: RuntimeEnv, fields: dict[str, Any]) -> None:
        try:
            self._client.request("warm", fields, deadline_s=WARM_S)
        except ArtifactError as error:
            message = name_instruction(error.details, self.facts)
            raise ArtifactError(
                f"{env.requirement} does not run on this CPU: {message}", code=error.code, details=error.details
            ) from error

    def _read_facts(self, plant: PlantRequest | None = None, *, after: bool = False) -> Facts:
        fields = {**REQUEST, "plant": plant.fault, "after": after} if plant is not None else REQUEST
        return parse_facts(self._client.request("facts", fields, deadline_s=90.0, silence_s=60.0).header)

    def _send_again(self, digest: str) -> None:
        """Bring a file back that the board threw away: it was damaged, or a self-test changed it."""
        paths = [path for path, sent in self._sent.items() if sent[2] == digest]
        for path in paths:
            del self._sent[path]
            self.deploy(path)

    def _install(self, env: RuntimeEnv) -> bool:
        """Install wheels and tell whether that was necessary; an environment that is there needs no wheels."""
        wheels = [{"digest": wheel.sha256, "filename": wheel.filename} for wheel in env.wheels]
        fields = {"env": env.id, "wheels": wheels}
        try:
            reply = self._client.request("env", fields, deadline_s=INSTALL_S)
        except InfraError as error:
            if error.code != "missing":
                raise
            deploy(self._client, [wheel.path for wheel in env.wheels], progress=self._progress)
            reply = self._client.request("env", fields, deadline_s=INSTALL_S)
        return parse_reply(Installed, reply).installed


def longest_s(request: SessionRequest, asked: SessionRequest) -> float:
    """Return how long to wait for a session by our clock; a load that lasts does so by the board's own."""
    if not asked.deterministic:
        return request.deadline_s
    lasting_s = request.sustain.time_s if request.sustain else 0.0
    return (request.deadline_s + lasting_s / VIRTUAL_RATIO) * SLOWEST


def _is_file_gone(header: Mapping[str, Any]) -> bool:
    error, settings = header.get("error"), header.get("settings")
    planted = isinstance(settings, dict) and bool(settings.get("planted"))
    return planted or (isinstance(error, dict) and error.get("code") == "integrity")
