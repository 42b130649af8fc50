"""The report about a data set: ``data.md``, ``data.html``, and the same tables on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from collision.files import write_whole
from collision.report.data_plots import distributions, shortcut_marks
from collision.report.page import (
    Block,
    Code,
    Heading,
    Picture,
    Text,
    as_html_page,
    as_markdown_page,
)
from collision.report.tables import Grid, as_rich

# Longer lists are shortened on the page; data.json holds all of them.
MAX_ROWS = 20
_CLASSES = ("positive", "negative", "unlabelled")


def write_data_page(
    folder: Path,
    report: Mapping[str, Any],
    measures: Mapping[str, Mapping[str, NDArray[np.float64]]],
    command: str,
) -> None:
    """Draw the pictures of a report and write ``data.md`` and ``data.html``.

    Args:
        folder: Of the report; it exists.
        report: As it stands in ``data.json``: see ``collision.commands.data``.
        measures: Behind the histograms, from ``collision.audit.inventory.measure``.
        command: What repeats it.
    """
    blocks: list[Block] = [Heading(f"Data set {report['dataset']}", level=1), Code(command)]
    blocks += report_blocks(report)
    if measures:
        picture = folder / "distributions.png"
        distributions(measures, picture)
        blocks += [Heading("Distributions"), Picture(picture, "Distributions by class")]
    if any("probes" in part for part in report.get("shortcuts", {}).values()):
        picture = folder / "shortcuts.png"
        shortcut_marks(report["shortcuts"], picture)
        blocks += [Heading("Shortcuts as a picture"), Picture(picture, "AP of each probe")]
    write_whole(folder / "data.md", as_markdown_page(blocks, folder))
    write_whole(folder / "data.html", as_html_page(blocks))


def print_report(report: Mapping[str, Any], console: Console) -> None:
    """Print the tables and sentences of a report."""
    for block in report_blocks(report):
        match block:
            case Heading():
                console.print(f"\n{block.text}", style="bold", markup=False, highlight=False)
            case Text():
                console.print(block.text, markup=False, highlight=False)
            case Grid():
                console.print(as_rich(Grid("", block.header, block.rows)))


def report_blocks(report: Mapping[str, Any]) -> list[Block]:
    """Give a report as headings, sentences and tables, what matters most first."""
    blocks: list[Block] = [Heading("Videos"), _counts_grid(report["counts"])]
    blocks += [Text(_groups_sentence(report["groups"]))]
    blocks += _problems(report)
    if "check" in report:
        blocks += _check_blocks(report["check"])
    if "shortcuts" in report:
        blocks += _shortcut_blocks(report["shortcuts"])
    elif "no_cuts" in report:
        blocks += [Heading("Shortcuts"), Text(report["no_cuts"])]
    if "duplicates" in report:
        blocks += _duplicate_blocks(report["duplicates"])
    if report["measures"]:
        blocks += [Heading("Durations, times and rates"), _measures_grid(report["measures"])]
        blocks += [
            Text(
                "The anchor is what cuts are counted from: the event of a positive, the mock event "
                "of a negative (drawn where it has none), the end of a clip that was cut."
            )
        ]
        blocks += [Heading("Files"), _values_grid(report["kinds"], "fact")]
    if report["tags"]:
        blocks += [Heading("Tags"), _values_grid(report["tags"], "tag")]
    return blocks


def _counts_grid(counts: Mapping[str, Mapping[str, int]]) -> Grid:
    columns = [*_CLASSES, "videos", "groups"]
    rows = [[split, *(str(count[name]) for name in columns)] for split, count in counts.items()]
    total = [str(sum(count[name] for count in counts.values())) for name in columns[:-1]]
    # Groups may lie in several splits, so they do not add up.
    return Grid("Videos", ["split", *columns], [*rows, ["all", *total, ""]])


def _groups_sentence(groups: Mapping[str, Any]) -> str:
    largest = ", ".join(f"{name} ({count})" for name, count in groups["largest"].items())
    shared = groups["in several splits"]
    said = f"{groups['number']} groups, the largest: {largest}."
    if max(groups["largest"].values(), default=0) == 1:
        said = f"{groups['number']} groups: every video is one of its own."
    if not shared:
        return f"{said} No group lies in two splits."
    listing = "; ".join(f"{name} in {', '.join(found)}" for name, found in _first(shared.items()))
    return (
        f"{said} Several splits share {len(shared)} of them, so that what is learned on one video "
        f"is tested on its twin: {listing}."
    )


def _problems(report: Mapping[str, Any]) -> list[Block]:
    blocks: list[Block] = []
    if report["without_alert"]:
        blocks += [
            Text(f"{report['without_alert']} of the positives with an event have no alert time.")
        ]
    if failures := report["failures"]:
        rows = [[one["video"], one["path"], one["reason"]] for one in failures]
        by_class = ", ".join(f"{n} {name}" for name, n in report["failures_by_class"].items())
        blocks += [Heading(f"Missing or unreadable: {len(failures)} videos ({by_class})")]
        blocks += [_listing("Missing", ["video", "file", "reason"], rows)]
    if faults := report["faults"]:
        rows = [[one["video"], one["fault"]] for one in faults]
        blocks += [Heading(f"Annotations that do not fit: {len(faults)}")]
        blocks += [_listing("Faults", ["video", "what is wrong"], rows)]
    if report["notes"]:
        blocks += [Heading("Odd files"), _notes_grid(report["notes"])]
    return blocks


def _notes_grid(notes: Sequence[Mapping[str, str]]) -> Grid:
    """One line for each note, with how many videos have it and one of them."""
    counts = Counter(one["note"] for one in notes)
    example = {one["note"]: one["video"] for one in reversed(notes)}
    rows = [[note, str(count), example[note]] for note, count in counts.most_common()]
    return _listing("Notes", ["note", "videos", "for example"], rows)


def _check_blocks(check: Mapping[str, Any]) -> list[Block]:
    damaged = check["damaged"]
    said = (
        f"Every frame of {check['videos']} videos was decoded ({check['decoded_now']} files now, "
        f"the rest in earlier checks): {len(damaged) or 'none'} damaged."
    )
    blocks: list[Block] = [Heading("Full check"), Text(said)]
    if damaged:
        rows = [[one["video"], one["reason"]] for one in damaged]
        blocks += [_listing("Damaged", ["video", "reason"], rows)]
    if check["notes"]:
        blocks += [_notes_grid(check["notes"])]
    return blocks


def _shortcut_blocks(shortcuts: Mapping[str, Any]) -> list[Block]:
    rows = []
    sentences = []
    for target, part in shortcuts.items():
        if "reason" in part:
            sentences.append(f"{part['question']} That cannot be asked: {part['reason']}.")
        for name, result in part.get("probes", {}).items():
            sentences.append(result["sentence"])
            ap = result["ap"]
            interval = "" if ap["low"] is None else f" [{ap['low']:.2f}, {ap['high']:.2f}]"
            rows.append(
                [
                    f"{target}: {name}",
                    f"{ap['value']:.2f}{interval}",
                    f"{result['chance']:.2f}",
                    f"{part['prevalence']:.2f}",
                    f"{result['auc']:.2f}",
                    f"{result['p_value']:.2f}",
                    result["grade"],
                ]
            )
    header = ["target: probe", "AP [95 %]", "chance", "prevalence", "AUC", "p", "verdict"]
    table = [Grid("Shortcuts", header, rows)] if rows else []
    return [Heading("Shortcuts"), *table, *map(Text, sentences)]


def _duplicate_blocks(duplicates: Mapping[str, Any]) -> list[Block]:
    pairs = duplicates["pairs"]
    if not pairs:
        said = "No two videos were found that show the same scene."
        return [Heading("Near-duplicates"), Text(said)]
    copies = sum(pair["is_copy"] for pair in pairs)
    said = (
        f"{len(pairs)} pairs show the same scene ({copies} are copies of one file); "
        f"{duplicates['unrelated']} of them lie in two groups, {duplicates['crossing']} of these "
        "also in two splits."
    )
    if duplicates["crossing"]:
        said += (
            " Look at these: where both show one scene, what is learned on one is tested on its "
            "twin. Give them one group."
        )
    elif duplicates["unrelated"]:
        said += (
            " Look at these: where both show one scene, give them one group, or intervals take "
            "them for independent."
        )
    rows = [
        [
            pair["first"],
            pair["second"],
            " / ".join(dict.fromkeys(pair["splits"])),
            " / ".join(dict.fromkeys(pair["groups"])),
            "copy" if pair["is_copy"] else f"{pair['num_matching']} of {pair['num_overlapping']}",
            f"{pair['shift']:+.1f} s",
        ]
        for pair in pairs
        if pair["groups"][0] != pair["groups"][1]
    ]
    blocks: list[Block] = [Heading("Near-duplicates"), Text(said)]
    if rows:
        header = ["video", "and", "split", "group", "frames alike", "shift"]
        blocks += [_listing("Near-duplicates", header, rows)]
    return blocks


def _measures_grid(measures: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Grid:
    rows = [
        [name, group, f"{found['number']:.0f}", *(f"{v:.4g}" for v in list(found.values())[1:])]
        for name, by_class in measures.items()
        for group, found in by_class.items()
    ]
    header = ["what", "class", "videos", "min", "5 %", "median", "95 %", "max"]
    return Grid("Distributions", header, rows)


def _values_grid(counts: Mapping[str, Mapping[str, Mapping[str, int]]], what: str) -> Grid:
    rows = [
        [name, value, *(str(count.get(group, 0)) for group in _CLASSES)]
        for name, values in counts.items()
        for value, count in values.items()
    ]
    return Grid(what, [what, "value", *_CLASSES], rows)


def _listing(title: str, header: list[str], rows: list[list[str]]) -> Grid:
    """A table of the first rows, that says how many there are beyond."""
    rest = len(rows) - MAX_ROWS
    if rest > 0:
        more = [f"... and {rest} more in data.json"]
        rows = [*rows[:MAX_ROWS], more + [""] * (len(header) - 1)]
    return Grid(title, header, rows)


def _first(items: Any) -> list[Any]:
    return list(items)[:MAX_ROWS]
