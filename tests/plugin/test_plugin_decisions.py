"""Each release decision from a real pytest run, with its exit code and what the user reads."""

from __future__ import annotations

from xml.etree import ElementTree

from harness.testing.device import BoardScript
from harness.testing.played import FakeModel
from harness.testing.rehearsal import SUITE, Finished, Rehearsal


def _outcomes_of(finished: Finished, part: str) -> set[str]:
    return {outcome for gate, outcome in finished.outcomes().items() if part in gate}


def test_sound_models_on_sound_boards_go(rehearsal: Rehearsal) -> None:
    """All gates pass: exit 0, every verdict PASS, plan and report written, nothing of ours in JUnit's properties."""
    finished = rehearsal.run("--junitxml=junit.xml")

    assert finished.code == 0, finished.text
    assert set(finished.outcomes().values()) == {"PASS"}
    assert len(finished.record["cells"]) == 6
    assert finished.is_reproduced()
    assert "fleetgate: farm rehearsal (farm.yaml): a53, a72, here" in finished.text
    assert "GO: all 28 gates pass" in " ".join(finished.text.split())
    assert (rehearsal.folder / "reports/latest.html").read_text().startswith("<!")
    assert "fleetgate" not in (rehearsal.folder / "junit.xml").read_text()


def test_a_slow_and_wrong_model_is_no_go_with_its_numbers_in_junit(rehearsal: Rehearsal) -> None:
    """Broken limits: exit 1; JUnit's failure text holds value, interval, limit, origin, margin, n and the command."""
    rehearsal.model("int8.onnx", FakeModel(latency_s=5e-3, wrong=60))

    finished = rehearsal.run("--junitxml=junit.xml", "--gate-sessions=8", devices="farm.yaml::here")

    assert finished.code == 1, finished.text
    outcomes = finished.outcomes()
    assert outcomes["digits::int8[here] latency.p95 max"] == "FAIL"
    assert outcomes["digits::int8[here] accuracy.top1 min"] == "FAIL"
    assert outcomes["digits::lite[here] latency.p95 max"] == "PASS"
    failures = [node.text or "" for node in ElementTree.parse(rehearsal.folder / "junit.xml").iter("failure")]
    text = next(text for text in failures if "latency.p95" in text)
    assert "FAIL: latency.p95 5" in text
    assert "limit:     max 4 ms (digits/digits.suite.yaml:14)" in text
    assert "n = 8" in text
    assert "margin:    -25" in text
    assert "reproduce: pytest --devices=farm.yaml::here 'digits/digits.suite.yaml::int8[here]'" in text


def test_what_cannot_be_decided_holds(rehearsal: Rehearsal) -> None:
    """A limit inside the interval and a failure that a second process did not confirm: exit 10, never a PASS."""
    rehearsal.model("int8.onnx", FakeModel(wrong=6))
    rehearsal.model("lite.tflite", FakeModel(error="crash", errors=1))

    finished = rehearsal.run(devices="farm.yaml::a72")

    assert finished.code == 10, finished.text
    assert finished.outcomes()["digits::int8[a72] accuracy.top1 drop"] == "INCONCLUSIVE"
    assert finished.outcomes()["digits::lite[a72] crash runs"] == "INCONCLUSIVE"


def test_a_runtime_that_needs_another_cpu_is_no_go_there_and_nowhere_else(rehearsal: Rehearsal) -> None:
    """The instruction stands in terminal, JUnit and report; boards that have it pass."""
    rehearsal.script({"a72": BoardScript(unfit=2)})

    finished = rehearsal.run("--junitxml=junit.xml")

    assert finished.code == 1, finished.text
    outcomes = finished.outcomes()
    assert sorted(gate for gate, outcome in outcomes.items() if outcome == "FAIL") == ["digits::int8[a72] crash runs"]
    assert _outcomes_of(finished, "::lite[a72]") == {"PASS"}
    assert _outcomes_of(finished, "[here]") == {"PASS"}
    words = "does not run on this CPU: sdot v0.4s, v1.16b, v2.16b: needs asimddp"
    texts = [finished.text, (rehearsal.folder / "junit.xml").read_text()]
    texts.append((rehearsal.folder / "reports/latest.html").read_text())
    assert [words in " ".join(text.split()) for text in texts] == [True, True, True]


def test_faults_of_boards_are_never_the_models(rehearsal: Rehearsal) -> None:
    """A leased board, a lost link and a full disk: INFRA and DEVICE on theirs, PASS on the sound one, exit 20."""
    farm = rehearsal.folder / "farm.yaml"
    farm.write_text(farm.read_text() + "  - {name: far, profile: host}\n")
    scripts = {
        "a53": BoardScript(open_fault="busy"),
        "a72": BoardScript(fault="link", after=2),
        "far": BoardScript(fault="device"),
    }
    rehearsal.script(scripts)

    finished = rehearsal.run()

    assert finished.code == 20, finished.text
    assert _outcomes_of(finished, "[a53]") == {"INFRA"}
    assert _outcomes_of(finished, "int8[a72]") == {"INFRA", "PASS"}
    assert _outcomes_of(finished, "lite[a72]") == {"INFRA"}
    assert _outcomes_of(finished, "[far]") == {"DEVICE"}
    assert _outcomes_of(finished, "[here]") == {"PASS"}
    assert "scripted busy fault" in finished.text


def test_a_wrong_host_key_is_a_security_stop(rehearsal: Rehearsal) -> None:
    """SECURITY of one board decides the run: exit 40."""
    rehearsal.script({"a53": BoardScript(open_fault="security")})

    finished = rehearsal.run("-k", "int8")

    assert finished.code == 40, finished.text
    assert _outcomes_of(finished, "[a53]") == {"SECURITY"}
    assert _outcomes_of(finished, "[here]") == {"PASS"}


def test_an_artifact_that_does_not_load_fails_where_it_is_planned(rehearsal: Rehearsal) -> None:
    """Its other gates are NOT_RUN, other boards are SKIPPED as the suite says; `::` and `-k` narrow the plan itself."""
    suite = SUITE.replace("runtime: tflite}", "runtime: tflite, devices: [here]}")
    (rehearsal.suite_folder / "digits.suite.yaml").write_text(suite)
    rehearsal.model("lite.tflite", FakeModel(error="load"))

    finished = rehearsal.run("-rs", "-k", "lite", devices="farm.yaml::here,a53")

    assert finished.code == 1, finished.text
    assert [cell["key"] for cell in finished.record["plan"]["cells"]] == ["digits::lite[a53]", "digits::lite[here]"]
    assert finished.outcomes()["digits::lite[here] crash runs"] == "FAIL"
    assert finished.outcomes()["digits::lite[here] memory.peak max"] == "NOT_RUN"
    assert _outcomes_of(finished, "lite[a53]") == {"SKIPPED"}
    assert "digits plans lite for here only" in finished.text


def test_a_failing_ordinary_test_is_not_hidden_by_a_go(rehearsal: Rehearsal) -> None:
    """The gates say GO, pytest still fails."""
    (rehearsal.folder / "test_other.py").write_text("def test_other():\n    assert False\n")

    finished = rehearsal.run(devices="farm.yaml::here")

    assert finished.code == 1, finished.text
    assert finished.verdicts["decision"]["release"] == "GO"
    assert "outside of the gates failed" in finished.text


def test_a_board_that_the_plan_skips_is_not_contacted(rehearsal: Rehearsal) -> None:
    """A board without any cell that applies is not opened: its faults are not this run's."""
    suite = rehearsal.suite_folder / "digits.suite.yaml"
    suite.write_text(SUITE.replace("runtime: onnxruntime,", "runtime: onnxruntime, devices: [here],"))
    suite.write_text(suite.read_text().replace("runtime: tflite}", "runtime: tflite, devices: [here]}"))
    rehearsal.script({"a53": BoardScript(open_fault="security"), "a72": BoardScript(open_fault="busy")})

    finished = rehearsal.run()

    assert finished.code == 0, finished.text
    assert [device["name"] for device in finished.record["devices"]] == ["here"]
    assert "a53: opening" not in (finished.path or rehearsal.folder / "none").joinpath("log.txt").read_text()


def test_a_go_leaves_pytests_own_exit_code(rehearsal: Rehearsal) -> None:
    """All gates pass, and a test beside them stops the session: that is not 0."""
    (rehearsal.folder / "test_zz.py").write_text(
        "def test_stops(request):\n    request.session.shouldstop = 'enough'\n\ndef test_never():\n    pass\n"
    )

    finished = rehearsal.run("digits", "test_zz.py")

    assert finished.code == 2, finished.text
    assert finished.verdicts["decision"]["release"] == "GO"


def test_a_budget_goes_to_every_cell_before_one_gets_more(rehearsal: Rehearsal) -> None:
    """Time for some sessions only: both cells get pairs, neither enough, and the gates name the budget."""
    rehearsal.script({"here": BoardScript(session_s=0.05)})

    finished = rehearsal.run("--gate-budget=700 ms", devices="farm.yaml::here")

    assert finished.code == 10, finished.text
    open_gates = [item for item in finished.verdicts["verdicts"] if item["abstained"] == "budget"]
    assert {item["metric"] for item in open_gates} == {"latency.p95"}
    assert len(open_gates) == 2
    pairs = [sum(session["stage"] is not None for session in cell["sessions"]) for cell in finished.record["cells"]]
    assert all(0 < count < 7 for count in pairs), pairs
    assert abs(pairs[0] - pairs[1]) <= 1
    assert finished.is_reproduced()


def test_a_slower_model_is_a_regression_after_fresh_pairs(rehearsal: Rehearsal) -> None:
    """The terminal says how many pairs showed it and how many confirmed it; the record holds every pair."""
    suite = SUITE.replace("latency.p95: {max: 4 ms}", "latency.p50: {regress: 5 %}")
    (rehearsal.suite_folder / "digits.suite.yaml").write_text(suite)
    rehearsal.model("int8.onnx", FakeModel(latency_s=1.2e-3))

    finished = rehearsal.run("-k", "int8", devices="farm.yaml::here")

    assert finished.code == 1, finished.text
    verdict = next(item for item in finished.verdicts["verdicts"] if item["kind"] == "regress")
    assert verdict["outcome"] == "REGRESSION"
    assert [leg["stage"] for leg in verdict["trail"]["legs"]] == ["first", "confirm"]
    assert "fresh ones confirm it" in " ".join(finished.text.split())
    assert "  noise:     not calibrated" in finished.text
    assert finished.is_reproduced()
