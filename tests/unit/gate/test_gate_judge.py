"""Whole runs judged: joins, incidents, tiers, baselines and the sentence of the decision."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import RecordError
from harness.gate import decide_release, forbidden, judge
from harness.records.canonical import to_json
from harness.records.cell import CellRecord, Incident, Role
from harness.records.outcome import Attribution, Outcome, Release
from harness.records.verdict import Judgement, Verdict
from harness.spec.model import Device, MeterSpec, Origin, Tier
from harness.stats import Evidence
from harness.testing.evidence import Scene, limit, run_of

MEMORY = limit("memory.peak", "max", 2**26, "64 MiB")
TOP1 = limit("accuracy.top1", "min", 0.96, "96 %")
P50 = limit("latency.p50", "max", 2.5e-3, "2.5 ms")
SLOWER = limit("latency.p50", "regress", 0.05, "5 %")
WORK = limit("work.instructions", "regress", 0.005, "0.5 %")
GOOD = Scene(limits=(MEMORY, TOP1, P50))


def _judge(*cells: Evidence, cancelled: bool = False) -> Judgement:
    run, samples = run_of(cells, cancelled=cancelled)
    return judge(run, samples)


def _by_gate(judgement: Judgement) -> dict[str, Verdict]:
    return {f"{verdict.metric} {verdict.kind}": verdict for verdict in judgement.verdicts}


def _outcomes(judgement: Judgement) -> list[Outcome]:
    return [verdict.outcome for verdict in judgement.verdicts]


def _incident(outcome: Outcome, code: str = "x", role: Role = Role.CANDIDATE) -> Incident:
    return Incident(outcome, Attribution.UNKNOWN, code, f"message of {code}", role)


def test_a_good_run_is_go() -> None:
    """Every gate of every cell passes; the sentence counts them and says where."""
    found = _judge(GOOD.evidence(), replace(GOOD, device="pi2").evidence())

    assert _outcomes(found) == [Outcome.PASS] * 8
    assert found.decision.exit_code == 0
    assert found.decision.sentence == "GO: all 8 gates pass on 2 hardware boards."


def test_verdicts_carry_the_origin_and_the_evidence() -> None:
    """A verdict holds limit, text, file:line, estimate, n and margin."""
    found = _by_gate(_judge(GOOD.evidence()))["latency.p50 max"]

    assert (found.limit, found.limit_text, found.origin) == (2.5e-3, "2.5 ms", "s.suite.yaml:9")
    assert found.estimate is not None
    assert found.estimate.n == 6
    assert found.margin == pytest.approx((2.5e-3 - (found.estimate.high or 0)) / 2.5e-3)


def test_a_planned_cell_without_record_is_not_run() -> None:
    """Law 1: absent results are made visible and hold."""
    run, samples = run_of([GOOD.evidence(), replace(GOOD, device="pi2").evidence().planned])

    found = judge(run, samples)

    assert _outcomes(found)[4:] == [Outcome.NOT_RUN] * 4
    assert found.decision.exit_code == 10


def test_records_that_were_not_planned_are_an_error() -> None:
    """Law 1: nothing slips in from beside the plan, and no cell counts twice."""
    run, samples = run_of([GOOD.evidence()])

    with pytest.raises(RecordError, match="never planned"):
        judge(replace(run, cells=(*run.cells, CellRecord("digits::other[pi]"))), samples)
    with pytest.raises(RecordError, match="two records"):
        judge(replace(run, cells=run.cells * 2), samples)


def test_a_board_that_never_opened_speaks_for_its_cells() -> None:
    """Without a record the incident of the board decides; exit code 20."""
    run, samples = run_of([GOOD.evidence().planned])
    met = replace(run.devices[0], incidents=(_incident(Outcome.INFRA, "image"),))

    found = judge(replace(run, devices=(met,)), samples)

    assert set(_outcomes(found)) == {Outcome.INFRA}
    assert found.decision.exit_code == 20


def test_a_board_lost_before_the_first_session_gives_one_cause() -> None:
    """All gates of the cell say the same sentence, on one line."""
    incident = Incident(Outcome.INFRA, Attribution.INFRA, "link", "the link was lost:\n  no answer")
    evidence = replace(GOOD, incidents=(incident,)).evidence()

    found = _judge(replace(evidence, cell=replace(evidence.cell, sessions=())))

    assert {(item.outcome, item.reason) for item in found.verdicts} == {(Outcome.INFRA, "the link was lost: no answer")}


def test_a_security_incident_takes_all_evidence_of_its_board() -> None:
    """Figures from a board that may be somebody else's count for nothing; exit code 40."""
    run, samples = run_of([GOOD.evidence(), replace(GOOD, device="pi2").evidence()])
    met = replace(run.devices[0], incidents=(_incident(Outcome.SECURITY, "host-key"),))

    found = judge(replace(run, devices=(met, run.devices[1])), samples)

    assert _outcomes(found) == [Outcome.SECURITY] * 4 + [Outcome.PASS] * 4
    assert (found.decision.release, found.decision.exit_code) == (Release.SECURITY, 40)


def test_an_artifact_that_does_not_load_fails_once() -> None:
    """Only the gate `crash` fails; the others are NOT_RUN by the model's fault."""
    incident = Incident(Outcome.FAIL, Attribution.MODEL, "load", "opset 24 is unknown")
    evidence = replace(GOOD, incidents=(incident,)).evidence()
    evidence = replace(evidence, cell=replace(evidence.cell, sessions=()))

    found = _judge(evidence)

    assert _outcomes(found) == [Outcome.FAIL] + [Outcome.NOT_RUN] * 3
    assert found.verdicts[0].reason == "the artifact does not load: opset 24 is unknown"
    assert {item.attribution for item in found.verdicts} == {Attribution.MODEL}
    assert found.verdicts[1].reason == "not measured: the artifact does not load"
    assert found.decision.blockers[0] == "digits::int8[pi] crash runs"


def test_a_crash_beside_finished_sessions_still_fails() -> None:
    """What was measured before is judged, and the crash blocks."""
    incident = Incident(Outcome.FAIL, Attribution.MODEL, "crash", "signal 11 (SIGSEGV) while running")

    found = _by_gate(_judge(replace(GOOD, incidents=(incident,)).evidence()))

    assert found["crash runs"].outcome is Outcome.FAIL
    assert found["accuracy.top1 min"].outcome is Outcome.PASS


def test_lost_sessions_are_explained_by_what_lost_them() -> None:
    """Gates without evidence take the incident's outcome, gates with it are judged."""
    evidence = replace(GOOD, incidents=(_incident(Outcome.INFRA, "link"),)).evidence()
    kept = tuple(item for item in evidence.cell.sessions if item.kind.value != "timing")

    found = _by_gate(_judge(replace(evidence, cell=replace(evidence.cell, sessions=kept))))

    assert found["latency.p50 max"].outcome is Outcome.INFRA
    assert found["latency.p50 max"].reason == "not measured: message of link"
    assert found["memory.peak max"].outcome is Outcome.PASS
    assert found["crash runs"].outcome is Outcome.INFRA


def test_too_few_sessions_because_of_the_link_are_infrastructure() -> None:
    """An unbounded interval is the link's fault when the link was lost, else INCONCLUSIVE."""
    lost = replace(GOOD, sessions=3, incidents=(_incident(Outcome.INFRA, "link"),))

    assert _by_gate(_judge(lost.evidence()))["latency.p50 max"].outcome is Outcome.INFRA
    assert _by_gate(_judge(replace(GOOD, sessions=3).evidence()))["latency.p50 max"].outcome is Outcome.INCONCLUSIVE


def test_a_missing_sensor_takes_only_its_figures() -> None:
    """Energy is DEVICE; accuracy and the gate `crash` stand."""
    energy = limit("energy.per_inference", "max", 0.06, "60 mJ")
    incident = Incident(Outcome.FAIL, Attribution.MODEL, "sensor", "no hwmon")
    scene = replace(GOOD, limits=(TOP1, energy), power=MeterSpec("hwmon"), incidents=(incident,))
    evidence = scene.evidence()
    kept = tuple(item for item in evidence.cell.sessions if item.kind.value != "energy")

    found = _by_gate(_judge(replace(evidence, cell=replace(evidence.cell, sessions=kept))))

    assert found["energy.per_inference max"].outcome is Outcome.DEVICE
    assert found["accuracy.top1 min"].outcome is found["crash runs"].outcome is Outcome.PASS


def test_a_failed_reference_takes_only_its_figures() -> None:
    """Parity is INFRA; memory and the gate `crash` stand."""
    cosine = limit("parity.cosine", "min", 0.99)
    evidence = replace(GOOD, limits=(MEMORY, cosine), incidents=(_incident(Outcome.INFRA, "reference"),)).evidence()
    arrays = {key: array for key, array in evidence.arrays.items() if not key.startswith("reference")}

    found = _by_gate(_judge(replace(evidence, arrays=arrays)))

    assert [item.outcome for item in found.values()] == [Outcome.PASS, Outcome.PASS, Outcome.INFRA]


def test_a_baseline_that_crashes_is_inconclusive() -> None:
    """Without the baseline's figures a regression can be neither shown nor excluded."""
    incident = _incident(Outcome.INCONCLUSIVE, "baseline", Role.BASELINE)
    evidence = Scene(limits=(SLOWER, P50), baseline=1.0, incidents=(incident,)).evidence()
    kept = tuple(item for item in evidence.cell.sessions if item.role is Role.CANDIDATE)

    found = _by_gate(_judge(replace(evidence, cell=replace(evidence.cell, sessions=kept))))

    assert found["latency.p50 regress"].outcome is Outcome.INCONCLUSIVE
    assert "no baseline: message of baseline" in found["latency.p50 regress"].reason
    assert found["latency.p50 max"].outcome is found["crash runs"].outcome is Outcome.PASS


def test_no_baseline_is_inconclusive_not_a_pass() -> None:
    """A regress limit without anything to compare with holds."""
    found = _judge(Scene(tier=Tier.DETERMINISTIC, sessions=2, limits=(WORK,)).evidence())

    assert _outcomes(found) == [Outcome.PASS, Outcome.INCONCLUSIVE]
    assert found.decision.exit_code == 10


def test_a_regression_is_not_a_failure() -> None:
    """Worse than the baseline is REGRESSION, with both arms and the source."""
    found = _by_gate(_judge(Scene(limits=(SLOWER,), baseline=0.8, noise=1e-3).evidence()))["latency.p50 regress"]

    assert found.outcome is Outcome.REGRESSION
    assert found.baseline is not None
    assert found.baseline_source == "measured in this run"


def test_skipped_cells_do_not_count_but_are_listed() -> None:
    """The plan's skips carry their reason and are outside of the denominator."""
    skipped = replace(GOOD, device="pi2", skip_reason="planned for a53 only").evidence().planned
    run, samples = run_of([GOOD.evidence(), skipped])

    found = judge(run, samples)

    assert found.decision.release is Release.GO
    assert found.decision.counts == {"PASS": 4, "SKIPPED": 4}
    assert found.verdicts[-1].reason == "planned for a53 only"


def test_nothing_but_skips_holds() -> None:
    """A run in which nothing applied releases nothing."""
    run, samples = run_of([replace(GOOD, skip_reason="not here").evidence().planned])

    assert judge(run, samples).decision.release is Release.HOLD


def test_an_empty_plan_holds() -> None:
    """No cells, no release."""
    found = _judge()

    assert (found.decision.release, found.decision.exit_code) == (Release.HOLD, 10)
    assert "nothing was measured" in found.decision.sentence


def test_a_cancelled_run_holds() -> None:
    """Cells without a record in a cancelled run are CANCELLED."""
    run, samples = run_of([GOOD.evidence(), replace(GOOD, device="pi2").evidence().planned], cancelled=True)

    found = judge(run, samples)

    assert set(_outcomes(found)[4:]) == {Outcome.CANCELLED}
    assert found.decision.exit_code == 10


def test_a_cell_without_limits_says_so() -> None:
    """Only "loads and runs" is gated, and the sentence admits it."""
    assert "Nothing but loading and running is gated." in _judge(Scene().evidence()).decision.sentence


def test_emulated_boards_never_stand_for_physical_ones() -> None:
    """The sentence says what was not measured, unless hardware was."""
    emulated = Scene(tier=Tier.DETERMINISTIC, sessions=2, device="a53", limits=(TOP1,)).evidence()

    alone, together = _judge(emulated).decision.sentence, _judge(emulated, GOOD.evidence()).decision.sentence

    assert "1 emulated-deterministic board" in alone
    assert "No physical board was measured" in alone
    assert "No physical board" not in together


def test_recorded_samples_release_nothing() -> None:
    """The tier `replayed` holds even when every gate passes."""
    assert _judge(Scene(tier=Tier.REPLAYED, limits=(TOP1,)).evidence()).decision.release is Release.HOLD


def test_blockers_are_sorted_by_margin() -> None:
    """The worst failure stands first, holds after failures."""
    limits = (
        limit("memory.peak", "max", 39 * 2**20, "39 MiB"),
        limit("storage.size", "max", 20_000, "20 kB"),
        limit("accuracy.top1", "min", 0.985, "98.5 %"),
    )

    found = _judge(Scene(limits=limits).evidence()).decision

    assert [item.split()[1] for item in found.blockers] == ["storage.size", "memory.peak", "accuracy.top1"]
    assert found.sentence.startswith(
        "NO-GO: 2 of 4 gates failed (2 FAIL) and 1 more could not be decided on 1 hardware"
    )


def test_an_incident_that_claims_a_pass_is_unclassified() -> None:
    """Law 6: what is not a known fault is INFRA, never green."""
    found = _judge(replace(GOOD, incidents=(_incident(Outcome.PASS),)).evidence())

    assert found.verdicts[0].outcome is Outcome.INFRA
    assert "unclassified" in found.verdicts[0].reason


def test_judging_twice_gives_the_same_bytes() -> None:
    """The judge is a pure function."""
    run, samples = run_of([Scene(limits=(MEMORY, TOP1, P50, SLOWER), baseline=0.97).evidence()])

    assert to_json(judge(run, samples)) == to_json(judge(run, samples))


def _device(tier: Tier, power: MeterSpec | None = None) -> Device:
    return Device("a53", "p", ("p",), tier, Origin("farm.yaml", 1, 1), power=power)


MODELLED, HWMON = MeterSpec("modelled", idle_w=1.0, joule_per_instruction=1e-10), MeterSpec("hwmon")
SIMULATED = MeterSpec("simulated", idle_w=1.0, busy_w=2.0)
TIERS = [
    ("latency.p95", "", Tier.HARDWARE, None, ""),
    ("latency.p95", "", Tier.DETERMINISTIC, None, ""),
    ("latency.p95", "", Tier.FUNCTIONAL, None, "gate work.instructions on an emulated-deterministic board"),
    ("load.time", "", Tier.FUNCTIONAL, None, "or the time on hardware"),
    ("throughput", "", Tier.FUNCTIONAL, None, "or the time on hardware"),
    ("work.instructions", "", Tier.FUNCTIONAL, None, "icount: true"),
    ("work.instructions", "", Tier.DETERMINISTIC, None, ""),
    ("memory.peak", "", Tier.FUNCTIONAL, None, ""),
    ("accuracy.top1", "", Tier.FUNCTIONAL, None, ""),
    ("parity.cosine", "", Tier.FUNCTIONAL, None, ""),
    ("storage.size", "", Tier.FUNCTIONAL, None, ""),
    ("thermal.max", "", Tier.DETERMINISTIC, None, "gate it on hardware"),
    ("thermal.max", "", Tier.HARDWARE, None, ""),
    ("power.mean", "", Tier.HARDWARE, HWMON, ""),
    ("power.mean", "", Tier.DETERMINISTIC, HWMON, "draws no power"),
    ("power.mean", "", Tier.DETERMINISTIC, MODELLED, "never modelled"),
    ("energy.per_inference", "", Tier.HARDWARE, None, "add `power:`"),
    ("energy.per_inference", "", Tier.HARDWARE, HWMON, ""),
    ("energy.per_inference", "", Tier.HARDWARE, MODELLED, "write `accept: modelled`"),
    ("energy.per_inference", "", Tier.DETERMINISTIC, MODELLED, "write `accept: modelled`"),
    ("energy.per_inference", "modelled", Tier.DETERMINISTIC, MODELLED, ""),
    ("energy.per_inference", "modelled", Tier.FUNCTIONAL, MODELLED, "icount: true"),
    ("energy.per_inference", "", Tier.FUNCTIONAL, SIMULATED, "write `accept: simulated`"),
    ("energy.per_inference", "modelled", Tier.FUNCTIONAL, SIMULATED, "write `accept: simulated`"),
    ("energy.per_inference", "simulated", Tier.FUNCTIONAL, SIMULATED, ""),
    ("power.mean", "simulated", Tier.FUNCTIONAL, SIMULATED, ""),
    ("energy.per_inference", "simulated", Tier.DETERMINISTIC, SIMULATED, "icount: false"),
    ("energy.per_inference", "simulated", Tier.DETERMINISTIC, MODELLED, "write `accept: modelled`"),
]


@pytest.mark.parametrize(("metric", "accept", "tier", "power", "message"), TIERS)
def test_what_may_be_gated_where(metric: str, accept: str, tier: Tier, power: MeterSpec | None, message: str) -> None:
    """The table of design.md, each refusal with its alternative."""
    said = forbidden(limit(metric, "max", 1.0, accept=accept), _device(tier, power))

    assert (message in said) if message else said == ""


def test_a_forbidden_gate_is_not_decided_even_when_planned() -> None:
    """A plan that was edited past the check gets no PASS."""
    found = _judge(Scene(tier=Tier.FUNCTIONAL, limits=(P50,)).evidence())

    assert found.verdicts[1].outcome is Outcome.INCONCLUSIVE
    assert "cannot be gated" in found.verdicts[1].reason


def test_a_meter_that_failed_after_some_sessions_holds_what_they_would_pass() -> None:
    """The gate "runs" passes beside a missing sensor, so the energy gate must say that the sensor went."""
    scene = replace(GOOD, power=MeterSpec("hwmon"), limits=(limit("energy.per_inference", "max", 1.0, "1 J"),))
    lost = _incident(Outcome.DEVICE, "sensor")

    whole = _by_gate(_judge(scene.evidence()))
    found = _by_gate(_judge(replace(scene, incidents=(lost,)).evidence()))

    assert whole["energy.per_inference max"].outcome is Outcome.PASS
    assert found["energy.per_inference max"].outcome is Outcome.DEVICE
    assert found["crash runs"].outcome is Outcome.PASS


def test_a_cell_is_judged_as_the_board_that_it_was_planned_on() -> None:
    """A tier that differs between plan and board, or a board that the record does not describe, is no record."""
    evidence = GOOD.evidence()
    replayed = replace(evidence, device=replace(evidence.device, tier=Tier.REPLAYED))
    run, samples = run_of([evidence])

    with pytest.raises(RecordError, match="planned as hardware, but pi is replayed"):
        _judge(replayed)
    with pytest.raises(RecordError, match="of which the record says nothing"):
        judge(replace(run, devices=()), samples)


def test_a_skipped_cell_does_not_hide_an_alarm() -> None:
    """SECURITY speaks for every cell of its board, also those that the plan skips."""
    run, samples = run_of([GOOD.evidence(), replace(GOOD, device="pi2", skip_reason="not meant for it").evidence()])
    alarm = replace(run.devices[1], incidents=(_incident(Outcome.SECURITY, "host-key"),))

    assert judge(run, samples).decision.exit_code == 0
    assert judge(replace(run, devices=(run.devices[0], alarm)), samples).decision.exit_code == 40


def test_a_gate_without_a_verdict_holds() -> None:
    """GO needs a verdict for each limit of each cell, not one for each cell."""
    run, samples = run_of([GOOD.evidence()])
    verdicts = judge(run, samples).verdicts

    assert decide_release(verdicts, run.plan).release is Release.GO
    assert decide_release(verdicts[:-1], run.plan).release is Release.HOLD
