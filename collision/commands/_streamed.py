"""`predict` of a stream: a line of JSON a moment, on standard output; all else is said on error."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from dataclasses import asdict
from typing import Any

from collision import api
from collision.errors import CollisionError
from collision.metrics.alarms import AlarmRule, AlarmWatch
from collision.options import PredictOptions
from collision.prediction import doubts
from collision.runs.doubts import Doubts
from collision.streaming import Moment, StreamScorer
from collision.video.addresses import shown
from collision.video.live import Frames, LiveVideo, Reading

_MARGIN = 1.0  # s of frames that are kept beyond what a moment looks at


def follow(options: PredictOptions, name: str) -> int:
    """Score a stream until it ends; Ctrl-C ends it, too.

    CollisionError: It could not be read.
    """
    model = api.load(options.checkpoint, trust=options.trust, cache_root=options.cache_root)
    model.check_foresees()
    predictor = model.predictors[0]
    scorer = StreamScorer(predictor, model.source, options.extraction.accelerator)
    reading = reading_of(options, name)
    for warning in (*doubts(predictor, None), *Doubts.of(predictor, model.path).texts):
        _tell(f"warning: {warning}")
    watch = None
    if predictor.threshold is not None:
        watch = AlarmWatch(predictor.threshold.threshold, AlarmRule(**asdict(options.alarms)))
    seconds = scorer.reach + max(_MARGIN, options.every)
    with LiveVideo(name, scorer.sizes, seconds, reading, _tell) as video:
        _tell(f"reading {shown(name)}")
        num_scored = _follow(video, scorer, watch, options)
        reason = video.reason
    if reason or not num_scored:
        raise CollisionError(
            f"{shown(name)}: {reason or 'it held no frame that could be scored'}. "
            f"{num_scored} moments were scored."
        )
    return 0


def reading_of(options: PredictOptions, name: str) -> Reading:
    """Say how a stream is read: what a pipe gives waits, elsewhere frames are dropped."""
    given = options.stream
    drop = given.drop if given.drop is not None else not is_pipe(name)
    how = drop, given.listen, given.timeout, given.reconnects
    return Reading(*how, options.frame_rate, options.video_stream)


def is_pipe(name: str) -> bool:
    """Whether its writer waits for its reader."""
    return name == "-" or ("://" not in name and not name.startswith("/dev/video"))


def _follow(
    video: LiveVideo, scorer: StreamScorer, watch: AlarmWatch | None, options: PredictOptions
) -> int:
    number = num_scored = skipped = dropped = 0
    while options.limit is None or num_scored < options.limit:
        frames = video.wait_for(round(number * options.every, 6))
        if frames is None:
            break
        if video.reading.drop:  # moments that are past were not scored in time
            newest = math.floor((float(frames.times[-1]) + 1e-6) / options.every)
            skipped, number = skipped + newest - number, newest
        moment = scorer.score(round(number * options.every, 6), frames.times, frames.pictures)
        line = _line(moment, frames, watch)
        line |= {"dropped_frames": frames.num_dropped - dropped, "skipped_moments": skipped}
        if not _print(line):
            break
        dropped, skipped = frames.num_dropped, 0
        num_scored += 1
        number += 1
    return num_scored


def _line(moment: Moment, frames: Frames, watch: AlarmWatch | None) -> dict[str, Any]:
    is_seen = not math.isnan(moment.probability)
    alarm = watch.follow(moment.time, moment.probability) if watch is not None else None
    used = frames.arrived[frames.times <= moment.time + 1e-6]
    since = float(used[-1] if len(used) else frames.arrived[0])
    return {
        "time": moment.time,
        "probability": round(moment.probability, 6) if is_seen else None,
        "window": ("whole" if moment.is_whole else "part") if is_seen else None,
        "alarm": alarm,
        "latency": round(time.monotonic() - since, 4),
    }


def _print(line: dict[str, Any]) -> bool:
    """Print a line at once; False where nobody reads any more."""
    try:
        print(json.dumps(line), flush=True)
    except BrokenPipeError:
        # Python flushes standard output at its end, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
