"""Which sessions a cell gets: what its limits ask for, paired where they compare."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.campaign.session import (
    PlannedSession,
    counts_work,
    next_again,
    order_pair,
    sessions_of,
    wanted_by_limits,
)
from harness.gate.schedule import Ask
from harness.records.cell import Pairing, Role, RuntimeRecord, SessionKind, SessionRecord, Stage
from harness.records.plan import FileIdentity, PlannedCell
from harness.spec.model import Device, Emulation, Limit, LimitKind, MeterSpec, Origin, Tier
from harness.spec.workload import Workload

HERE = Origin("x.suite.yaml", 1, 1)
FILE = FileIdentity("model.onnx", "aa", 1)
BOARD = Device("here", "host", ("host",), Tier.HARDWARE, HERE)
FIXED = replace(BOARD, sessions=6)
EMULATED = replace(BOARD, name="a53", tier=Tier.DETERMINISTIC, power=MeterSpec("modelled"))


def _limit(metric: str, kind: LimitKind = LimitKind.MAX) -> Limit:
    return Limit(metric, kind, 1.0, "1", HERE)


def _cell(*limits: Limit, baseline: bool = False, device: Device = BOARD) -> PlannedCell:
    return PlannedCell(
        key=f"s::m[{device.name}]", suite="s", suite_file="x.suite.yaml", artifact="m", device=device.name,
        profile=device.profile, tier=device.tier, runtime="onnxruntime", build="b", provider="", threads=1,
        workload=Workload("classification", "d.npz", 10), limits=limits, model=FILE, data=FILE,
        baseline=FILE if baseline else None,
    )  # fmt: skip


def _kinds(cell: PlannedCell, device: Device = BOARD) -> list[SessionKind]:
    return [session.kind for session in sessions_of(cell, device, wanted_by_limits(cell))]


def test_a_cell_without_limits_still_shows_that_it_runs() -> None:
    """One accuracy session is the evidence of the implicit gate."""
    assert _kinds(_cell()) == [SessionKind.ACCURACY]


def test_only_what_limits_ask_for_is_measured() -> None:
    """A memory limit asks for memory sessions and no timed ones; a file's size for none."""
    assert _kinds(_cell(_limit("storage.size"))) == [SessionKind.ACCURACY]
    assert _kinds(_cell(_limit("memory.peak"))) == [SessionKind.ACCURACY] + [SessionKind.MEMORY] * 3


def test_what_scatters_on_hardware_has_no_number_beforehand() -> None:
    """Timed sessions are measured in pairs until every gate is decided; a temperature alone takes a fixed six."""
    assert _kinds(_cell(_limit("latency.p95"))) == [SessionKind.ACCURACY]
    assert _kinds(_cell(_limit("thermal.max"))).count(SessionKind.TIMING) == 6


def test_the_boards_own_number_of_sessions_counts() -> None:
    """`sessions:` of the device is a number fixed beforehand."""
    cell = _cell(_limit("latency.p95"))

    assert _kinds(cell, replace(BOARD, sessions=9)).count(SessionKind.TIMING) == 9


def test_only_relative_limits_measure_the_baseline_and_in_pairs() -> None:
    """Every timed pair holds both roles; memory without `regress` has no baseline sessions."""
    cell = _cell(_limit("latency.p95", LimitKind.REGRESS), _limit("memory.peak"), baseline=True)
    sessions = sessions_of(cell, FIXED, wanted_by_limits(cell))
    timed = [session.role for session in sessions if session.kind is SessionKind.TIMING]

    assert all({*timed[index : index + 2]} == {Role.CANDIDATE, Role.BASELINE} for index in range(0, 12, 2))
    assert {session.role for session in sessions if session.kind is SessionKind.MEMORY} == {Role.CANDIDATE}


def test_the_order_within_fixed_pairs_is_a_fair_and_repeatable_coin() -> None:
    """The same cell gets the same order again; over many cells each role leads about half of the pairs."""
    cell = _cell(_limit("latency.p95", LimitKind.REGRESS), baseline=True)
    leads = []
    for number in range(200):
        other = replace(cell, key=f"s::m{number}[here]")
        sessions = sessions_of(other, FIXED, wanted_by_limits(other))
        assert sessions == sessions_of(other, FIXED, wanted_by_limits(other))
        leads += [sessions[index].role for index in range(1, 13, 2)]

    assert 0.45 < leads.count(Role.BASELINE) / len(leads) < 0.55


def test_every_pair_has_a_coin_of_its_own_that_the_seed_gives_again() -> None:
    """Over many seeds and pairs each role leads about half; the same seed and pair give the same order."""
    asks = [Ask(SessionKind.TIMING, Stage.FIRST, pair, (Role.BASELINE, Role.CANDIDATE)) for pair in range(12)]
    leads = [order_pair(ask, Pairing(f"seed {number}", "other", 1))[0].role for number in range(100) for ask in asks]

    assert 0.45 < leads.count(Role.BASELINE) / len(leads) < 0.55
    pairing = Pairing("seed", "another", 1)
    confirm = [replace(ask, stage=Stage.CONFIRM) for ask in asks]
    first = [order_pair(ask, pairing)[0].role for ask in asks]
    assert first == [order_pair(ask, pairing)[0].role for ask in asks]
    assert first != [order_pair(ask, pairing)[0].role for ask in confirm]


@pytest.mark.parametrize(
    ("metric", "kind", "is_needed"),
    [
        ("accuracy.top1", LimitKind.DROP, True),
        ("parity.cosine", LimitKind.MIN, True),
        ("accuracy.top1", LimitKind.MIN, False),
    ],
)
def test_the_reference_is_computed_only_for_limits_that_compare_with_it(
    metric: str, kind: LimitKind, is_needed: bool
) -> None:
    """Drop and parity need it."""
    assert wanted_by_limits(_cell(_limit(metric, kind))).reference is is_needed


def test_modelled_energy_is_timed_and_counted_instead_of_metered() -> None:
    """An emulated board's energy follows from time and instructions; a real board's from its meter."""
    cell = _cell(_limit("energy.per_inference"), device=EMULATED)

    assert _kinds(cell, EMULATED) == [SessionKind.ACCURACY, SessionKind.TIMING, SessionKind.TIMING]
    assert counts_work(wanted_by_limits(cell), EMULATED)
    assert SessionKind.ENERGY in _kinds(cell, replace(FIXED, power=MeterSpec("hwmon")))


def test_a_size_is_compared_only_with_a_file_that_a_board_opened() -> None:
    """`regress` on storage.size alone gives the baseline the one session that opens its file."""
    cell = _cell(_limit("storage.size", LimitKind.REGRESS), baseline=True)

    sessions = sessions_of(cell, BOARD, wanted_by_limits(cell))

    assert [session.kind for session in sessions] == [SessionKind.ACCURACY] * 2
    assert {session.role for session in sessions} == {Role.CANDIDATE, Role.BASELINE}


RUNTIME = RuntimeRecord("onnxruntime", "b", "1", "CPU", 1, "env", "3.11", "2")
PAIR = (PlannedSession(SessionKind.TIMING, Role.BASELINE), PlannedSession(SessionKind.TIMING, Role.CANDIDATE))


def _seen(*flags: str) -> list[SessionRecord]:
    """Pairs as they were measured, the candidate of each with these flags."""
    return [
        SessionRecord(
            0, role, SessionKind.TIMING, "aa", RUNTIME, (), flags=(flag,) if flag and role is Role.CANDIDATE else ()
        )
        for flag in flags
        for role in (Role.BASELINE, Role.CANDIDATE)
    ]


def test_a_spoilt_pair_is_measured_again_as_a_pair() -> None:
    """One flagged session of six pairs asks for one more pair, both arms."""
    again = next_again(_seen("", "", "foreign-load", "", "", ""), PAIR * 6, BOARD)

    assert {session.role for session in again} == {Role.BASELINE, Role.CANDIDATE}
    assert next_again(_seen("", "", "foreign-load", "", "", "", ""), PAIR * 6, BOARD) == ()


def test_a_board_that_stays_unfit_is_given_up() -> None:
    """Twice the planned pairs are the end of it."""
    assert next_again(_seen(*["throttled"] * 11), PAIR * 6, BOARD)
    assert next_again(_seen(*["throttled"] * 12), PAIR * 6, BOARD) == ()


def test_notes_and_emulated_boards_ask_for_nothing_more() -> None:
    """A missing instrument spoils no time; an emulated board has no neighbours."""
    assert next_again(_seen(*["no-counter:EPERM"] * 6), PAIR * 6, BOARD) == ()
    emulated = replace(EMULATED, emulation=Emulation("cortex-a53", 2**30, icount=True))
    assert next_again(_seen(*["swapped"] * 2), PAIR * 2, emulated) == ()
