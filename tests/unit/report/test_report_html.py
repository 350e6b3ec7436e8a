"""The HTML file: complete, self-contained, and immune to what boards send."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from harness.records.cell import Incident
from harness.records.outcome import Attribution, Outcome
from harness.report import html
from harness.testing.record import SampleRun, go_run, no_go_run, sample_run

HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e{{7*7}}\"'><img src=x onerror=alert(1)>"
VOID = {"meta", "br", "wbr", "link", "input", "img", "hr"}


class Page(HTMLParser):
    """Collects what a browser would act on, and checks that tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element and its attributes."""
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that closes itself."""
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element, which must be this one."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect the text."""
        self.text += data

    def values(self, name: str) -> list[str]:
        """Give the values of one attribute."""
        return [value for attribute, value in self.attributes if attribute == name]


def render(run: SampleRun) -> str:
    """Render a sample run."""
    return html.render(run.record, run.judgement, run.samples)


@pytest.fixture(name="text", scope="module")
def _text() -> str:
    return render(no_go_run())


def test_the_decision_is_the_first_thing(text: str) -> None:
    """The first heading is the decision, and its sentence follows before anything else."""
    page = Page(text)

    body = page.text[page.text.index("Release decision") :]
    assert body.split()[:6] == ["Release", "decision,", "exit", "code", "1", "NO-GO"]
    assert body.index("3 of 100 gates fail") < body.index("What blocks") < body.index("Coverage") < body.index("Matrix")


def test_elements_nest_and_ids_are_unique(text: str) -> None:
    """The file is well-formed and every link inside it has exactly one target."""
    page = Page(text)

    ids = page.values("id")
    assert page.open == []
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.values("href") if link.startswith("#")} <= set(ids)


def test_nothing_is_loaded_and_nothing_runs(text: str) -> None:
    """No script, no style attribute, no event handler, no address but anchors of the page itself."""
    page = Page(text)

    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(page.tags)
    assert all(value.startswith("#") for name in ("href", "src", "xlink:href") for value in page.values(name))
    assert page.values("style") == []
    assert [name for name, _ in page.attributes if name.startswith("on")] == []
    assert "@import" not in text
    assert "url(" not in text


def test_the_policy_allows_this_style_sheet_only(text: str) -> None:
    """The content security policy names the hash of the one style sheet that the page holds."""
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)

    assert style
    assert policy
    digest = base64.b64encode(hashlib.sha256(style.group(1).encode()).digest()).decode()
    assert policy.group(1).startswith(f"default-src 'none'; style-src 'sha256-{digest}'")


def test_every_gate_is_there_with_limit_and_origin(text: str) -> None:
    """The cell that fails shows figure, interval, limit, margin, origin, count and method."""
    page = Page(text)

    for said in (
        "latency.p95",
        "≤ 4 ms",
        "5.5 % over",
        "suites/digits/digits.suite.yaml:22",
        "n = 6, median of sessions",
    ):
        assert said in page.text, said


def test_modelled_and_virtual_figures_are_labelled(text: str) -> None:
    """A modelled energy and a virtual latency carry their label in the table of gates."""
    assert re.search(r'energy\.per_inference <span class="tag">modelled</span>', text)
    assert re.search(r'latency\.p50 <span class="tag">virtual</span>', text)


def test_limits_of_what_was_shown_are_said(text: str) -> None:
    """The report says in words what an emulated board's verdict is not."""
    assert "never stands for a physical one" in text
    assert "they say nothing about a physical board's milliseconds" in text.replace("&#39;", "'")


def test_tables_are_readable_without_eyes(text: str) -> None:
    """Header cells have a scope, tables a caption, drawings a role and a title."""
    page = Page(text)

    assert page.tags.count("table") == page.tags.count("caption")
    assert text.count("<th ") == text.count("<th scope=")
    assert all(match in text for match in ('role="img"', "<title>"))
    assert len(re.findall(r'role="img"', text)) == len(re.findall(r'role="img"[^>]*><title>', text))


def hostile_run() -> SampleRun:
    """Give a run in which every text that comes from outside is an attack."""
    run = sample_run()
    record, judgement = run.record, run.judgement
    devices = tuple(
        replace(device, facts=replace(device.facts, cpu=HOSTILE, machine=HOSTILE, kernel=HOSTILE), emulator=HOSTILE)
        for device in record.devices
        if device.facts
    )
    incident = Incident(Outcome.INFRA, Attribution.INFRA, HOSTILE, f"{HOSTILE}\n</pre></details>{HOSTILE}")
    cells = tuple(replace(cell, incidents=(incident,), samples_sha256=HOSTILE) for cell in record.cells)
    verdicts = tuple(
        replace(
            verdict,
            reason=HOSTILE,
            limit_text=HOSTILE,
            origin=HOSTILE,
            baseline_source=HOSTILE,
            estimate=replace(verdict.estimate, method=HOSTILE, label=HOSTILE) if verdict.estimate else None,
        )
        for verdict in judgement.verdicts
    )
    decision = replace(judgement.decision, sentence=HOSTILE)
    return replace(
        run,
        record=replace(record, devices=devices, cells=cells),
        judgement=replace(judgement, verdicts=verdicts, decision=decision),
    )


def test_what_boards_send_stays_text() -> None:
    """Markup, template syntax, escape sequences and bidi overrides from a board are shown, never acted on."""
    text = render(hostile_run())

    page = Page(text)
    assert page.open == []
    assert not {"script", "img"} & set(page.tags)
    assert [name for name, _ in page.attributes if name.startswith("on")] == []
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<script>alert(1)</script>\\x1b[2J\\u202e{{7*7}}" in page.text
    assert "\\u202e49" not in page.text


def test_a_go_has_nothing_that_blocks() -> None:
    """A GO says that nothing blocks and opens no cell."""
    text = render(go_run())

    assert "every planned gate has evidence and passes" in text
    assert "<details open" not in text
    assert not re.search(r'<details class="cell [^"]*" open', text)


def test_equal_runs_give_equal_bytes() -> None:
    """The report is a pure function of its input."""
    assert render(no_go_run()) == render(no_go_run())


def test_a_run_that_planned_nothing_has_a_report() -> None:
    """An empty plan is shown as what it is, without a division by nothing."""
    run = go_run()
    plan = replace(run.record.plan, cells=(), devices=())
    record = replace(run.record, plan=plan, cells=(), devices=())
    judgement = replace(run.judgement, verdicts=(), decision=replace(run.judgement.decision, counts={}, blockers=()))

    text = html.render(record, judgement, run.samples)

    assert "0 of 0 planned cells" in text
    assert "No board was planned" in text
