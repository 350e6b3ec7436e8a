"""The engine: lanes side by side, faults that stay on their board, deadlines and cancellation."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import Any, cast

import pytest

from harness.errors import DeviceError, FleetgateError, InfraError, LinkLost, RunCancelled, SecurityError
from harness.farm import engine as engine_module
from harness.farm.boards import OpenBoard
from harness.farm.engine import Engine
from harness.farm.job import Job, JobResult, Progress
from harness.farm.seat import ANYWHERE, Seat

Opener = Callable[[threading.Event, Callable[[str], None]], contextlib.AbstractContextManager[OpenBoard]]
LONG_S = 30.0


class Lab:
    """An engine with boards that are only names, and a list of what it said."""

    def __init__(self) -> None:
        self.said: list[Progress] = []
        self.closed: list[str] = []
        self.engine = Engine(self.said.append)

    def open(
        self, name: str, *, fault: FleetgateError | None = None, deadline_s: float = LONG_S, seat: Seat = ANYWHERE
    ) -> None:
        """Start the lane of a board that opens, or fails to."""

        @contextlib.contextmanager
        def opener(_cancel: threading.Event, _tell: Callable[[str], None]) -> Iterator[OpenBoard]:
            if fault is not None:
                raise fault
            yield cast(OpenBoard, name)
            self.closed.append(name)

        self.engine.open_lane(name, opener, open_deadline_s=deadline_s, seat=seat)

    def do(self, name: str, run: Callable[[threading.Event], JobResult], *, deadline_s: float = LONG_S) -> Future[Any]:
        """Queue a job."""
        return self.engine.submit(name, Job("a job", deadline_s, lambda _board, cancel: run(cancel)))


class Bench:
    """Some seats in one room, and how many were taken at once."""

    def __init__(self, seats: int) -> None:
        self._free = threading.Semaphore(seats)
        self._lock = threading.Lock()
        self.taken = 0
        self.most = 0
        self.turns = 0

    def seat(self) -> Seat:
        """Give the claim of one board."""
        return _Chair(self)

    def change(self, by: int) -> None:
        """Count."""
        with self._lock:
            self.taken += by
            self.turns += by > 0
            self.most = max(self.most, self.taken)


class _Chair:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._held = False

    def take(self, cancel: threading.Event, tell: Callable[[str], None]) -> None:
        """Wait."""
        if self._held:
            return
        while not self._bench._free.acquire(timeout=0.01):
            tell("no seat")
            if cancel.is_set():
                raise RunCancelled("the run was cancelled")
        self._held = True
        self._bench.change(1)

    def share(self, cancel: threading.Event) -> None:
        """Stand up, and come back after whoever waits."""
        turns = self._bench.turns
        self.give()
        for _ in range(50):
            if self._bench.turns != turns:
                break
            cancel.wait(0.01)

    def give(self) -> None:
        """Stand up."""
        if self._held:
            self._held = False
            self._bench.change(-1)
            self._bench._free.release()


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A lab that is closed after the test."""
    lab = Lab()
    yield lab
    lab.engine.cancel()
    lab.engine.close()


def test_boards_run_side_by_side_and_one_board_one_thing_at_a_time(lab: Lab) -> None:
    """Two boards meet in a barrier that one thread alone could not pass; jobs of one board come in order."""
    barrier = threading.Barrier(2, timeout=10)
    seen: list[int] = []
    for name in ("a", "b"):
        lab.open(name)
    meetings = [lab.do(name, lambda _: JobResult(barrier.wait())) for name in ("a", "b")]

    def note(number: int) -> Callable[[threading.Event], JobResult]:
        def run(_cancel: threading.Event) -> JobResult:
            seen.append(number)
            return JobResult(None)

        return run

    ordered = [lab.do("a", note(number)) for number in range(5)]

    wait(meetings + ordered, timeout=10)

    assert {future.result() for future in meetings} == {0, 1}
    assert seen == [0, 1, 2, 3, 4]


def test_a_board_is_released_after_its_last_job(lab: Lab) -> None:
    """`finish` closes the board without waiting for the others."""
    lab.open("a")
    lab.open("b")
    future = lab.do("a", lambda _: JobResult("done"))
    lab.engine.finish("a")

    assert future.result(timeout=10) == "done"
    _until(lambda: lab.closed == ["a"])


def test_a_board_that_does_not_open_fails_its_jobs_and_no_others(lab: Lab) -> None:
    """The future of each waiting job holds the reason."""
    lab.open("a", fault=LinkLost("no route"))
    lab.open("b")
    lost, sound = lab.do("a", lambda _: JobResult(1)), lab.do("b", lambda _: JobResult(2))

    assert isinstance(lost.exception(timeout=10), LinkLost)
    assert sound.result(timeout=10) == 2
    assert isinstance(lab.engine.lost("a"), LinkLost)
    assert isinstance(lab.do("a", lambda _: JobResult(3)).exception(timeout=10), LinkLost)


def test_a_fatal_result_keeps_its_evidence_and_ends_the_board(lab: Lab) -> None:
    """The job's value counts; the jobs after it are never tried."""
    lab.open("a")
    tried: list[str] = []
    gate = threading.Event()

    def first(_cancel: threading.Event) -> JobResult:
        gate.wait(10)
        return JobResult("partial", DeviceError("disk full"))

    def second(_cancel: threading.Event) -> JobResult:
        tried.append("second")
        return JobResult(None)

    futures = [lab.do("a", first), lab.do("a", second)]
    gate.set()

    assert futures[0].result(timeout=10) == "partial"
    assert isinstance(futures[1].exception(timeout=10), DeviceError)
    assert tried == []


def test_an_unexpected_error_is_the_jobs_and_the_board_goes_on(lab: Lab) -> None:
    """A bug in one cell does not take the board away from the next."""
    lab.open("a")

    def wrong(_cancel: threading.Event) -> JobResult:
        raise ZeroDivisionError

    futures = [lab.do("a", wrong), lab.do("a", lambda _: JobResult("next"))]

    assert isinstance(futures[0].exception(timeout=10), ZeroDivisionError)
    assert futures[1].result(timeout=10) == "next"


def test_a_job_past_its_deadline_cuts_the_link_and_says_so(lab: Lab) -> None:
    """What the cut link provokes is reported as the deadline, not as a lost link."""
    lab.open("a")

    def hang(cancel: threading.Event) -> JobResult:
        cancel.wait()
        raise LinkLost("cut")

    error = lab.do("a", hang, deadline_s=0.1).exception(timeout=10)

    assert isinstance(error, InfraError)
    assert error.code == "deadline"


def test_a_job_that_ignores_the_cut_is_given_up(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing hangs longer than deadline and grace, even when its thread does."""
    monkeypatch.setattr(engine_module, "GRACE_S", 0.2)
    release = threading.Event()
    lab.open("a")

    def stuck(_cancel: threading.Event) -> JobResult:
        release.wait(LONG_S)
        return JobResult("too late")

    started = time.monotonic()
    error = lab.do("a", stuck, deadline_s=0.1).exception(timeout=10)
    took = time.monotonic() - started
    lab.engine.close()
    release.set()

    assert isinstance(error, InfraError)
    assert took < 5


def test_cancelling_ends_what_runs_and_what_waits(lab: Lab) -> None:
    """Both end as RunCancelled; a job that is not started never runs."""
    lab.open("a")
    started = threading.Event()

    def running(cancel: threading.Event) -> JobResult:
        started.set()
        cancel.wait()
        raise LinkLost("cut")

    futures = [lab.do("a", running), lab.do("a", lambda _: JobResult("never"))]
    started.wait(10)

    lab.engine.cancel()

    assert [type(future.exception(timeout=10)) for future in futures] == [RunCancelled, RunCancelled]


def test_evidence_that_a_cut_link_left_learns_the_true_cause(lab: Lab) -> None:
    """A job that hands over what it has, with the cut as its fatal error, is told why the link was cut."""
    lab.open("a")

    def hang(cancel: threading.Event) -> JobResult:
        cancel.wait()
        return JobResult("stopped", LinkLost("cut"), lambda cause: f"partial: {cause.code}")

    assert lab.do("a", hang, deadline_s=0.1).result(timeout=10) == "partial: deadline"


def test_cancelling_does_not_hide_a_security_stop(lab: Lab) -> None:
    """What could be an attack stays one, even when the run is stopped in that moment."""
    lab.open("a")
    started = threading.Event()

    def attacked(cancel: threading.Event) -> JobResult:
        started.set()
        cancel.wait()
        raise SecurityError("another host key")

    future = lab.do("a", attacked)
    started.wait(10)

    lab.engine.cancel()

    assert isinstance(future.exception(timeout=10), SecurityError)


def test_progress_names_board_phase_and_count(lab: Lab) -> None:
    """Opening, measuring with the job's title, done with the count."""
    lab.open("a")
    lab.do("a", lambda _: JobResult(None)).result(timeout=10)
    lab.engine.finish("a")
    _until(lambda: lab.said[-1].phase == "done")

    assert [
        (progress.phase, progress.done, progress.total) for progress in lab.said if progress.phase != "opening"
    ] == [
        ("measuring", 0, 1),
        ("done", 1, 1),
    ]


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "not in 10 s"
        time.sleep(0.01)


def test_boards_wait_for_a_seat_before_their_deadline_runs(lab: Lab) -> None:
    """A board without a seat is not opened, says that it waits, and is not late however long that takes."""
    bench = Bench(1)
    gate = threading.Event()
    lab.open("a", seat=bench.seat())
    held = lab.do("a", lambda _: JobResult(gate.wait(10)))
    _until(lambda: bench.taken == 1)
    lab.open("b", seat=bench.seat(), deadline_s=0.2)
    waiting = lab.do("b", lambda _: JobResult("b"))
    time.sleep(1.2)

    assert not waiting.done()
    assert Progress("b", "waiting", "no seat", 0, 1) in lab.said
    assert not any(item.phase == "opening" for item in lab.said if item.device == "b")
    gate.set()
    assert held.result(timeout=10) is True
    lab.engine.finish("a")
    assert waiting.result(timeout=10) == "b"


def test_a_board_that_idles_lets_another_work(lab: Lab) -> None:
    """Four boards that stay open share one seat: jobs of each, in turns, all get done, never two at once."""
    bench = Bench(1)
    for name in "abcd":
        lab.open(name, seat=bench.seat())

    results = [lab.do(name, lambda _: JobResult(bench.taken)).result(timeout=10) for _ in range(3) for name in "abcd"]

    assert results == [1] * 12
    assert bench.most == 1
    _until(lambda: bench.taken == 0)


def test_boards_with_jobs_take_turns(lab: Lab) -> None:
    """A board that waits works after the next job of the one that holds the seat, not after its last."""
    bench = Bench(1)
    order: list[str] = []

    def note(name: str) -> Callable[[threading.Event], JobResult]:
        def run(_cancel: threading.Event) -> JobResult:
            order.append(name)
            return JobResult(None)

        return run

    start = threading.Event()
    lab.open("a", seat=bench.seat())
    jobs = [lab.do("a", lambda _: JobResult(start.wait(10)))]
    _until(lambda: bench.taken == 1)
    lab.open("b", seat=bench.seat())
    jobs += [lab.do(name, note(name)) for name in "aabbab"]
    _until(lambda: any(item.phase == "waiting" for item in lab.said if item.device == "b"))
    lab.engine.finish("a")
    start.set()
    wait(jobs, timeout=10)

    assert order == ["b", "a", "b", "a", "b", "a"]
    assert bench.most == 1


def test_cancelling_ends_the_wait_for_a_seat(lab: Lab) -> None:
    """What waits is cancelled, the board was never opened, and the engine closes at once."""
    bench = Bench(0)
    lab.open("a", seat=bench.seat())
    future = lab.do("a", lambda _: JobResult(1))

    lab.engine.cancel()

    assert isinstance(future.exception(timeout=10), RunCancelled)
    lab.engine.close()
    assert lab.closed == []


def test_a_thread_that_is_given_up_gives_its_seat(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that hangs beyond its deadline and beyond its cut link must not keep others from working."""
    monkeypatch.setattr(engine_module, "GRACE_S", 0.2)
    bench = Bench(1)
    gate = threading.Event()
    lab.open("a", seat=bench.seat())
    stuck = lab.do("a", lambda _: JobResult(gate.wait(30)), deadline_s=0.2)
    _until(lambda: bench.taken == 1)
    lab.open("b", seat=bench.seat())

    assert lab.do("b", lambda _: JobResult("b")).result(timeout=20) == "b"
    assert isinstance(stuck.exception(timeout=10), InfraError)
    gate.set()


def _in_parts(seen: list[str], name: str, parts: int) -> Callable[[threading.Event], JobResult]:
    """Make a job of some parts that notes each of them; its value is the number of parts done."""

    def run(_cancel: threading.Event, done: int = 1) -> JobResult:
        seen.append(f"{name}{done}")
        if done == parts:
            return JobResult(done)
        rest = Job(name, LONG_S, lambda _board, cancel: run(cancel, done + 1))
        return JobResult(None, rest=rest, explained=lambda cause: f"{done} parts, then {cause}")

    return run


def test_the_rest_of_a_job_waits_until_every_job_had_its_turn(lab: Lab) -> None:
    """Jobs that are done in parts take turns, also after the board is to be released; values come at their ends."""
    seen: list[str] = []
    lab.open("a")
    gate = threading.Event()
    lab.do("a", lambda _: JobResult(gate.wait(10)))
    futures = [lab.do("a", _in_parts(seen, name, parts)) for name, parts in (("x", 3), ("y", 1), ("z", 2))]
    lab.engine.finish("a")
    gate.set()

    assert [future.result(timeout=10) for future in futures] == [3, 1, 2]
    assert seen == ["x1", "y1", "z1", "x2", "z2", "x3"]
    _until(lambda: lab.closed == ["a"])


def test_a_board_lost_between_the_parts_of_a_job_keeps_what_they_brought(lab: Lab) -> None:
    """The unfinished job's value is made from what was done and the reason."""
    seen: list[str] = []
    lab.open("a")
    gate = threading.Event()
    blocked = lab.do("a", lambda _: JobResult(gate.wait(10)))
    unfinished = lab.do("a", _in_parts(seen, "x", 9))
    lab.do("a", lambda _: JobResult("evidence", fatal=LinkLost("gone")))
    gate.set()

    assert blocked.result(timeout=10)
    assert unfinished.result(timeout=10) == "1 parts, then gone"
    assert seen == ["x1"]


def test_cancelling_between_the_parts_of_a_job_keeps_what_they_brought(lab: Lab) -> None:
    """The value names the cancelled run."""
    seen: list[str] = []
    lab.open("a")
    started, gate = threading.Event(), threading.Event()
    unfinished = lab.do("a", _in_parts(seen, "x", 9))

    def block(_cancel: threading.Event) -> JobResult:
        started.set()
        gate.wait(10)
        return JobResult(None)

    lab.do("a", block)
    lab.do("a", block)
    started.wait(10)
    lab.engine.cancel()
    gate.set()

    assert "the run was cancelled" in str(unfinished.result(timeout=10))
