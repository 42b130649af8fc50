"""What the worker of `serve` does: it predicts a clip as `predict` does, and compares as `compare`.

It runs in a process of its own; see ``collision.serving.worker``.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from collision.errors import CollisionError, Interrupted
from collision.options import CompareOptions, PredictOptions, ServeOptions
from collision.types import Seconds

Tell: TypeAlias = Callable[[float, str], None]
# Shares of the bar at which a stage begins and ends; a heat map takes far longer than the rest.
_STAGES = {"Looking up videos": (0.05, 0.1), "Extracting": (0.1, 0.8)}
_WITH_HEAT = {**_STAGES, "Extracting": (0.1, 0.25)}
_HEAT = (0.25, 0.9)


@dataclass(frozen=True)
class Settings:
    """What the worker is told once; ``cache_root`` is removed with what visitors have sent."""

    options: ServeOptions
    cache_root: Path


def work(pipe: Connection, settings: Settings) -> None:
    """Do what comes through the pipe until it ends."""
    importlib.import_module("collision.commands.predict")  # torch, before anybody waits for it
    bench = _Bench(settings)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                result = bench.do(task, lambda share, words: pipe.send(("share", share, words)))
            pipe.send(("done", result))
        except Interrupted:  # it was cancelled
            return
        except CollisionError as error:
            pipe.send(("failed", _shown(str(error), task)))
        except Exception as error:  # of this clip; the page goes on
            traceback.print_exc(file=sys.stderr)
            pipe.send(("failed", _shown(f"{type(error).__name__}: {error}", task)))


def _shown(text: str, task: dict[str, Any]) -> str:
    """Say a clip's name where its place was said."""
    return text.replace(task["path"], task["name"]) if "path" in task else text


class _Bench:
    """Keeps the predictor that was used last."""

    def __init__(self, settings: Settings):
        self.options, self.cache_root = settings.options, settings.cache_root
        self._loaded: tuple[str, Any] | None = None

    def do(self, task: dict[str, Any], tell: Tell) -> dict[str, Any]:
        """Do a task; give what the page is told, with the job's files relative to its folder."""
        output = Path(task["output"])
        if task["kind"] == "compare":
            return self._compare(task["paths"], output, tell)
        return self._predict(task, output, tell)

    def _compare(self, paths: list[str], output: Path, tell: Tell) -> dict[str, Any]:
        from collision.commands import compare

        tell(0.1, "comparing, with 10,000 resamples")
        options = CompareOptions(runs_root=output, clips="none", cache_root=self.cache_root)
        compare.run(options, paths)
        (page,) = output.glob("*/compare.html")
        return {"files": {"report": str(page.relative_to(output.parent))}}

    def _predict(self, task: dict[str, Any], output: Path, tell: Tell) -> dict[str, Any]:
        from collision.commands._clips import Clip
        from collision.commands.predict import Work
        from collision.features.progress import listening

        tell(0.0, "loading the predictor")
        asked = self._asked(task, output)
        model = self._model(asked)
        output.mkdir(parents=True, exist_ok=True)
        work = Work(asked, model, {})

        stages = _WITH_HEAT if asked.heatmap else _STAGES

        def hear(stage: str, share: float) -> None:
            low, high = stages.get(stage, stages["Extracting"])
            is_drawn = share >= 1 and stage == "Extracting"
            tell(low + (high - low) * share, "drawing" if is_drawn else "looking at the clip")

        def hear_of_heat(_: str, share: float) -> None:
            low, high = _HEAT
            tell(low + (high - low) * share, f"finding where it looked: {share:.0%}")

        work.on_heat = hear_of_heat
        tell(0.05, "looking at the clip")
        with listening(hear):
            outcome = work.outcome(Clip(task["path"], "clip"))
        tell(0.95, "writing the report")
        if outcome.finished is None or outcome.prediction is None:
            raise CollisionError(_shown(outcome.failure, task))
        return _Told(work, outcome, task, output).all()

    def _asked(self, task: dict[str, Any], output: Path) -> PredictOptions:
        own = self.options
        return PredictOptions(
            checkpoint=Path(task["checkpoint"]),
            cache_root=self.cache_root,
            output=output,
            every=own.every,
            alarms=own.alarms,
            extraction=own.extraction,
            trust=own.trust,
            overlay=task["overlay"],
            heatmap=task["heatmap"],
            heat=own.heat,
        )

    def _model(self, asked: PredictOptions) -> Any:
        from collision import api

        path = str(asked.checkpoint)
        if self._loaded is None or self._loaded[0] != path:
            self._loaded = None  # before another takes memory
            model = api.load(path, trust=asked.trust, cache_root=self.cache_root)
            model.check_foresees()
            self._loaded = path, model
        return self._loaded[1]


class _Told:
    """What the page is told of a clip, and the report of it alone."""

    def __init__(self, work: Any, outcome: Any, task: dict[str, Any], output: Path):
        self.work, self.outcome, self.task, self.output = work, outcome, task, output

    def all(self) -> dict[str, Any]:
        """Write the report; give the rest."""
        said, kept = self.outcome.prediction, self.outcome.finished
        files = {"csv": "out/clip.csv", "png": "out/clip.png", "report": self._report()}
        if "overlay" in kept.made:
            files["overlay"] = "out/clip.overlay.mp4"
        if "look" in kept.made:
            files["heat"] = "out/clip.heat.jpg"
        if self.outcome.player:
            files["video"] = str((self.output / self.outcome.player).resolve()
                                 .relative_to(self.output.parent.resolve()))  # fmt: skip
        return {
            "times": [round(float(time), 4) for time in said.times],
            "probabilities": [
                None if np.isnan(value) else round(float(value), 5) for value in said.probabilities
            ],
            "from_part": [bool(one) for one in said.from_part],
            "first_time": float(said.first_time),
            "duration": float(kept.duration),
            "threshold": said.threshold,
            "peak": [float(said.times[said.peak]), float(said.probabilities[said.peak])],
            "alarms": [_alarm(one.start, one.peak, one.end, one.score) for one in said.alarms],
            "distance": kept.distance,
            "notes": [_shown(text, self.task) for text in kept.notes],
            "warnings": [*self._warnings, *filter(None, [_shown(self.outcome.failure, self.task)])],
            "marks": self._marks,
            "poster": kept.poster,
            "heat": self.work.card(self.outcome).heat,
            "files": files,
        }

    @property
    def _warnings(self) -> tuple[str, ...]:
        return (*self.outcome.finished.warnings, *self.work.warnings)

    @property
    def _marks(self) -> list[str]:
        from collision.commands._told import marks_of

        fallback = ["the threshold is a fallback"] if self.work.doubts.is_fallback else []
        return [*marks_of(self.outcome.prediction), *fallback]

    def _report(self) -> str:
        """Write one page that needs no other file: without the player."""
        from collision.report.clips_page import write_clips_page

        name = self.task["name"]
        changed = {"name": name, "source": name, "player": "", "links": {}}
        card = replace(self.work.card(self.outcome), **changed)
        rule, every = self.work.rule, self.work.options.every
        about = (
            f"Run: {self.task['run_name']}; a probability every {every:g} s; alarms: hysteresis "
            f"{rule.hysteresis:g}, at least {rule.min_length:g} s, one in {rule.refractory:g} s."
        )
        write_clips_page(self.output / "report.html", [card], self._warnings, about)
        return "out/report.html"


def _alarm(start: Seconds, peak: Seconds, end: Seconds, score: float) -> dict[str, float]:
    times = {"start": float(start), "peak": float(peak), "end": float(end)}
    return {**times, "score": float(score)}
