"""How boards and items are dealt to workers, and what a dead worker leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.plugin.link import Controller
from harness.plugin.message import WorkerTask
from harness.plugin.scheduler import BoardScheduling, worker_count
from harness.records.canonical import from_json
from harness.spec.model import Device, Farm, Origin, Tier

ITEMS = ["s.yaml::m[a]", "s.yaml::m[b]", "t1.py::x", "t1.py::y", "t2.py::x", "s.yaml::n[a]"]
OWNERS = {"[a]": "gw0", "[b]": "gw1"}


@dataclass(eq=False)
class FakeNode:
    """A worker that notes what it is sent."""

    name: str
    sent: list[int] = field(default_factory=list)
    shut_down: bool = False

    @property
    def gateway(self) -> SimpleNamespace:
        """Name it as execnet does."""
        return SimpleNamespace(id=self.name)

    def send_runtest_some(self, indices: list[int]) -> None:
        """Take items."""
        self.sent += indices

    def shutdown(self) -> None:
        """Take the end."""
        self.shut_down = True


def _scheduled(count: int = 2) -> tuple[Any, list[Any]]:
    scheduling: Any = BoardScheduling(count, lambda nodeid: OWNERS.get(nodeid[-3:], ""))
    nodes = [FakeNode(f"gw{number}") for number in range(count)]
    for node in nodes:
        scheduling.add_node(node)
        scheduling.add_node_collection(node, ITEMS)
    scheduling.schedule()
    return scheduling, nodes


def test_a_boards_items_go_to_its_worker_and_files_stay_together() -> None:
    """Every item is sent once; those of one board or one file to one worker."""
    _, (first, second) = _scheduled()

    assert {0, 5} <= set(first.sent)
    assert 1 in second.sent
    assert sorted(first.sent + second.sent) == list(range(len(ITEMS)))
    assert {2, 3} <= set(first.sent) or {2, 3} <= set(second.sent)


def test_the_run_is_finished_when_every_item_is_complete() -> None:
    """Not earlier, and then it is."""
    scheduling, nodes = _scheduled()
    for node in nodes:
        for index in list(node.sent):
            assert not scheduling.tests_finished
            scheduling.mark_test_complete(node, index)

    assert scheduling.tests_finished


def test_a_dead_workers_boards_stay_dead_and_its_ordinary_tests_move() -> None:
    """The item that it died on is named and not sent again, nor any item of its boards."""
    scheduling, (first, second) = _scheduled()
    scheduling.mark_test_complete(first, first.sent[0])

    crashed = scheduling.remove_node(first)
    replacement = FakeNode("gw2")
    scheduling.add_node(replacement)
    scheduling.add_node_collection(replacement, ITEMS)
    scheduling.schedule()

    assert crashed == ITEMS[first.sent[1]]
    left = [index for index in first.sent[2:] if ITEMS[index].startswith("t")]
    assert replacement.sent == left
    assert replacement.shut_down
    assert not set(replacement.sent) & set(second.sent)


def test_workers_that_collect_differently_are_refused() -> None:
    """Dealing by position needs one list."""
    scheduling: Any = BoardScheduling(2, lambda _: "")
    scheduling.add_node_collection(FakeNode("gw0"), ITEMS)

    with pytest.raises(pytest.UsageError, match="gw1"):
        scheduling.add_node_collection(FakeNode("gw1"), ITEMS[1:])


@pytest.fixture
def controller() -> Iterator[Controller]:
    """A controller of a farm of three boards."""
    here = Origin("farm.yaml", 1, 1)
    devices = tuple(Device(name, "host", ("host",), Tier.HARDWARE, here) for name in "abc")
    controller = Controller(Farm("f", "farm.yaml", devices))
    yield controller
    controller.close()


def test_every_board_has_one_owner_and_a_replacement_gets_none(controller: Controller) -> None:
    """Boards are dealt in turn; a worker that comes later has no boards."""
    controller.split(2)
    tasks = [from_json(WorkerTask, controller.hire(f"gw{number}", Path("run")).encode()) for number in range(3)]

    assert [task.devices for task in tasks] == [("a", "c"), ("b",), ()]
    assert [controller.owner(name) for name in "abc"] == ["gw0", "gw1", "gw0"]


def test_a_worker_that_dies_before_it_had_work_gives_its_boards_on(controller: Controller) -> None:
    """Its replacement takes the share."""
    controller.split(2)
    for worker in ("gw0", "gw1"):
        controller.hire(worker, Path("run"))
    controller.release("gw0")

    task = from_json(WorkerTask, controller.hire("gw2", Path("run")).encode())

    assert task.devices == ("a", "c")
    assert controller.share("gw2") == ("a", "c")


def test_auto_takes_few_workers() -> None:
    """Never more than boards or the cap, never none."""
    assert worker_count(0) == 1
    assert worker_count(1) == 1
    assert worker_count(10_000) <= 4
