"""The report in a real browser, opened from a file: silent, alone, readable when narrow, dark or without a mouse."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.gate import judge
from harness.report import html
from harness.spec.model import Tier
from harness.testing.evidence import Scene, limit, run_of
from harness.testing.record import SampleRun, go_run, no_go_run, sample_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (apt-get install chromium)"),
]

OPEN_ALL = "document.querySelectorAll('details').forEach(details => { details.open = true })"

CONTRASTS = r"""
() => {
  const linear = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const parse = css => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1);
    const d = canvas.getImageData(0, 0, 1, 1).data;
    return d[3] === 0 ? null : [d[0], d[1], d[2]];
  };
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll('body *')) {
    const says = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!says || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const ink = parse(element.closest('svg') ? style.fill : style.color);
    if (!ink || element.tagName === 'title') continue;
    const [a, b] = [luminance(ink), luminance(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${element.outerHTML.slice(0, 90)}`);
  }
  return poor;
}
"""


@dataclass
class Seen:
    """What the browser complained about and asked for."""

    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Note every console message, error and request of a page."""
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))


@pytest.fixture(name="browser", scope="module")
def _browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(name="files", scope="module")
def _files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("report")
    runs: dict[str, SampleRun] = {"no-go": no_go_run(), "go": go_run(), "all": sample_run()}
    paths = {name: folder / f"{name}.html" for name in runs}
    for name, run in runs.items():
        paths[name].write_text(html.render(run.record, run.judgement, run.samples), encoding="utf-8")
    paths["work"] = folder / "work.html"
    paths["work"].write_text(changed_work(), encoding="utf-8")
    return paths


def changed_work() -> str:
    """Render a run in which an operator of a very long name takes more instructions."""
    name = "model/layer_7/feed_forward/dense_4h_to_h/" * 3
    scene = Scene(
        tier=Tier.DETERMINISTIC, sessions=2, limits=(limit("work.instructions", "regress", 0.05, "5 %"),),
        work=1_120_000, baseline=1_000_000 / 1_120_000,
        operators={f"{name} Conv": 1_100_000}, baseline_operators={f"{name} Conv": 980_000},
    )  # fmt: skip
    run, samples = run_of([scene.evidence()])
    return html.render(run, judge(run, samples), samples)


def open_page(browser: Browser, path: Path, *, width: int = 1280, seen: Seen | None = None, **context: Any) -> Page:
    """Open a report in a fresh context."""
    page = browser.new_context(viewport={"width": width, "height": 900}, **context).new_page()
    if seen is not None:
        seen.watch(page)
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("name", ["no-go", "go", "all"])
def test_the_page_is_silent_and_alone(browser: Browser, files: dict[str, Path], name: str) -> None:
    """Opening a report gives no console message and no request but the file itself."""
    seen = Seen()

    page = open_page(browser, files[name], seen=seen)
    page.evaluate(OPEN_ALL)
    page.wait_for_timeout(200)

    assert seen.messages == []
    assert seen.requests == [files[name].as_uri()]
    page.context.close()


@pytest.mark.parametrize("name", ["all", "work"])
@pytest.mark.parametrize("width", [320, 360, 761, 1000, 1280])
def test_nothing_overflows(browser: Browser, files: dict[str, Path], name: str, width: int) -> None:
    """With every cell open, the page is never wider than the screen."""
    page = open_page(browser, files[name], width=width)
    page.evaluate(OPEN_ALL)

    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.context.close()


def test_a_phone_shows_the_decision_without_scrolling(browser: Browser, files: dict[str, Path]) -> None:
    """On 360 x 640 the decision and its sentence are in the first screen, in letters of at least 14 pixels."""
    page = open_page(browser, files["no-go"], width=360)

    box = page.locator(".sentence").bounding_box()
    size = page.locator(".sentence").evaluate("element => parseFloat(getComputedStyle(element).fontSize)")
    assert box
    assert box["y"] + box["height"] < 640
    assert size >= 14
    page.context.close()


def test_on_a_phone_the_matrix_is_a_list(browser: Browser, files: dict[str, Path]) -> None:
    """On 360 pixels every cell of the matrix stands below the other and names its artifact."""
    page = open_page(browser, files["no-go"], width=360)

    cells = page.locator(".matrix td:visible")
    boxes = [cells.nth(index).bounding_box() for index in range(4)]
    label = cells.nth(0).evaluate("element => getComputedStyle(element, '::before').content")
    assert len({box["x"] for box in boxes if box}) == 1
    assert "digits::int8" in label
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_all_text_has_contrast(browser: Browser, files: dict[str, Path], scheme: str, width: int) -> None:
    """Every piece of text has a contrast of at least 4.5 to what is behind it, in light and dark mode."""
    page = open_page(browser, files["all"], width=width, color_scheme=scheme)
    page.evaluate(OPEN_ALL)

    assert page.evaluate(CONTRASTS) == []
    page.context.close()


def test_dark_mode_is_dark(browser: Browser, files: dict[str, Path]) -> None:
    """The page follows the reader's colour scheme."""
    page = open_page(browser, files["no-go"], color_scheme="dark")

    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(20, 23, 28)"
    page.context.close()


def test_a_link_to_a_cell_opens_it(browser: Browser, files: dict[str, Path]) -> None:
    """A click on a cell of the matrix reveals its details without a script."""
    page = open_page(browser, files["no-go"])
    assert not page.locator("#cell-0").is_visible()

    page.locator(".matrix a[href='#cell-0']").click()

    page.locator("#cell-0").wait_for(state="visible", timeout=3000)
    page.context.close()


def test_the_keyboard_reaches_and_opens_everything(browser: Browser, files: dict[str, Path]) -> None:
    """Tab goes to the skip link first, and a summary opens with Enter."""
    page = open_page(browser, files["go"])

    page.keyboard.press("Tab")
    first = page.evaluate("document.activeElement.textContent")
    page.locator("details.cell > summary").first.focus()
    page.keyboard.press("Enter")

    assert first == "Skip to what blocks"
    assert page.locator("details.cell").first.get_attribute("open") is not None
    page.context.close()


def test_print_shows_what_is_closed_on_the_screen(browser: Browser, files: dict[str, Path]) -> None:
    """On paper every cell is open, and the ground is white even for a reader in dark mode."""
    page = open_page(browser, files["go"], color_scheme="dark")

    page.emulate_media(media="print")

    height = page.locator("#cell-0").evaluate("element => element.getBoundingClientRect().height")
    assert height > 100
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.context.close()
