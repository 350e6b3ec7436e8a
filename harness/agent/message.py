"""The words of the wire between controller and agent: plain dataclasses that both sides share.

Frames are `harness.agent.frame`'s business. Everything here is standard library and Python 3.8, because boards run it.
A request header is `{"v": 1, "id": n, "op": OP, ...fields}`; a reply header is `{"v": 1, "id": n, "ok": true, ...}` or
`{"v": 1, "id": n, "ok": false, "error": {"code": CODE, "message": TEXT, ...}}`.

| op | fields | payload | reply |
|---|---|---|---|
| hello | holder, ttl_s, nonce, selftest | | agent, python, pid, boot_id, token, nonce; error `lease_busy` has `owner` |
| ping | | | (renews the lease); during a sustained session also progress: what it has told since the last ping |
| clock | | | monotonic_s: by the clock that sessions stamp with |
| facts | files: [path], globs: [pattern], commands: [[argv]], plant, after | | files {path: text or null}, \
globs {pattern: {path: text}}, commands {"argv joined by space": {"status", "stdout"}}, python {...}, disk {...}; \
each text cut at 64 KiB |
| condition | sysfs: a sysfs root, cores: [number], frequency_hz | | settings: [{path, before, after}], held until \
the agent ends; \
error `condition` |
| sensors | root: a sysfs root | | rails: every power source there, with one reading or why there is none |
| has | digests: [sha256] | | missing: [sha256], partial: {sha256: bytes} |
| put | digest, size, offset | chunk <= 4 MiB | received, done; errors `integrity`, `disk`, `read_only` |
| env | env, wheels: [{digest, filename}] | | installed (bool: false when it was there) |
| warm | env, runtime, deterministic | | starts the zygote: runtime_version, numpy, python; errors `runtime`, \
`illegal_instruction` |
| session | SessionRequest as JSON | | SessionReply as JSON; payload = arrays |
| bye | | | releases the lease and ends |

Any operation may be refused with `request` (malformed), `version`, `no_lease`, `busy` (another operation is under way),
`missing` (a digest or environment that is not there), `disk`, `read_only`, `runtime` (the runtime does not fit the
board), `agent`. Fields of SessionRequest and SessionReply stand flat in the header, beside `v`, `id`, `op` or `ok`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

VERSION = 1
EXTERNAL = "external"
"""Kind of a meter that the controller reads: the board gives only the marks of windows, by its own clock."""


@dataclass
class MeterRequest:
    """A power source: one that the board itself reads (`kind` of `harness.agent.power.source`), or `external`.

    `root` is a sysfs root; `rail` names one, or several joined by `+`.
    """

    kind: str
    root: str = "/sys"
    rail: str = ""
    rate_hz: float = 50.0


@dataclass
class SustainRequest:
    """A load that lasts: how long, and how many inferences per second (0: one after the other)."""

    time_s: float
    rate_hz: float = 0.0
    root: str = "/sys"
    """The sysfs root that temperatures and clocks are read from."""


@dataclass
class PlantRequest:
    """A known fault that this session is to carry; refused unless `hello` said that the run is a self-test."""

    fault: str
    ratio: float = 0.0
    """How much worse than itself a figure is made."""
    target: float = 0.0
    """Figure in SI that is to be passed."""
    count: int = 0
    """How many sessions carried this fault before; the agent fills it in."""


@dataclass
class GenerationRequest:
    """What a language model is asked: texts to continue, and how its likelihood of the session's data is measured."""

    prompts: list[str] = field(default_factory=list)
    """UTF-8 texts; empty: the beginning of the data, `prompt_tokens` long."""
    prompt_tokens: int = 0
    """Prompts are cut to so many tokens; 0: as long as they are."""
    new_tokens: int = 32
    """Most tokens to generate per prompt."""
    context: int = 512
    """Positions that the cache holds."""
    temperature: float = 0.0
    """0: the most likely token, always."""
    top_k: int = 0
    """Sampling among the so many most likely; 0: all."""
    seed: int = 0
    stops: bool = True
    """Whether the model's own end token ends a text; else every text is `new_tokens` long."""
    tokenizing: bool = False
    """Whether the time to the first token counts from the text; else from its tokens."""
    window: int = 128
    """Tokens that are scored in one context."""
    tokens: int = 4096
    """Most tokens of the data that are scored."""
    probes: int = 0
    """So many tokens per position are brought back with their probability: the reference's part of a comparison."""
    compared: str = ""
    """sha256 in the store of what a reference brought (.npz): its probes are answered; empty: none."""
    questions: str = ""
    """sha256 in the store of questions (JSON lines, see `harness.agent.language.questions`); empty: none."""
    windows: list[int] = field(default_factory=list)
    """[first, count]: only so many windows, in an order drawn from `seed`; empty: all, as they stand."""
    lines: list[int] = field(default_factory=list)
    """[first, count]: only so many questions, in an order drawn likewise; empty: all."""
    writes: bool = True
    """Whether an accuracy session continues the prompts, too."""


@dataclass
class ToolRequest:
    """A tool that measures a model by its own means: what it prints comes back as it is.

    Words of `argv` may hold {model} and {data} (paths on the board), {threads}, {repeat} and {warmup}.
    """

    program: str = ""
    """Its path on the board, or its name in the agent's PATH; empty: the file `stored`."""
    stored: str = ""
    """sha256 in the store of a tool that was sent."""
    argv: list[str] = field(default_factory=list)
    """Arguments after the tool's own name."""


@dataclass
class SessionRequest:
    """One measuring session: a fresh child of the zygote of `env`."""

    nonce: str
    kind: str
    """timing, memory, accuracy, energy, sustained, profile, or binary: `model` is a native program, without data."""
    env: str
    """Env id, or `system` for what the board has installed."""
    runtime: str
    """onnxruntime, tflite, llamacpp or executorch; native for a program, command for a tool."""
    model: str
    """sha256 of the model in the board's store."""
    suffix: str
    """The file's suffix (`.onnx`), for runtimes that look at it."""
    data: str
    """sha256 of the .npz in the board's store: `x` or one array per model input name, first axis = sample.

    Empty, for an accuracy session: `samples` samples are drawn from `seed` by the model's own input specs and kept in
    the store; the reply names them in `settings["data"]`. With `generation`: a text (UTF-8), or an .npz of `tokens`.
    """
    provider: str = ""
    threads: int = 1
    cores: list[int] = field(default_factory=list)
    warmup: int = 10
    repeat: int = 100
    batch: int = 1
    samples: int = 0
    """accuracy: the first so many samples of the data; 0: all."""
    seed: int = 0
    shapes: dict[str, list[int]] = field(default_factory=dict)
    """Shapes of drawn inputs with free axes, by input name."""
    window_s: float = 0.0
    """energy: shortest time under load."""
    idle_s: float = 0.0
    """energy: idle time before and after the window."""
    lead_s: float = 0.0
    """energy: load before and after the window, and rest before each idle time is counted."""
    deadline_s: float = 300.0
    count_work: bool = True
    deterministic: bool = False
    """No address randomisation, fixed hash seed, no traffic while it runs."""
    fresh: bool = False
    """Load the runtime anew before it: nothing of the process that earlier sessions were forked from is left."""
    meter: MeterRequest | None = None
    sustain: SustainRequest | None = None
    """Set for sustained sessions."""
    generation: GenerationRequest | None = None
    """Set for language models: timing, memory and accuracy sessions generate text."""
    tool: ToolRequest | None = None
    """Set for the runtime `command`: timing and memory sessions run it once."""
    argv: list[str] = field(default_factory=list)
    """binary: arguments after the program's own name."""
    plant: PlantRequest | None = None


def make_request(fields: dict[str, Any]) -> SessionRequest:
    """Make a request of what its JSON held.

    Raises:
        TypeError: a field is unknown or missing.
    """
    parts = {name: kind(**fields[name]) for name, kind in _PARTS.items() if fields.get(name) is not None}
    return SessionRequest(**{**fields, **parts})


_PARTS: dict[str, Any] = {
    "meter": MeterRequest,
    "plant": PlantRequest,
    "sustain": SustainRequest,
    "generation": GenerationRequest,
    "tool": ToolRequest,
}


@dataclass
class ArraySpec:
    """Where one array lies in the payload: C order, little endian."""

    name: str
    dtype: str
    """numpy name: float32, float64, int64, uint8 …"""
    shape: list[int]
    offset: int
    nbytes: int


@dataclass
class SessionReply:
    """The envelope of a session: only a complete one counts.

    `wait_status` is what waitpid gave for the child; `error` is set when the child said why it failed
    (code load, run, fallback, input, memory, sensor, integrity, profile, tool) or died (code crash, timeout, killed: by
    nobody knows whom, or illegal_instruction). An error of a fatal signal also has `signal`, `pc`, `where` (library and
    offset) and, when illegal, `instruction`: hexadecimal, in the order of memory.
    """

    nonce: str
    wait_status: int
    sha256: str
    """Of the payload."""
    end: bool
    error: dict[str, str] | None = None
    arrays: list[ArraySpec] = field(default_factory=list)
    scalars: dict[str, float] = field(default_factory=dict)
    runtime_version: str = ""
    provider: str = ""
    threads: int = 0
    python: str = ""
    numpy: str = ""
    model_sha256: str = ""
    """Hash of the file that the runtime really opened, taken on the board by the session itself."""
    cores: list[int] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    """Options and environment that shape the figures (allocator, thread pools, graph optimisation)."""
    log: str = ""
    """Last 8 KiB of the child's stderr."""
