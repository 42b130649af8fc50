"""The page of a search in a browser; skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from collision.search.page import write_page
from collision.search.words import command
from tests.kit.browser import LOOKS, check_look, visited
from tests.kit.trials import search_of
from tests.search.test_page import FACTS, START

SPACE, TRIALS = search_of(120, proposers=("random", "tpe", "</script><img src=x onerror=alert(1)>"))


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return write_page(tmp_path_factory.mktemp("browser"), "night", SPACE, TRIALS, FACTS)


@pytest.fixture
def page(browser, path):
    """The page, of which nothing may complain."""
    with visited(browser, path.as_uri()) as opened:
        yield opened


def column(page, title: str) -> list[str]:
    titles = page.locator("table.paged thead th").all_inner_texts()
    (place,) = (i for i, text in enumerate(titles) if text.strip(" ▲▼") == title)
    return page.locator(f"table.paged tbody tr > *:nth-child({place + 1})").all_inner_texts()


def heading(page, title: str):
    return page.locator("table.paged thead").get_by_role("button", name=title, exact=True)


def test_it_is_sorted_by_score_then_by_any_column_both_ways(page):
    best = sorted((t.value for t in TRIALS if t.value is not None), reverse=True)[:25]
    assert [float(text) for text in column(page, "mAP")] == [
        pytest.approx(b, abs=6e-4) for b in best
    ]
    heading(page, "seconds").click()
    falling = [float(text) for text in column(page, "seconds")]
    assert falling == sorted(falling, reverse=True)
    heading(page, "seconds").click()
    rising = [float(text) for text in column(page, "seconds")]
    assert rising == sorted(rising) and rising[0] < falling[-1]
    assert page.locator("[aria-sort=ascending]").inner_text().startswith("seconds")
    heading(page, "head").click()
    names = sorted((t.point.cell["head"], t.number) for t in TRIALS)
    assert column(page, "trial") == [str(n) for _, n in names[:25]]


def test_filters_words_and_pages_choose_rows(page):
    page.get_by_label("state", exact=True).select_option(label=f"failed ({failed()})")
    assert set(column(page, "state")) == {"failed"}
    page.get_by_role("searchbox").fill("failed memory")
    wanted = sum("memory" in t.cause for t in TRIALS)
    assert f"of {wanted} (" in page.get_by_role("status").inner_text()
    page.get_by_role("searchbox").fill("no such thing")
    assert page.get_by_role("status").inner_text() == f"none of {len(TRIALS)} trials"
    page.get_by_role("button", name="Show all").click()
    seen = column(page, "trial")
    while page.get_by_role("button", name="Next").is_enabled():
        page.get_by_role("button", name="Next").click()
        seen += column(page, "trial")
    assert sorted(map(int, seen)) == [t.number for t in TRIALS]


def failed() -> int:
    return sum(t.state == "failed" for t in TRIALS)


def test_a_number_opens_its_trial_by_keyboard_with_its_command(page):
    child = next(t for t in TRIALS if t.retry_of is not None)
    heading(page, "trial").click()
    for _ in range(child.number // 25):
        page.get_by_role("button", name="Next").click()
    button = page.get_by_role("button", name=str(child.number), exact=True)
    button.focus()
    page.keyboard.press("Enter")
    opened = page.locator("tr.details")
    assert opened.locator("pre").inner_text() == command(child, START)
    assert f"repeats trial\n{child.retry_of}" in opened.inner_text()
    assert button.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Enter")
    assert opened.count() == 0


def test_the_script_draws_the_heat_map_that_the_page_came_with(page):
    came = page.inner_html("#heat")
    mode = page.locator("[name=mode]")
    mode.select_option("count")
    counted = page.locator("#heat td").evaluate_all("all => all.map(td => td.firstChild.data)")
    scored = [t for t in TRIALS if t.value is not None and t.stage == "search"]
    assert sum(int(text) for text in counted if text != "–") == len(scored)
    page.locator("[name=down]").select_option(label="loss")
    assert page.locator("#heat tbody tr").count() == len(SPACE.cells[3].choices)
    page.locator("[name=down]").select_option(label="backbone")
    mode.select_option("best")
    assert page.inner_html("#heat") == came


def test_the_pointer_names_a_trial_and_a_click_opens_it(page):
    assert page.locator("#growth-hours").is_hidden()
    page.get_by_role("button", name="by hours").click()
    plot = page.locator("#growth-hours .plot")
    assert plot.is_visible() and page.locator("#growth-number").is_hidden()
    best = max((t for t in TRIALS if t.value is not None), key=lambda t: t.value)
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    low, high = map(float, plot.get_attribute("data-x").split()[:2])
    bottom, top = map(float, plot.get_attribute("data-y").split()[:2])
    hours = (best.ended - min(t.started for t in TRIALS)) / 3600
    x = box["x"] + box["width"] * (hours - low) / (high - low)
    y = box["y"] + box["height"] * (1 - (best.value - bottom) / (top - bottom))
    page.mouse.move(x, y)
    assert plot.locator(".tip").inner_text().startswith(f"trial {best.number}: ")
    page.mouse.click(x, y)
    assert page.locator("tr.details pre").inner_text() == command(best, START)


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_axe_finds_nothing_and_nothing_runs_out_of_the_screen(browser, path, width, scheme):
    with visited(browser, path.as_uri(), width, scheme) as opened:
        opened.locator("button.open").first.press("Enter")
        check_look(opened)


def test_without_javascript_all_but_the_table_is_there(browser, path):
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(path.as_uri())
    assert opened.locator("#growth-number .plot").is_visible()
    assert opened.locator("table.heat").is_visible()
    assert opened.locator("noscript p").is_visible()
    context.close()
