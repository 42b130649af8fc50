"""One page for many predicted clips: a card each, with its curve, its alarms and a player.

The page needs no other file but the clips that it plays, and no network: its own policy forbids it.

Shapes: N moments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Self

import numpy as np

from collision.files import write_whole
from collision.metrics.alarms import Alarm
from collision.report.html import Html, asset, document, tag
from collision.types import Seconds

_WIDTH, _HEIGHT = 600.0, 100.0  # of a curve, in its own units
_MOST_POINTS = 1200  # of a curve: more than a card has pixels
_WEBP = "UklGR"  # its first bytes, RIFF, in base64
_FEW = 3  # alarms, from which on it is said that most are brief
_ORDERS = {
    "peak down": "highest risk",
    "first up": "first alarm",
    "alarms down": "number of alarms",
    "distance down": "least like the training",
    "name up": "name",
}


@dataclass(frozen=True, eq=False)
class ClipCard:
    """What a card shows.

    Attributes:
        name: As its files are called.
        source: Where the clip lies.
        times: Seconds ``[N]``; with ``probabilities [N]`` (NaN: nothing seen) and ``from_part``.
        failure: Why it was not predicted, or not all of it; empty otherwise.
        poster: A WebP or JPEG in base64; empty for none.
        player: Address of a video that a browser plays, relative to the page; empty for none.
        heat: A JPEG in base64 of where the model looked at the highest risk; empty for none.
        links: Other files of the clip, by what they are called; relative to the page.
        marks: In a few words each, why its scores should not be believed.
        is_fallback: Whether no threshold did on validation what was wanted of this one.
    """

    name: str
    source: str
    times: np.ndarray
    probabilities: np.ndarray
    from_part: np.ndarray
    first_time: Seconds = 0.0
    duration: Seconds = 0.0
    threshold: float | None = None
    event_time: Seconds | None = None
    alarms: Sequence[Alarm] = ()
    distance: float | None = None
    notes: Sequence[str] = ()
    failure: str = ""
    poster: str = ""
    player: str = ""
    heat: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    marks: Sequence[str] = ()
    is_fallback: bool = False

    @classmethod
    def without_scores(cls, name: str, source: str, failure: str) -> Self:
        """Make the card of a clip that was not predicted."""
        none = np.zeros(0)
        return cls(name, source, none, none, none.astype(bool), failure=failure)

    @property
    def peak(self) -> int | None:
        """Place of the highest probability; None where nothing was seen."""
        return None if np.isnan(self.probabilities).all() else int(np.nanargmax(self.probabilities))

    @property
    def risk(self) -> float | None:
        """The highest probability."""
        return None if self.peak is None else float(self.probabilities[self.peak])


def write_clips_page(
    path: Path, cards: Sequence[ClipCard], warnings: Iterable[str] = (), about: str = ""
) -> None:
    """Write the page; cards come by their highest risk, those that failed last.

    Args:
        path: Of the page.
        cards: In any order.
        warnings: Why the scores should not be believed, a sentence each.
        about: By which predictor, and how.
    """
    ordered = sorted(cards, key=lambda card: (card.risk is None, -(card.risk or 0), card.name))
    told = dict.fromkeys(warnings)
    page = document(
        "Predictions",
        tag("h1", "Predictions", class_="over"),
        tag("p", headline(cards), class_="headline"),
        [tag("p", text, class_="warning", role="note") for text in told],
        Html(_tools(ordered)) if len(cards) > 1 else None,
        legend(ordered),
        tag("div", Html("".join(map(_card, ordered))), class_="cards", id="cards"),
        Html('<p class="rest" id="rest" hidden></p>'),
        tag("footer", about),
        styles=[asset("clips.css")],
        scripts=[asset("clips.js")],
        media="'self' file:",
    )
    write_whole(path, page)


def headline(cards: Sequence[ClipCard]) -> str:
    """Say in a sentence what came out."""
    scored = [card for card in cards if card.risk is not None]
    alarmed = sum(bool(card.alarms) for card in scored)
    alarms = sum(len(card.alarms) for card in scored)
    hours = sum(card.duration for card in scored) / 3600
    length = f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"
    text = f"{_count(len(scored), 'clip')} ({length})"
    if any(card.threshold is not None for card in scored):
        text += (
            f": {_count(alarmed, 'clip')} with {_count(alarms, 'alarm')}{an_hour(alarms, hours)}"
        )
    if failed := sum(bool(card.failure) for card in cards):
        text += f"; {_count(failed, 'clip')} failed"
    hint = brief_alarms([alarm for card in scored for alarm in card.alarms])
    return f"{text}. {hint}".rstrip()


def an_hour(alarms: int, hours: float) -> str:
    """Say how often alarms come, in brackets; nothing of none."""
    if not alarms or not hours:
        return ""
    rate = alarms / hours
    return f" ({rate:.0f} an hour)" if rate >= 10 else f" ({rate:.1f} an hour)"


def brief_alarms(alarms: Sequence[Alarm]) -> str:
    """Say what helps where most alarms, of a few at least, last no time; empty elsewhere."""
    brief = sum(alarm.end <= alarm.start for alarm in alarms)
    if len(alarms) < _FEW or brief <= len(alarms) / 2:
        return ""
    return (
        f"{brief} of {len(alarms)} alarms last no longer than a moment: alarms.min_length=SECONDS "
        "counts only those that last."
    )


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _tools(cards: Sequence[ClipCard]) -> str:
    kinds = {"all": "all clips", "alarm": "with an alarm", "quiet": "without", "failed": "failed"}
    there = {"all", *map(_kind, cards)}
    shown = "".join(
        f'<option value="{k}">{words}</option>' for k, words in kinds.items() if k in there
    )
    orders = "".join(f'<option value="{k}">{words}</option>' for k, words in _ORDERS.items())
    return f"""<div class="controls">
<label>name contains<input id="find" type="search"></label>
<label>sorted by<select id="order">{orders}</select></label>
<label>shown<select id="only">{shown}</select></label>
<span id="count" role="status">{_count(len(cards), "clip")}</span></div>
"""


def legend(cards: Sequence[ClipCard]) -> Html:
    """Say what the marks of the curves are, of those that some card has."""
    level = "threshold (a fallback)" if any(card.is_fallback for card in cards) else "threshold"
    marks = {
        "line c0": ("risk: probability of a collision", True),
        "line dotted c0": ("risk from part of what it looks at", any(_is_dotted(c) for c in cards)),
        "line dashed c1": (level, any(card.threshold is not None for card in cards)),
        "band c4": ("alarm", any(card.alarms for card in cards)),
        "post c3": ("event", any(card.event_time is not None for card in cards)),
    }
    there = [(css, text) for css, (text, is_there) in marks.items() if is_there]
    return tag(
        "ul", [tag("li", tag("i", class_=css), text) for css, text in there], class_="legend"
    )


def _is_dotted(card: ClipCard) -> bool:
    return bool(card.from_part.any())


def _kind(card: ClipCard) -> str:
    if card.failure:
        return "failed"
    return "alarm" if card.alarms else "quiet"


def _card(card: ClipCard) -> str:
    name = escape(card.name)
    first = f"{card.alarms[0].start:.3f}" if card.alarms else ""
    sorts = {
        "name": name,
        "kind": _kind(card),
        "peak": "" if card.risk is None else f"{card.risk:.6f}",
        "first": first,
        "alarms": "" if card.risk is None else str(len(card.alarms)),
        "distance": "" if card.distance is None else f"{card.distance:.3f}",
    }
    data = " ".join(f'data-{key}="{value}"' for key, value in sorts.items())
    seeks = " seeks" if card.player else ""
    failure = f'<p class="failure">{escape(card.failure)}</p>\n' if card.failure else ""
    seen = ""
    if card.risk is not None:  # else nothing could be read of it
        seen = f"{_picture(card)}{_curve(card)}{_alarms(card)}{_heat(card)}"
    return (
        f'<article class="card{seeks}" {data}>\n<h2>{name}</h2>\n{_facts(card)}{failure}{seen}'
        f"{_details(card)}</article>\n"
    )


def _facts(card: ClipCard) -> str:
    if card.peak is None:
        return ""
    parts = [f"highest <b>{card.risk:.2f}</b> at {card.times[card.peak]:.2f} s"]
    if card.alarms:
        parts.append(
            f'<span class="on">{_count(len(card.alarms), "alarm")}</span>, '
            f"the first at <b>{card.alarms[0].start:.2f} s</b>"
        )
    elif card.threshold is not None:
        parts.append("no alarm")
    if card.event_time is not None:
        parts.append(f"event at {card.event_time:.2f} s")
        if card.alarms and card.alarms[0].start < card.event_time:
            parts.append(f"warned {card.event_time - card.alarms[0].start:.2f} s before")
    parts += [f"<b>{escape(mark)}</b>" for mark in card.marks]
    return f'<p class="facts">{"; ".join(parts)}</p>\n'


def _picture(card: ClipCard) -> str:
    kind = "webp" if card.poster.startswith(_WEBP) else "jpeg"
    image = f"data:image/{kind};base64,{escape(card.poster)}" if card.poster else ""
    label = escape(f"clip {card.name}")
    if card.player:
        poster = f' poster="{image}"' if image else ""
        return (
            f'<video controls preload="none" playsinline{poster} src="{escape(card.player)}" '
            f'aria-label="{label}"></video>\n'
        )
    return (
        f'<img class="still" alt="{label}, at its highest risk" src="{image}">\n' if image else ""
    )


def _alarms(card: ClipCard) -> str:
    if not card.alarms:
        return ""
    rows = []
    for alarm in card.alarms:
        until = "" if alarm.end == alarm.start else f"&ndash;{alarm.end:.2f}"
        words = f"{alarm.start:.2f}{until} s, highest {alarm.score:.2f}"
        plain = f"<span>{words}</span>"
        button = f'<button type="button" data-time="{alarm.start:.3f}">{words}</button>'
        rows.append(f"<li>{button if card.player else plain}</li>")
    return f'<ul class="alarms" aria-label="alarms">{"".join(rows)}</ul>\n'


def _heat(card: ClipCard) -> str:
    if not card.heat or card.peak is None:
        return ""
    words = f"where the model looked at {card.times[card.peak]:.2f} s"
    image = f"data:image/jpeg;base64,{escape(card.heat)}"
    return (
        f'<figure class="heat"><img alt="{words}, coloured magenta" src="{image}">'
        f"<figcaption>{words}</figcaption></figure>\n"
    )


def _details(card: ClipCard) -> str:
    lines = [card.source]
    if card.distance is not None:
        lines.append(f"distance from the training's videos: {card.distance:.2f} (limit 1)")
    lines += card.notes
    links = " ".join(
        f'<a href="{escape(to)}">{escape(what)}</a>' for what, to in card.links.items()
    )
    body = "".join(f"<p>{escape(line)}</p>" for line in lines) + (
        f"<p>{links}</p>" if links else ""
    )
    return f"<details><summary>file and notes</summary>{body}</details>\n"


def _curve(card: ClipCard) -> str:
    length = max(card.duration, float(card.times[-1]), 1e-3)
    assert card.peak is not None

    def across(time: float) -> str:
        return f"{min(1.0, max(0.0, time / length)) * _WIDTH:.1f}"

    def band(css: str, start: float, end: float) -> str:
        left, right = across(start), across(end)
        wide = max(2.0, float(right) - float(left))
        return f'<rect class="{css}" x="{left}" y="0" width="{wide:.1f}" height="{_HEIGHT:g}"/>'

    def line(css: str, place: str) -> str:
        return f'<line class="{css}" x1="{place}" x2="{place}" y1="0" y2="{_HEIGHT:g}"/>'

    shapes = [band("unseen", 0, card.first_time)] if card.first_time > 0 else []
    shapes += [band("alarm", alarm.start, alarm.end) for alarm in card.alarms]
    if card.threshold is not None:
        level = f"{(1 - card.threshold) * _HEIGHT:.1f}"
        shapes.append(f'<line class="threshold" x1="0" x2="{_WIDTH:g}" y1="{level}" y2="{level}"/>')
    shapes += [f'<path class="{css}" d="{path}"/>' for css, path in _paths(card, length) if path]
    if card.event_time is not None:
        shapes.append(line("event", across(card.event_time)))
    cursor = line('cursor" visibility="hidden', "0")
    words = f"risk over {length:.1f} s, highest {card.risk:.2f} at {card.times[card.peak]:.2f} s"
    return (
        f'<figure><svg class="flat curve" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" '
        f'preserveAspectRatio="none" data-length="{length:.3f}" aria-label="{words}">'
        f'{"".join(shapes)}{cursor}</svg>\n<div class="axis"><span>0 s</span>'
        f"<span>risk 0 to 1</span><span>{length:.1f} s</span></div></figure>\n"
    )


def _paths(card: ClipCard, length: float) -> list[tuple[str, str]]:
    """Give the curve's pieces: from whole windows, and dotted where an end is from a part."""
    kept = _thinned(card.probabilities)
    times, values, part = card.times[kept], card.probabilities[kept], card.from_part[kept]
    pieces: dict[str, list[str]] = {"risk": [], "part": []}
    points = [
        "" if np.isnan(v) else f"{min(1.0, t / length) * _WIDTH:.1f} {(1 - v) * _HEIGHT:.1f}"
        for t, v in zip(times.tolist(), values.tolist(), strict=True)
    ]
    last = ""  # whose line goes on
    for number, point in enumerate(points):
        before = points[number - 1] if number else ""
        css = "part" if part[number] or (before and part[number - 1]) else "risk"
        if not point:
            last = ""
        elif not before:  # a moment alone is a dot: a line of no length, with round ends
            pieces[css].append(f"M{point}h.1")
        else:
            pieces[css].append(f"L{point}" if css == last else f"M{before}L{point}")
            last = css
    return [(css, "".join(path)) for css, path in pieces.items()]


def _thinned(values: np.ndarray) -> np.ndarray:
    """Give places ``[n]`` of a long curve: the lowest and the highest of each stretch."""
    if len(values) <= _MOST_POINTS:
        return np.arange(len(values))
    kept = {0, len(values) - 1}
    for stretch in np.array_split(np.arange(len(values)), _MOST_POINTS // 2):
        own = values[stretch]
        if np.isnan(own).any():
            kept.add(int(stretch[np.isnan(own)][0]))
        if not np.isnan(own).all():
            kept |= {int(stretch[np.nanargmin(own)]), int(stretch[np.nanargmax(own)])}
    return np.array(sorted(kept))
