"""The concurrent engine: one thread per board, a queue of jobs each, a clock over all of them.

Owns threads, deadlines and cancellation. Knows nothing of models, plans or verdicts: a job is a function of the open
board, and what it returns is handed on. An error of a board ends that board's lane and nobody else's.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any

from harness.errors import FleetgateError, InfraError, RunCancelled, SecurityError
from harness.farm.boards import OpenBoard
from harness.farm.job import Job, Progress, Unfinished
from harness.farm.seat import ANYWHERE, Seat

GRACE_S = 10.0
"""How long a lane whose link was cut may take to notice before its thread is given up."""
TICK_S = 0.5


Opener = Callable[[threading.Event, Callable[[str], None]], AbstractContextManager[OpenBoard]]


class _Lane:
    """The thread of one board and what waits for it."""

    def __init__(
        self, device: str, opener: Opener, open_deadline_s: float, tell: Callable[[Progress], None], seat: Seat
    ) -> None:
        self.device = device
        self.cancel = threading.Event()
        self.board: OpenBoard | None = None
        self.lost: FleetgateError | None = None
        self._opener = opener
        self._open_deadline_s = open_deadline_s
        self._tell = tell
        self._seat = seat
        self._jobs: queue.SimpleQueue[tuple[Job, Future[Any]] | None] = queue.SimpleQueue()
        self._futures: list[Future[Any]] = []
        self._unfinished: deque[Unfinished] = deque()
        self._is_finished = False
        self._state = threading.RLock()
        self._deadline = float("inf")
        self._step = ""
        self._expired = ""
        self._ended = False
        self._done = 0
        self.thread = threading.Thread(target=self._main, name=f"board-{device}", daemon=True)

    def submit(self, job: Job) -> Future[Any]:
        future: Future[Any] = Future()
        with self._state:
            self._futures.append(future)
            if self._ended:
                future.set_exception(self.lost or InfraError(f"{self.device} is already closed", code="closed"))
            else:
                self._jobs.put((job, future))
        return future

    def finish(self) -> None:
        """Say that no job will follow: the board is released after the last one."""
        self._jobs.put(None)

    def check(self, now: float) -> None:
        """Cut the link when the step is late; give the thread up when even that does not end it."""
        with self._state:
            if self._ended or now < self._deadline:
                return
            late = bool(self._expired)
            self._expired = self._expired or f"{self._step} took longer than its deadline"
            self._deadline = now + GRACE_S
        self.cancel.set()
        if late:
            self._end(InfraError(f"{self.device}: {self._expired}", code="deadline"))

    def stop(self) -> None:
        """Cancel what runs and what waits."""
        with self._state:
            self._deadline = min(self._deadline, time.monotonic() + GRACE_S)
            self._expired = self._expired or "cancelled"
        self.cancel.set()
        self.finish()

    def _main(self) -> None:
        error: FleetgateError | None = None
        try:
            self._take_seat()
            self._begin("opening the board", self._open_deadline_s)
            self._say("opening", "opening the board")
            with self._opener(self.cancel, lambda text: self._say("opening", text)) as board:
                self.board = board
                error = self._work(board)
        except FleetgateError as caught:
            error = caught
        except Exception as caught:  # noqa: BLE001  the thread's edge: nothing may vanish with the thread
            error = InfraError(f"{self.device}: {type(caught).__name__}: {caught}", code="harness")
            error.__traceback__ = caught.__traceback__
        self._end(error)

    def _take_seat(self) -> None:
        """Wait, without a deadline, for what the board needs to work; RunCancelled when the run ends meanwhile."""
        self._begin("waiting for its turn", float("inf"))
        self._seat.take(self.cancel, lambda text: self._say("waiting", text))

    def _work(self, board: OpenBoard) -> FleetgateError | None:
        self._begin("waiting for work", float("inf"))
        while (entry := self._next()) is not None and not self._ended:
            job, future = entry
            try:
                self._take_seat()
            except RunCancelled as error:
                self._settle(future, error=self._reason(error))
                continue
            if self.cancel.is_set():
                self._settle(future, error=self._reason(RunCancelled("the run was cancelled")))
                continue
            self._begin(job.title, job.deadline_s)
            self._say("measuring", job.title)
            fatal = self._run(job, future, board)
            self._done += future.done()
            if fatal is not None:
                return self._reason(fatal)
            self._begin("waiting for work", float("inf"))
            self._seat.share(self.cancel)
        self._begin("closing the board", 60.0)
        return None

    def _next(self) -> tuple[Job, Future[Any]] | None:
        """Take a new job if one waits, else the rest of an old one; None when the board has nothing left to do."""
        entry = self._get() if not self._is_finished else None
        if entry is not None or not self._unfinished:
            return entry
        with self._state:
            rest = self._unfinished.popleft()
        if self.cancel.is_set():
            self._give_up(rest, RunCancelled("the run was cancelled"))
            return self._next()
        return rest.job, rest.future

    def _get(self) -> tuple[Job, Future[Any]] | None:
        """Wait for a new job; a board that has none lets another work, or boards that idle would hold all seats."""
        try:
            entry = self._jobs.get_nowait()
        except queue.Empty:
            if self._unfinished:
                return None
            self._seat.give()
            entry = self._jobs.get()
        self._is_finished = entry is None
        return entry

    def _run(self, job: Job, future: Future[Any], board: OpenBoard) -> FleetgateError | None:
        try:
            result = job.run(board, self.cancel)
        except FleetgateError as error:
            self._settle(future, error=self._reason(error))
            return error
        except Exception as error:  # noqa: BLE001  the thread's edge
            self._settle(future, error=error)
            return None
        if result.rest is not None and result.fatal is None:
            with self._state:
                self._unfinished.append(Unfinished(result.rest, future, result.explained))
            return None
        value = result.value
        if result.fatal is not None and result.explained is not None and self._expired:
            value = result.explained(self._reason(result.fatal))
        self._settle(future, value=value)
        return result.fatal

    def _give_up(self, rest: Unfinished, error: FleetgateError) -> None:
        """Settle a job of which a part is done: what it brought so far counts, with the reason why no more came."""
        cause = self._reason(error)
        if rest.explained is None:
            self._settle(rest.future, error=cause)
        else:
            self._settle(rest.future, value=rest.explained(cause))

    def _settle(self, future: Future[Any], *, value: object = None, error: BaseException | None = None) -> None:
        with self._state:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)

    def _reason(self, error: FleetgateError) -> FleetgateError:
        """Name the true cause of an error that cutting the link provoked."""
        if not self._expired or isinstance(error, SecurityError):
            return error
        if self._expired == "cancelled":
            return RunCancelled("the run was cancelled")
        return InfraError(f"{self.device}: {self._expired}", code="deadline")

    def _end(self, error: FleetgateError | None) -> None:
        self._seat.give()  # also that of a thread which is given up
        with self._state:
            if self._ended:
                return
            self._ended = True
            self.lost = self._reason(error) if error is not None else None
            closed = InfraError(f"{self.device} was closed before this was done", code="closed")
            rest = self.lost or self._reason(closed)
            while self._unfinished:
                self._give_up(self._unfinished.popleft(), rest)
            for future in self._futures:
                self._settle(future, error=rest)
        self._say("lost" if self.lost else "done", f"lost: {self.lost}" if self.lost else f"done ({self._done})")

    def say(self, text: str) -> None:
        """Tell how far the job is."""
        self._say("measuring", text)

    def _begin(self, step: str, seconds: float) -> None:
        with self._state:
            if not self._expired:
                self._step = step
                self._deadline = time.monotonic() + seconds

    def _say(self, phase: str, text: str) -> None:
        self._tell(Progress(self.device, phase, text, self._done, len(self._futures)))


class Engine:
    """All lanes of this process."""

    def __init__(self, progress: Callable[[Progress], None]) -> None:
        self._progress = progress
        self._lanes: dict[str, _Lane] = {}
        self._closed = threading.Event()
        self._clock = threading.Thread(target=self._watch, name="board-clock", daemon=True)
        self._clock.start()

    def open_lane(self, device: str, opener: Opener, *, open_deadline_s: float, seat: Seat = ANYWHERE) -> None:
        """Start the thread of one board.

        Args:
            device: its name.
            opener: called on the thread with the lane's cancel event and progress.
            open_deadline_s: longest time that it may take.
            seat: taken before the board is opened, shared between jobs, given when there are none; no deadline runs
                while it waits for one.
        """
        lane = _Lane(device, opener, open_deadline_s, self._progress, seat)
        self._lanes[device] = lane
        lane.thread.start()

    def has_lane(self, device: str) -> bool:
        """Tell whether the board has a thread here."""
        return device in self._lanes

    def submit(self, device: str, job: Job) -> Future[Any]:
        """Queue a job; the future holds the job's value, or the FleetgateError that lost the board."""
        return self._lanes[device].submit(job)

    def say(self, device: str, text: str) -> None:
        """Tell how far the job of a board is; called from its thread."""
        self._lanes[device].say(text)

    def finish(self, device: str) -> None:
        """Release the board after its last queued job."""
        self._lanes[device].finish()

    def board(self, device: str) -> OpenBoard | None:
        """Return the open board, or None when it was never open."""
        lane = self._lanes.get(device)
        return lane.board if lane else None

    def lost(self, device: str) -> FleetgateError | None:
        """Return why the lane ended early, or None."""
        lane = self._lanes.get(device)
        return lane.lost if lane else None

    def cancel(self) -> None:
        """Cut every link; what waits ends as RunCancelled."""
        for lane in self._lanes.values():
            lane.stop()

    def close(self) -> None:
        """Release every board and wait until it is released, at most until the step's deadline."""
        for lane in self._lanes.values():
            lane.finish()
        for lane in self._lanes.values():
            while lane.thread.is_alive() and not (lane.cancel.is_set() and lane._ended):
                lane.thread.join(timeout=TICK_S)
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(TICK_S):
            now = time.monotonic()
            for lane in tuple(self._lanes.values()):
                lane.check(now)
