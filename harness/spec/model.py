"""What was asked, resolved and validated: plain frozen data that travels to workers as JSON.

Made by `harness.spec.farm`, `.profile` and `.suite` from YAML; nothing here reads a file. SI units everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Tier(StrEnum):
    """How faithful a board is; what may be gated on it is in `harness.gate.tier`."""

    HARDWARE = "hardware"
    DETERMINISTIC = "emulated-deterministic"
    FUNCTIONAL = "emulated-functional"
    REPLAYED = "replayed"


class LimitKind(StrEnum):
    """How a limit bounds a figure.

    `max` and `min` are absolute. `regress` is the allowed relative worsening against the baseline.
    `drop` is the allowed absolute loss (ratio) against the reference on the same samples.
    """

    MAX = "max"
    MIN = "min"
    REGRESS = "regress"
    DROP = "drop"


class Split(StrEnum):
    """When a loss of accuracy is split into quantization, platform and interaction."""

    ON_LOSS = "on-loss"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something was written; `file` is as the user named it, lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Limit:
    """One bound on one metric: `value` in SI, `text` as the user wrote it."""

    metric: str
    kind: LimitKind
    value: float
    text: str
    origin: Origin
    accept: str = ""
    """`modelled` or `simulated` where the suite says that such a figure may decide this gate; else empty."""
    creep: float | None = None
    """`regress`: how much worse than the anchor release all accepted steps together may be; None: as one step."""


@dataclass(frozen=True, slots=True)
class LimitSet:
    """The limits that one place of one file states for one scope (`all`, a profile, a device)."""

    scope: str
    limits: tuple[Limit, ...]
    origin: Origin | None = None
    """Where the scope is written."""


@dataclass(frozen=True, slots=True)
class Emulation:
    """A QEMU board: `cpu` is QEMU's name."""

    cpu: str
    memory_bytes: int
    icount: bool
    suite: str = "bookworm"
    """Debian release of the board's root file system."""
    exists: bool = True
    """Whether boards with this CPU exist; a pass on one that does not is no evidence for any release."""


@dataclass(frozen=True, slots=True)
class Ssh:
    """How OpenSSH reaches a board: `host` may be an alias of ~/.ssh/config."""

    host: str
    user: str = ""
    port: int = 0
    host_key: str = ""
    """`SHA256:…` fingerprint or a public key line; empty: known_hosts decides."""


AS_SHIPPED, PINNED = "as-shipped", "pinned"
MODELLED, SIMULATED = "modelled", "simulated"
"""Power of emulated boards that no instrument gave: computed from a declared model, or told by an instrument on
loopback that follows one. Words of a board's `power`, of `accept` beside a limit, and labels of figures."""
BOARD_METERS = frozenset({"hwmon", "iio", "ina3221x", "pmic", "supply", "counter"})
"""Kinds of meter that the board reads itself; all others, but for `modelled`, the controller reads."""


@dataclass(frozen=True, slots=True)
class MeterSpec:
    """The power source of a board; `kind` is one of `harness.spec.power.METERS` or a package's. Zeros: not declared."""

    kind: str
    rail: str = ""
    root: str = "/sys"
    rate_hz: float = 50.0
    idle_w: float = 0.0
    joule_per_instruction: float = 0.0
    busy_w: float = 0.0
    """Of a simulated meter: power on top of idle while the emulator computes."""
    scope: str = ""
    """wall, board, module or rails; empty: what the source is known to see."""
    accuracy: float = 0.0
    """Bound of the relative error."""
    offset_w: float = 0.0
    averaging_s: float = 0.0
    range_w: float = 0.0
    window_s: float = 0.0
    """Shortest time under load."""
    address: str = ""
    queries: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    make: str = ""
    channel: int = 0
    options: dict[str, str] = field(default_factory=dict)
    """What a package's meter wants to know."""

    @property
    def is_external(self) -> bool:
        """Whether the controller reads it."""
        return self.kind != MODELLED and self.kind not in BOARD_METERS


@dataclass(frozen=True, slots=True)
class Noise:
    """How much a figure of a board scatters when nothing has changed: standard deviation of a pair's log-ratio."""

    metric: str
    """A metric, or `control`: the fixed piece of work that runs beside every timed session."""
    sd: float
    is_heavy: bool = False
    """Outliers beyond a normal distribution: the exact sign-flip test decides instead of the t test."""
    source: str = ""
    """Where it is known from: file:line, or the A/A runs that measured it."""


@dataclass(frozen=True, slots=True)
class Device:
    """One board of the farm, its profile already merged in.

    Exactly one of `ssh` and `emulation` is set, or neither for the `host` profile without `ssh:`, which gets an sshd of
    its own on loopback (`own_sshd`).
    """

    name: str
    profile: str
    lineage: tuple[str, ...]
    """Names of the profile and of all that it extends, nearest first; suite scopes match any of them."""
    tier: Tier
    origin: Origin
    ssh: Ssh | None = None
    emulation: Emulation | None = None
    own_sshd: bool = False
    python: str = "python3"
    root: str = "~/.fleetgate"
    threads: int = 1
    cores: tuple[int, ...] = ()
    """CPUs that a session is pinned to; empty: the agent takes the last of those allowed."""
    runtimes: dict[str, str] = field(default_factory=dict)
    """Runtime family -> requirement (`onnxruntime==1.32.0`) or `system`."""
    tools: dict[str, str] = field(default_factory=dict)
    """Name of a measuring tool -> its path on this board."""
    power: MeterSpec | None = None
    sessions: int = 0
    """Sessions per arm of a timed measurement, fixed beforehand; 0: as many as it takes, or the tier's number."""
    noise: tuple[Noise, ...] = ()
    """What is known of the board's noise, at most one entry per metric."""
    condition: str = AS_SHIPPED
    """`as-shipped` or `pinned`: whether a run holds the board's clocks."""
    frequency_hz: float = 0.0
    """At which they are pinned; 0: the highest that is allowed."""
    tags: tuple[str, ...] = ()
    budgets: tuple[Limit, ...] = ()
    """Limits of the profile (weakest)."""
    overrides: tuple[LimitSet, ...] = ()
    """Limits that farm.yaml states for this device (strongest); scope is a suite name or `all`."""
    description: str = ""
    """The profile's sentence about this kind of board."""
    selftest: bool = False
    """Whether known faults may be planted on it; set by a self-test's plan and by nothing that a user writes."""


@dataclass(frozen=True, slots=True)
class Farm:
    """The boards of one farm.yaml, in file order, already narrowed by `farm.yaml::selector`."""

    name: str
    file: str
    devices: tuple[Device, ...]
    scopes: tuple[str, ...] = ()
    """What a suite may name on this farm: every device of the file, also those not selected, and every profile."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What a language model is asked; see `harness.agent.message.GenerationRequest`, which it becomes."""

    prompts: tuple[str, ...] = ()
    prompt_tokens: int = 0
    new_tokens: int = 32
    context: int = 512
    temperature: float = 0.0
    top_k: int = 0
    seed: int = 0
    stops: bool = True
    tokenizing: bool = False
    window: int = 128
    tokens: int = 4096
    probes: int = 64
    questions: str = ""
    """File of questions (`harness.spec.questions`); empty: none."""
    checker: str = ""
    """`file.py:function` that judges what was written; empty: only regular expressions do."""
    budget_tokens: int = 0
    """Tokens of data and questions after which the evaluation ends; 0: no such budget."""
    budget_s: float = 0.0
    """Device time after which it ends; 0: no such budget."""

    @property
    def in_parts(self) -> bool:
        """Whether it is evaluated in parts until every gate is decided."""
        return bool(self.budget_tokens or self.budget_s)


@dataclass(frozen=True, slots=True)
class Sustain:
    """A load that lasts."""

    time_s: float
    rate_hz: float = 0.0
    """Inferences per second; 0: one after the other."""


@dataclass(frozen=True, slots=True)
class ToldFigure:
    """Where a figure stands in the JSON that a tool prints."""

    metric: str
    """A metric of `tool.*`; empty: the times of single inferences."""
    path: str
    """Keys and indices joined by dots; `*`: of every element."""
    scale: float
    """SI per unit of the tool."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that measures a model on the board by its own means; see `harness.agent.message.ToolRequest`."""

    format: str
    """How it prints what it found: a name of `harness.spec.tool.FORMATS`."""
    argv: tuple[str, ...] = ()
    program: str = ""
    """Its path on the board, or its name in PATH; empty: `file` is sent."""
    file: str = ""
    """Absolute path of a tool that the suite brings; in a plan relative to the suite."""
    sha256: str = ""
    """Of `file`, once it is planned."""
    figures: tuple[ToldFigure, ...] = ()
    """For `format: json`."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What is done with a model; paths are absolute."""

    task: str
    """`classification`, `parity`, `generation` or `tool`."""
    data: str
    repeat: int
    warmup: int = 10
    batch: int = 1
    """Samples per call of the accuracy pass; the timed pass always takes one sample."""
    output: int = 0
    """Index of the model output that holds the class scores."""
    deadline_s: float = 300.0
    """Longest time that one session may take on a board."""
    attribution: Split = Split.ON_LOSS
    """When the artifact is run on the controller, and the reference on the board, to explain a loss of accuracy."""
    generation: Generation | None = None
    """Set for the task `generation`, and for no other."""
    sustain: Sustain | None = None
    """None: nothing is measured under a load that lasts."""
    tool: Tool | None = None
    """Set for the task `tool`, and for no other."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model file and its runtime; `file` and `baseline` are absolute paths."""

    name: str
    file: str
    runtime: str
    origin: Origin
    baseline: str = ""
    provider: str = ""
    """Execution provider or delegate asked for; empty: the runtime's CPU."""
    threads: int = 0
    """0: the device's."""
    build: str = ""
    """A requirement that pins the runtime build for this artifact (`tflite-runtime==2.14.0`); empty: the device's."""
    devices: tuple[str, ...] = ()
    """Names of devices or profiles that this artifact is meant for; empty: all. Others are SKIPPED by the plan."""


@dataclass(frozen=True, slots=True)
class Suite:
    """One *.suite.yaml: `reference` is an absolute path, run once on the controller; empty: none."""

    name: str
    file: str
    workload: Workload
    artifacts: tuple[Artifact, ...]
    gates: tuple[LimitSet, ...]
    reference: str = ""
    reference_runtime: str = ""
