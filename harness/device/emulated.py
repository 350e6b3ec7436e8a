"""Emulated boards: started from a snapshot that has the agent and the runtimes installed and warm.

Owns what a snapshot is named by and how a board is prepared for it. Knows of QEMU only what harness.emulator offers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from harness.agent.package import build_zipapp
from harness.device.cancel import Cancellation
from harness.device.connection import Reach, connected
from harness.device.runtime import DEFAULTS, PREPARED, SYSTEM, RuntimeEnv, resolve
from harness.emulator import Image, ImageRecipe, Machine, Snapshots, build_image
from harness.emulator.cache import locked, published
from harness.emulator.machine.qemu import qemu_version
from harness.errors import ArtifactError, InfraError
from harness.meters.simulated import simulated_meter
from harness.records.run import Facts
from harness.spec.model import Device, Emulation
from harness.transport.endpoint import Endpoint
from harness.transport.host_key import Trust, parse_public_key

UNLOADABLE = "runtime"
"""Code of the agent's refusal of a runtime that does not load on the board."""
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
    def start(self, builds: Collection[tuple[str, str]], *, fresh: bool = False) -> Iterator[Reach]:
        """Start a board that has `builds` installed, and beside them the runtimes that most plans need there.

        So all plans share one snapshot of a kind of board; only a build that a plan pins makes another.

        Args:
            builds: (family, requirement) pairs that the plan needs; none: a board with nothing on it.
            fresh: boot the board from its image and install now, instead of restoring the snapshot of that state.
        """
        needed = frozenset(builds)
        envs = self._resolve(needed) if needed else {}
        key = self._key(envs) if needed else ""

        def install(machine: Machine) -> None:
            self._progress(f"installing {len(envs)} runtimes on {self._emulation.cpu}" + ("" if fresh else " (once)"))
            with self._visited(machine) as device:
                for family, build in sorted(envs):
                    device.install_runtime(family, build)
            self._tidy(machine)
            # What a run will read again is read once more into the page cache, and nothing else.
            with self._visited(machine) as device:
                for family, build in sorted(envs):
                    self._load(device, family, build, is_needed=(family, build) in needed)

        if fresh:
            machine = self._snapshots.boot(self._emulation)
        else:
            if key:
                self._snapshots.prepared(self._emulation, key, install)
            machine = self._snapshots.start(self._emulation, key)
        with machine, self._cancellation.doing(machine.kill):
            if fresh and needed:
                install(machine)
            with self._reach(machine, "" if fresh else key) as reach:
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
        state = f"snapshot {hashlib.sha256(key.encode()).hexdigest()[:12]}" if machine.source.state else "booted anew"
        emulator = f"{qemu_version()}, image {self._image.id}, {state}"
        with (
            self._cancellation.doing(machine.kill),
            connected(endpoint, self._cancellation, machine.alive) as transport,
            simulated_meter(self._spec.power, machine.cpu_s) as meter,
        ):
            yield Reach(transport, machine.alive, emulator, machine.source.id, meter)

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

    def _resolve(self, needed: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Give the environment ids of what is needed and of what the board may need another time, if that fits it.

        The latter are the builds of its profile and the default of every family of `PREPARED`.
        """
        facts, cancel = self._facts(), self._cancellation.event
        found = {
            (family, build): resolve(family, build, facts, progress=self._progress, cancel=cancel).id
            for family, build in needed
            if build != SYSTEM  # nothing of it is installed: a plan with a tool shares the snapshot of one without
        }
        defaults = {(family, DEFAULTS[family]) for family in PREPARED}
        usual = {*self._spec.runtimes.items(), *defaults} - found.keys()
        for family, build in sorted(pair for pair in usual if pair[1] != SYSTEM):
            try:
                found[family, build] = resolve(family, build, facts, progress=self._progress, cancel=cancel).id
            except InfraError as error:
                if cancel.is_set():
                    raise
                self._progress(f"{self._emulation.cpu} is prepared without {build}: {error}")
        return found

    def _load(self, device: Visited, family: str, build: str, *, is_needed: bool) -> None:
        """Load a runtime once; one that only another plan may need is left as it is when it does not load."""
        try:
            device.ensure_runtime(family, build)
        except ArtifactError:
            # A runtime that does not run on this CPU fails the cells that use it, when they are measured.
            self._progress(f"{build} does not run on {self._emulation.cpu}")
        except InfraError as error:
            if is_needed or error.code != UNLOADABLE:
                raise
            self._progress(f"{build} cannot be used on {self._emulation.cpu}: {error}")

    def _key(self, envs: Mapping[tuple[str, str], str]) -> str:
        """Name all that is on the board: the agent, the environments, and how they were put there."""
        _, digest = build_zipapp()
        found = sorted({(family, env) for (family, _), env in envs.items()})
        return json.dumps([PREPARATION, digest, found, self._spec.python, self._spec.root, self._spec.tier])

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
