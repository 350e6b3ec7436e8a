"""When a change of work is explained, and with what: profiles of both arms, after the timed sessions, only if needed.

Owns the choice, and that an explanation never costs a cell its verdict: what fails here is a note. Only boards whose
counts are exact have profiles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.agent.message import SessionRequest
from harness.campaign.session import PlannedSession
from harness.errors import DeviceError, GraphError, InfraError, LinkLost, RecordError
from harness.gate.where import GRAPH, RECORDED, WORK
from harness.records.canonical import to_json
from harness.records.cell import ArrayRef, Role, SessionKind, SessionRecord
from harness.records.plan import PlannedCell
from harness.records.profile import Profile, parse_profile, read_text
from harness.spec.model import Device, LimitKind, Tier

if TYPE_CHECKING:
    import numpy as np

    from harness.campaign.work import CellWork
    from harness.farm.boards import SessionSeen
    from harness.records.graph import Graph

COUNTS = "instructions"
PROFILE = "profile"
SAME_CODE = 0.001
"""A count within this of a committed one is the same code path: other snapshots and hosts move it by as much."""
SAME_SNAPSHOT = 0.0001
"""The same from the same snapshot: what the board did before moves a count by some ten millionths."""

Ask = Callable[[SessionRequest], "SessionSeen"]


class Explaining:
    """What explains the change of one cell's work, collected on its board after the timed sessions.

    Args:
        work: the cell.
        ask: runs a session on the board.
        keep: records a session.
        add: keeps an array under a key.
        snapshot: tells the id of the machine state that the board started from.
    """

    def __init__(
        self,
        work: CellWork,
        ask: Ask,
        keep: Callable[[PlannedSession, SessionSeen], None],
        add: Callable[[str, np.ndarray], ArrayRef],
        snapshot: Callable[[], str],
    ) -> None:
        self.documents: dict[str, ArrayRef] = {}
        self.notes: list[str] = []
        self._work = work
        self._ask = ask
        self._keep = keep
        self._add = add
        self._snapshot = snapshot

    def run(
        self,
        request: Callable[[PlannedSession], SessionRequest],
        sessions: Sequence[SessionRecord],
        arrays: Mapping[str, np.ndarray],
    ) -> None:
        """Profile the arms that need it, and read the files of both.

        Args:
            request: makes the request of a session.
            sessions: those of the cell so far.
            arrays: their arrays by key.

        Raises:
            LinkLost, DeviceError, RunCancelled: the board is lost, for this cell and the next.
        """
        if not wants_profiles(self._work.planned, self._work.device):
            return
        roles = profiled_roles(
            self._work.planned, self._work.files.recorded_profile, sessions, arrays, snapshot=self._snapshot()
        )
        for role in roles:
            self._profile(PlannedSession(SessionKind.PROFILE, role), request)
        if roles:
            self._compare_files()

    def _profile(self, session: PlannedSession, request: Callable[[PlannedSession], SessionRequest]) -> None:
        found = take_profile(self._ask, request(session))
        if isinstance(found, str):
            self.notes.append(f"no profile of the {session.role.value}: {found}")
            return
        self._keep(session, found)
        recorded = self._work.files.recorded_profile
        if recorded is not None:
            self._document(RECORDED, recorded)

    def _compare_files(self) -> None:
        """Keep what the files hold: told beside the operators that ran, because a runtime fuses, lays out and drops."""
        from harness.graph import read_graph

        files = self._work.files
        if files.baseline is None:
            return
        try:
            for role, path in ((Role.BASELINE, files.baseline), (Role.CANDIDATE, files.model)):
                self._document(GRAPH + role.value, read_graph(path))
        except GraphError as error:
            self.notes.append(f"the files are not compared: {error}")

    def _document(self, name: str, record: Profile | Graph) -> None:
        import numpy as np

        self.documents[name] = self._add(name, np.frombuffer(to_json(record), dtype=np.uint8))


def wants_profiles(cell: PlannedCell, device: Device) -> bool:
    """Tell whether a change of this cell's work would be explained."""
    is_asked = any(limit.metric == WORK and limit.kind is LimitKind.REGRESS for limit in cell.limits)
    return is_asked and device.tier is Tier.DETERMINISTIC and cell.trial is None


def profiled_roles(
    cell: PlannedCell,
    recorded: Profile | None,
    sessions: Sequence[SessionRecord],
    arrays: Mapping[str, np.ndarray],
    *,
    snapshot: str = "",
) -> tuple[Role, ...]:
    """Choose the arms to profile on a board that started from `snapshot`.

    With a baseline file both, if their counts differ. With a committed figure the candidate, if its count is not that
    figure's or the committed record has no profile yet (a promoted run needs one).
    """
    candidate = _count(Role.CANDIDATE, sessions, arrays)
    if candidate is None:
        return ()
    if cell.baseline is not None:
        baseline = _count(Role.BASELINE, sessions, arrays)
        return (Role.BASELINE, Role.CANDIDATE) if baseline not in {None, candidate} else ()
    figure = next((item for item in cell.recorded if item.metric == WORK), None)
    if figure is None or recorded is None:
        return (Role.CANDIDATE,)
    allowed = SAME_SNAPSHOT if snapshot and snapshot == figure.snapshot else SAME_CODE
    return () if abs(candidate / figure.value - 1.0) <= allowed else (Role.CANDIDATE,)


def take_profile(ask: Ask, request: SessionRequest) -> SessionSeen | str:
    """Ask a board for a profile.

    Returns:
        The session with a profile that can be read, or why there is none.

    Raises:
        LinkLost, DeviceError, RunCancelled: the board is lost, for this cell and the next.
    """
    try:
        seen = ask(request)
        if seen.reply.error is not None:
            return seen.reply.error.get("message", "the session failed")
        if PROFILE not in seen.arrays:
            return "the session brought none"
        parse_profile(read_text(seen.arrays[PROFILE]))
    except (LinkLost, DeviceError):
        raise
    except (InfraError, RecordError) as error:
        return str(error)
    return seen


def _count(role: Role, sessions: Sequence[SessionRecord], arrays: Mapping[str, np.ndarray]) -> float | None:
    """Return the median count of an arm's timed sessions, None when nothing was counted."""
    import numpy as np

    timed = [item for item in sessions if item.role is role and item.kind is SessionKind.TIMING]
    counts = [arrays[item.arrays[COUNTS].key] for item in timed if COUNTS in item.arrays]
    return float(np.median(np.concatenate(counts))) if counts else None
