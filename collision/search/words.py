"""What a search comes to, in sentences and tables, for its page and for Markdown."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from statistics import median

from collision.report.charts import short
from collision.report.tables import ABSENT, Grid, number, signed
from collision.search.outcomes import Cell, Outcome, Spread, hours, value_of
from collision.search.trials import DONE, FAILED, RUNNING, WAITING, Trial

LEVEL = 0.95
TITLES = {
    "map": "mAP on validation",
    "parameters": "parameters of the head",
    "windows_per_second": "windows a second that the head scores",
}
NUM_LEADERS = 10
LONGEST_LINE = 8  # generations of a descent that are listed


def described(cell: Cell) -> str:
    """Name a cell by its choices."""
    return " · ".join(cell.point.cell.values())


def command(trial: Trial, start: str) -> str:
    """Give the command that trains it again: ``start`` with what the trial changed."""
    return f"{start} {shlex.join([*trial.point.overrides, f'seed={trial.seed}'])}"


def headline(outcome: Outcome) -> list[str]:
    """Say which is best and how sure that is; the first sentence is the one to read."""
    if outcome.winner:
        said = _of_winner(outcome, outcome.winner)
    elif outcome.leader:
        said = _of_leader(outcome, outcome.leader)
    else:
        said = ["No trial has a score" + (" yet: it is running." if outcome.running else ".")]
    return said


def _of_winner(outcome: Outcome, winner: Cell) -> list[str]:
    lead = "Still running; confirmed so far: " if outcome.running else "Confirmed: "
    many = len(winner.fresh)
    seeds = f"{many} fresh seed{'s' * (many > 1)}"
    first = (
        f"{lead}{described(winner)} has {with_seeds(winner, outcome.spread)} mAP on validation, "
        f"the mean of {seeds}."
    )
    said = [first]
    if winner.search_score is not None:
        gap = winner.search_score - winner.score
        beside = f", {number(abs(gap))} {'higher' if gap > 0 else 'lower'}"
        beside = " as well" if number(abs(gap)) == number(0) else beside
        said.append(
            f"The search, which chose it, saw {number(winner.search_score)}{beside}. "
            f"{luck(outcome)}"
        )
    if len(outcome.confirmed) > 1:
        said.append(_beside_next(winner, outcome.confirmed[1], outcome.spread))
    return said


def _beside_next(winner: Cell, other: Cell, spread: Spread | None) -> str:
    gap = winner.score - other.score
    said = f"The next, {described(other)}, lies {number(gap)} below"
    if spread is None:
        return f"{said}; whether seeds explain that is not known."
    reach = (
        _quantile(spread.df) * spread.sd * math.sqrt(1 / len(winner.fresh) + 1 / len(other.fresh))
    )
    if gap < reach:
        return f"{said}, no more than seeds alone may do: which of the two is better is not known."
    return (
        f"{said}, more than seeds alone do ({LEVEL:.0%} interval of the difference: "
        f"[{number(gap - reach)}, {number(gap + reach)}])."
    )


def _of_leader(outcome: Outcome, leader: Cell) -> list[str]:
    if outcome.confirming:
        state = "The best are being confirmed"
    else:
        state = "Running, not confirmed" if outcome.running else "Not confirmed"
    seeds = f"{len(leader.searched)} seed{'s' * (len(leader.searched) > 1)}"
    first = (
        f"{state}: the best of {outcome.num_searched:,} cells has {number(leader.search_score)} "
        f"mAP on validation with {seeds}: {described(leader)}."
    )
    return [first, luck(outcome)]


def luck(outcome: Outcome) -> str:
    """Say how far luck alone lifts the best of so many."""
    if outcome.luck is None or outcome.spread is None:
        return (
            "How much of that is luck is not known: no cell has two seeds, so how far seeds move "
            "the score was never seen."
        )
    return (
        f"Luck of the maximum: were all {outcome.num_searched:,} cells equal, the best would still "
        f"lie {number(outcome.luck)} above their mean (seeds of one cell differ by an sd of "
        f"{sd(outcome.spread)}, {outcome.spread.df} degrees of freedom)."
    )


def sd(spread: Spread) -> str:
    """Write an sd, which may be small."""
    return f"{spread.sd:.2g}".removeprefix("0")


def with_seeds(cell: Cell, spread: Spread | None) -> str:
    """Write a cell's score, with the interval that the spread between seeds leaves."""
    if spread is None:
        return number(cell.score)
    reach = _quantile(spread.df) * spread.sd / math.sqrt(len(cell.judged))
    return f"{number(cell.score)} [{number(cell.score - reach)}, {number(cell.score + reach)}]"


def _quantile(df: int) -> float:
    from scipy import stats

    return float(stats.t.ppf((1 + LEVEL) / 2, df))


def tiles(outcome: Outcome) -> list[tuple[str, str]]:
    """Give the numbers that are looked for first, each with its words."""
    wall, spent = hours(outcome.trials)
    done = outcome.count(DONE)
    shown = []
    if outcome.winner:
        shown.append((number(outcome.winner.score), "mAP of the winner, fresh seeds"))
    elif outcome.leader:
        shown.append((number(outcome.leader.search_score), "best mAP so far, not confirmed"))
    shown.append((f"{len(outcome.trials):,}", _states(outcome)))
    if wall:
        shown.append((duration(wall), f"from first to last, {duration(spent)} of training"))
        shown.append((f"{done / wall:,.0f}", "finished trials an hour"))
    if outcome.luck is not None:
        shown.append((f"+{number(outcome.luck)}", "luck of the maximum, if all were equal"))
    return shown


def _states(outcome: Outcome) -> str:
    counts = ((state, outcome.count(state)) for state in (DONE, FAILED, RUNNING, WAITING))
    listed = ", ".join(f"{count:,} {state}" for state, count in counts if count)
    return f"trials: {listed}" if listed else "trials"


def duration(time: float) -> str:
    """Write hours."""
    if time >= 1:
        return f"{time:.1f} h"
    return f"{60 * time:.0f} min" if time >= 1 / 60 else f"{3600 * time:.0f} s"


def confirmed_grid(outcome: Outcome) -> Grid:
    """A line for each cell with fresh seeds."""
    rows = []
    for cell in outcome.confirmed:
        gap = ABSENT if cell.search_score is None else signed(cell.score - cell.search_score)
        fresh = with_seeds(cell, outcome.spread), str(len(cell.fresh))
        rows.append([described(cell), *fresh, number(cell.search_score), gap, first_of(cell)])
    header = ["cell", "mAP, fresh seeds\n[95 %]", "fresh\nseeds", "in the\nsearch"]
    return Grid("Confirmed with fresh seeds", [*header, "fresh -\nsearch", "trial"], rows)


def leaders_grid(outcome: Outcome) -> Grid:
    """A line for each of the best cells by what the search saw."""
    seen = sorted(
        (cell for cell in outcome.cells if cell.search_score is not None),
        key=lambda cell: -(cell.search_score or 0),
    )
    rows = [
        [
            described(cell),
            number(cell.search_score),
            str(len(cell.searched)),
            number(cell.fresh_score),
            cell.searched[0].proposer or ABSENT,
            first_of(cell),
        ]
        for cell in seen[:NUM_LEADERS]
    ]
    header = ["cell", "mAP in\nthe search", "seeds", "mAP, fresh\nseeds", "proposer", "trial"]
    return Grid("Best in the search", header, rows)


def first_of(cell: Cell) -> str:
    """Give the number of its first trial."""
    return str(min(trial.number for trial in cell.trials))


def front_grid(outcome: Outcome, objectives: Sequence[str], title: str) -> Grid:
    """A line for each cell that no other one equals or beats in all objectives."""
    rows = []
    for cell in outcome.front(objectives):
        values = [value_of(cell, name) for name in objectives if name != "map"]
        own = ["fresh" if cell.fresh else "search", str(len(cell.judged))]
        written = (ABSENT if value is None else short(value) for value in values)
        rows.append([described(cell), number(cell.score), *own, *written, first_of(cell)])
    measured = [TITLES[name] for name in objectives if name != "map"]
    return Grid(title, ["cell", "mAP", "seeds of", "n", *measured, "trial"], rows)


def proposals_grid(outcome: Outcome) -> Grid:
    """A line for each proposer."""
    rows = []
    for one in outcome.proposals():
        failed = sum(trial.state == FAILED for trial in one.trials)
        best = number(max(one.scores)) if one.scores else ABSENT
        middle = number(median(one.scores)) if one.scores else ABSENT
        made = str(one.made_from_others) if one.made_from_others else ABSENT
        better = f"{one.better} of {one.compared}" if one.compared else ABSENT
        counts = str(len(one.trials)), str(len(one.scores)), str(failed)
        rows.append([one.proposer or "not noted", *counts, best, middle, made, better])
    header = ["proposer", "trials", "done", "failed", "best", "median"]
    header += ["made from\nothers", "better than\nall parents"]
    return Grid("Who proposed", header, rows)


def failures_grid(outcome: Outcome) -> Grid:
    """A line for each cause."""
    found, total = outcome.failures(), outcome.count(FAILED)
    rows = [
        [
            one.cause,
            str(len(one.trials)),
            f"{len(one.trials) / total:.0%}",
            ", ".join(str(trial.number) for trial in one.trials[:3]),
        ]
        for one in found
    ]
    return Grid("Failures by cause", ["cause", "trials", "share", "for example"], rows)


def about_failures(outcome: Outcome) -> str:
    """Say what became of them."""
    failed, (again, through) = outcome.count(FAILED), outcome.retried()
    if not failed:
        return "No trial failed."
    said = f"{failed:,} of {len(outcome.trials):,} trials failed"
    return f"{said}; {again:,} were tried again, {through:,} of these came through."


def about_descent(outcome: Outcome) -> str:
    """Say how trials came from others; nothing where none did."""
    deepest = outcome.deepest()
    best = outcome.winner or outcome.leader
    if not deepest or best is None:
        return ""
    made = sum(bool(trial.parents) for trial in outcome.trials)
    said = f"{made:,} trials were made from others, over at most {deepest} generations."
    line = outcome.line_of(best)
    if len(line) == 1:
        return f"{said} The best, trial {line[0].number}, was not."
    shown = [f"{trial.number} ({number(trial.value)})" for trial in line[:LONGEST_LINE]]
    rest = len(line) - len(shown)
    more = f", and {rest} more" if rest else ""
    return f"{said} The best comes from: {' from '.join(shown)}{more}."
