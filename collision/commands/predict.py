"""Draw the probability of a collision over the time of video clips, or follow it in a stream."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import quote

from collision import api
from collision.checks import user_path
from collision.commands._clips import Clip, clips_of, read_event_times
from collision.commands._predicted import (
    Finished,
    Outcome,
    Shelf,
    finished_of,
    load_parquet,
    suffix,
    write_curve,
    write_tables,
)
from collision.commands._told import alarms_said, lines_of, marks_of, told_of_all
from collision.console import progress_console, say_result, warning_console
from collision.errors import CollisionError, VideoDecodeError
from collision.features.progress import ExtractionProgress
from collision.files import write_whole
from collision.heatmap.maps import HeatMap
from collision.learning.predictor_files import find_predictors
from collision.metrics.alarms import AlarmRule, alarming
from collision.options import PredictOptions
from collision.prediction import Moments, Prediction, small_picture
from collision.report.clips_page import ClipCard, write_clips_page
from collision.runs.doubts import NO_DISTANCE, Doubts
from collision.types import Seconds
from collision.video.addresses import is_live
from collision.video.index import VideoIndex

SMALL = 360  # pixels on the shorter side of a clip that is coded anew for the page
HEAT = "1"  # raise it when heat maps are made otherwise
OVERLAY = "3"  # raise it when overlays are painted otherwise
# What browsers play, as it is: suffixes, and the codecs in them.
_PLAYED = {
    **dict.fromkeys(("mp4", "m4v", "mov"), ("h264", "av1", "vp9")),
    "webm": ("vp8", "vp9", "av1"),
}
_WHAT = {
    "look": "where it looked",
    "png": "picture",
    "csv": "curve (CSV)",
    "jsonl": "curve (JSON lines)",
    "parquet": "curve (Parquet)",
}


def run(options: PredictOptions, paths: list[str]) -> int:
    """Predict each clip; one that fails is told and the rest go on."""
    if is_live(paths[0]):
        from collision.commands._streamed import follow  # what files do not need

        return follow(options, paths[0])
    if "parquet" in options.formats:
        load_parquet()
    clips = clips_of(paths)[: options.limit]
    events = read_event_times(options.events, clips) if options.events else {}
    console = progress_console()
    if options.events:
        text = f"event times of {len(events)} of {len(clips)} clips in {options.events}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    model = api.load(options.checkpoint, trust=options.trust, cache_root=options.cache_root)
    model.check_foresees()
    options.output.mkdir(parents=True, exist_ok=True)
    work = Work(options, model, events)
    outcomes: list[Outcome] = []
    try:
        with ExtractionProgress(len(clips) > 1 or options.heatmap) as progress:
            work.on_heat = lambda name, share: progress.slowest(f"heat map of {name}: {share:.0%}")
            steps = {clip.source: 1 for clip in clips}
            progress.start("Predicting", steps, len(clips), "clips")
            for clip in clips:
                outcomes.append(work.outcome(clip))
                for line in lines_of(outcomes[-1]):
                    console.print(line, markup=False, highlight=False, soft_wrap=True)
                progress.advance(clip.source, 1)
    finally:  # also of those that were finished before something ended it
        if outcomes:
            work.write_all(outcomes)
    for text in (*told_of_all(outcomes), *work.warnings):
        warning_console(console).print(
            f"warning: {text}", markup=False, highlight=False, soft_wrap=True
        )
    page = options.output / "predictions.html"
    say_result(alarms_said(outcomes, work.doubts.is_fallback))
    text = f"All clips: {page}, with summary.csv and alarms.csv beside it"
    say_result(text)
    if failures := [one.failure for one in outcomes if one.failure]:
        without = sum(one.prediction is None for one in outcomes)
        what = "gave no prediction" if without == len(failures) else "failed"
        raise CollisionError(
            f"{len(failures)} of {len(clips)} clip(s) {what}:\n  " + "\n  ".join(failures)
        )
    return 0


class Work:
    """Predicts clips, and writes what is asked for of each."""

    def __init__(self, options: PredictOptions, model: api.Model, events: dict[str, Seconds]):
        self.options, self.model, self.events = options, model, events
        self.rule = AlarmRule(**asdict(options.alarms))
        self.moments = Moments(options.every, options.frame_rate, None, options.video_stream)
        self.shelf = Shelf(options.output)
        self.doubts = Doubts.of(model.predictors[0], model.path)
        predictor = find_predictors(model.path)[0].read_bytes()
        asked = [
            hashlib.sha256(predictor).hexdigest(),
            *(options.every, options.frame_rate, options.video_stream),
            options.extraction.reader,
        ]
        self.asked = json.dumps(asked)
        self.on_heat: Callable[[str, float], None] = lambda name, share: None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why the predictor's scores should not be believed, whatever clip they are of."""
        is_measured = self.model.predictors[0].known is not None
        return (*self.doubts.texts, *(() if is_measured else (NO_DISTANCE,)))

    def outcome(self, clip: Clip) -> Outcome:
        """Predict a clip; whatever is wrong with it is what came out."""
        nothing = Outcome(clip.name, clip.source, given=_shown(clip))
        try:
            with local_file(clip.given) as path:
                return self._predicted(clip, path)
        except VideoDecodeError as error:
            return nothing.failed(str(error))
        except (CollisionError, OSError):  # of the model, the signal or the disk: true of all clips
            raise
        except Exception as error:  # one odd clip must not cost the others
            return nothing.failed(f"{clip.given}: {type(error).__name__}: {error}")

    def _predicted(self, clip: Clip, path: Path) -> Outcome:
        options, source = self.options, self.model.source
        key = source.digests.content(path, options.frame_rate, options.video_stream)
        kept = self.shelf.find(clip.source, key, self.asked)
        if kept is None:
            said = self.model.predict(path, self.moments, options.extraction)
            name = self.shelf.name_for(clip.name, clip.source, self.asked)
            kept = finished_of(said, clip.source, key, self.asked, name)
            self.shelf.keep(kept)
        event_time = self.events.get(clip.source, options.event_time)
        shown = path if not clip.is_address else Path(Path(clip.name).name)
        said = kept.prediction(shown, event_time, self.rule)
        outcome = Outcome(kept.name, clip.source, kept, said, given=_shown(clip))
        files = _Files(self, clip, path, kept, said)
        try:
            player = files.make_all()
        except VideoDecodeError as error:
            return outcome.failed(str(error))
        return replace(outcome, finished=files.kept, player=player, is_new=files.is_new)

    def write_all(self, outcomes: Sequence[Outcome]) -> None:
        """Write what is about all clips."""
        output = self.options.output
        write_tables(outcomes, output)
        about = f"Predictor: {self.model.path}; a probability every {self.options.every:g} s; "
        about += f"alarms: hysteresis {self.rule.hysteresis:g}, at least "
        about += f"{self.rule.min_length:g} s, one in {self.rule.refractory:g} s."
        cards = [self.card(outcome) for outcome in outcomes]
        told = (*told_of_all(outcomes), *self.warnings)
        write_clips_page(output / "predictions.html", cards, told, about)

    def card(self, outcome: Outcome) -> ClipCard:
        """Give what a page shows of a clip."""
        kept, said = outcome.finished, outcome.prediction
        if kept is None or said is None:
            return ClipCard.without_scores(outcome.name, outcome.source, outcome.failure)
        links = {
            _WHAT.get(kind, kind): quote(os.fsencode(f"{kept.name}{suffix(kind)}"))
            for kind in (
                *self.options.formats,
                *(["overlay"] if self.options.overlay else []),
                *(["look"] if self.options.heatmap and "look" in kept.made else []),
            )
        }
        return ClipCard(
            kept.name,
            outcome.source,
            said.times,
            said.probabilities,
            said.from_part,
            said.first_time,
            kept.duration,
            said.threshold,
            said.event_time,
            said.alarms,
            said.distance,
            (*kept.notes, *kept.warnings),
            outcome.failure,
            kept.poster,
            outcome.player,
            self.shelf.coded(kept, suffix("look")) if self.options.heatmap else "",
            links,
            marks_of(said),
            self.doubts.is_fallback,
        )


class _Files:
    """Makes the files of one clip that are not there yet, or were made with other options."""

    def __init__(self, work: Work, clip: Clip, path: Path, kept: Finished, said: Prediction):
        self.work, self.clip, self.path, self.kept, self.said = work, clip, path, kept, said
        self.is_new = False

    def make_all(self) -> str:
        """Make them; give the address of the video that the page plays, empty for none."""
        options = self.work.options
        rule = json.dumps([self.said.event_time, asdict(self.work.rule)])
        for kind in options.formats:
            if kind == "png":
                self._make(kind, rule, self._draw)
            else:
                write = lambda target, kind=kind: write_curve(self.said, target, kind)  # noqa: E731
                self._make(kind, "", write)
        if options.heatmap:
            self._make("look", self._how_hot, self._show_look)
        if options.overlay:
            hot = f" {self._how_hot}" if options.heatmap else ""
            self._make("overlay", f"{OVERLAY} {rule}{hot}", self._paint)
        return self._player()

    def _make(self, kind: str, how: str, make: object) -> Path:
        target = self.work.shelf.file(self.kept, suffix(kind))
        if self.kept.made.get(kind) != how or not target.exists():
            assert callable(make)
            make(target)
            self.is_new = True
            self.kept = replace(self.kept, made={**self.kept.made, kind: how})
            self.work.shelf.keep(self.kept)
        return target

    @property
    def _how_hot(self) -> str:
        return f"{HEAT} {json.dumps(asdict(self.work.options.heat))}"

    def _heat(self) -> HeatMap:
        return HeatMap.load(self._make("heat", self._how_hot, self._look))

    def _look(self, target: Path) -> None:
        from collision.heatmap.look import look

        work, options = self.work, self.work.options

        def on_share(share: float) -> None:
            work.on_heat(self.kept.name, share)

        given = replace(self.said, path=self.path), work.moments, options.extraction, options.heat
        predictor = work.model.predictors[0]
        look(predictor, work.model.source, *given, on_share).save(target)

    def _show_look(self, target: Path) -> None:
        at = float(self.said.times[self.said.peak])
        write_whole(target, small_picture(self.index, at, 480, self._heat().lay_over))

    @property
    def index(self) -> VideoIndex:
        """Of the clip's frames."""
        options, looks = self.work.options, self.work.model.source.looks
        return looks.index(self.path, options.frame_rate, options.video_stream)

    def _draw(self, target: Path) -> None:
        replace(self.said, index=self.index).plot(target)

    def _paint(self, target: Path) -> None:
        from collision.report.overlay import Course, Painter
        from collision.video.redraw import redraw

        said, index = self.said, self.index
        is_on = said.times < 0
        if said.threshold is not None:
            is_on = alarming(said.times, said.probabilities, said.threshold, said.rule)
        times, end = (said.times, said.probabilities, is_on), float(index.frame_times[-1])
        course = Course(*times, said.threshold, said.event_time, end, said.from_part)
        under = self._heat().lay_over if self.work.options.heatmap else None
        note = redraw(index, target, Painter(course, index.height, index.width, under))
        self._note(note)

    def _player(self) -> str:
        options = self.work.options
        if options.clips == "none":
            return ""
        facts = self.kept.video
        plain = facts["pixels"].startswith("yuv420p") and "10" not in facts["pixels"]
        is_played = facts["codec"] in _PLAYED.get(facts["kind"], ()) and plain
        own = options.frame_rate is None and options.video_stream is None
        if options.clips == "link" and is_played and own and not self.clip.is_address:
            place = os.path.relpath(self.path, options.output)
            return quote(os.fsencode(place))
        target = self._make("small", str(SMALL), self._shrink)
        return quote(os.fsencode(str(target.relative_to(options.output))))

    def _shrink(self, target: Path) -> None:
        from collision.video.redraw import redraw

        self._note(redraw(self.index, target, height=SMALL))

    def _note(self, note: str) -> None:
        if note and note not in self.kept.notes:
            self.kept = replace(self.kept, notes=(*self.kept.notes, note))


def _shown(clip: Clip) -> str:
    """Name a clip as it was given; of an address, which may hold a password, its file alone."""
    return clip.name if clip.is_address else clip.given


@contextmanager
def local_file(name: str) -> Iterator[Path]:
    """Give a path; an http(s) URL is downloaded for as long as it is needed."""
    if not name.startswith(("http://", "https://")):
        yield user_path(name)
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / (Path(name.partition("?")[0]).name or "video.mp4")
        try:
            with urllib.request.urlopen(name, timeout=20) as answer, target.open("wb") as file:
                shutil.copyfileobj(answer, file)
        except (urllib.error.URLError, http.client.HTTPException, ValueError, OSError) as error:
            raise VideoDecodeError(name, f"download failed ({error})") from None
        yield target
