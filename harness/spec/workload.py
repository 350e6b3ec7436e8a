"""What is done with a model: the workload of a suite, in SI units and without its spelling.

Owns these words; how they are read from YAML is `suite`'s, `generation`'s and `tool`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Split(StrEnum):
    """When a loss of accuracy is split into quantization, platform and interaction."""

    ON_LOSS = "on-loss"
    ALWAYS = "always"
    NEVER = "never"


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
