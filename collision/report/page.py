"""The page of a run: ``results.md``, and ``results.html`` with its pictures inside."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

from collision.metrics.scored import Scored
from collision.report import plots
from collision.report.tables import (
    Grid,
    as_markdown,
    counts_grid,
    final_grid,
    mistakes_grid,
    slices_grid,
)

PAGE_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;
margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:right}
th:first-child,td:first-child{text-align:left}img{max-width:100%}
pre{background:#f5f5f5;padding:.7rem;white-space:pre-wrap}"""


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the page's title."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Code:
    """Something to copy, such as a command."""

    text: str


@dataclass(frozen=True)
class Picture:
    """A PNG in the run folder or below it."""

    path: Path
    caption: str


Block: TypeAlias = Heading | Text | Code | Picture | Grid


def write_results(
    folder: Path,
    *,
    title: str,
    command: str,
    facts: Mapping[str, object],
    summary: Mapping[str, Any],
    scored: Scored,
    last: Mapping[str, Any] | None = None,
    counts: Mapping[str, Mapping[str, Mapping[str, int]]] | None = None,
    log: Sequence[Mapping[str, str]] | None = None,
    num_mistakes: int = 10,
) -> None:
    """Draw the plots of a run and write ``results.md`` and ``results.html`` in its folder.

    Args:
        folder: The run folder, which exists. Plots go to its sub-folder ``plots``.
        title: What was run, e.g. ``zipformer on synthetic``.
        command: The command that repeats it.
        facts: What else tells the run: commit, seed, digests, selected on, best and last epoch.
        summary: Of the selected checkpoint (``collision.metrics.summary``), one seed or several.
        scored: The scores behind the plots and the mistakes; of several seeds one.
        last: The summary of the last epoch.
        counts: Examples by split, as ``collision.report.tables.count_examples`` gives them.
        log: Rows of the Lightning CSV log, for the learning curves.
        num_mistakes: How many of the worst mistakes are listed.
    """
    pictures = _draw(folder / "plots", summary, scored, log)
    blocks: list[Block] = [Heading(title, level=1), Code(command)]
    blocks += [Heading("Result"), final_grid(summary, last), Text(_reading(summary))]
    blocks += pictures
    if summary["slices"]:
        blocks += [Heading("Slices"), slices_grid(summary)]
    mistakes = mistakes_grid(scored, num_mistakes)
    blocks += [Heading(mistakes.title)]
    blocks += [mistakes] if mistakes.rows else [Text("No score is on the wrong side of 0.5.")]
    if counts:
        blocks += [Heading("Examples"), counts_grid(counts)]
    rows = [[name, str(value)] for name, value in facts.items()]
    blocks += [Heading("Run"), Grid("Run", ["fact", "value"], rows)]
    (folder / "results.md").write_text(as_markdown_page(blocks, folder), encoding="utf-8")
    (folder / "results.html").write_text(as_html_page(blocks), encoding="utf-8")


def as_markdown_page(blocks: Sequence[Block], folder: Path) -> str:
    """The blocks as Markdown; pictures are linked relative to ``folder``."""
    return "\n\n".join(_as_markdown(block, folder) for block in blocks) + "\n"


def as_html_page(blocks: Sequence[Block]) -> str:
    """The blocks as one HTML file that needs no other file."""
    title = next((block.text for block in blocks if isinstance(block, Heading)), "Results")
    body = "\n".join(map(_as_html, blocks))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title><style>{PAGE_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _draw(
    folder: Path,
    summary: Mapping[str, Any],
    scored: Scored,
    log: Sequence[Mapping[str, str]] | None,
) -> list[Picture]:
    folder.mkdir(exist_ok=True)
    pictures = [
        Picture(folder / "ap_by_horizon.png", "Average precision by time before the event"),
        Picture(folder / "precision_recall.png", "Precision and recall"),
        Picture(folder / "scores.png", "Scores by variant and label"),
    ]
    plots.ap_by_horizon(summary, pictures[0].path)
    plots.precision_recall(scored, pictures[1].path)
    plots.score_by_variant(scored, pictures[2].path)
    if log:
        pictures.append(Picture(folder / "learning_curves.png", "Loss and nexar_map by epoch"))
        plots.learning_curves(log, pictures[3].path)
    return pictures


def _reading(summary: Mapping[str, Any]) -> str:
    """What the numbers under the table mean, and what is missing from them."""
    bootstrap = summary["bootstrap"]
    sentences = [
        f"Intervals: {bootstrap['level']:.0%}, {bootstrap['num_groups']} groups resampled "
        f"{bootstrap['num_resamples']} times (seed {bootstrap['seed']})."
    ]
    mean = summary["ap"]["mean"]
    if "reason" in mean:
        sentences.append(f"No interval of the mean: {mean['reason']}.")
    if len(mean.get("seeds", [])) > 1:
        sentences.append("By seed: " + ", ".join(f"{value:.3f}" for value in mean["seeds"]) + ".")
    if way := summary["fraction_to_oracle"]:
        share = "not defined" if way["value"] is None else f"{way['value']:.0%}"
        share += "" if way["low"] is None else f" [{way['low']:.0%}, {way['high']:.0%}]"
        sentences.append(f"Way of the mean from chance to the oracle: {share}.")
        sentences.append("The oracle is a model that is given the true state of the scene.")
    missing = sum(count["missing"] for count in summary["counts"].values())
    total = sum(count["positive"] + count["negative"] for count in summary["counts"].values())
    sentences.append(f"{missing} of {total} examples have no score and count as 0.")
    if summary["absent_slices"]:
        sentences.append(f"Not in these data: tag {', '.join(summary['absent_slices'])}.")
    return " ".join(sentences)


def _as_markdown(block: Block, folder: Path) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {block.text}"
        case Text():
            return block.text
        case Code():
            return f"```sh\n{block.text}\n```"
        case Picture():
            return f"![{block.caption}]({block.path.relative_to(folder).as_posix()})"
        case Grid():
            return as_markdown(block)


def _as_html(block: Block) -> str:
    match block:
        case Heading():
            return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
        case Text():
            return f"<p>{escape(block.text)}</p>"
        case Code():
            return f"<pre><code>{escape(block.text)}</code></pre>"
        case Picture():
            data = base64.b64encode(block.path.read_bytes()).decode("ascii")
            return f'<img alt="{escape(block.caption)}" src="data:image/png;base64,{data}">'
        case Grid():
            lines = [_html_line(block.header, "th")]
            lines += [_html_line(row, "td") for row in block.rows]
            return "<table>\n" + "\n".join(lines) + "\n</table>"


def _html_line(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
