"""The site: every page has its place, every option its line, and nothing comes from elsewhere."""

import http.server
import importlib.util
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from markdown_it import MarkdownIt

from collision.commands._known import known_of
from collision.config import dotted, names_of
from collision.options import OPTIONS

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "docs/build_site.py"
COPIED = (
    *("backbones", "benchmarks", "collision", "configs", "datasets", "docs", "temporal"),
    *("CHANGELOG.md", "README.md", "RESULTS.md", "mkdocs.yml"),
)


def build_site():
    spec = importlib.util.spec_from_file_location("build_site", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SITE = build_site()


@pytest.fixture(scope="module")
def gathered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gathered")
    SITE.gather(folder)
    return folder / "pages"


def leaves(entries):
    for entry in entries:
        below = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from [below] if isinstance(below, str) else leaves(below)


def test_every_page_has_one_place(gathered):
    """A new page of docs/, verb or group of parts has to be entered in mkdocs.yml."""
    placed = Counter(leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    there = {path.relative_to(gathered).as_posix() for path in gathered.rglob("*.md")}
    assert set(placed) == there
    assert set(placed.values()) == {1}


def listed(page):
    """Each option that a page lists, with its default as it is written."""
    lines = page.read_text().splitlines()
    found = [re.match(r"- `([\w.]+)`(?: = `(.*?)`(?:: |$))?", line) for line in lines]
    return {match[1]: match[2] or "" for match in found if match}


@pytest.mark.parametrize("verb", OPTIONS)
def test_every_option_of_a_verb_is_listed(verb, gathered):
    """Those of parts stand on the pages of their groups."""
    config = yaml.safe_load((ROOT / f"configs/{verb}.yaml").read_text())
    own = listed(gathered / f"reference/verb_{verb}.md")
    groups = set(SITE.GROUPS)
    for name in known_of(verb).options:
        group = name.partition(".")[0]
        page = listed(gathered / f"reference/{group}.md") if group in groups - own.keys() else own
        # A mapping in one line, such as splits={train: 7}, is one option there.
        inline = [one for one in page if name.startswith(f"{one}.") and page[one].startswith("{")]
        is_group = name in groups and (gathered / f"reference/{name}.md").is_file()
        assert name in page or inline or is_group, name
    for name, value in dotted(config).items():
        if own.get(name):
            assert yaml.safe_load(own[name]) == value, name


@pytest.mark.parametrize("group", sorted({*SITE.GROUPS} - {*SITE.SHOWN_WHOLE}))
def test_every_part_has_its_options_and_their_defaults(group, gathered):
    page = (gathered / f"reference/{group}.md").read_text()
    assert set(names_of(group)) - {"default"} == set(
        re.findall(rf"^## `{group}=(\w+)`$", page, re.M)
    )
    for path in (ROOT / "configs" / group).glob("*.yaml"):
        values = yaml.safe_load(path.read_text()) or {}
        options = SITE.options_in(path, f"{group}.")
        for name, (written, _) in options.items():
            below = values
            for key in name.split(".")[1:]:
                below = below.get(key, {}) if isinstance(below, dict) else {}
            if below != {}:
                assert yaml.safe_load(written) == below, name


@pytest.mark.parametrize("group", SITE.SHOWN_WHOLE)
def test_what_sets_options_of_other_parts_is_shown_as_it_is(group, gathered):
    page = (gathered / f"reference/{group}.md").read_text()
    for path in (ROOT / "configs" / group).glob("*.yaml"):
        code = [line for line in path.read_text().splitlines() if line and line[0] != "#"]
        assert f"## `{group}={path.stem}`" in page
        assert all(line in page for line in code)


def test_a_comment_is_the_meaning_of_its_option():
    options = SITE.options_in(ROOT / "configs/train.yaml")
    assert options["seeds"] == ("1", "train with seed, seed+1, ... and report mean and sd")
    assert options["threshold.precision"] == (
        "null",
        "instead: at least this share of alarms is right",
    )
    inherited = SITE.options_in(ROOT / "configs/dataset/synthetic_night.yaml", "dataset.")
    assert inherited["dataset.domain.width"][0] == "384"  # its own, over that of synthetic.yaml


def test_a_broken_link_and_what_comes_from_elsewhere_are_found(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/index.html").write_text(
        "<a href='../b.html#x'>b</a><a href='https://x.org'>x</a>"
    )
    (tmp_path / "b.html").write_text("<a href='a/'>a</a><img src='data:image/png;base64,AA'>")
    assert SITE.faults(tmp_path) == []
    (tmp_path / "b.html").write_text(
        "<a href='c.html'>c</a><img src='none.png'><script src='https://cdn.x.org/a.js'></script>"
        "<link rel=stylesheet href='//fonts.x.org/a.css'>"
    )
    (tmp_path / "b.css").write_text("body {background: url(https://x.org/a.png)}")
    assert [
        fault.split()[-1] if "loads" in fault else fault for fault in SITE.faults(tmp_path)
    ] == [
        "b.html links to c.html, which is not there",
        "b.html links to none.png, which is not there",
        "https://cdn.x.org/a.js",
        "//fonts.x.org/a.css",
        "url(https://x.org/a.png",
    ]


def source(folder):
    """A copy of what the site is made of, so that a build touches nothing else."""
    if importlib.util.find_spec("zensical") is None:
        pytest.skip("Zensical is not installed: `make docs` installs it.")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def build(folder):
    return subprocess.run(
        [sys.executable, "docs/build_site.py"], cwd=folder, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = source(tmp_path_factory.mktemp("site"))
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build"


@pytest.mark.slow
@pytest.mark.parametrize(
    "planted",
    ["[there](nowhere.md)", "[there](metrics.md#nothing)", "![there](images/nothing.png)"],
)
def test_a_broken_link_ends_the_build(planted, tmp_path):
    folder = source(tmp_path)
    page = folder / "docs/loggers.md"
    page.write_text(f"{page.read_text()}\n{planted}\n")
    done = build(folder)
    assert done.returncode != 0
    assert "loggers" in done.stdout + done.stderr


COUNTED = ("li", "pre", "table", "tr", "h1", "h2", "h3", "blockquote", "img", "ol", "ul", "strong")


class Shape(HTMLParser):
    """Counts the elements of an article."""

    def __init__(self, is_in=False):
        super().__init__()
        self.seen, self.is_in = Counter(), is_in

    def handle_starttag(self, tag, attrs):
        self.is_in = self.is_in or tag == "article"
        if self.is_in and tag in COUNTED:
            self.seen[tag] += 1

    def handle_endtag(self, tag):
        self.is_in = self.is_in and tag != "article"


@pytest.mark.slow
def test_a_page_has_the_shape_that_a_code_host_gives_it(built):
    """Dialects differ: what lies two blanks deep in a list is in it on a code host alone."""
    commonmark = MarkdownIt("commonmark").enable("table")
    for page in (built / "pages").rglob("*.md"):
        name = page.relative_to(built / "pages")
        if name.parts[0] == "reference":  # written for the site alone
            continue
        wanted, found = Shape(is_in=True), Shape()
        wanted.feed(commonmark.render(page.read_text()))
        html = built / "site" / name.with_suffix(".html")
        found.feed((html if name.stem != "README" else built / "site/index.html").read_text())
        assert found.seen == wanted.seen, name


@pytest.mark.slow
def test_the_reference_has_classes_and_functions_with_their_docstrings(built):
    page = (built / "site/reference/python_library.html").read_text()
    for name in ("load", "features", "evaluate", "Model.predict"):
        assert f'id="collision.api.{name}"' in page
    assert "CheckpointError" in page and "Not there, damaged" in page  # the section Raises
    heads = (built / "site/reference/python_heads.html").read_text()
    assert 'id="collision.temporal.gru.GRU"' in heads  # a mounted folder
    assert (
        "python_heads.html#collision.temporal.gru.GRU"
        in (built / "site/reference/head.html").read_text()
    )


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_asks_nobody_else_and_a_phone_shows_pages_whole(built, scheme):
    chromium = shutil.which("chromium") or pytest.skip("needs chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *given: Quiet(*given, directory=str(built / "site"))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}/"
    pages = [path.relative_to(built / "site").as_posix() for path in built.rglob("site/**/*.html")]
    asked = set()
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(
            viewport={"width": 390, "height": 844}, color_scheme=scheme
        ).new_page()
        page.on("request", lambda request: asked.add(request.url))
        backgrounds = set()
        for name in pages[:: 1 if scheme == "light" else 10]:
            page.goto(home + name)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
            backgrounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        browser.close()
    server.shutdown()
    assert len(pages) > 80
    assert not [url for url in asked if not url.startswith((home, "data:", "blob:"))]
    (colour,) = backgrounds
    channels = [int(value) for value in re.findall(r"\d+", colour)[:3]]
    assert (min(channels) > 200) if scheme == "light" else (max(channels) < 60), colour
