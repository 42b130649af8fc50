"""Cards of clips as parts of a page: pictures or a clip, the risk curve, and what is known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track

from collision.evaluation.numbers import MAX_SLICES
from collision.files import write_whole
from collision.option_groups import ClipsMode
from collision.report.curve import Axis, curve
from collision.report.footage import Footage, footage_of
from collision.report.gallery import HARD, RIGHT, WRONG, Card
from collision.report.html import Html, data_address, tag

FOLDER = "clips"  # beside the page, of clips=link
# What embedded clips may take of a page; pictures and plots come on top.
MOST_EMBEDDED = 9_000_000
_FEW_TAGS = 6  # are shown; more are folded
_ORDER = {WRONG: 0, HARD: 1, RIGHT: 2}


@dataclass
class Gallery:
    """The cards of a page, and where its clips go.

    Attributes:
        folder: Of the page.
        mode: ClipsMode ``embed`` in the page, ``link`` beside it, or ``none``; pictures stay.
    """

    folder: Path
    mode: ClipsMode = "embed"
    console: Console | None = None
    cards: list[Card] = field(default_factory=list)

    def write(self) -> tuple[Html | None, list[str]]:
        """Look at the videos; give the gallery and the addresses that its clips come from."""
        if self.mode == "link":
            (self.folder / FOLDER).mkdir(exist_ok=True)
        self._forget_clips()
        if not self.cards:
            return None, []
        many = len(self.cards) > 1 and self.console is not None
        steps = track(self.cards, "Clips for the page", console=self.console, disable=not many)
        left = MOST_EMBEDDED
        made = []
        for number, card in enumerate(steps):
            footage = seen_of(card, self.mode != "none")
            address, note = None, ""
            if footage.clip is not None and self.mode == "link":
                name = f"{FOLDER}/clip_{number:03d}.mp4"
                write_whole(self.folder / name, footage.clip)
                address = name
            elif footage.clip is not None and len(footage.clip) * 4 / 3 <= left:
                left -= len(footage.clip) * 4 // 3
                address = data_address(footage.clip, "video/mp4")
            elif footage.clip is not None:
                note = "No clip: the page is full. clips=link puts all beside it."
            made.append(card_html(card, footage, address, note))
        return gallery_html(self.cards, made), ["'self'", "file:"] * (self.mode == "link")

    def _forget_clips(self) -> None:
        for old in (self.folder / FOLDER).glob("clip_*.mp4"):
            old.unlink()


def seen_of(card: Card, with_clip: bool) -> Footage:
    """Look at a card's video around its cut."""
    if card.clip is None:
        return Footage(why="Where the clip lies is not known: no clips.json, or not in it.")
    cut = card.cut
    if cut is None:
        cut = card.clip.event_time
    if cut is None:
        return Footage(why="No moment of it could be scored.")
    return footage_of(card.clip, cut, card.seen, with_clip)


def gallery_html(cards: Sequence[Card], made: Iterable[Html]) -> Html:
    """Put cards under their controls."""
    kinds = list(dict.fromkeys(card.kind for card in cards))
    choices = [name for name in _ORDER if any(card.choice == name for card in cards)]
    horizons = sorted({card.horizon for card in cards}, key=float)
    tags = _filters(cards)
    sets = list(dict.fromkeys(card.dataset for card in cards))
    controls = [
        *([_choice("choice", "show", [("", "all"), *((n, n) for n in choices)])] * bool(choices)),
        _choice("label", "class", [("", "both"), ("1", "positives"), ("0", "negatives")]),
        _choice("kind", "outcome", [("", "all"), *((kind, kind) for kind in kinds)]),
        _choice("horizon", "horizon", [("", "all"), *((h, f"{h} s") for h in horizons)]),
    ]
    if tags:
        named = [(json.dumps([name, value]), f"{name}: {value}") for name, value in tags]
        controls.append(_choice("tag", "tag", [("", "all"), *named]))
    if len(sets) > 1:
        controls.append(_choice("set", "data set", [("", "all"), *((n, n) for n in sets)]))
    orders = [("order", "as chosen"), ("error", "error"), ("score", "score")]
    orders += [("sd", "seeds' spread")] if any(card.sd for card in cards) else []
    controls.append(_choice("sort", "sort by", [*orders, ("name", "name")]))
    count = tag("output", f"{len(cards)} clips", class_="count", aria_live="polite")
    return tag(
        "div",
        tag("form", controls, count, class_="controls script", aria_label="Which clips are shown"),
        tag("div", made, class_="cards"),
        class_="gallery",
    )


def _filters(cards: Sequence[Card]) -> list[tuple[str, str]]:
    """List the tags that part the cards into a few kinds; a tag of many values names clips."""
    values: dict[str, set[str]] = {}
    for name, value in {pair for card in cards for pair in _tags_of(card) if pair[1]}:
        values.setdefault(name, set()).add(value)
    few = {name: found for name, found in values.items() if len(found) <= MAX_SLICES}
    return sorted((name, value) for name, found in few.items() for value in found)


def _choice(name: str, label: str, values: Iterable[tuple[str, str]]) -> Html:
    options = [tag("option", shown, value=value) for value, shown in values]
    return tag("label", tag("span", label), tag("select", options, name=name))


def card_html(card: Card, footage: Footage, address: str | None, note: str = "") -> Html:
    """Draw one card; ``address`` is that of its clip, if it has one."""
    axis = Axis.of(card, footage)
    score = "no score" if card.score is None else card.form.format(card.score)
    head = tag(
        "header",
        tag("span", _mark(card), " ", card.kind, class_=f"kind {_side(card)}"),
        tag("span", score, class_="score", title=card.about_score),
    )
    about = tag("h3", card.video)
    facts = list(_facts(card))
    tags = [f"{name}: {value}" for name, value in _tags_of(card) if value]
    if len(tags) <= _FEW_TAGS:
        facts += tags
        tags = []
    told = [tag("p", text, class_="note") for text in (footage.why, note) if text]
    return tag(
        "article",
        head,
        _screen(card, footage, address),
        _strip(footage, card),
        curve(card, axis),
        about,
        _listed(facts),
        tag("details", tag("summary", f"{len(tags)} tags"), _listed(tags)) if tags else None,
        told,
        class_=f"card {_side(card)}",
        data_choice=card.choice,
        data_label=str(card.label),
        data_kind=card.kind,
        data_horizon=card.horizon,
        data_set=card.dataset,
        data_name=card.video,
        data_error=_number(card.error),
        data_score=_number(-1.0 if card.score is None else card.score),
        data_sd=_number(card.sd),
        data_tags=json.dumps([[name, value] for name, value in _tags_of(card)]),
        data_start=_number(footage.start),
        data_from=_number(axis.start),
        data_to=_number(axis.stop),
    )


def _listed(facts: Iterable[str]) -> Html:
    return tag("ul", [tag("li", fact) for fact in facts], class_="facts")


def _side(card: Card) -> str:
    return "good" if card.is_good else "bad"


def _mark(card: Card) -> Html:
    """A sign beside the words, for those who do not see the colour."""
    return tag("b", "✕" if _side(card) == "bad" else "✓", aria_hidden="true")


def _screen(card: Card, footage: Footage, address: str | None) -> Html | None:
    if footage.picture is None:
        return None
    picture = data_address(footage.picture, "image/webp")
    said = f"{card.video} at {card.cut or 0:.2f} s"
    if address is None:
        return tag("div", tag("img", src=picture, alt=said), class_="screen")
    player: dict[str, str | bool] = {"controls": True, "muted": True, "playsinline": True}
    video = tag("video", src=address, poster=picture, preload="none", aria_label=said, **player)
    return tag("div", video, class_="screen")


def _strip(footage: Footage, card: Card) -> Html | None:
    """The pictures under their times; the one after the cut was not seen by the predictor."""
    if not footage.strip:
        return None
    pictures = []
    for time, data in footage.strip:
        image = tag("img", src=data_address(data, "image/webp"), alt="")
        shown = tag(
            "button",
            image,
            tag("span", moment_words(card, time)),
            type="button",
            data_time=_number(time),
        )
        pictures.append(tag("li", shown, class_="after" if _is_after(card, time) else None))
    return tag("ul", pictures, class_="strip")


def moment_words(card: Card, time: float) -> str:
    """Say when a picture of the strip is, and whether that is the cut or after it."""
    words = f"{time:.2f} s"
    if _is_after(card, time):
        is_event = card.clip is not None and card.clip.event_time == time
        return words + (" event" if is_event else " later")
    is_cut = card.cut is not None and abs(time - card.cut) < 1e-6
    return words + " cut" if is_cut else words


def _is_after(card: Card, time: float) -> bool:
    return card.cut is not None and time > card.cut + 1e-6


def _facts(card: Card) -> Iterator[str]:
    yield f"highest {card.horizon} s before" + (" the event" if card.label else " its anchor")
    if len(card.by_seed) > 1:
        each = ", ".join(f"{one:.2f}" for one in card.by_seed)
        yield f"seeds {each} (sd {card.sd:.2f})"
    yield from card.facts
    if card.clip and card.clip.event_time is not None:
        yield f"event {card.clip.event_time:.2f} s"
    if card.clip and card.clip.alert_time is not None:
        yield f"could be foreseen from {card.clip.alert_time:.2f} s"


def _tags_of(card: Card) -> list[tuple[str, str]]:
    return sorted(card.tags.items())


def _number(value: float) -> str:
    return f"{value:.6g}"
