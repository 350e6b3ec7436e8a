"""Emulated boards: started from a snapshot that has the agent and the runtimes installed and warm.

Owns what a snapshot is named by and how a board is prepared for it. Knows of QEMU only what harness.emulator offers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from harness.agent.package import build_zipapp
from harness.device.cancel import Cancellation
from harness.device.connection import Reach, connected
from harness.device.runtime import RuntimeEnv, resolve
from harness.emulator import Image, ImageRecipe, Machine, Snapshots, build_image
from harness.emulator.cache import locked, published
from harness.emulator.machine.qemu import qemu_version
from harness.errors import ArtifactError
from harness.records.run import Facts
from harness.spec.model import Device, Emulation
from harness.transport.endpoint import Endpoint
from harness.transport.host_key import Trust, parse_public_key

PATIENCE_S = 90.0
FACTS = "facts.json"
PREPARATION = 2
"""Raise it when boards are prepared in another way: snapshots made before are not used then."""
# Pages of zeros take no room in a machine state; pages that were merely freed keep what they held. The kernel zeroes
# what it gives to a program: one that takes nearly all free memory and ends leaves zeros. 0x8022: private, anonymous,
# populated at once.
_ZERO_MEMORY = """
import mmap
free = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemFree"))
mmap.mmap(-1, max(free - 49152, 4) * 1024, flags=0x8022)
"""


class Visited(Protocol):
    """What is done on a board to prepare it; see `harness.device.session.OpenDevice`."""

    facts: Facts

    def install_runtime(self, family: str, build: str) -> RuntimeEnv:
        """Bring a runtime onto the board without loading it."""

    def ensure_runtime(self, family: str, build: str) -> RuntimeEnv:
        """Bring a runtime onto the board and load it once."""


Visit = Callable[[Reach], AbstractContextManager[Visited]]
"""Starts the agent over an open connection and ends it."""


class EmulatedBoards:
    """Emulated boards of one kind: their image, their snapshots, one machine at a time."""

    def __init__(
        self,
        spec: Device,
        emulation: Emulation,
        progress: Callable[[str], None],
        cancellation: Cancellation,
        visit: Visit,
    ) -> None:
        self._spec = spec
        self._emulation = emulation
        self._progress = progress
        self._cancellation = cancellation
        self._visit = visit
        self._image: Image = build_image(ImageRecipe(suite=emulation.suite), progress=progress)
        self._snapshots = Snapshots(self._image, progress)

    @contextlib.contextmanager
    def start(self, builds: Collection[tuple[str, str]]) -> Iterator[Reach]:
        """Start a board that has `builds` installed; the first time they are installed and kept as a snapshot."""
        key = self._key(builds) if builds else ""

        def install(machine: Machine) -> None:
            self._progress(f"installing runtimes on {self._emulation.cpu} (once)")
            with self._visited(machine) as device:
                for family, build in sorted(builds):
                    device.install_runtime(family, build)
            self._tidy(machine)
            # What a run will read again is read once more into the page cache, and nothing else.
            with self._visited(machine) as device:
                for family, build in sorted(builds):
                    # A runtime that does not run on this CPU fails the cells that use it, when they are measured.
                    with contextlib.suppress(ArtifactError):
                        device.ensure_runtime(family, build)

        if key:
            self._snapshots.prepared(self._emulation, key, install)
        with self._snapshots.start(self._emulation, key) as machine, self._reach(machine, key) as reach:
            yield reach

    @contextlib.contextmanager
    def _reach(self, machine: Machine, key: str) -> Iterator[Reach]:
        login = machine.endpoint
        trust = Trust(keys=(parse_public_key(login.host_key),), source="the board's image")
        endpoint = Endpoint(
            login.host,
            login.port,
            login.user,
            trust,
            identity_files=(str(login.identity_file),),
            patience_s=PATIENCE_S,
            label=self._spec.name,
        )
        emulator = f"{qemu_version()}, image {self._image.id}, snapshot {hashlib.sha256(key.encode()).hexdigest()[:12]}"
        with (
            self._cancellation.doing(machine.kill),
            connected(endpoint, self._cancellation, machine.alive) as transport,
        ):
            yield Reach(transport, machine.alive, emulator)

    def _tidy(self, machine: Machine) -> None:
        """Remove the wheels and empty the page cache, which a snapshot would carry and every start read again."""
        root = self._spec.root
        home = "~/" if root.startswith("~/") else ""
        store = home + shlex.quote(root.removeprefix("~/") + "/store")
        zero = shlex.join([self._spec.python, "-c", _ZERO_MEMORY])
        machine.run(f"rm -rf -- {store} && sync && echo 3 >/proc/sys/vm/drop_caches && {zero}")

    @contextlib.contextmanager
    def _visited(self, machine: Machine) -> Iterator[Visited]:
        """Open a running board, and leave it as if nobody had been there."""
        with self._reach(machine, "") as reach, self._visit(reach) as device:
            yield device
        _, digest = build_zipapp()
        # The brackets keep the search from finding itself.
        machine.run(f"while grep -qs '[{digest[0]}]{digest[1:16]}' /proc/[0-9]*/cmdline; do sleep 0.1; done")

    def _key(self, builds: Collection[tuple[str, str]]) -> str:
        """Name all that is on the board: the agent, the environments, and how they were put there."""
        facts = self._facts()
        envs = {
            (family, resolve(family, build, facts, progress=self._progress, cancel=self._cancellation.event).id)
            for family, build in builds
        }
        _, digest = build_zipapp()
        return json.dumps([PREPARATION, digest, sorted(envs), self._spec.python, self._spec.root, self._spec.tier])

    def _facts(self) -> Facts:
        """Give what decides which wheels fit: read from the board once per image and CPU, then from the cache."""
        name = f"facts-{self._emulation.cpu}"
        file = self._image.folder / name / FACTS
        with locked(self._image.folder / f"{name}.lock", what=f"facts of {name}", progress=self._progress):
            with contextlib.suppress(FileNotFoundError, ValidationError):
                return TypeAdapter(Facts).validate_json(file.read_bytes())
            with self._snapshots.start(self._emulation) as machine, self._visited(machine) as device:
                facts = device.facts
            shutil.rmtree(file.parent, ignore_errors=True)
            with published(file.parent) as unfinished:
                text = json.dumps(asdict(facts), indent=1, sort_keys=True) + "\n"
                (unfinished / FACTS).write_text(text, encoding="utf-8")
        return facts
