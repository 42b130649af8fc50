"""What a search comes to, in sentences and tables, for its page and for Markdown."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from statistics import median

from collision.report.charts import short
from collision.report.tables import ABSENT, Grid, number, signed
from collision.search.outcomes import Outcome, Spread, TriedExperiment, hours, value_of
from collision.search.trials import DONE, FAILED, RUNNING, WAITING, Trial

LEVEL = 0.95
TITLES = {
    "map": "mAP on validation",
    "parameters": "parameters of the head",
    "windows_per_second": "windows a second that the head scores",
}
NUM_LEADERS = 10
LONGEST_LINE = 8  # generations of a descent that are listed


def described(experiment: TriedExperiment) -> str:
    """Name an experiment: its cell, and in parentheses what it chose within that."""
    point = experiment.point
    within = ", ".join(f"{key.rpartition('.')[2]} {name}" for key, name in point.within.items())
    return " · ".join(point.cell.values()) + (f" ({within})" if within else "")


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


def _of_winner(outcome: Outcome, winner: TriedExperiment) -> list[str]:
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


def _beside_next(winner: TriedExperiment, other: TriedExperiment, spread: Spread | None) -> str:
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


def _of_leader(outcome: Outcome, leader: TriedExperiment) -> list[str]:
    if outcome.confirming:
        state = "The best are being confirmed"
    else:
        state = "Running, not confirmed" if outcome.running else "Not confirmed"
    seeds = f"{len(leader.searched)} seed{'s' * (len(leader.searched) > 1)}"
    first = (
        f"{state}: the best of {outcome.num_searched:,} experiments has "
        f"{number(leader.search_score)} mAP on validation with {seeds}: {described(leader)}."
    )
    return [first, luck(outcome)]


def luck(outcome: Outcome) -> str:
    """Say how far luck alone lifts the best of so many."""
    if outcome.luck is None or outcome.spread is None:
        return (
            "How much of that is luck is not known: no experiment has two seeds, so how far seeds "
            "move the score was never seen."
        )
    return (
        f"Luck of the maximum: were all {outcome.num_searched:,} experiments equal, the best would "
        f"still lie {number(outcome.luck)} above their mean (seeds of one experiment differ by an "
        f"sd of {sd(outcome.spread)}, {outcome.spread.df} degrees of freedom)."
    )


def sd(spread: Spread) -> str:
    """Write an sd, which may be small."""
    return f"{spread.sd:.2g}".removeprefix("0")


def with_seeds(experiment: TriedExperiment, spread: Spread | None) -> str:
    """Write an experiment's score, with the interval that the spread between seeds leaves."""
    if spread is None:
        return number(experiment.score)
    reach = _quantile(spread.df) * spread.sd / math.sqrt(len(experiment.judged))
    score = experiment.score
    return f"{number(score)} [{number(score - reach)}, {number(score + reach)}]"


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
    counts = [(state, outcome.count(state)) for state in (DONE, RUNNING, WAITING)]
    counts[1:1] = [(FAILED, len(outcome.failed)), ("lost with their worker", len(outcome.lost))]
    listed = ", ".join(f"{count:,} {state}" for state, count in counts if count)
    return f"trials: {listed}" if listed else "trials"


def duration(time: float) -> str:
    """Write hours."""
    if time >= 1:
        return f"{time:.1f} h"
    return f"{60 * time:.0f} min" if time >= 1 / 60 else f"{3600 * time:.0f} s"


def confirmed_grid(outcome: Outcome) -> Grid:
    """A line for each experiment with fresh seeds."""
    rows = []
    for one in outcome.confirmed:
        gap = ABSENT if one.search_score is None else signed(one.score - one.search_score)
        fresh = with_seeds(one, outcome.spread), str(len(one.fresh))
        rows.append([described(one), *fresh, number(one.search_score), gap, first_of(one)])
    header = ["experiment", "mAP, fresh seeds\n[95 %]", "fresh\nseeds", "in the\nsearch"]
    return Grid("Confirmed with fresh seeds", [*header, "fresh -\nsearch", "trial"], rows)


def leaders_grid(outcome: Outcome) -> Grid:
    """A line for each of the best experiments by what the search saw."""
    seen = sorted(
        (one for one in outcome.experiments if one.search_score is not None),
        key=lambda one: -(one.search_score or 0),
    )
    rows = [
        [
            described(experiment),
            number(experiment.search_score),
            str(len(experiment.searched)),
            number(experiment.fresh_score),
            experiment.searched[0].proposer or ABSENT,
            first_of(experiment),
        ]
        for experiment in seen[:NUM_LEADERS]
    ]
    header = ["experiment", "mAP in\nthe search", "seeds", "mAP, fresh\nseeds", "proposer", "trial"]
    return Grid("Best in the search", header, rows)


def first_of(experiment: TriedExperiment) -> str:
    """Give the number of its first trial."""
    return str(min(trial.number for trial in experiment.trials))


def front_grid(outcome: Outcome, objectives: Sequence[str], title: str) -> Grid:
    """A line for each experiment that no other one equals or beats in all objectives."""
    rows = []
    for one in outcome.front(objectives):
        values = [value_of(one, name) for name in objectives if name != "map"]
        own = ["fresh" if one.fresh else "search", str(len(one.judged))]
        written = (ABSENT if value is None else short(value) for value in values)
        rows.append([described(one), number(one.score), *own, *written, first_of(one)])
    measured = [TITLES[name] for name in objectives if name != "map"]
    return Grid(title, ["experiment", "mAP", "seeds of", "n", *measured, "trial"], rows)


def proposals_grid(outcome: Outcome) -> Grid:
    """A line for each proposer."""
    rows, of_its_own = [], {trial.number for trial in outcome.failed}
    for one in outcome.proposals():
        failed = sum(trial.number in of_its_own for trial in one.trials)
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
    found, total = outcome.failures(), len(outcome.failed)
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
    failed, (again, through) = len(outcome.failed), outcome.retried()
    lost = f" {len(outcome.lost):,} lost with their worker, asked again." if outcome.lost else ""
    if not failed:
        return f"No trial failed.{lost}"
    said = f"{failed:,} of {len(outcome.trials):,} trials failed"
    return f"{said}; {again:,} were tried again, {through:,} of these came through.{lost}"


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
