"""Saved states of boards in the cache: booted ones, and prepared ones with runtimes on their disk.

A snapshot is a qcow2 disk and a machine state file that belong together; both are only read, so that any number of
boards continue from one at once, each on an overlay of its own. (An internal snapshot would have to be copied whole
for every start: it is not seen through a backing file.) Knows nothing of transports and runtimes: what preparing means
is the caller's.

Every snapshot has an id that no other has, made with the same key or not: boards of one id count alike to the last
digit, boards of two ids nearly so.

The clock of a restored board: with icount it goes on from the moment of the snapshot, on a date in January 2025;
without, the guest's wall clock is as old as the snapshot. Only differences of board times mean something.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness.emulator.cache import Progress, locked, published, stored_bytes
from harness.emulator.image import Image
from harness.emulator.machine.disk import name_backing
from harness.emulator.machine.process import Machine, Source
from harness.emulator.machine.qemu import COMMAND_VERSION, DISK, STATE, cpu_option, qemu_version
from harness.emulator.retention import mark_used, remove_unused
from harness.errors import ImageError
from harness.spec.model import Emulation

ABOUT = "snapshot.json"

_BOOT_S = 180.0
_SETTLE_S = 1.0
"""Time for sshd to end its sessions and for the disk to come to rest before the state is taken."""

# Bytecode is written and the page cache filled once, not by every board of every run.
_WARM_UP = (
    "import argparse, array, ast, asyncio, base64, cProfile, concurrent.futures, contextlib, csv, ctypes, ctypes.util, "
    "dataclasses, datetime, decimal, difflib, email.parser, fcntl, fractions, gzip, hashlib, http.client, "
    "importlib.metadata, importlib.resources, inspect, json, logging, lzma, mmap, multiprocessing.connection, "
    "multiprocessing.shared_memory, optparse, pathlib, pickle, platform, queue, random, resource, runpy, secrets, "
    "select, shlex, signal, socket, sqlite3, ssl, statistics, struct, subprocess, tarfile, tempfile, textwrap, "
    "tokenize, traceback, typing, unittest, urllib.request, uuid, venv, xml.etree.ElementTree, zipfile, zipimport"
)
WARM_UP_COMMAND = (
    f"python3 -c '{_WARM_UP}' && PYTHONHASHSEED=0 setarch -R python3 -I -c 1 && "
    "printf x | sha256sum >/dev/null && df / >/dev/null && sync"
)


@dataclass(frozen=True, slots=True)
class Snapshots:
    """The snapshots of one image; several threads and several runs may ask at once, each snapshot is made once."""

    image: Image
    progress: Progress
    qemu: str = field(default_factory=qemu_version)
    """QEMU's version: a state restores only in the build that saved it."""

    def booted(self, emulation: Emulation) -> Source:
        """Give the snapshot of a board that has sshd up and Python warm; made on first use (about 15 s).

        Raises:
            ImageError: the board did not boot or did not answer.
        """
        return self._stored(emulation, "", self._boot(emulation))

    def prepared(self, emulation: Emulation, key: str, prepare: Callable[[Machine], None]) -> Source:
        """Give the snapshot `key` of a board; on first use `prepare` brings a booted board into that state.

        Args:
            emulation: the kind of board.
            key: any text that names all that `prepare` does; equal keys must mean equal boards.
            prepare: gets the running board; it must close its connections before it returns. What it raises passes
                through, and nothing is kept.
        """
        if not key:
            raise ValueError("a prepared snapshot needs a key")

        def make(folder: Path) -> str:
            base = self.booted(emulation)
            with Machine(self.image, emulation, base) as machine:
                prepare(machine)
                _settle_and_save(machine, folder)
            return f"../{base.disk.parent.name}/{DISK}"

        source = self._stored(emulation, key, make)
        if freed := remove_unused(self.folder(emulation, key).parent, ABOUT):
            self.progress(f"removed prepared snapshots that were not used lately: {freed / 2**20:.0f} MiB")
        return source

    def find(self, emulation: Emulation, key: str) -> Source | None:
        """Give a snapshot if the cache has it, which counts as a use; an empty key means the booted board."""
        return _read(self.folder(emulation, key))

    def start(self, emulation: Emulation, key: str = "") -> Machine:
        """Start a board from the snapshot `key`, or from the booted one when it is empty.

        Raises:
            ImageError: there is no such snapshot (the booted one is made if absent), or QEMU did not start.
        """
        source = self.find(emulation, key) if key else self.booted(emulation)
        if source is None:
            raise ImageError(f"no snapshot of {emulation.cpu} was prepared under the key {key!r}")
        return Machine(self.image, emulation, source)

    def boot(self, emulation: Emulation) -> Machine:
        """Boot a board from its image and warm it up, as the booted snapshot is made; nothing is kept.

        Raises:
            ImageError: the board did not boot or did not answer.
        """
        machine = Machine(self.image, emulation, Source(self.image.root_disk, "raw"))
        try:
            machine.wait_until_ready(timeout_s=_BOOT_S, progress=self.progress)
            self.progress(f"warming up the board {emulation.cpu}")
            machine.run(WARM_UP_COMMAND, timeout_s=_BOOT_S)
        except BaseException:
            machine.kill()
            raise
        return machine

    def _stored(self, emulation: Emulation, key: str, make: Callable[[Path], str]) -> Source:
        if (source := self.find(emulation, key)) is not None:
            return source
        folder = self.folder(emulation, key)
        what = f"{'prepared' if key else 'booted'} snapshot of {emulation.cpu}"
        with locked(folder.with_name(f"{folder.name}.lock"), what=what, progress=self.progress):
            if (source := self.find(emulation, key)) is not None:
                return source
            self.progress(f"making the {what} (once)")
            started = time.monotonic()
            with published(folder) as unfinished:
                backing = make(unfinished)
                # Relative, so that the cache folder may be moved.
                name_backing(unfinished / DISK, backing, "qcow2" if backing.endswith(".qcow2") else "raw")
                about = {**self._identity(emulation, key), "made_at": int(time.time()), "id": _hash(unfinished / STATE)}
                (unfinished / ABOUT).write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        size = stored_bytes(folder) / 2**20
        self.progress(f"the {what} is made: {size:.0f} MiB in {time.monotonic() - started:.0f} s")
        made = _read(folder)
        assert made is not None
        return made

    def _boot(self, emulation: Emulation) -> Callable[[Path], str]:
        def make(folder: Path) -> str:
            with self.boot(emulation) as machine:
                _settle_and_save(machine, folder)
            return f"../../{self.image.root_disk.name}"

        return make

    def folder(self, emulation: Emulation, key: str) -> Path:
        """Name the folder of a snapshot, made or not."""
        identity = json.dumps(self._identity(emulation, key), sort_keys=True)
        digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
        kind = "icount" if emulation.icount else "plain"
        name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{emulation.cpu}-{kind}-{'prepared' if key else 'booted'}")
        return self.image.folder / "snapshots" / f"{name}-{digest}"

    def _identity(self, emulation: Emulation, key: str) -> dict[str, object]:
        """List all that a machine state depends on; a later start must agree in every point."""
        return {
            "image": self.image.id,
            "cpu": cpu_option(emulation.cpu),
            "memory_bytes": emulation.memory_bytes,
            "icount": emulation.icount,
            "key": key,
            "qemu": self.qemu,
            "command": COMMAND_VERSION,
            "warm_up": hashlib.sha256(WARM_UP_COMMAND.encode()).hexdigest()[:12],
        }


def _read(folder: Path) -> Source | None:
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        mark_used(folder / ABOUT)
    except FileNotFoundError:
        return None
    return Source(folder / DISK, "qcow2", folder / STATE, about["id"])


def _hash(state: Path) -> str:
    """Name a machine state by its bytes: they hold what chance gave that board (entropy), and no two are alike."""
    with state.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _settle_and_save(machine: Machine, folder: Path) -> None:
    machine.run("sync")
    time.sleep(_SETTLE_S)
    machine.save(folder)
