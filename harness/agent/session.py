"""One session: a fresh child of a zygote that loads one model, does one task with it and writes one result frame.

Whatever goes wrong with the model is said in the result (`error`); what kills the process is seen by who waits for it.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from harness.agent import process, synthetic
from harness.agent.frame import MAX_PAYLOAD, encode_head, send_frame
from harness.agent.message import PlantRequest, SessionRequest
from harness.agent.meters.work import InstructionCounter, Spent, observe
from harness.agent.refusal import Refusal
from harness.agent.samples import Samples
from harness.agent.spawn import RUNTIME_SETTINGS, decode_request
from harness.agent.store import Store, hash_fd
from harness.agent.tasks import energy, evaluate, footprint, load, profile

if TYPE_CHECKING:
    from harness.agent.plant.session import Plant
    from harness.agent.runtimes import Array, Decoder, Feed, InputSpec, Model, Prefixes, Runtime

    Loaded = TypeVar("Loaded", Model, Prefixes, Decoder)

_KINDS = {
    "timing": load.run,
    "memory": footprint.run,
    "accuracy": evaluate.run,
    "energy": energy.run,
    "profile": profile.run,
}
_SETTLE_S = 0.01
"""On a board with one core the agent must not run beside what is measured."""
_ONE_SAMPLE = frozenset({"timing", "memory", "energy", "sustained", "profile"})
_MEMORY_WORDS = ("bad_alloc", "Failed to allocate memory", "out of memory")


class Session:
    """What a task works with, and where it leaves its figures."""

    def __init__(self, request: SessionRequest, result_fd: int, root: str, runtime: Runtime) -> None:
        self.request = request
        self.scalars: dict[str, float] = {}
        self.arrays: dict[str, Array] = {}
        self.flags: list[str] = []
        self.settings = dict(RUNTIME_SETTINGS)
        self.cores: list[int] = []
        self.provider = ""
        self.model_sha256 = ""
        self.samples: Samples | None = None
        self.stage = "start"
        self.sysfs = "/sys"
        self.plant: Plant | None = None
        self._result_fd = result_fd
        self._root = root
        self._runtime = runtime
        self._opened: tuple[int, int] = (0, 0)

    def prepare(self) -> None:
        """Pin, hash the model and read the data: everything that must not fall into a measured phase."""
        self.cores = process.pin(self.request.cores, self.request.threads)
        if self.plant:
            self.plant.before_hash()
        store = Store(self._root)
        path = store.path(self.request.model)
        with open(path, "rb") as file:
            self.model_sha256 = hash_fd(file.fileno())
            found = os.fstat(file.fileno())
        self._opened = (found.st_dev, found.st_ino)
        if self.model_sha256 != self.request.model:
            store.discard(self.request.model)
            raise Refusal("integrity", f"the stored model is {self.model_sha256[:12]}, not {self.request.model[:12]}")
        if self.plant:
            self.plant.after_hash()
        limit = 1 if self.request.kind in _ONE_SAMPLE else self.request.samples or None
        if self.request.data and self.request.generation is None:
            self.samples = Samples.read(store.path(self.request.data), limit)

    def load(self, counter: InstructionCounter | None = None) -> Model:
        """Load the model; notes `load_s` and, with a counter, `load_instructions`."""
        request = self.request
        return self._load(lambda path: self._runtime.load(path, request.provider, request.threads), counter)

    def split(self, feed: Feed) -> Prefixes:
        """Load the model to run its operators apart; notes `load_s`."""
        request = self.request
        return self._load(lambda path: self._runtime.split(path, request.provider, request.threads, feed), None)

    def decode(self, context: int, counter: InstructionCounter | None = None) -> Decoder:
        """Load a language model with a cache of `context` positions; notes as `load` does."""
        request = self.request
        return self._load(lambda path: self._runtime.decode(path, request.provider, request.threads, context), counter)

    def stored(self, digest: str) -> str:
        """Return the path of an object in the store."""
        return Store(self._root).path(digest)

    def _load(self, loader: Callable[[str], Loaded], counter: InstructionCounter | None) -> Loaded:
        self.enter("load")
        path = self._link()
        model, spent = observe(functools.partial(loader, path), counter, exact=self.request.deterministic)
        self.note("load", spent)
        self.provider = model.provider
        self.settings.update(model.settings)
        found = os.stat(path)
        os.unlink(path)
        if (found.st_dev, found.st_ino) != self._opened:
            raise Refusal("integrity", "the model file was replaced while it was loaded")
        if self.plant:
            self.plant.after_load()
        return model

    def read_samples(self, specs: list[InputSpec]) -> Samples:
        """Return the data of the session; what nobody brought is drawn and kept in the store for other sessions."""
        if self.samples is None:
            asked = self.request
            arrays = synthetic.draw(specs, asked.samples, asked.seed, asked.shapes)
            self.settings["data"] = Store(self._root).put(synthetic.pack(arrays))
            self.samples = Samples(arrays)
        return self.samples

    def note(self, what: str, spent: Spent) -> None:
        """Keep what an act cost as `<what>_s` and, if it was counted, `<what>_instructions`."""
        self.scalars[f"{what}_s"] = spent.elapsed_s
        if spent.instructions is not None:
            self.scalars[f"{what}_instructions"] = float(spent.instructions)

    def enter(self, stage: str) -> None:
        """Tell the agent how far the session is, and let it hear that before anything is timed."""
        self.stage = stage
        os.write(self._result_fd, encode_head({"stage": stage}, 0))
        time.sleep(_SETTLE_S)

    @property
    def progress_fd(self) -> int:
        """The file that frames of progress may be written to while the task runs."""
        return self._result_fd

    def tell(self, progress: dict[str, Any]) -> None:
        """Tell the agent something that the controller may hear before the session is over."""
        os.write(self._result_fd, encode_head({"progress": progress}, 0))

    def describe(self) -> dict[str, Any]:
        """Return the fields of SessionReply that the session knows."""
        told = self._runtime.describe()
        return {
            "scalars": self.scalars,
            "flags": self.flags,
            "settings": self.settings,
            "cores": self.cores,
            "threads": self.request.threads,
            "provider": self.provider,
            "model_sha256": self.model_sha256,
            "runtime_version": told["runtime_version"],
            "numpy": told["numpy"],
            "python": ".".join(str(part) for part in _python_version()),
        }

    def _link(self) -> str:
        """Give the stored object a name with the user's suffix, on the same inode: some runtimes look at it."""
        # One session at a time, and one name for all: a path lies on the heap and on the stack of what is counted.
        suffix = self.request.suffix if self.request.suffix.replace(".", "").isalnum() else ""
        path = os.path.join(self._root, "active", "model" + suffix)
        if os.path.lexists(path):
            os.unlink(path)
        stored = Store(self._root).path(self.request.model)
        try:
            os.link(stored, path)
        except OSError:
            os.symlink(stored, path)
        return path


def run(message: bytes, result_fd: int, root: str, runtime: Runtime) -> None:
    """Do what `message` (a SessionRequest as JSON) asks, and write the result frame to `result_fd`."""
    session = Session(decode_request(message), result_fd, root, runtime)
    error: dict[str, object] | None = None
    if session.request.plant is not None:
        _plant(session, session.request.plant, root)
    try:
        session.prepare()
        _find_task(session.request)(session)
        if session.plant:
            session.plant.finish()
    except Refusal as refusal:
        error = refusal.to_wire()
    except MemoryError:
        error = {"code": "memory", "message": f"no memory left while in stage {session.stage}"}
    except Exception as failure:  # noqa: BLE001  a model may make a runtime raise anything
        error = _explain(failure, session.stage)
    if session.plant:
        session.plant.close()
    _write_result(session, error)


def _plant(session: Session, request: PlantRequest, root: str) -> None:
    """Have the session carry a fault, and say so in its settings: it is no evidence of any release."""
    from harness.agent.plant.session import Plant

    session.plant = Plant(request, session, root)
    session.settings["planted"] = request.fault


def _find_task(request: SessionRequest) -> Callable[[Session], None]:
    # Imported in the session that needs it, so that the heap of all others stays as it is.
    if request.kind == "sustained":
        from harness.agent.tasks import sustain

        return sustain.run
    if request.generation is None:
        return _KINDS[request.kind]
    from harness.agent.language import TASKS

    return TASKS[request.kind]


def _explain(failure: Exception, stage: str) -> dict[str, object]:
    text = f"{type(failure).__name__}: {failure}"[:2000]
    if any(word in text for word in _MEMORY_WORDS):
        return {"code": "memory", "message": text}
    return {"code": "load" if stage == "load" else "run" if stage == "run" else "input", "message": text}


def _write_result(session: Session, error: dict[str, object] | None) -> None:
    header = dict(session.describe(), error=error, arrays=[])
    payload = bytearray()
    if error is None:
        for name, array in session.arrays.items():
            data = np.ascontiguousarray(array)
            spec = {"name": name, "dtype": data.dtype.name, "shape": list(data.shape)}
            header["arrays"].append(dict(spec, offset=len(payload), nbytes=data.nbytes))
            payload += data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes()
    if len(payload) > MAX_PAYLOAD:
        header.update(arrays=[], error={"code": "run", "message": f"{len(payload)} bytes of output: over the limit"})
        payload = bytearray()
    send_frame(session._result_fd, header, bytes(payload))


def _python_version() -> tuple[int, int, int]:
    import sys

    return sys.version_info[:3]
