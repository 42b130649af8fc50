"""Tables of counts and results: for the terminal (rich) and for Markdown, from the same cells."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from collision.evaluation.baseline import Baseline
from collision.metrics.estimate import Estimate
from collision.metrics.nexar import horizon_key
from collision.metrics.scored import NEGATIVES_FROM, Scored
from collision.metrics.summary import NEGATIVES, Summary, fraction_to_oracle, lift_of
from collision.metrics.threshold import at_threshold
from collision.metrics.warned import is_near_collision
from collision.report.fitting import Fitted
from collision.video.notes import counted

if TYPE_CHECKING:  # tables of plain numbers need no torch
    from collision.evaluation.numbers import AlongVideos, Numbers
    from collision.features.planning import Plan
    from collision.report.judged import Judged
    from collision.types import Example

ABSENT = "–"
# Tags whose values are kinds of negatives: the main table sets positives against each of them. The
# other tags' slices have a table of their own.
KINDS_OF_NEGATIVES = ("variant", NEGATIVES_FROM)


@dataclass(frozen=True)
class Grid:
    """A table as text: a title, one line of headings, and rows of as many cells."""

    title: str
    header: list[str]
    rows: list[list[str]]


def count_examples(
    examples: Mapping[str, Iterable[Example]],
) -> dict[str, dict[str, dict[str, int]]]:
    """Count by split, horizon (shortest first) and class (``"positive"``, ``"negative"``).

    Hard negatives have no horizon in common with anything; together they are ``"hard"``.
    """
    counts = {}
    for split, rows in examples.items():
        by_horizon: dict[float, dict[str, int]] = {}
        for example in (row for row in rows if row.label in (0, 1)):  # of others it is secret
            horizon = np.inf if example.hard_negative else round(example.horizon, 3)
            count = by_horizon.setdefault(horizon, {"positive": 0, "negative": 0})
            count["positive" if example.label else "negative"] += 1
        names = {h: "hard" if h == np.inf else horizon_key(h) for h in sorted(by_horizon)}
        counts[split] = {name: by_horizon[horizon] for horizon, name in names.items()}
    return counts


def counts_grid(counts: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Grid:
    """The table that is printed before training: a line for each split and horizon, and a total."""
    rows = []
    for split, by_horizon in counts.items():
        for horizon, count in by_horizon.items():
            name = "hard negatives" if horizon == "hard" else f"{horizon} s"
            rows.append([split, name, str(count["positive"]), str(count["negative"])])
        totals = (sum(c[side] for c in by_horizon.values()) for side in ("positive", "negative"))
        rows.append([split, "all", *map(str, totals)])
    return Grid("Examples", ["split", "horizon", "positive", "negative"], rows)


def missing_grid(missing: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Grid:
    """What ``collision.audit.missing`` counted, as JSON: a line for each split and class."""
    parts = [(split, name, part) for split, c in missing.items() for name, part in c.items()]
    total = sum((Counter(part["reasons"]) for _, _, part in parts), Counter[str]())
    reasons = [reason for reason in (parts[0][2]["reasons"] if parts else ()) if total[reason]]
    rows = []
    for split, name, part in parts:
        counts = part["wanted"], part["left"], *(part["reasons"][reason] for reason in reasons)
        rows.append([split, name, *map(str, counts)])
    header = ["split", "class", "wanted", "left", *reasons]
    return Grid("Examples without frames", header, rows)


def print_missing(
    console: Console,
    missing: Mapping[str, Mapping[str, Mapping[str, Any]]],
    units: Iterable[str] = (),
) -> None:
    """Print how many examples have no frames, if any, and what odd times look like."""
    if missing:
        console.print(as_rich(missing_grid(missing)))
    print_warnings(console, [{"message": sentence} for sentence in units])


def plan_table(plans: Iterable[tuple[str, str, Plan]]) -> Fitted:
    """What extractions would cost: a line for each ``(data set, backbone, plan)``."""
    header = ["data set", "backbone", "videos", "windows", "reused", "frames", "MiB", "time"]
    rows = []
    for dataset, backbone, plan in plans:
        counts = (plan.num_videos, plan.num_windows, plan.num_reused, plan.num_frames)
        seconds = plan.expected_seconds
        time = ABSENT if seconds is None else str(timedelta(seconds=math.ceil(seconds)))
        costs = [f"{plan.num_bytes / 2**20:.1f}", time]
        rows.append([dataset, backbone, *map(str, counts), *costs])
    return as_rich(Grid("To extract", header, rows))


def final_grid(
    best: Summary,
    last: Mapping[str, Estimate] | None = None,
    baseline: Baseline | None = None,
) -> Grid:
    """The selected head's AP by horizon and its mean: the end of a run.

    The last step's stand there where other weights were selected. Below stand the mean of the
    baseline, and the head's minus that.

    Beside chance stands the lift, or, where there is an oracle, the share of the gap to that: both
    would not fit a terminal.
    """
    with_seeds = best.ap["mean"].sd is not None
    against = {
        name: part
        for name, part in best.slices.items()
        if part.side == NEGATIVES and name.partition("=")[0] in KINDS_OF_NEGATIVES
    }
    header = ["horizon", "AP [95 % interval]"]
    header += ["sd over\nseeds"] if with_seeds else []
    header += ["chance"]
    header += ["oracle", "gap\nclosed"] if best.oracle else ["lift"]
    header += [f"vs {name.partition('=')[2]}\n(chance)" for name in against]
    header += ["last\nstep"] if last else []
    rows = []
    for key, entry in best.ap.items():
        chance = best.chance[key]
        row = ["mean" if key == "mean" else f"{key} s", with_interval(entry)]
        row += [number(entry.sd)] if with_seeds else []
        row += [number(chance) if entry.value is not None else ABSENT]
        if best.oracle:
            closed = fraction_to_oracle(entry.value, chance, best.oracle[key])
            row += [number(best.oracle[key]), ABSENT if closed is None else f"{closed:.0%}"]
        else:
            row.append(percent(best.lift[key]))
        kinds = ((part.ap[key].value, part.chance[key]) for part in against.values())
        row += [f"{number(ap)} ({number(own_chance)})" for ap, own_chance in kinds]
        row += [number(last[key].value if key in last else None)] if last else []
        rows.append(row)
    for name, compared in baseline.parts if baseline else ():
        empty = [""] * (len(header) - 2)
        shown = with_interval(compared.difference, signed)
        rows += [[f"logistic{name}", with_interval(compared.baseline), *empty]]
        rows += [[f"head - logistic{name}", shown, *empty]]
    of_seeds = f", mean of {len(best.ap['mean'].seeds)} seeds" if with_seeds else ""
    return Grid(f"Average precision{of_seeds}", header, rows)


def datasets_grid(judged: Sequence[Judged]) -> Grid:
    """One line for each data set whose labels are known."""
    of_each = [(one, one.numbers) for one in judged if one.numbers]
    keys = list(dict.fromkeys(key for _, n in of_each for key in n.summary.ap if key != "mean"))
    with_seeds = any(numbers.summary.ap["mean"].sd is not None for _, numbers in of_each)
    header = ["data set", "mAP [95 % interval]"]
    header += ["sd over\nseeds"] if with_seeds else []
    header += ["chance", "lift", *(f"{key} s" for key in keys), "AUC", "videos", "warnings"]
    rows = []
    for one, numbers in of_each:
        summary = numbers.summary
        row = [f"{one.name} ({one.split})", with_interval(summary.ap["mean"])]
        row += [number(summary.ap["mean"].sd)] if with_seeds else []
        row += [number(summary.chance["mean"]), percent(summary.lift["mean"])]
        row += [number(summary.ap[key].value if key in summary.ap else None) for key in keys]
        counts = one.videos, len(one.warnings)
        row += [number(numbers.auc["mean"].value), *map(str, counts)]
        rows.append(row)
    return Grid("Data sets", header, rows)


def slices_grid(summary: Summary) -> Grid:
    """Every slice of a summary: its mean AP with interval, its own chance, and its size."""
    rows = []
    for name, part in summary.slices.items():
        mean, counts = part.ap["mean"], part.counts.values()
        groups = max(c.positive_groups for c in counts), max(c.negative_groups for c in counts)
        chance = part.chance["mean"]
        beside = number(chance), percent(lift_of(mean, chance))
        row = [name, with_interval(mean), *beside, *map(str, groups)]
        rows.append([*row, part.side, mean.reason or ""])
    header = [
        "slice",
        "mAP [95 % interval]",
        "chance",
        "lift",
        "positive\ngroups",
        "negative\ngroups",
    ]
    return Grid("Slices", [*header, "examples", "note"], rows)


def mistakes_grid(scored: Scored, num_mistakes: int = 10) -> Grid:
    """The examples whose score is furthest from their label; unscored ones are left out."""
    known = np.flatnonzero(~scored.missing)
    error = np.abs(scored.label[known] - scored.score[known])
    worst = known[np.argsort(-error, kind="stable")][:num_mistakes]
    rows = []
    for row in (row for row in worst if abs(scored.label[row] - scored.score[row]) > 0.5):
        tags = [str(values[row]) for values in scored.tags.values()]
        kind = missed(tags) if scored.label[row] else "false alarm"
        score = [f"{horizon_key(scored.horizon[row])} s", number(float(scored.score[row]))]
        rows.append([scored.video[row], kind, *score, *tags])
    return Grid("Worst mistakes", ["video", "kind", "horizon", "score", *scored.tags], rows)


def missed(tags: Iterable[str]) -> str:
    """Name a positive without an alarm, by the values of its tags."""
    return "missed near-collision" if is_near_collision(tags) else "missed collision"


def numbers_grid(numbers: Numbers) -> Grid:
    """AUC, calibration, the operating point and, where there are curves, anticipation.

    Of several seeds these are means, but a threshold and a temperature belong to one head: what
    hangs on them is of the first.
    """
    calibration, auc = numbers.calibration, numbers.auc["mean"]
    base_rate = number(calibration.brier_of_base_rate)
    rows = [
        _row("AUC, mean of the horizons", auc, "chance .500"),
        _row("Brier score", calibration.brier, f"of the base rate alone: {base_rate}"),
        _row("expected calibration error (ECE)", calibration.ece, "perfectly calibrated: 0"),
    ]
    for fitted in numbers.temperatures[:1]:
        beside = f"validation log loss {number(fitted.nll_before)} without, "
        beside += f"{number(fitted.nll_after)} with it"
        beside += "; at the bound of the search: no estimate" if fitted.at_bound else ""
        beside += _first_of(len(numbers.temperatures), "heads")
        rows.append(["temperature", number(fitted.value), beside])
    points = numbers.operating_points
    of_first = _first_of(len(points), "seeds")
    for point in points[:1]:
        threshold = f"{at_threshold(point.threshold, point.threshold_range, number)}{of_first}"
        rows.append(["precision", number(point.precision), threshold])
        rows.append(["recall", number(point.recall), threshold])
        rows.append(["false alarm rate", number(point.false_alarm_rate), threshold])
    if numbers.anticipation:
        rows += _anticipation_rows(numbers.anticipation, of_first)
    return Grid("Other metrics", ["metric", "value [95 % interval]", "reference"], rows)


def _row(name: str, entry: Estimate, reference: str) -> list[str]:
    """A number beside its reference, or beside the reason why there is none."""
    beside = reference if entry.value is not None else entry.reason or ""
    return [name, with_interval(entry), beside]


def _first_of(count: int, what: str) -> str:
    return f"; the first of {count} {what}" if count > 1 else ""


def _anticipation_rows(along: AlongVideos, of_first: str) -> list[list[str]]:
    literature, at_rate = along.anticipation, along.at_false_alarm_rate
    rate = f"at a false-alarm rate of at most {at_rate.rate:g}"
    always_on = f"a model that always alarms: {number(literature.always_on_mtta)}"
    recall = f"at recall {number(literature.tta_at_r80.recall)}"
    rows = [
        _row("anticipation AP", literature.anticipation_ap, "videos, any score before the event"),
        _row("mTTA (s)", literature.mtta, always_on),
        _row("TTA@R80 (s)", literature.tta_at_r80, recall),
        _row(f"mTTA (s) {rate}", at_rate.mtta_all, "missed positives count 0 s"),
        _row(f"recall {rate}", at_rate.recall, "videos"),
    ]
    alarms = along.false_alarms_per_hour
    kinds = (("normal videos", alarms.normal_videos), ("before events", alarms.before_events))
    for words, one in kinds:
        value = with_interval(Estimate(one.per_hour, one.low, one.high), "{:.0f}".format)
        length = f"{one.hours:.2f} h" if one.hours >= 0.1 else f"{3600 * one.hours:.0f} s"
        rows.append([f"false alarms per hour, {words}", value, f"{length} of video{of_first}"])
    return rows


def print_warnings(console: Console, warnings: Iterable[Mapping[str, Any]]) -> None:
    """Print what the guards found."""
    for warning in warnings:
        text = f"warning: {warning['message']}"
        console.print(text, style="yellow", markup=False, highlight=False)


def print_notes(
    console: Console, notes: Mapping[str, Iterable[str]], num_outdated: int = 0
) -> None:
    """Print what is odd about videos that were read (``notes`` by id), and how many anew."""
    lines = [f"note: {line}" for line in counted(notes)]
    if num_outdated:
        lines.append(f"{num_outdated} videos computed anew: an older version read other frames")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def as_rich(grid: Grid) -> Fitted:
    """The grid for the terminal; text from files is not taken for markup."""
    return Fitted(grid.title, grid.header, grid.rows)


def as_markdown(grid: Grid) -> str:
    """The grid as a Markdown table, without its title."""
    lines = [grid.header, ["---"] + ["---:"] * (len(grid.header) - 1), *grid.rows]
    return "\n".join("| " + " | ".join(map(_markdown_cell, line)) + " |" for line in lines)


def number(value: float | None) -> str:
    """Three decimals without the leading zero: most numbers here lie within 0..1."""
    return ABSENT if value is None else f"{value:.3f}".removeprefix("0")


def signed(value: float) -> str:
    """Give a difference, likewise."""
    return f"{value:+.3f}".replace("0.", ".", 1)


def percent(entry: Estimate) -> str:
    """A share in whole percent."""
    return ABSENT if entry.value is None else f"{entry.value:.0%}"


def with_interval(entry: Estimate, form: Callable[[float], str] = number) -> str:
    """A value and, where it has one, its interval."""
    if entry.value is None:
        return ABSENT
    if entry.interval is None:
        return form(entry.value)
    low, high = map(form, entry.interval)
    return f"{form(entry.value)} [{low}, {high}]"


def _markdown_cell(text: str) -> str:
    """Keep a cell on its line and in its column, whatever a file is called."""
    text = " ".join(text.split())
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
