"""The served page in a browser; skipped where there is none."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack

import pytest

from tests.conftest import ROOT
from tests.kit.browser import LOOKS, PATIENCE, check_look, until, visited
from tests.kit.serving import HOSTILE

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: uv sync"
)
CLIP = (ROOT / "examples" / "drive.mp4").read_bytes()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    command = [sys.executable, "-m", "tests.kit.serving", str(tmp_path_factory.mktemp("runs"))]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    yield server.stdout.readline().strip()
    server.terminate()
    server.communicate()


@pytest.fixture
def visit(browser, address):
    """Open the page as a visitor of one's own; nothing may complain, nor go elsewhere."""
    playwright.expect.set_options(timeout=PATIENCE)
    with ExitStack() as visits:

        def open_page(width=1280, scheme="light"):
            page = visits.enter_context(visited(browser, address, width, scheme))
            playwright.expect(page.locator("#run option")).to_have_count(2)
            return page

        yield open_page


def give(page, *names, content=CLIP):
    files = [{"name": name, "mimeType": "video/mp4", "buffer": content} for name in names]
    page.set_input_files("#files", files)


def card(page, name):
    return page.locator("#cards article").filter(has=page.get_by_role("heading", name=name))


def in_state(page, name, state):
    found = card(page, name).and_(page.locator(f"[data-state={state}]"))
    found.wait_for()
    return found


def test_a_clip_is_sent_played_and_sought_in_step_with_its_curve(visit):
    page = visit()
    page.get_by_label("also paint an overlay").check()
    page.get_by_label("also show where it looked").check()
    give(page, "drive.mp4")
    done = in_state(page, "drive.mp4", "done")
    done.locator("video").evaluate("video => { video.muted = true; return video.play(); }")
    until(page, "document.querySelector('video').currentTime > 0.7")
    done.locator("video").evaluate("video => video.pause()")
    until(
        page,
        """() => {
          const video = document.querySelector("video"), line = document.querySelector(".cursor");
          const length = Number(document.querySelector("input[type=range]").max);
          return Math.abs(line.getAttribute("x1") / 600 - video.currentTime / length) < 0.002;
        }""",
    )
    box = done.locator(".curve").bounding_box()
    done.locator(".curve").click(position={"x": box["width"] / 2, "y": 20})
    until(page, "Math.abs(document.querySelector('video').currentTime - 2.6) < 0.1")
    # The latest moment before 2.6 s is 2.5 s; the kit's risk there is 10 of 20 steps.
    assert done.locator(".now").inner_text().split("\n")[-1].strip() == "risk 0.50, ALARM"
    done.get_by_role("button", name="2.00–3.50 s").click()
    until(page, "Math.abs(document.querySelector('video').currentTime - 2.0) < 0.02")
    assert "; the threshold is a fallback" in done.locator(".facts").inner_text()
    links = done.locator(".links a").all_inner_texts()
    assert links == ["curve (CSV)", "picture", "overlay", "heat map", "report"]
    heat = done.get_by_alt_text("drive.mp4: where the model looked at 5.00 s, coloured magenta")
    assert heat.is_visible() and heat.evaluate("image => image.naturalWidth") == 32
    with page.expect_download() as download:
        done.get_by_role("link", name="curve (CSV) of drive.mp4").click()
    assert download.value.suggested_filename == "drive.csv"


def test_a_text_file_that_is_called_mp4_gets_a_sentence(visit):
    page = visit()
    give(page, "text.mp4", content=b"this is no video")
    failed = in_state(page, "text.mp4", "failed")
    assert "It cannot be read" in failed.inner_text() and "/" not in failed.inner_text()
    failed.get_by_role("button", name="Remove text.mp4").click()
    playwright.expect(page.locator("#cards article")).to_have_count(0)
    give(page, "large.mp4", content=CLIP * 20)
    assert "larger than 1 MiB" in in_state(page, "large.mp4", "failed").inner_text()


def test_two_at_once_and_a_cancelled_one_between(visit):
    page, other = visit(), visit()
    give(page, "slow.mp4")
    in_state(page, "slow.mp4", "working")
    give(page, "one.mp4", "two.mp4")
    give(other, "theirs.mp4")
    for name in ("one.mp4", "two.mp4"):
        in_state(page, name, "waiting")
    in_state(other, "theirs.mp4", "waiting")
    playwright.expect(card(other, "theirs.mp4").locator(".state")).to_contain_text("before it")
    card(page, "slow.mp4").get_by_role("button", name="Cancel slow.mp4").click()
    in_state(page, "slow.mp4", "cancelled")
    for name in ("one.mp4", "two.mp4"):
        in_state(page, name, "done")
    in_state(other, "theirs.mp4", "done")
    assert other.locator("#cards article").count() == 1  # the others' are not shown


def test_cards_are_filtered_and_sorted(visit):
    page = visit()
    give(page, "b.mp4", "calm.mp4", "bad.mp4")
    for name, state in (("b.mp4", "done"), ("calm.mp4", "done"), ("bad.mp4", "failed")):
        in_state(page, name, state)

    def shown():
        return page.locator("#cards article:visible h3").all_inner_texts()

    page.get_by_label("sorted by").select_option("name")
    assert shown() == ["b.mp4", "bad.mp4", "calm.mp4"]
    page.get_by_label("name contains").fill("CA")
    assert shown() == ["calm.mp4"]
    assert page.locator("#count").inner_text() == "1 of 3 clips"
    page.get_by_label("name contains").fill("")
    for only, names in (("alarm", ["b.mp4"]), ("quiet", ["calm.mp4"]), ("failed", ["bad.mp4"])):
        page.get_by_label("shown").select_option(only)
        assert shown() == names, only


def test_by_keyboard_alone(visit):
    """From the top, with Tab, Space and arrows: choose, send, move in time, compare, remove."""
    page = visit()

    def tab_to(role, name):
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate(
                """([role, name]) => {
                  const one = document.activeElement;
                  const said = one.getAttribute("aria-label") || one.labels?.[0]?.innerText
                    || one.innerText;
                  return (one.type || one.tagName) === role && said.includes(name);
                }""",
                [role, name],
            ):
                return
        raise AssertionError(f"no way to {name}")

    tab_to("checkbox", "overlay")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files({"name": "drive.mp4", "mimeType": "video/mp4", "buffer": CLIP})
    done = in_state(page, "drive.mp4", "done")
    assert done.get_by_role("link", name="overlay of drive.mp4").count() == 1
    tab_to("range", "time in drive.mp4")
    page.keyboard.press("End")
    until(page, "document.querySelector('video').currentTime > 5")
    assert done.get_by_role("slider").get_attribute("aria-valuetext").endswith("risk 1.00")
    tab_to("button", "Remove drive.mp4")
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#cards article")).to_have_count(0)
    assert page.evaluate("document.activeElement.id") == "files"  # not lost
    for name in ("plain", "a<b>&c"):
        tab_to("checkbox", f"compare {name}")
        page.keyboard.press("Space")
    tab_to("button", "Compare")
    page.keyboard.press("Enter")
    page.locator("#comparisons article[data-state=done]").wait_for()
    assert "plain against a<b>&c" in page.locator("#comparisons").inner_text()


def test_nothing_that_others_write_is_markup_and_reports_reach_nothing(visit):
    page = visit()
    name = "<img src=x onerror=alert(1)>.mp4"
    give(page, name)
    done = in_state(page, name, "done")
    done.locator("summary").click()
    assert HOSTILE in done.inner_text() and done.locator("img").count() == 0
    # In a page of its own: the report's script is refused, and complains.
    with page.context.expect_page() as opened:
        done.get_by_role("link", name="report of").click()
    report = opened.value
    report.wait_for_load_state()
    assert "report: " in report.inner_text("body") and report.evaluate("origin") == "null"
    report.wait_for_timeout(300)
    assert report.title() == "own"  # `reached`, had its script been answered


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_axe_finds_nothing_and_nothing_runs_out_of_the_screen(visit, width, scheme):
    page = visit(width, scheme)
    page.get_by_label("also show where it looked").check()
    give(
        page,
        "drive.mp4",
        "bad.mp4",
        "a_name_that_is_long_and_has_no_place_to_break_it_anywhere.mp4",
    )
    in_state(page, "drive.mp4", "done").locator("summary").click()
    in_state(page, "bad.mp4", "failed")
    page.locator("#cards article[data-state=done]").nth(1).wait_for()
    give(page, "slow.mp4")
    in_state(page, "slow.mp4", "working")
    check_look(page)
    card(page, "slow.mp4").get_by_role("button", name="Cancel slow.mp4").click()
    in_state(page, "slow.mp4", "cancelled")
