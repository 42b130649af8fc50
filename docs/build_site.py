"""Build the site from the pages, the configurations and the docstrings: ``make docs``.

The pages stay where they are and as they are: a code host shows the same files. They are copied to
``build/pages`` with the folders that they have, so that their links need no rewriting; pages made
from configs/ and from docstrings come beside them. ``mkdocs.yml`` says in what order.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
CONFIGS = ROOT / "configs"
MOUNTED = ("backbones", "temporal", "datasets")  # in a checkout, modules of `collision`
PAGES = ("README.md", "RESULTS.md", "CHANGELOG.md", "benchmarks/RESULTS.md")
SHOWN_WHOLE = ("experiment", "space")  # they set options of other parts, explained there
NO_OPTIONS = ("_target_", "hydra", "defaults")
NO_VERBS = ("cli", "folders")  # what the verbs' files share
LISTED = ("src", "href", "poster", "data")  # attributes that hold an address

GROUPS = {
    "backbone": "Frozen networks that turn windows of video into features.",
    "dataset": "Which videos there are, and what is known of them.",
    "experiment": "Whole recipes: `experiment=NAME` sets several parts at once.",
    "extraction": "How features are computed: options of `extraction.`",
    "fusion": "How the features of several backbones come together.",
    "head": "What is trained on the features.",
    "logger": "Where a run is logged to, beside its `log.csv`.",
    "loss": "What training minimises.",
    "optimizer": "What moves the weights.",
    "policy": "Who proposes the next trial of a `search`.",
    "pooling": "How the steps of a window become one vector.",
    "sampling": "Which moments are scored, with what label, from which windows.",
    "scheduler": "The learning rate over the steps.",
    "space": "What a `search` may choose from: [spaces](../docs/spaces.md).",
    "trainer": "How long and how a head is trained: options of `trainer.`",
}
MODULES = {
    "library": ("The library", ("api", "prediction", "streaming", "evaluation.evaluation")),
    "types": ("Types and errors", ("types", "errors", "config")),
    "backbones": ("Backbones", ("backbones",)),
    "heads": ("Heads and poolings", ("temporal",)),
    "datasets": ("Data sets", ("datasets", "records")),
    "sampling": ("Sampling", ("sampling",)),
    "features": ("Features", ("features",)),
    "learning": ("Losses and training", ("learning",)),
    "metrics": ("Metrics", ("metrics",)),
    "audit": ("Audit", ("audit",)),
    "loggers": ("Runs and loggers", ("runs",)),
    "search": ("Search and its policies", ("search",)),
    "study": ("Studies", ("study",)),
}


def options_in(path: Path, prefix: str = "") -> dict[str, tuple[str, str]]:
    """List the options of a YAML file: by dotted name, default and comment, both as written."""
    text = path.read_text(encoding="utf-8")
    top = yaml.compose(text)
    if not isinstance(top, yaml.MappingNode):  # comments alone
        return {}
    own = dict(_leaves(top, text, prefix))
    for base in _defaults(path):
        if isinstance(base, str):
            inherited = options_in(path.with_name(f"{base}.yaml"), prefix)
            own |= {name: told for name, told in inherited.items() if name not in own}
    return own


def _defaults(path: Path) -> list[Any]:
    """List what a YAML builds on: other files of its folder by name, and parts as mappings."""
    listed = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("defaults", [])
    return [entry for entry in listed if entry != "_self_"]


def _parts(path: Path) -> dict[str, str | None]:
    """List the groups that a verb takes parts from, with the default of each."""
    found: dict[str, str | None] = {}
    for entry in _defaults(path):
        found |= _parts(path.with_name(f"{entry}.yaml")) if isinstance(entry, str) else entry
    return {group: name for group, name in found.items() if group in GROUPS}


def _leaves(
    mapping: yaml.MappingNode, text: str, prefix: str, above: str = ""
) -> Iterator[tuple[str, tuple[str, str]]]:
    for key, value in mapping.value:
        if key.value in NO_OPTIONS:
            continue
        is_block = isinstance(value, yaml.CollectionNode) and not value.flow_style
        rest = text[(key if is_block else value).end_mark.index :].partition("\n")[0]
        about = rest.partition("# ")[2].strip() or above
        if is_block and isinstance(value, yaml.MappingNode):
            yield from _leaves(value, text, f"{prefix}{key.value}.", about)
        else:
            written = " ".join(text[value.start_mark.index : value.end_mark.index].split())
            yield f"{prefix}{key.value}", (written, about)


def _prose(comment: str) -> str:
    """Make Markdown of a comment: its text as it is, the pages that it names as links."""
    return re.sub(r"\bdocs/\w+\.md", r"[\g<0>](../\g<0>)", escape(comment, quote=False))


def option_list(options: dict[str, tuple[str, str]]) -> str:
    """Write options as a list, which a phone shows whole; a default of ``???`` has to be given."""
    lines = []
    for name, (default, about) in options.items():
        shown = ", to be given" if default == "???" else f" = `{default}`" if default else ""
        lines.append(f"- `{name}`{shown}" + (f": {_prose(about)}" if about else ""))
    return "\n".join(lines or ["No options."]) + "\n"


def verb_page(path: Path) -> str:
    """Write the page of a verb: its help, its parts and its options."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    help_text = config["hydra"]["help"]["template"].partition("\nDefaults\n")[0]
    help_text = re.sub(r"\nParts [^\n]*\n\$APP_CONFIG_GROUPS", "", help_text)
    page = f"# `{path.stem}`\n\n```text\ncollision {path.stem} --help\n\n{help_text.strip()}\n```\n"
    chosen = _parts(path)
    if chosen:
        page += "\n## Parts\n\n"
    for group, name in chosen.items():
        default = f" = `{name}`" if name else ""
        page += f"- [`{group}`]({group}.md){default}: {GROUPS[group]}\n"
    return f"{page}\n## Options\n\n{option_list(options_in(path))}"


def group_page(group: str) -> str:
    """Write the page of a group: of each part what its YAML says, its options, its class."""
    page = f"# `{group}`\n\n{GROUPS[group]}\n"
    for path in sorted((CONFIGS / group).glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        comment = re.match(r"(?:#.*\n)*", text)
        assert comment is not None
        about = _prose(re.sub("^# ?(@.*)?", "", comment[0], flags=re.M).strip())
        target = re.search(r"^_target_: (collision\.\S+)", text, re.M)
        page += f"\n## `{group}={path.stem}`\n\n{about}\n" if path.stem != "default" else ""
        if target:
            page += f"\nClass: [`{target[1]}`][{target[1]}]\n"
        if group in SHOWN_WHOLE:
            page += f"\n```yaml\n{text[comment.end() :].strip()}\n```\n"
        else:
            page += f"\n{option_list(options_in(path, f'{group}.'))}"
    return page


def write_reference(folder: Path) -> None:
    """Write a page for each verb, each group of parts and some modules."""
    folder.mkdir()
    for path in CONFIGS.glob("*.yaml"):
        if path.stem not in NO_VERBS:
            (folder / f"verb_{path.stem}.md").write_text(verb_page(path), encoding="utf-8")
    for group in GROUPS:
        (folder / f"{group}.md").write_text(group_page(group), encoding="utf-8")
    for name, (title, modules) in MODULES.items():
        blocks = "".join(f"::: collision.{module}\n\n" for module in modules)
        (folder / f"python_{name}.md").write_text(f"# {title}\n\n{blocks}", encoding="utf-8")


def gather(build: Path = BUILD) -> None:
    """Lay out what the site is made of: pages in ``build/pages``, code in ``build/code``."""
    for name in ("pages", "code", "site"):
        shutil.rmtree(build / name, ignore_errors=True)
    pages, code = build / "pages", build / "code" / "collision"
    no_cache = shutil.ignore_patterns("__pycache__", "*.py[co]")
    shutil.copytree(ROOT / "docs", pages / "docs", ignore=shutil.ignore_patterns("*.py", "__*"))
    for name in PAGES:
        (pages / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, pages / name)
    write_reference(pages / "reference")
    shutil.copytree(ROOT / "collision", code, ignore=no_cache)
    for name in MOUNTED:  # the reader of docstrings runs nothing, and knows packages alone
        shutil.copytree(ROOT / name, code / name, ignore=no_cache)
        for folder in {code / name, *(path.parent for path in (code / name).rglob("*.py"))}:
            (folder / "__init__.py").touch()


class _Addresses(HTMLParser):
    """Collects anchors, what links lead to and what is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        is_link = tag == "a" or given.get("rel") in ("canonical", "prev", "next")
        for name in LISTED:
            if given.get(name):
                (self.links if is_link else self.loaded).append(given[name] or "")


def faults(site: Path) -> list[str]:
    """List links to files that are not in the site, and what would be loaded from elsewhere."""
    found = []
    for page in sorted(site.rglob("*.html")):
        reader = _Addresses()
        reader.feed(page.read_text(encoding="utf-8"))
        where = page.relative_to(site)
        for address in reader.links + reader.loaded:
            url = urlsplit(address)
            if url.scheme or url.netloc:
                if address in reader.loaded and url.scheme != "data":
                    found.append(f"{where} loads {address}")
                continue
            target = page.parent / unquote(url.path) if url.path else page
            if url.path.startswith("/"):  # of the page for addresses that are not there
                target = site / unquote(url.path).lstrip("/")
            if not (target / "index.html" if target.is_dir() else target).is_file():
                found.append(f"{where} links to {address}, which is not there")
    for sheet in site.rglob("*.css"):
        for address in re.findall(
            r"(?:url\(|@import )[\"']?(?:https?:)?//[^\s\"')]+", sheet.read_text()
        ):
            found.append(f"{sheet.relative_to(site)} loads {address}")
    return found


def main() -> int:
    """Build the site in ``build/site``; an exit code other than 0: something does not hold."""
    gather()
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    built = subprocess.run([*command, "-f", str(ROOT / "mkdocs.yml")], cwd=ROOT)
    if built.returncode:
        return built.returncode
    wrong = faults(BUILD / "site")
    for one in wrong:
        print(f"error: {one}", file=sys.stderr)
    return 2 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
