"""The operations that a controller can ask for (`harness.agent.message`), one method each.

A method answers at once, or returns work that the main loop carries on. Owns the lease, the store and the zygotes.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from harness.agent import process
from harness.agent.condition import Keeper, plan_pinned, recover
from harness.agent.env import install
from harness.agent.facts import read_facts
from harness.agent.frame import Frame
from harness.agent.lease import Lease, read_boot_id
from harness.agent.message import SessionRequest, make_request
from harness.agent.refusal import Refusal
from harness.agent.spawn import TOOL, Zygote, ZygoteKey, encode_request
from harness.agent.store import Store
from harness.agent.task import Answer, Task
from harness.agent.watch import Warming, Watch

_MAX_ZYGOTES = 3
"""Loaded runtimes that are kept; the one used longest ago goes first."""
_KINDS = frozenset({"timing", "memory", "accuracy", "energy", "sustained", "profile", "binary"})
_GENERATING = frozenset({"timing", "memory", "accuracy", "energy"})
MOST_TOKENS = 1 << 20

if TYPE_CHECKING:
    Work = Task | Warming | Watch
    Operation = Callable[[Frame], Answer | Work]


class Operations:
    """What the agent can do for the controller that it serves."""

    def __init__(self, root: str) -> None:
        self._root = root
        self.lease = Lease(root)
        self._store = Store(root)
        self._keeper = Keeper(root)
        self._zygotes: dict[ZygoteKey, Zygote] = {}
        self._is_selftest = False
        self._planted: list[str] = []
        """Faults of the sessions so far."""
        self._by_name: dict[str, Operation] = {
            "hello": self._hello,
            "ping": lambda _: Answer({"ok": True}),
            "clock": lambda _: Answer({"ok": True, "monotonic_s": time.monotonic()}),
            "sensors": self._sensors,
            "condition": self._condition,
            "facts": self._facts,
            "has": self._has,
            "put": self._put,
            "env": self._env,
            "warm": self._warm,
            "session": self._session,
        }

    def perform(self, frame: Frame) -> Answer | Work:
        """Do what a frame asks.

        Raises:
            Refusal: it cannot be done, or the request is malformed.
        """
        op = frame.header.get("op")
        if op not in self._by_name:
            raise Refusal("request", f"no operation {op!r}")
        if op != "hello" and not self.lease.token:
            raise Refusal("no_lease", "say hello first")
        try:
            return self._by_name[op](frame)
        except (KeyError, TypeError, ValueError) as error:
            raise Refusal("request", f"{op}: {type(error).__name__}: {error}") from error

    def stop(self) -> None:
        """Kill all zygotes and whatever they left, and give the lease back."""
        while self._zygotes:
            self._zygotes.popitem()[1].kill()
        self._keeper.restore()
        process.sweep()
        self.lease.release()

    def _hello(self, frame: Frame) -> Answer:
        self.lease.take(str(frame.header["holder"])[:200], float(frame.header["ttl_s"]))
        if not self._keeper.is_holding:
            recover(self._root)
        self._is_selftest = frame.header.get("selftest") is True
        # Names that crashed sessions left; nobody else uses them while the lease is ours.
        shutil.rmtree(os.path.join(self._root, "active"), ignore_errors=True)
        os.makedirs(os.path.join(self._root, "active"), mode=0o700, exist_ok=True)
        return Answer(
            {
                "ok": True,
                "agent": os.path.splitext(os.path.basename(sys.argv[0]))[0],
                "python": platform.python_version(),
                "pid": os.getpid(),
                "boot_id": read_boot_id(),
                "token": self.lease.token,
                "nonce": str(frame.header["nonce"])[:200],
            }
        )

    def _facts(self, frame: Frame) -> Task:
        asked = frame.header
        files, globs, commands = asked.get("files", []), asked.get("globs", []), asked.get("commands", [])
        fault = str(asked.get("plant", ""))
        if not fault:
            return Task(lambda: read_facts(self._root, files, globs, commands))
        self._check_selftest()
        from harness.agent.plant.reply import spoil_facts

        after = bool(asked.get("after"))
        return Task(lambda: spoil_facts(fault, read_facts(self._root, files, globs, commands), after=after))

    def _condition(self, frame: Frame) -> Answer:
        """Hold the clocks of some cores until this agent ends, however it ends."""
        asked = frame.header
        cores = [int(core) for core in asked.get("cores", [])]
        settings = plan_pinned(str(asked.get("sysfs", "/sys")), cores, float(asked.get("frequency_hz", 0.0)))
        self._keeper.apply(settings)
        return Answer({"ok": True, "settings": [setting._asdict() for setting in settings]})

    def _sensors(self, frame: Frame) -> Task:
        root = str(frame.header.get("root", "/sys"))

        def look() -> dict[str, object]:
            from harness.agent.power.source import survey

            return {"rails": survey(root)}

        return Task(look)

    def _has(self, frame: Frame) -> Answer:
        missing = [digest for digest in frame.header["digests"] if not self._store.has(digest)]
        sizes = {digest: self._store.partial_size(digest) for digest in missing}
        return Answer({"ok": True, "missing": missing, "partial": {name: size for name, size in sizes.items() if size}})

    def _put(self, frame: Frame) -> Answer | Task:
        digest, size = frame.header["digest"], int(frame.header["size"])
        if self._store.has(digest):
            return Answer({"ok": True, "received": size, "done": True})
        received = self._store.append(digest, size, int(frame.header["offset"]), frame.payload)
        if received < size:
            return Answer({"ok": True, "received": received, "done": False})

        def publish() -> dict[str, object]:
            self._store.publish(digest)
            return {"received": received, "done": True}

        return Task(publish)

    def _env(self, frame: Frame) -> Task:
        env, digests = frame.header["env"], [wheel["digest"] for wheel in frame.header["wheels"]]
        return Task(lambda: {"installed": install(self._root, env, digests)})

    def _warm(self, frame: Frame) -> Warming:
        asked = frame.header
        return Warming(self._zygote(ZygoteKey(asked["env"], asked["runtime"], bool(asked.get("deterministic")))))

    def _session(self, frame: Frame) -> Watch:
        request = parse_request(frame.header)
        asked = request.generation
        more = (asked.compared, asked.questions) if asked else ()
        for digest in (request.model, request.data, *more, request.tool.stored if request.tool else ""):
            if digest and not self._store.has(digest):
                raise Refusal("missing", f"{digest[:12]} is not in the store")
        if request.plant is not None:
            self._check_selftest()
            request.plant.count = self._planted.count(request.plant.fault)
            self._planted.append(request.plant.fault)
        zygote = self._zygote(ZygoteKey(request.env, request.runtime, request.deterministic), fresh=request.fresh)
        return Watch(request, encode_request(asdict(request)), zygote)

    def _check_selftest(self) -> None:
        if not self._is_selftest:
            raise Refusal("request", "faults are planted in a self-test only, and this is none")

    def _zygote(self, key: ZygoteKey, *, fresh: bool = False) -> Zygote:
        found = self._zygotes.pop(key, None)
        if found is not None and (fresh or found.is_lost):
            found.kill()
            found = None
        while found is None and len(self._zygotes) >= _MAX_ZYGOTES:
            self._zygotes.pop(next(iter(self._zygotes))).kill()
        self._zygotes[key] = found or Zygote(self._root, key, self.lease.fd)
        return self._zygotes[key]


def parse_request(header: dict[str, Any]) -> SessionRequest:
    """Turn a session frame's header into a request.

    Raises:
        Refusal: `request` for an unknown field, kind or an empty run.
    """
    asked = {name: value for name, value in header.items() if name not in {"v", "id", "op"}}
    unknown = sorted(set(asked) - {field.name for field in fields(SessionRequest)})
    if unknown:
        raise Refusal("request", f"unknown fields {', '.join(unknown)}")
    request = make_request(asked)
    if request.kind not in _KINDS:
        raise Refusal("request", f"no session kind {request.kind!r}")
    if not all(isinstance(word, str) and "\0" not in word for word in request.argv):
        raise Refusal("request", "argv holds words without NUL")
    if request.repeat < 1 or request.warmup < 0 or request.batch < 1 or request.threads < 1 or request.deadline_s <= 0:
        raise Refusal("request", "repeat, batch, threads and deadline_s are positive, warmup is not negative")
    if request.generation is not None:
        _check_generation(request)
    if request.sustain is not None and not (0 < request.sustain.time_s < 1e6 and 0 <= request.sustain.rate_hz < 1e6):
        raise Refusal("request", "sustain: time_s is positive, rate_hz not negative")
    if request.tool is not None or request.runtime == TOOL:
        _check_tool(request)
        return request
    is_drawn = request.kind == "accuracy" and request.samples >= 1 and request.seed >= 0
    if not (request.data or is_drawn or request.kind == "binary"):
        raise Refusal("request", "only an accuracy session can draw its data: samples is positive, seed not negative")
    return request


def _check_tool(request: SessionRequest) -> None:
    asked = request.tool
    if asked is None or request.runtime != TOOL or request.kind not in {"timing", "memory"}:
        raise Refusal("request", f"timing and memory sessions of the runtime {TOOL} run a tool, and no others")
    if bool(asked.program) == bool(asked.stored):
        raise Refusal("request", "a tool is on the board, or in the store")
    if not all(isinstance(word, str) and "\0" not in word for word in (asked.program, *asked.argv)):
        raise Refusal("request", "a tool and its argv hold words without NUL")


def _check_generation(request: SessionRequest) -> None:
    asked = request.generation
    assert asked is not None
    if request.kind not in _GENERATING or not request.data:
        raise Refusal("request", f"a {request.kind} session generates nothing, and one that does needs data")
    bounds = [
        ("prompts", len(asked.prompts), 0, 1000),
        ("prompt_tokens", asked.prompt_tokens, 0, MOST_TOKENS),
        ("new_tokens", asked.new_tokens, 1, MOST_TOKENS),
        ("context", asked.context, 2, MOST_TOKENS),
        ("window", asked.window, 2, asked.context - 1),
        ("tokens", asked.tokens, asked.window, MOST_TOKENS),
        ("probes", asked.probes, 0, 4096),
        ("top_k", asked.top_k, 0, MOST_TOKENS),
        ("seed", asked.seed, 0, (1 << 32) - 1),
    ]
    wrong = next((row for row in bounds if not row[2] <= row[1] <= row[3]), None)
    if wrong is not None:
        raise Refusal("request", "generation: {} is {}, not {} to {}".format(*wrong))
    if not 0 <= asked.temperature <= 100:
        raise Refusal("request", f"generation: a temperature of {asked.temperature}")
    for name, part in (("windows", asked.windows), ("lines", asked.lines)):
        if part and not (len(part) == 2 and all(isinstance(end, int) and 0 <= end <= MOST_TOKENS for end in part)):
            raise Refusal("request", f"generation: {name} is {part}, not [first, count]")
