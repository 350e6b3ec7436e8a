"""The two ends between controller and workers of xdist, beside its reports: a task down, a folder of small files up.

Reports carry evidence item by item; what cannot wait for them (collections, progress, cancellation) goes through files
in a folder of this run.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.farm.job import Progress
from harness.plugin.message import Collected, Evidence, WorkerTask
from harness.records.canonical import from_json, to_json
from harness.spec.model import Farm

if TYPE_CHECKING:
    import numpy as np

TASK = "fleetgate"
"""Key of the task in workerinput and of left-over evidence in workeroutput."""
POLL_S = 0.5


class WorkerLink:
    """A worker's end; a `Peer`."""

    def __init__(self, config: pytest.Config, task: WorkerTask, worker: str) -> None:
        self._config = config
        self._task = task
        self._channel = Path(task.channel)
        self._worker = worker
        self._controller = os.getppid()

    @classmethod
    def of(cls, config: pytest.Config) -> WorkerLink:
        """Take the task out of xdist's workerinput."""
        given: Mapping[str, str] = config.workerinput  # type: ignore[attr-defined]  # xdist's documented attribute
        return cls(config, from_json(WorkerTask, given[TASK].encode()), given["workerid"])

    @property
    def farm(self) -> Farm:
        """The farm, read once, by the controller."""
        return self._task.farm

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of this worker's boards."""
        return self._task.devices

    def planned(self, collected: Collected) -> None:
        """Write what was collected, before xdist tells the controller that the collection is complete."""
        part = self._channel / f"{self._worker}.part"
        part.write_bytes(to_json(collected))
        part.replace(self._channel / f"collected-{self._worker}.json")

    def keep(self, key: str, arrays: Mapping[str, np.ndarray]) -> str:
        """Write the samples of a cell into the run folder."""
        from harness.store.run_folder import RunFolder

        return RunFolder(Path(self._task.folder)).write_samples(key, arrays)

    def show(self, progress: Progress) -> None:
        """Append a line; short enough that the system writes it whole."""
        line = to_json(replace(progress, text=progress.text[:500])).replace(b"\n", b"") + b"\n"
        handle = os.open(self._channel / "progress", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)

    def tick(self) -> None:
        """A worker has no terminal."""

    def left_over(self, evidence: Evidence) -> None:
        """Send evidence at the worker's end, for items that were stopped."""
        output: dict[str, list[str]] = self._config.workeroutput  # type: ignore[attr-defined]  # xdist's
        output.setdefault(TASK, []).append(to_json(evidence).decode())

    def is_cancelled(self) -> bool:
        """Tell whether the controller stops the run, or is gone."""
        return (self._channel / "cancel").exists() or os.getppid() != self._controller


class Controller:
    """The controller's end: shares of boards for workers, and the folder that they write to."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._folder = tempfile.TemporaryDirectory(prefix="fleetgate-", ignore_cleanup_errors=True)
        self._shares: list[tuple[str, ...]] = []
        self._owners: dict[int, str] = {}
        self._closed = threading.Event()
        self._seen = 0
        self._thread: threading.Thread | None = None

    def split(self, workers: int) -> None:
        """Deal the boards to so many workers."""
        names = [device.name for device in self._farm.devices]
        self._shares = [tuple(names[index::workers]) for index in range(workers)]

    def hire(self, worker: str, folder: Path) -> str:
        """Give a new worker the first share that nobody has; return its task as JSON."""
        free = [index for index in range(len(self._shares)) if index not in self._owners]
        devices: tuple[str, ...] = ()
        if free:
            self._owners[free[0]] = worker
            devices = self._shares[free[0]]
        return to_json(WorkerTask(self._farm, devices, self._folder.name, str(folder))).decode()

    def share(self, worker: str) -> tuple[str, ...]:
        """Name the boards of a worker."""
        return tuple(name for index, owner in self._owners.items() if owner == worker for name in self._shares[index])

    def release(self, worker: str) -> None:
        """Free the share of a worker that died before it had work."""
        self._owners = {index: owner for index, owner in self._owners.items() if owner != worker}

    def owner(self, device: str) -> str:
        """Name the worker of a board, or nothing."""
        return next((owner for index, owner in self._owners.items() if device in self._shares[index]), "")

    def collected(self, worker: str) -> Collected:
        """Read what a worker collected."""
        path = Path(self._folder.name) / f"collected-{worker}.json"
        return from_json(Collected, path.read_bytes(), source=path.name)

    def follow(self, show: Callable[[Progress], None]) -> None:
        """Hand the workers' progress on, from a thread of its own."""
        self._thread = threading.Thread(target=self._poll, args=(show,), name="fleetgate-progress", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Tell every worker to stop."""
        if Path(self._folder.name).is_dir():
            (Path(self._folder.name) / "cancel").touch()

    def close(self) -> None:
        """End the thread and remove the folder."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._folder.cleanup()

    def _poll(self, show: Callable[[Progress], None]) -> None:
        while not self._closed.wait(POLL_S):
            for line in self._new_lines():
                show(from_json(Progress, line))

    def _new_lines(self) -> list[bytes]:
        path = Path(self._folder.name) / "progress"
        if not path.exists():
            return []
        with path.open("rb") as stream:
            stream.seek(self._seen)
            block = stream.read()
        whole = block[: block.rfind(b"\n") + 1]
        self._seen += len(whole)
        return whole.splitlines()
