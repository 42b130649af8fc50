"""The report about a data set: ``data.md``, ``data.html``, and the same tables on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from collision.report.data_plots import (
    COLOURS,
    Measures,
    distribution,
    distributions,
    shortcut_mark,
    shortcut_marks,
)
from collision.report.page import (
    Block,
    Code,
    Heading,
    Panels,
    Picture,
    Text,
    titled,
    write_page,
)
from collision.report.tables import Grid, as_rich, missing_grid

# Longer lists are shortened on the page; data.json holds all of them.
MAX_ROWS = 20


def write_data_page(
    folder: Path, report: Mapping[str, Any], measures: Measures, command: str
) -> None:
    """Draw the pictures of a report and write ``data.md`` and ``data.html``.

    The report is as it stands in ``data.json`` (see ``collision.commands.data``); the measures are
    those behind its histograms, and the command is what repeats it.
    """
    blocks: list[Block] = [Heading(f"Data set {report['dataset']}", level=1)]
    blocks += report_blocks(report)
    if measures:
        picture = folder / "distributions.png"
        distributions(measures, picture)
        whole = Picture(picture, "Distributions by class")
        parts = [
            (f"{name} by class, as shares of each class", partial(distribution, name, by_class))
            for name, by_class in measures.items()
        ]
        blocks += [Heading("Distributions"), Panels(whole, parts)]
    probes = {
        n: part["probes"] for n, part in report.get("shortcuts", {}).items() if "probes" in part
    }
    if probes:
        picture = folder / "shortcuts.png"
        shortcut_marks(report["shortcuts"], picture)
        whole = Picture(picture, "AP of each probe")
        marks = [
            (f"AP of each probe that is asked for the {name}", partial(shortcut_mark, name, own))
            for name, own in probes.items()
        ]
        blocks += [Heading("Shortcuts as a picture"), Panels(whole, marks)]
    write_page(folder, [*blocks, Heading("How it was made"), Code(command)], "data")


def print_report(report: Mapping[str, Any], console: Console) -> None:
    """Print the tables and sentences of a report."""
    for block in report_blocks(report):
        match block:
            case Heading():
                console.print(f"\n{block.text}", style="bold", markup=False, highlight=False)
            case Text(name=name):
                text = f"{name}: {block.text}" if name else block.text
                console.print(text, markup=False, highlight=False)
            case Grid():
                console.print(as_rich(Grid("", block.header, block.rows)))


def report_blocks(report: Mapping[str, Any]) -> list[Block]:
    """Give a report as headings, sentences and tables, what matters most first."""
    groups = Text(_groups_sentence(report["groups"]))
    warnings = [Text(text, "warning", name) for name, text in _to_look_at(report)]
    blocks: list[Block] = [Text(headline(report), "headline"), *warnings]
    blocks += [*titled(_counts_grid(report["counts"])), groups]
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
        anchor = (
            "The anchor is what cuts are counted from: the event of a positive, the mock event "
            "of a negative (drawn where it has none), the end of a clip that was cut."
        )
        blocks += titled(_measures_grid(report["measures"]))
        blocks += [Text(anchor)] * ("anchor [s]" in report["measures"])
        blocks += titled(_values_grid("Files", "fact", report["kinds"]))
    if report["tags"]:
        blocks += titled(_values_grid("Tags", "tag", report["tags"]))
    return blocks


def headline(report: Mapping[str, Any]) -> str:
    """Say what there is, and whether anything is to be looked at before it is used."""
    total = Counter[str]()
    for counts in report["counts"].values():
        total.update(counts)
    classes = ", ".join(f"{total[name]} {name}" for name in COLOURS if total[name])
    found = len(list(_to_look_at(report)))
    things = f"{found} thing{'s' * (found != 1)} to look at first" if found else "nothing odd found"
    groups = report["groups"]["number"]
    return f"{total['videos']} videos in {groups} groups: {classes}; {things}."


def _to_look_at(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give name and sentence of what may make a number of this data set untrue."""
    lost, damaged = report["failures"], report.get("check", {}).get("damaged", ())
    if lost:
        yield "missing", f"{len(lost)} videos are missing or unreadable."
    if damaged:
        yield "damaged", f"{len(damaged)} videos have frames that cannot be decoded."
    if report["faults"]:
        yield "annotations", f"{len(report['faults'])} annotations do not fit their video."
    if shared := report["groups"]["in several splits"]:
        yield "groups", f"{len(shared)} groups lie in several splits: see Videos."
    if crossing := report.get("duplicates", {}).get("crossing"):
        yield "near-duplicates", f"{crossing} pairs of two groups and two splits show one scene."
    for target, part in report.get("shortcuts", {}).items():
        for name, result in part.get("probes", {}).items():
            if result["grade"] != "not shown":
                yield f"{result['grade']}, {target}: {name}", result["sentence"]


def _counts_grid(counts: Mapping[str, Mapping[str, int]]) -> Grid:
    columns = [*COLOURS, "videos", "groups"]
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
    listed = list(shared.items())[:MAX_ROWS]
    listing = "; ".join(f"{name} in {', '.join(found)}" for name, found in listed)
    return (
        f"{said} Several splits share {len(shared)} of them, so that what is learned on one video "
        f"is tested on its twin: {listing}."
    )


def _problems(report: Mapping[str, Any]) -> list[Block]:
    blocks: list[Block] = []
    if count := report["without_alert"]:
        blocks += [Text(f"{count} of the positives with an event have no alert time.")]
    if failures := report["failures"]:
        rows = [[one["video"], one["path"], one["reason"]] for one in failures]
        by_class = ", ".join(f"{n} {name}" for name, n in report["failures_by_class"].items())
        title = f"Missing or unreadable: {len(failures)} videos ({by_class})"
        blocks += titled(_listing(title, ["video", "file", "reason"], rows))
    blocks += titled(missing_grid(report["missing"]))
    blocks += map(Text, report["units"])
    if faults := report["faults"]:
        rows = [[one["video"], one["fault"]] for one in faults]
        title = f"Annotations that do not fit: {len(faults)}"
        blocks += titled(_listing(title, ["video", "what is wrong"], rows))
    if report["notes"]:
        blocks += titled(_notes_grid(report["notes"]))
    return blocks


def _notes_grid(notes: Sequence[Mapping[str, str]]) -> Grid:
    """One line for each note, with how many videos have it and one of them."""
    counts = Counter(one["note"] for one in notes)
    example = {one["note"]: one["video"] for one in reversed(notes)}
    rows = [[note, str(count), example[note]] for note, count in counts.most_common()]
    return _listing("Odd files", ["note", "videos", "for example"], rows)


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
            others = (result["chance"], part["prevalence"], result["auc"], result["p_value"])
            row = [f"{target}: {name}", result["grade"], f"{ap['value']:.2f}{interval}"]
            rows.append([*row, *(f"{value:.2f}" for value in others)])
    header = ["target: probe", "verdict", "AP [95 %]", "chance", "prevalence", "AUC", "p"]
    table = [Grid("Shortcuts", header, rows)] if rows else []
    return [Heading("Shortcuts"), *table, *(Text(text, "small") for text in sentences)]


def _duplicate_blocks(duplicates: Mapping[str, Any]) -> list[Block]:
    pairs = duplicates["pairs"]
    heading = Heading("Near-duplicates")
    if not pairs:
        return [heading, Text("No two videos were found that show the same scene.")]
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
    rows = []
    for pair in (pair for pair in pairs if pair["groups"][0] != pair["groups"][1]):
        places = [" / ".join(dict.fromkeys(pair[key])) for key in ("splits", "groups")]
        alike = f"{pair['num_matching']} of {pair['num_overlapping']}"
        found = ["copy" if pair["is_copy"] else alike, f"{pair['shift']:+.1f} s"]
        rows.append([pair["first"], pair["second"], *places, *found])
    header = ["video", "and", "split", "group", "frames alike", "shift"]
    return [heading, Text(said), *([_listing(heading.text, header, rows)] if rows else [])]


def _measures_grid(measures: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Grid:
    rows = [
        [name, group, f"{found['number']:.0f}", *(f"{v:.4g}" for v in list(found.values())[1:])]
        for name, by_class in measures.items()
        for group, found in by_class.items()
    ]
    header = ["what", "class", "videos", "min", "5 %", "median", "95 %", "max"]
    return Grid("Durations, times and rates", header, rows)


def _values_grid(
    title: str, what: str, counts: Mapping[str, Mapping[str, Mapping[str, int]]]
) -> Grid:
    rows = [
        [name, value, *(str(count.get(group, 0)) for group in COLOURS)]
        for name, values in counts.items()
        for value, count in values.items()
    ]
    return Grid(title, [what, "value", *COLOURS], rows)


def _listing(title: str, header: list[str], rows: list[list[str]]) -> Grid:
    """A table of the first rows, that says how many there are beyond."""
    if (rest := len(rows) - MAX_ROWS) > 0:
        more = [f"... and {rest} more in data.json"]
        rows = [*rows[:MAX_ROWS], more + [""] * (len(header) - 1)]
    return Grid(title, header, rows)
