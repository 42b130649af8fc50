"""The pages that are files, in a browser; skipped where there is none."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from collision.metrics.alarms import Alarm
from collision.metrics.comparison import compare
from collision.report.clips_page import ClipCard, write_clips_page
from collision.report.compare_page import Compared, differences_by_slice, write_compare_page
from collision.report.data_page import write_data_page
from collision.report.run_page import remake
from collision.report.runs_page import found_runs, write_runs_page
from collision.report.tables import Grid
from collision.study.analysis import analyse
from collision.study.plots import pair
from collision.study.section import Drawing, Section, write_report
from tests.conftest import ROOT
from tests.kit.browser import LOOKS, check_look, until, visited
from tests.kit.curves import made_up_curves
from tests.kit.data_report import made_up_data_report, made_up_measures
from tests.kit.report import MADE, made_up_clips, trained_run
from tests.kit.scores import made_up_scores
from tests.kit.video import numbered_frames, write_video
from tests.study.logs import factorial

LONG = "a_name_that_is_long_and_has_no_place_to_break_it_anywhere_at_all"
PAGES = ("results", "compare", "runs", "clips", "study", "data")


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    """Each page with something of all that it can show, by its name."""
    folder = tmp_path_factory.mktemp("pages")
    videos = [write_video(folder / "a.mp4", numbered_frames(80), fps=20)]
    scores = [made_up_scores(30, seed=seed) for seed in range(2)]
    warnings = [{"name": "leaks", "message": f"LEAKS: look at {LONG}."}]
    clips = made_up_clips(scores[0], videos)
    about = {"clips": clips, "curves": made_up_curves(30), "warnings": warnings}
    run = folder / "runs" / LONG
    trained_run(run, *scores, **about)
    remake(run)
    found = {"results": run / "results.html", "runs": folder / "runs.html"}
    write_runs_page(found["runs"], found_runs([folder / "runs"]), [folder / "runs"])
    own = {"first": [scores[0]], LONG: [scores[1]]}
    comparison = compare(own, num_resamples=50)
    compared = Compared(comparison, own, dict.fromkeys(own, run), "made_up", "compare a b", "abc")
    write_compare_page(folder, compared, differences_by_slice(compared))
    found["compare"] = folder / "compare.html"
    found["clips"] = folder / "predictions.html"
    shutil.copy(ROOT / "examples" / "drive.mp4", folder)
    write_clips_page(found["clips"], predicted(), ["Do not believe it."], "Predictor: a")
    study = folder / "study"
    study.mkdir()
    grid = Grid("Levels", ["factor", "mean"], [[f"level {n}", f".{n:03}"] for n in range(20)])
    section = Section("a", "What matters", ["*head* matters."], {}, [grid], [drawing()])
    write_report(study, "Analysis of many runs", [section], MADE)
    found["study"] = study / "study.html"
    command = "collision data dataset=x"
    write_data_page(study, made_up_data_report(LONG), made_up_measures(), command)
    found["data"] = study / "data.html"
    return {name: path.as_uri() for name, path in found.items()}


def predicted() -> list[ClipCard]:
    times = np.arange(21) / 4
    rising, low = np.linspace(0, 1, 21), np.full(21, 0.2)
    alarm = [Alarm(2.0, 3.5, 3.25, 0.9)]
    given = {"first_time": 0.5, "duration": 5.2, "threshold": 0.5, "player": "drive.mp4"}
    return [
        ClipCard("drive", "d", times, rising, times < 1, alarms=alarm, event_time=4.8, **given),
        ClipCard(LONG, LONG, times, low, times < 1, notes=[LONG], links={"curve": "a"}, **given),
        ClipCard.without_scores("broken", "b", "it cannot be read"),
    ]


def drawing() -> Drawing:
    """The picture whose cells have letters on colours of their own."""
    found = analyse(factorial({"head": 3, "loss": 3}), "map", num_resamples=50)
    return Drawing("pair", "Means", lambda path: pair(found, path))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_axe_finds_nothing_and_nothing_runs_out_of_the_screen(
    browser, addresses, name, width, scheme
):
    with visited(browser, addresses[name], width, scheme) as page:
        for summary in page.locator("details > summary").all():
            summary.evaluate("one => one.parentElement.open = true")
        for more in page.locator(".more:visible").all():
            more.evaluate("one => one.click()")
        check_look(page)


def test_the_gallery_is_filtered_and_a_clip_moves_with_its_curve(browser, addresses):
    with visited(browser, addresses["results"]) as page:
        cards = page.locator(".gallery .card")
        everything = cards.count()
        page.get_by_label("outcome").select_option("missed near-collision")
        fits = page.locator(".gallery .card:not([hidden])")
        assert 0 < fits.count() < everything
        said = page.locator(".gallery output").inner_text()
        assert said.startswith(f"{fits.count()} of {everything} clips")
        card = page.locator(".gallery .card:visible:has(video)").first
        picture = card.locator(".strip button").first
        picture.focus()
        page.keyboard.press("Enter")
        wanted = float(picture.get_attribute("data-time")) - float(card.get_attribute("data-start"))
        until(
            page,
            f"""() => [...document.querySelectorAll(".gallery video")].some(
              (video) => video.readyState > 0 && Math.abs(video.currentTime - {wanted}) < 0.01)""",
        )
        assert "playing" in card.get_attribute("class")


def test_the_gallery_is_folded_and_a_button_shows_the_rest(browser, addresses):
    """As chosen six of each list stay, sorted as many from the top; paper has all."""
    with visited(browser, addresses["results"]) as page:
        cards = page.locator(".gallery .card")
        of_list = cards.evaluate_all("cards => cards.map(card => card.dataset.choice)")
        kept = sum(min(6, of_list.count(one)) for one in set(of_list))
        shown = page.locator(".gallery .card:visible")
        assert shown.count() == kept < cards.count() == len(of_list)
        more = page.get_by_role("button", name=f"Show all {len(of_list)} clips")
        assert more.get_attribute("aria-expanded") == "false"
        assert page.locator(".gallery output").inner_text() == f"{len(of_list)} clips, {kept} shown"
        page.get_by_label("sort by").select_option("score")
        scores = cards.evaluate_all("cards => cards.map(card => +card.dataset.score)")
        assert scores == sorted(scores, reverse=True)
        top = 6 * len(set(of_list))
        assert cards.evaluate_all("cards => cards.map(card => card.checkVisibility())") == (
            [place < top for place in range(len(of_list))]
        )
        page.emulate_media(media="print")
        assert shown.count() == len(of_list)
        page.emulate_media(media="screen")
        page.get_by_label("sort by").select_option("order")
        more.press("Enter")
        assert shown.count() == len(of_list)
        assert page.locator(".gallery output").inner_text() == f"{len(of_list)} clips"
        assert page.locator(":focus").evaluate("one => one.matches('.card')")
        less = page.get_by_role("button", name="Show fewer clips")
        assert less.get_attribute("aria-expanded") == "true"
        less.press("Enter")
        assert shown.count() == kept


@pytest.mark.parametrize(("width", "most"), [(390, 2), (1280, 99)])
def test_on_a_narrow_screen_two_plots_are_shown_at_first(browser, addresses, width, most):
    with visited(browser, addresses["results"], width) as page:
        plots = page.locator("#curves-0 .plots > *")
        shown = page.locator("#curves-0 .plots > *:visible")
        assert plots.count() > 3 and shown.count() == min(most, plots.count())
        if most == 2:
            page.get_by_role("button", name=f"Show all {plots.count()} plots").press("Enter")
            assert shown.count() == plots.count()


def test_a_table_sorts_by_keyboard_and_unfolds(browser, addresses):
    with visited(browser, addresses["study"]) as page:
        rows = page.locator("tbody tr:visible")
        assert rows.count() == 10
        page.get_by_role("button", name="Show all 20 rows").press("Enter")
        assert rows.count() == 20
        heading = page.get_by_role("button", name="mean")
        heading.press("Enter")
        assert page.locator("th[aria-sort=descending]").inner_text() == "mean"
        assert rows.first.inner_text().split()[-1] == ".019"
        heading.press("Enter")
        assert rows.first.inner_text().split()[-1] == ".000"


def test_predicted_clips_are_filtered_sorted_and_sought(browser, addresses):
    with visited(browser, addresses["clips"]) as page:
        names = page.locator(".card:visible h2")
        assert names.all_text_contents() == ["drive", LONG, "broken"]
        page.get_by_label("sorted by").select_option(label="name")
        assert names.all_text_contents() == [LONG, "broken", "drive"]
        page.get_by_label("name contains").fill("DRI")
        assert names.all_text_contents() == ["drive"]
        assert page.get_by_role("status").inner_text() == "1 of 3 clips"
        card = page.locator(".card:visible")
        card.get_by_role("button", name="2.00–3.50 s").press("Enter")
        sought = (
            "[...document.querySelectorAll('video')].some(v => Math.abs(v.currentTime - %s) < .1)"
        )
        until(page, sought % 2.0)
        box = card.locator(".curve").bounding_box()
        card.locator(".curve").click(position={"x": box["width"] / 2, "y": 20})
        until(page, sought % 2.6)
        cursor = "[...document.querySelectorAll('.cursor')].map(one => +one.getAttribute('x1'))"
        until(page, f"{cursor}.some(x => Math.abs(x - 300) < 12)")


def test_of_many_clips_so_many_are_shown_at_a_time(browser, tmp_path):
    """All are sorted and searched; the button leads on to the first that was not shown."""
    times, risk = np.arange(8) / 4, np.full(8, 0.5)
    given = {"first_time": 0.0, "duration": 2.0, "threshold": 0.9}
    cards = [
        ClipCard(f"clip {n}", f"{n}", times, risk - n / 1000, times < 0, **given)
        for n in range(120)
    ]
    write_clips_page(tmp_path / "many.html", cards)
    with visited(browser, (tmp_path / "many.html").as_uri(), 390) as page:
        names = page.locator(".card h2")
        rest = page.locator("#rest")
        assert names.all_text_contents() == [f"clip {n}" for n in range(48)]
        assert rest.inner_text().startswith("48 of 120 clips are shown.")
        check_look(page)
        page.get_by_role("button", name="Show 48 more").press("Enter")
        assert names.count() == 96 and page.locator(":focus h2").inner_text() == "clip 48"
        page.get_by_role("button", name="Show 24 more").press("Enter")
        assert names.count() == 120 and rest.is_hidden()
        page.get_by_label("name contains").fill("clip 11")
        assert names.all_text_contents() == ["clip 11", *(f"clip {n}" for n in range(110, 120))]
        page.get_by_label("name contains").fill("")
        page.get_by_label("sorted by").select_option(label="number of alarms")
        page.get_by_role("button", name="Show all").press("Enter")
        assert names.all_text_contents() == [f"clip {n}" for n in range(120)]
        page.emulate_media(media="print")
        assert rest.is_hidden() and page.get_by_role("button").count() == 0


@pytest.mark.parametrize("name", PAGES)
def test_paper_is_light_and_wide_enough(browser, addresses, name):
    """Of whoever's screen is dark, too; what one presses on a screen is not printed."""
    with visited(browser, addresses[name], 703, "dark") as page:
        page.emulate_media(media="print")
        colour = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(colour) == "rgb(255, 255, 255)"
        assert page.locator(".controls:visible, nav:visible, .more:visible").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 740  # shrunk by 5 %
        page.emulate_media(media="screen")
        assert page.evaluate(colour) == "rgb(20, 23, 26)"
