"""The page of a search, ``search.html``, and the same without pictures, ``search.md``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from collision.files import write_whole
from collision.report.charts import score_scale
from collision.report.html import Html, asset, document, tag
from collision.report.page import Picture
from collision.report.parts import command, picture, scrolled, table, tile
from collision.report.tables import Grid, as_markdown
from collision.search import words
from collision.search.heat import choosable, heat_map
from collision.search.outcomes import Outcome, objective_of
from collision.search.page_data import page_data
from collision.search.pictures import (
    front_picture,
    growth,
    growth_legend,
    panel_picture,
    panels,
)
from collision.search.space import Space
from collision.search.trials import Trial

COMMAND = "command"  # the fact that each trial's command begins with
DEFAULT_COMMAND = "python train.py"
MANY = 3000  # trials, beyond which dots are smaller
_ASSETS = Path(__file__).with_name("assets")


def write_page(
    folder: Path,
    name: str,
    space: Space,
    trials: Sequence[Trial],
    facts: Mapping[str, str],
    objectives: Sequence[str] = ("map",),
    pictures: Sequence[Picture] = (),
) -> Path:
    """Write ``search.html``, which needs no other file and no network, and ``search.md``.

    ``facts`` describe the search, by name; ``command`` is what each trial's command begins with,
    such as ``python train.py dataset=synthetic``. The first of ``objectives`` is ``map``, further
    ones ``parameters`` and ``windows_per_second``. Further ``pictures``, such as the archive of
    MAP-Elites, stand below the proposers. The page's path is returned.
    """
    outcome = Outcome.of(trials)
    made = time.strftime("%Y-%m-%d %H:%M:%S")
    facts = {**facts, "page made": made}
    page = folder / "search.html"
    write_whole(folder / "search.md", as_markdown_page(name, space, outcome, facts, objectives))
    write_whole(page, as_html_page(name, space, outcome, facts, objectives, pictures))
    return page


def as_html_page(
    name: str,
    space: Space,
    outcome: Outcome,
    facts: Mapping[str, str],
    objectives: Sequence[str],
    pictures: Sequence[Picture] = (),
) -> str:
    """Give the page as one file."""
    body = [
        *_head(name, space, outcome, facts),
        *_best(outcome, facts),
        *_growth(outcome),
        *_heat(space, outcome),
        *_choices(space, outcome),
        *_fronts(outcome, objectives),
        *_proposers(outcome),
        *(picture(one.path, one.caption) for one in pictures),
        *_failures(outcome),
        *_trials(outcome),
        *_facts(facts),
    ]
    return document(
        f"Search {name}",
        body,
        styles=[_asset("search.css")],
        scripts=[asset("paged_table.js"), _asset("search.js")] if outcome.trials else [],
        data={"search-data": page_data(space, outcome, facts.get(COMMAND, DEFAULT_COMMAND))},
    )


def as_markdown_page(
    name: str, space: Space, outcome: Outcome, facts: Mapping[str, str], objectives: Sequence[str]
) -> str:
    """Give headline, warnings and tables as Markdown; all trials are in the page alone."""
    parts = [f"# Search {_plain(name)}", _plain(_line(space, outcome)), *_sentences(outcome)]
    parts += [f"**Warning**: {_plain(warning)}" for warning in outcome.warnings()]
    grids = [words.confirmed_grid(outcome), words.leaders_grid(outcome)]
    grids += [grid for grid, _ in front_grids(outcome, objectives)]
    grids += [words.proposals_grid(outcome), words.failures_grid(outcome), _facts_grid(facts)]
    for grid in grids:
        if grid.rows:
            parts += [f"## {grid.title}", as_markdown(grid).replace("[", "\\[")]
    if best := outcome.winner or outcome.leader:
        start = facts.get(COMMAND, DEFAULT_COMMAND)
        parts += ["## Train the best again", f"```sh\n{words.command(best.trials[0], start)}\n```"]
    return "\n\n".join(parts) + "\n"


def _sentences(outcome: Outcome) -> list[str]:
    first, *rest = words.headline(outcome)
    return [f"**{_plain(first)}**", *map(_plain, rest)]


def _plain(text: str) -> str:
    """Keep names from being taken for Markdown or HTML."""
    text = " ".join(text.split()).replace("\\", "\\\\").replace("<", "&lt;").replace("[", "\\[")
    return text.replace("*", "\\*").replace("`", "\\`")


def _line(space: Space, outcome: Outcome) -> str:
    return f"Space {space.name}: {space.size:,} cells; {len(outcome.trials):,} trials."


def _head(name: str, space: Space, outcome: Outcome, facts: Mapping[str, str]) -> Iterator[Html]:
    yield tag("h1", f"Search {name}", class_="over")
    yield tag("p", f"{_line(space, outcome)} Page made {facts['page made']}.", class_="muted")
    first, *rest = words.headline(outcome)
    yield tag("p", first, class_="headline")
    yield from (tag("p", text) for text in rest)
    yield from (
        tag("div", tag("b", "Warning"), text, class_="warning", role="note")
        for text in outcome.warnings()
    )
    yield tag("div", [tile(own, text) for own, text in words.tiles(outcome)], class_="tiles")


def _best(outcome: Outcome, facts: Mapping[str, str]) -> Iterator[Html]:
    confirmed = words.confirmed_grid(outcome)
    if confirmed.rows:
        said = "Seeds that no policy saw, trained after the search chose these experiments."
        yield from _titled(confirmed, said)
    yield from _titled(words.leaders_grid(outcome), "Chosen by these scores: luck has helped them.")
    if best := outcome.winner or outcome.leader:
        start = facts.get(COMMAND, DEFAULT_COMMAND)
        yield tag("p", f"To train {'the winner' if outcome.winner else 'the first'} again:")
        yield command(words.command(best.trials[0], start))


def _growth(outcome: Outcome) -> Iterator[Html]:
    over = {by: growth(outcome, by) for by in ("number", "hours")}
    if not over["number"]:
        return
    many = len(outcome.trials) > MANY
    yield tag("h2", "How the best grew")
    if over["hours"]:
        yield _switch({"growth-number": "by trial", "growth-hours": "by hours"})
    for by, drawn in over.items():
        yield tag("div", drawn, id=f"growth-{by}", class_="many" if many else None)
    yield growth_legend(outcome)


def _switch(names: Mapping[str, str]) -> Html:
    buttons = (
        tag("button", text, type="button", data_shows=shown) for shown, text in names.items()
    )
    return tag("div", *buttons, class_="controls screen", data_switch=True, hidden=True)


def _heat(space: Space, outcome: Outcome) -> Iterator[Html]:
    dimensions = choosable(space)
    if len(dimensions) < 2 or not outcome.searched:
        return
    down, across = dimensions[:2]

    def choice(name: str, title: str, options: Sequence[str], chosen: int) -> Html:
        listed = (
            tag("option", text, value=str(place), selected=place == chosen)
            for place, text in enumerate(options)
        )
        return tag("label", title, tag("select", *listed, name=name))

    keys = [dimension.key for dimension in dimensions]
    modes = (
        tag("option", text, value=value)
        for value, text in (("best", "best"), ("mean", "mean"), ("count", "number of trials"))
    )
    controls = (
        choice("down", "rows", keys, 0),
        choice("across", "columns", keys, 1),
        tag("label", "shade and large figure", tag("select", *modes, name="mode")),
    )
    yield tag("h2", f"{down.key} by {across.key}")
    said = (
        "Large: the best mAP; small: mean and number of trials. Confirmations are left out. "
        "More trials, more luck: compare the best of two places only where their numbers are alike."
    )
    yield tag("p", said, class_="muted")
    yield tag("div", *controls, class_="controls screen", id="heat-controls", hidden=True)
    whole = tag("div", heat_map(outcome, down, across), id="heat")
    yield scrolled(whole, f"{down.key} by {across.key}")


def _choices(space: Space, outcome: Outcome) -> Iterator[Html]:
    found = panels(space, outcome)
    if not found:
        return
    scale = score_scale([float(trial.value or 0) for trial in outcome.searched])
    yield tag("h2", "What was chosen, and what it reached")
    said = (
        "Shares are omega squared, beyond what chance gives: beside the other dimensions, and of "
        "each alone. A search tries good choices more often, and good ones together, so the share "
        "alone is partly that of others, and neither proves that a factor matters: a designed run "
        "does. Bar: the middle half; line: median, of a number that of each fifth of the trials. "
        "Where there are very many trials, not all dots are drawn, but evenly spaced ones."
    )
    yield tag("p", said, class_="muted")
    yield tag("div", *(panel_picture(one, scale) for one in found), class_="panels")


def front_grids(outcome: Outcome, objectives: Sequence[str]) -> list[tuple[Grid, Sequence[str]]]:
    """Give the front of the search's objectives, or where it has one alone, those against size."""
    if len(objectives) > 1:
        return [(words.front_grid(outcome, objectives, "Pareto front"), objectives)]
    beside: tuple[str, ...] = ("map", "parameters")
    if not any(objective_of(trial, "parameters") for trial in outcome.searched):
        return []
    return [(words.front_grid(outcome, beside, "Aside: the best by size of the head"), beside)]


def _fronts(outcome: Outcome, objectives: Sequence[str]) -> Iterator[Html]:
    for grid, names in front_grids(outcome, objectives):
        said = (
            "Experiments that no other one equals or beats in everything. Scores of fresh seeds "
            "where there are some; the others were looked for, and luck has helped them."
        )
        yield from _titled(grid, said)
        front = outcome.front(names)
        for name in names[1:]:
            title = words.TITLES[name]
            yield front_picture(outcome, front, name, title, line=len(names) == 2)


def _proposers(outcome: Outcome) -> Iterator[Html]:
    yield from _titled(words.proposals_grid(outcome), words.about_descent(outcome))


def _failures(outcome: Outcome) -> Iterator[Html]:
    yield tag("h2", "Failures")
    yield tag("p", words.about_failures(outcome))
    yield table(words.failures_grid(outcome))


def _trials(outcome: Outcome) -> Iterator[Html]:
    yield tag("h2", "All trials")
    if not outcome.trials:
        yield tag("p", "There is none yet.")
        return
    said = "A number opens its trial: the command that repeats it, and where it came from."
    yield tag("p", said, class_="muted screen")
    yield tag("noscript", tag("p", "This table needs JavaScript, which is switched off."))
    yield tag("div", id="trials", class_="screen")
    yield tag("p", "They are in the page itself, as search.html.", class_="muted paper")


def _facts(facts: Mapping[str, str]) -> Iterator[Html]:
    yield from _titled(_facts_grid(facts), "", css="facts")


def _facts_grid(facts: Mapping[str, str]) -> Grid:
    named = {"each trial's command begins": facts.get(COMMAND, DEFAULT_COMMAND)}
    rows = {**{k: v for k, v in facts.items() if k != COMMAND}, **named}
    return Grid(
        "How it was searched", ["property", "value"], [[k, str(v)] for k, v in rows.items()]
    )


def _titled(grid: Grid, said: str, css: str = "") -> Iterator[Html]:
    if grid.rows:
        yield tag("h2", grid.title)
        if said:
            yield tag("p", said, class_="muted")
        yield table(grid, css=css)


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")
