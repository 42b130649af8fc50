"""Ways between the page of a run and those of its evaluations on other data sets.

Both lie in one folder of runs. A run's page tells of evaluations that are made later, too: each
writes its lines into that page.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from collision.errors import CheckpointError
from collision.files import write_whole
from collision.metrics.estimate import Estimate
from collision.report.headline import NO_LABELS, sentence
from collision.report.html import Html, joined, tag
from collision.report.saved import numbers_from, read_json
from collision.report.tables import number, with_interval
from collision.untrusted import reading

PAGE = "results.html"
# Names of files are escaped, so nothing else on a page looks like these.
_START, _END = Html("<!--other sets-->"), Html("<!--end-->")


def other_sets(run: Path) -> Html:
    """Tell of the latest evaluation of a run on each data set, with a link to its page."""
    found: dict[tuple[str, str], Html] = {}
    name = run.resolve().name
    for folder in sorted(run.resolve().parent.glob("*_evaluate_*")):
        # A page says what it can: another run's damaged folder is no reason to have none.
        with contextlib.suppress(CheckpointError):
            found |= {key: text for evaluated, key, text in _sets(folder) if evaluated == name}
    return joined(_START, found.values(), _END)


def tell_run(evaluation: Path, run: Path) -> None:
    """Let the page of a run that lies beside an evaluation tell of it."""
    page = run / PAGE
    if run.resolve().parent != evaluation.resolve().parent or not page.is_file():
        return
    before, start, rest = page.read_text(encoding="utf-8").partition(_START)
    if start:  # else it is of an earlier version
        with contextlib.suppress(OSError):  # of a folder that is closed
            write_whole(page, before + other_sets(run) + rest.partition(_END)[2])


def link_to_run(evaluation: Path, checkpoint: str) -> Html | None:
    """Give a line with a link to the page of the run that was evaluated, if it lies beside."""
    name = Path(checkpoint).name
    if not (evaluation.resolve().parent / name / PAGE).is_file():
        return None
    return tag("p", "The run that is judged here: ", _link(name, name), class_="measured")


def _sets(folder: Path) -> Iterator[tuple[str, tuple[str, str], Html]]:
    """Give the run's name, the data set with its split, and what an evaluation says of it."""
    if not ((folder / "metrics.json").is_file() and (folder / PAGE).is_file()):
        return
    metrics = read_json(folder / "metrics.json")
    with reading(repr(str(folder / "metrics.json"))):
        run = Path(str(metrics["checkpoint"])).name
        for name, one in metrics["datasets"].items():
            link = tag("b", "On ", _link(folder.name, name))
            said = link, f", split {one['split']}: ", *_said(one)
            yield run, (name, str(one["split"])), tag("p", said, class_="beside")


def _said(metrics: Mapping[str, Any]) -> Iterator[str]:
    if "ap" not in metrics:
        yield NO_LABELS
        return
    numbers = numbers_from(metrics)
    mean: Estimate = numbers.summary.ap["mean"]
    warnings = [str(one["name"]) for one in metrics["warnings"]]
    if said := sentence(numbers.warned, warnings):
        yield f"{said} "
    chance = number(numbers.summary.chance["mean"])
    yield f"mAP {with_interval(mean)} (chance {chance}), "
    yield f"{len(warnings) or 'no'} warning{'s' * (len(warnings) != 1)}."


def _link(folder: str, shown: str) -> Html:
    return tag("a", shown, href=f"../{quote(folder)}/{PAGE}")
