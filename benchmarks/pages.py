"""Pages of a whole test set in a browser: `python -m benchmarks.pages --videos FOLDER`.

The page of N predicted clips (default: the size of Nexar's test set), each with a poster, a curve
of 40 s and alarms; and the page of a run that was judged on as many. Posters are frames of the
videos in the folder. Told are sizes, and how long Chromium takes until something is painted, the
page is loaded, the cards are sorted, and a name is found: the middle of some repetitions.
"""

from __future__ import annotations

import argparse
import base64
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from collision.metrics.alarms import Alarm
from collision.prediction import small_picture
from collision.report.clips_page import ClipCard, write_clips_page
from collision.report.run_page import remake
from collision.video.index import index_video
from tests.kit.browser import started
from tests.kit.report import made_up_clips, trained_run
from tests.kit.scores import made_up_scores

CLIPS = 1344  # of Nexar's test set
MOST_MB, MOST_SECONDS = 15, 1.0
LENGTH, STRIDE = 40.0, 0.25  # seconds of a clip, and between moments
# Until the next picture is drawn, for what a script has changed is seen then.
DRAWN = "requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)))"


def posters(folder: Path, count: int) -> list[str]:
    """Take small pictures at times that are spread over the videos."""
    videos = [index_video(path) for path in sorted(folder.rglob("*.mp4"))]
    if not videos:
        raise SystemExit(f"There is no mp4 in {folder}.")
    each = -(-count // len(videos))
    shares = (np.arange(each) + 0.5) / each
    times = [(video, share * video.duration) for share in shares for video in videos]
    pictures = [small_picture(video, float(at), kind="WEBP") for video, at in times[:count]]
    return [base64.b64encode(one).decode("ascii") for one in pictures]


def write_predictions(path: Path, pictures: Sequence[str]) -> None:
    """Write the page of as many predicted clips as there are pictures."""
    generator = np.random.default_rng(0)
    times = np.arange(0, LENGTH, STRIDE)
    cards = []
    for number, poster in enumerate(pictures):
        risk = 1 / (1 + np.exp(-np.cumsum(generator.normal(0, 0.5, len(times)))))
        starts = sorted(generator.uniform(2, LENGTH - 1, generator.integers(4)))
        alarms = [Alarm(start, start + 0.5, start + 0.25, 0.9) for start in starts]
        name = f"{number:05d}"
        more: dict[str, Any] = {"alarms": alarms, "poster": poster, "player": f"{name}.mp4"}
        given = {"first_time": 1.75, "duration": LENGTH, "threshold": 0.7, "distance": 0.5}
        cards.append(ClipCard(name, f"/clips/{name}.mp4", times, risk, times < 2, **given, **more))
    write_clips_page(path, cards)


def write_run(folder: Path, videos: Path, count: int) -> None:
    """Write the page of a run that was judged on so many clips, a positive and a negative each."""
    scored = made_up_scores(count // 2)
    clips = made_up_clips(scored, sorted(videos.rglob("*.mp4")))
    trained_run(folder, scored, clips=clips)
    remake(folder)


def opened(browser: Any, path: Path, actions: dict[str, str]) -> dict[str, float]:
    """Give seconds to the first paint and to the loaded page, and of what is done there."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(path.as_uri(), wait_until="load")
    page.wait_for_timeout(300)  # else the first paint is not told yet
    paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    loaded = "performance.getEntriesByType('navigation')[0].loadEventEnd"
    found = {"first paint": page.evaluate(paint), "loaded": page.evaluate(loaded)}
    for name, action in actions.items():
        timed = f"new Promise((done) => {{ const start = performance.now(); {action}; {DRAWN}; }})"
        found[name] = page.evaluate(timed)
    page.close()
    return {name: value / 1000 for name, value in found.items()}


def changed(selector: str, value: str, event: str) -> str:
    """Let a control have another value, as if a person had chosen it."""
    return (
        f"{{ const one = document.querySelector('{selector}'); one.value = '{value}'; "
        f"one.dispatchEvent(new Event('{event}', {{bubbles: true}})); }}"
    )


def measured(browser: Any, path: Path, actions: dict[str, str], repetitions: int) -> bool:
    """Print a row of the table; give whether the page is small and quick enough."""
    every = [opened(browser, path, actions) for _ in range(repetitions)]
    middle = {name: statistics.median(one[name] for one in every) for name in every[0]}
    size = path.stat().st_size / 1e6
    cells = [f"{value:.2f}" for value in middle.values()]
    print(f"| `{path.name}` | {size:.1f} | " + " | ".join(cells) + " |", flush=True)
    quick = [value for name, value in middle.items() if name != "loaded"]
    return size < MOST_MB and max(quick) < MOST_SECONDS


def main() -> int:
    """Measure both pages; 1 where one is too large or too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--videos", type=Path, default=Path("examples"))
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    sort, find = ("#order", "name up", "change"), ("#find", "0042", "input")
    predicted = {"sorted": changed(*sort), "found": changed(*find)}
    sort, find = ("[name=sort]", "score", "change"), ("[name=kind]", "warned", "change")
    judged = {"sorted": changed(*sort), "found": changed(*find)}
    with tempfile.TemporaryDirectory() as place, started() as browser:
        folder = Path(place)
        start = time.perf_counter()
        pictures = posters(options.videos, options.clips)
        print(f"{len(pictures)} posters in {time.perf_counter() - start:.0f} s")
        write_predictions(folder / "predictions.html", pictures)
        write_run(folder / "run", options.videos, options.clips)
        print("\n| page | MB | first paint [s] | loaded [s] | sorted [s] | found [s] |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        pages = (folder / "predictions.html", predicted), (folder / "run/results.html", judged)
        is_met = [measured(browser, *page, options.repetitions) for page in pages]
    return 0 if all(is_met) else 1


if __name__ == "__main__":
    raise SystemExit(main())
