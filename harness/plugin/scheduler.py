"""The xdist side: boards are dealt to workers once, a crashed worker's cells are INFRA, nothing is run twice.

Own scheduler because `--dist=loadgroup` stops grouping with pytest 9.2 and xdist 3.8.0, and the stock ones re-run the
test that killed their worker. Only this module imports xdist.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import Problem, SpecError
from harness.plugin.link import TASK, Controller
from harness.plugin.message import Evidence
from harness.plugin.options import usage_error
from harness.records.canonical import from_json

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

    from harness.plugin.deciding import Deciding

MAX_AUTO_WORKERS = 4
"""One worker drives many boards side by side; more processes only cost memory."""


def worker_count(boards: int) -> int:
    """Say how many workers `-n auto` takes."""
    import os

    return max(1, min(boards, os.cpu_count() or 1, MAX_AUTO_WORKERS))


class Distribution:
    """The controller of a distributed run."""

    def __init__(self, config: pytest.Config, deciding: Deciding, controller: Controller) -> None:
        if config.getoption("dist") == "each":
            raise pytest.UsageError("--dist=each would measure every board several times; leave --dist out")
        self._deciding = deciding
        self._controller = controller
        self._boards: dict[str, str] = {}
        self._plans: dict[str, str] = {}
        self._scheduled = False
        controller.follow(deciding.show)

    def pytest_xdist_setupnodes(self, specs: Sequence[object]) -> None:
        """Deal the boards."""
        self._controller.split(len(specs))

    def pytest_configure_node(self, node: WorkerController) -> None:
        """Hand a worker its task."""
        node.workerinput[TASK] = self._controller.hire(node.gateway.id, self._deciding.folder)

    def pytest_xdist_make_scheduler(self, config: pytest.Config) -> BoardScheduling:
        """Give every board to one worker."""
        workers = len(config.getoption("tx"))
        return BoardScheduling(workers, self._worker_of)

    def pytest_xdist_node_collection_finished(self, node: WorkerController) -> None:
        """Take the plan of the first worker and check that the others made the same, before anything is scheduled."""
        worker = node.gateway.id
        collected = self._controller.collected(worker)
        if collected.problems:
            raise usage_error(SpecError(list(collected.problems)))
        self._plans[worker] = collected.plan.sha256
        if len(set(self._plans.values())) > 1:
            where = self._deciding.farm.file
            raise usage_error(SpecError([Problem(where, 1, 1, "workers planned different matrices: files changed?")]))
        if len(self._plans) == 1:
            self._boards = collected.boards
            self._deciding.planned(collected)
            self._deciding.announce()

    def pytest_testnodedown(self, node: WorkerController, error: object) -> None:
        """Take what a finished worker has left; mark what a dead one did not finish."""
        worker = node.gateway.id
        left: list[str] = getattr(node, "workeroutput", {}).get(TASK, [])
        for text in left:
            self._deciding.left_over(from_json(Evidence, text.encode(), source=worker))
        if error and not self._plans:
            self._controller.release(worker)
        elif error:
            self._deciding.lose(self._controller.share(worker), f"worker {worker} died: {error}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        """Tell the workers, whose boards must be released."""
        self._controller.cancel()

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Remove the folder of this run."""
        self._controller.close()

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Say of whom a crash speaks."""
        if crashitem in self._boards:
            report.longrepr = f"INFRA: {report.longrepr}; says nothing about the model"

    def _worker_of(self, nodeid: str) -> str:
        board = self._boards.get(nodeid, "")
        return self._controller.owner(board) if board else ""


class BoardScheduling:
    """xdist's scheduling: every worker gets all of its items at once.

    Items of a board go to the board's worker and to no other, also when it dies; ordinary tests are dealt file by file
    and those that a dead worker left go to its replacement.
    """

    def __init__(self, workers: int, worker_of: Callable[[str], str]) -> None:
        self._workers = workers
        self._worker_of = worker_of
        self._collections: dict[WorkerController, list[str]] = {}
        self._pending: dict[WorkerController, list[int]] = {}
        self._left: list[int] = []
        self._dealt = False

    @property
    def nodes(self) -> list[WorkerController]:
        """Live workers."""
        return list(self._pending)

    @property
    def collection_is_completed(self) -> bool:
        """Whether as many workers have collected as were asked for."""
        return self._dealt or len(self._collections) >= self._workers

    @property
    def tests_finished(self) -> bool:
        """Whether no item waits anywhere."""
        return self._dealt and not self.has_pending

    @property
    def has_pending(self) -> bool:
        """Whether an item waits somewhere."""
        return bool(self._left) or any(self._pending.values())

    def add_node(self, node: WorkerController) -> None:
        """Take a new worker."""
        self._pending[node] = []

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Take what a worker collected."""
        first = next(iter(self._collections.values()), list(collection))
        if list(collection) != first:
            raise pytest.UsageError(f"worker {node.gateway.id} collected other items than the first worker did")
        self._collections[node] = list(collection)

    def schedule(self) -> None:
        """Deal the items, or give a replacement what is left of ordinary tests."""
        if self._dealt:
            for node in [node for node in self._pending if node in self._collections and self._left]:
                self._send(node, self._left)
                self._left = []
            for node in [node for node, pending in self._pending.items() if not pending]:
                node.shutdown()
            return
        self._dealt = True
        shares: dict[WorkerController, list[int]] = {node: [] for node in self._collections}
        by_id = {node.gateway.id: node for node in shares}
        turns = list(shares)
        files: dict[str, WorkerController] = {}
        for index, nodeid in enumerate(next(iter(self._collections.values()), [])):
            file = nodeid.partition("::")[0]
            turn = files.setdefault(file, turns[len(files) % len(turns)])
            shares[by_id.get(self._worker_of(nodeid), turn)].append(index)
        for node, share in shares.items():
            self._send(node, share)

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        """Take an item off the list."""
        if item_index in self._pending.get(node, ()):
            self._pending[node].remove(item_index)

    def mark_test_pending(self, item: str) -> None:
        """Refuse: nothing is run twice."""
        raise NotImplementedError(f"{item} is not run twice")

    def remove_pending_tests_from_node(self, node: WorkerController, indices: Sequence[int]) -> None:
        """Refuse: boards do not move between workers."""
        raise NotImplementedError(f"{node} keeps its boards")

    def remove_node(self, node: WorkerController) -> str | None:
        """Forget a worker; name the item that it died on, and keep its unfinished ordinary tests for another."""
        pending = self._pending.pop(node)
        if not pending:
            return None
        names = self._collections[node]
        crashed, *rest = pending
        self._left += [index for index in rest if not self._worker_of(names[index])]
        return names[crashed]

    def _send(self, node: Any, share: list[int]) -> None:  # noqa: ANN401  xdist's class is untyped
        self._pending[node] = list(share)
        if share:
            node.send_runtest_some(share)
        node.shutdown()
