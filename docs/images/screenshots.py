"""Photographs every page that a person sees, for the docs: ``python docs/images/screenshots.py``.

And takes the plots that runs leave (``only=plots``); those of results that stand in tables are
drawn by ``from_tables.py``. It makes its own small runs of painted clips, which takes minutes, and
needs Playwright, which `make` installs, and Debian's chromium.

  work=FOLDER   keep the runs there, and use those that are there already
  to=FOLDER     put the pictures there, and of each page all that there is: 390 and 1280 pixels,
                light and dark, the whole length, and as it prints: to look at
  only=A,B      these pages alone
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MOST = 200_000  # bytes of a picture
VIEWS = {
    "": (1280, 1200, "light"),
    "_phone_dark": (390, 844, "dark"),
    "_dark": (1280, 1200, "dark"),
    "_phone": (390, 844, "light"),
}
IN_DOCS = ("", "_phone_dark")
SMALL = ("dataset=synthetic", "dataset.num_scenes=26")  # 16 test clips of 8 scenes
SPACE = """\
cells:
  backbone: [efficientnet_lite0, optical_flow]
  head: [linear, gru, zipformer]
  pooling: [last, mean]
within:
  optimizer.lr: {low: 3.0e-4, high: 3.0e-3, log: true}
"""


class Works:
    """The small runs, made where they are not there yet."""

    def __init__(self, folder: Path):
        self.folder, self.runs = folder, folder / "runs"
        # All verbs run in the folder: pages show paths, and these are of no machine.
        own = {"COLLISION_DATA": "data", "COLLISION_CACHE": "cache", "COLLISION_RUNS": "runs"}
        self.where: dict[str, Any] = {"cwd": folder, "env": {**os.environ, **own}}
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "examples").exists():
            shutil.copytree(ROOT / "examples", folder / "examples")

    def collision(self, *arguments: str | Path) -> None:
        """Run a verb."""
        subprocess.run(self.command(*arguments), check=True, **self.where)

    def command(self, *arguments: str | Path) -> list[str]:
        """Give the command of a verb, with paths relative to the folder."""
        given = (str(one).replace(f"{self.folder}/", "") for one in arguments)
        return [sys.executable, "-m", "collision", *given]

    def run(self, name: str, *options: str, size: Sequence[str] = SMALL) -> Path:
        """Train a run, and call its folder by a short name, which pages show."""
        if not (self.runs / name).is_dir():
            self.collision("train", *size, *options)
            latest = (self.runs / "latest").resolve()
            latest.rename(self.runs / name)
        return self.runs / name

    def results(self) -> Path:
        """Give the page of the demo's run, which has enough clips for intervals."""
        run = self.run("demo", size=())
        if not sorted(self.runs.glob("*_evaluate_synthetic_night")):
            self.collision("evaluate", run, "datasets=[synthetic_night]")
        self.collision("report", run)  # anew: the page of an older look may lie there
        return run / "results.html"

    def compare(self) -> Path:
        """Compare it with another."""
        first = self.run("lite0_zipformer", "seeds=2")
        if not (found := sorted(self.runs.glob("*/compare.html"))):
            other = self.run("lite0_gru", "head=gru", "seeds=2")
            self.collision("compare", first, other)
            found = sorted(self.runs.glob("*/compare.html"))
        return found[0]

    def all_runs(self) -> Path:
        """List them on a page."""
        self.compare()
        listed = self.runs / "lite0_zipformer", self.runs / "lite0_gru", self.compare().parent
        self.collision("report", "runs", *listed)
        return max(self.runs.rglob("runs.html"), key=lambda path: path.stat().st_mtime)

    def predict(self) -> Path:
        """Predict the painted examples, with all that there is to see."""
        output = self.folder / "predicted"
        asked = f"checkpoint={self.run('lite0_zipformer', 'seeds=2')}", f"output={output}"
        self.collision("predict", "examples", *asked, "overlay=true", "heatmap=true")
        return output / "predictions.html"

    def space(self) -> str:
        """Write a small space; give the option that names it."""
        path = self.folder / "small.yaml"
        path.write_text(SPACE, encoding="utf-8")
        return f"space={path}"

    def data(self) -> Path:
        """Look at the data that it learned from."""
        self.collision("data", "dataset=synthetic", "check=full")
        return max(self.runs.rglob("data.html"), key=lambda path: path.stat().st_mtime)

    def search(self) -> Path:
        """Search a small space."""
        page = self.runs / "searches" / "night1" / "search.html"
        if not page.is_file():
            given = ("policy=tpe", "budget=12", "confirm=2", "confirm_seeds=2", "workers=1")
            more = ("saturated=go_on", "name=night1")
            self.collision("search", self.space(), *SMALL, *given, *more)
        self.collision("search", "report", "night1")
        return page

    def study(self) -> Path:
        """Train all cells of it, and say what mattered."""
        if not (self.runs / "searches" / "plan").is_dir():
            given = ("seeds=2", "workers=1", "name=plan")
            self.collision("study", "design=factorial", self.space(), *SMALL, *given)
        self.collision("study", "analyse", "plan", "score=test/synthetic")
        return max(self.runs.rglob("study.html"), key=lambda path: path.stat().st_mtime)

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve the runs; give the address."""
        self.compare()
        runs = self.runs / "lite0_zipformer", self.runs / "lite0_gru"
        command = self.command("serve", *runs, "port=0")
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **self.where)
        try:
            assert server.stdout is not None
            yield next(word for word in server.stdout.readline().split() if "://" in word)
        finally:
            server.terminate()
            server.wait()


PAGES = {
    "results": Works.results,
    "compare": Works.compare,
    "runs": Works.all_runs,
    "clips": Works.predict,
    "search": Works.search,
    "study": Works.study,
    "data": Works.data,
}


def photograph(page: Page, name: str, target: Path) -> None:
    """Take a page's pictures: for the docs its first screen, else all there is."""
    is_docs = target == HERE
    for suffix in IN_DOCS if is_docs else VIEWS:
        width, height, scheme = VIEWS[suffix]
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.wait_for_timeout(300)  # what follows the width is drawn anew
        if is_docs:  # no empty room below a short page
            end = page.locator("main").evaluate(
                "main => Math.ceil(main.getBoundingClientRect().height)"
            )
            page.set_viewport_size({"width": width, "height": min(height, end)})
        save(page, target / f"{name}{suffix}.jpg", not is_docs)
    if not is_docs:
        page.set_viewport_size({"width": 703, "height": 1000})  # A4 within margins of 12 mm
        page.emulate_media(media="print", color_scheme="dark")
        page.screenshot(path=target / f"{name}_print.jpg", full_page=True, type="jpeg", quality=88)


def save(page: Page, path: Path, whole: bool) -> None:
    """Take a picture; of the docs' it is made coarser until it is small enough."""
    for quality in (88, 80, 70, 60):
        page.screenshot(path=path, full_page=whole, type="jpeg", quality=quality)
        if whole or path.stat().st_size < MOST:
            return
    raise SystemExit(f"{path} stays above {MOST} bytes.")


def of_files(works: Works, browser: Browser, names: Sequence[str], target: Path) -> None:
    """Photograph the pages that are files."""
    for name in names:
        path = PAGES[name](works)
        page = browser.new_page()
        page.goto(path.as_uri())
        if name == "clips":
            show_alarms(page)
        photograph(page, name, target)
        page.close()


def show_alarms(page: Page) -> None:
    """Let players show a picture in which there is something to see."""
    for button in page.locator(".alarms button").all():
        button.click()
    page.wait_for_timeout(1500)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")


def of_the_served(works: Works, browser: Browser, target: Path) -> None:
    """Photograph the served page after two clips."""
    with works.served() as address:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(address)
        page.locator("#heatmap").check()
        clips = sorted(map(str, (ROOT / "examples").glob("*.mp4")))
        page.set_input_files("#files", clips)
        done = page.locator("#cards article[data-state=done]")
        done.nth(len(clips) - 1).wait_for(timeout=900_000)
        page.locator("#order").select_option("risk")
        show_alarms(page)
        photograph(page, "serve", target)
        page.close()


def of_the_video(works: Works, target: Path) -> None:
    """Take a frame of the overlay at the clip's highest risk, and the heat map there."""
    from collision.video.frames import read_frames
    from collision.video.index import index_video

    folder = works.predict().parent / "examples"
    index = index_video(folder / "drive.overlay.mp4")
    last = len(index.frame_times) - 4
    Image.fromarray(read_frames(index, [last])[0]).save(target / "overlay.jpg", quality=90)
    shutil.copy(folder / "drive.heat.jpg", target / "heat_map.jpg")


def of_the_plots(works: Works, target: Path) -> None:
    """Take plots that runs leave: of the README's run, along its test videos, and of a clip."""
    run = works.run("three_seeds", "seeds=3", size=())
    works.collision("report", run, "clips=none")  # anew, in today's look
    works.collision("evaluate", run, "dense=0.25", "clips=none")
    along = max(works.runs.glob("*_evaluate_synthetic"), key=lambda path: path.name)
    output = works.folder / "drive"
    clip = works.folder / "examples" / "drive.mp4"
    works.collision("predict", clip, f"checkpoint={run}", f"output={output}")
    plots = {
        "ap_by_horizon": run / "plots" / "ap_by_horizon.png",
        "recall_by_time": along / "plots_synthetic" / "recall_by_time.png",
        "predict": output / "drive.png",
        "data": works.data().parent / "distributions.png",
    }
    for name, path in plots.items():
        with Image.open(path) as picture:  # of plots, 256 colours are enough
            picture.convert("RGB").quantize(256).save(target / f"{name}.png", optimize=True)


def main(work: str = "", to: str = "", only: str = "") -> None:
    """Make the runs and take the pictures."""
    target = Path(to).resolve() if to else HERE
    target.mkdir(parents=True, exist_ok=True)
    everything = [*PAGES, "serve", "overlay", "plots"]
    names = only.split(",") if only else everything
    if unknown := set(names) - set(everything):
        raise SystemExit(f"only={','.join(sorted(unknown))}: there are {', '.join(everything)}.")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as driver:
        works = Works(Path(work or place).resolve())
        launch: dict[str, Any] = {"executable_path": shutil.which("chromium")}
        browser = driver.chromium.launch(args=["--no-sandbox"], **launch)
        of_files(works, browser, [name for name in PAGES if name in names], target)
        if "serve" in names:
            of_the_served(works, browser, target)
        if "overlay" in names:
            of_the_video(works, target)
        browser.close()
        if "plots" in names:
            of_the_plots(works, target)


if __name__ == "__main__":
    main(**dict(one.split("=", 1) for one in sys.argv[1:]))
