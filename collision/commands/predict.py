"""Draw the probability of a collision over the time of video clips."""

from __future__ import annotations

import csv
import http.client
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import track

from collision.commands._entry import check_number
from collision.commands.evaluate import source_of
from collision.config import plain
from collision.errors import CheckpointError, CollisionError, Interrupted, VideoDecodeError
from collision.features.source import FeatureSource, extract_windows, requests_for
from collision.learning.datamodule import feature_dataset
from collision.learning.predictor import Predictor, find_predictors, load_predictor
from collision.report.timeline import timeline
from collision.sampling.index import DataIndex
from collision.sampling.policy import SamplingPolicy
from collision.sampling.windows import window_spacing
from collision.types import UNLABELLED, BackboneSpec, Example, Seconds, VideoRecord
from collision.video.frames import latest_visible, read_frames
from collision.video.index import VideoIndex, index_video

NUM_PICTURES = 8


@dataclass
class Curve:
    """Probability over time: ``times [N]`` in seconds, ``probabilities [N]``.

    ``probabilities`` is NaN before ``first_time``, the end of the first window that is whole.
    """

    times: np.ndarray
    probabilities: np.ndarray
    first_time: Seconds


def run(config: DictConfig, paths: list[str]) -> int:
    """Predict each clip; one that fails is told and the rest go on."""
    console = Console()
    check_number(config, "every", 0.001, whole=False)
    check_number(config, "event_time", 0, whole=False, optional=True)
    check_number(config, "limit", 1, optional=True)
    checkpoint = Path(config.checkpoint).expanduser()
    check_number(config, "frame_rate", 0.001, whole=False, optional=True)
    predictor = load_predictor(find_predictors(checkpoint)[0])
    if predictor.policy.whole_clip:
        raise CheckpointError(
            f"{str(checkpoint)!r} was trained on whole clips, in which the collision can be seen: "
            "it does not foresee one. Train with another sampling, such as sampling=nexar."
        )
    source = source_of(predictor, config)
    output = Path(config.output)
    output.mkdir(parents=True, exist_ok=True)
    chosen = paths if config.limit is None else paths[: config.limit]
    failures: list[str] = []
    for name in track(chosen, "Predicting", console=console, disable=len(chosen) < 2):
        try:
            with local_file(name) as path:
                target = predict_clip(predictor, source, path, config, output, len(chosen) == 1)
            console.print(target, markup=False, highlight=False, soft_wrap=True)
        except VideoDecodeError as error:
            failures.append(str(error))
    if failures:
        raise CollisionError(
            f"{len(failures)} of {len(chosen)} clip(s) gave no prediction:\n  "
            + "\n  ".join(failures)
        )
    return 0


def predict_clip(
    predictor: Predictor,
    source: FeatureSource,
    path: Path,
    config: DictConfig,
    output: Path,
    alone: bool,
) -> str:
    """Write ``<clip>.csv`` and ``<clip>.png``; say in a line what came out."""
    index = index_video(path, config.frame_rate)
    curve = probability_curve(predictor, source, index, config, alone)
    stem = unused_stem(output, path.stem)
    write_curve(output / f"{stem}.csv", curve)
    threshold = None if predictor.threshold is None else float(predictor.threshold["threshold"])
    times = np.linspace(index.frame_times[0], index.frame_times[-1], NUM_PICTURES)
    frames = read_frames(index, latest_visible(index.frame_times, times))
    timeline(
        curve.times,
        curve.probabilities,
        output / f"{stem}.png",
        frames=list(frames),
        frame_times=list(times),
        first_time=curve.first_time,
        threshold=threshold,
        event_time=config.event_time,
        title=path.name,
    )
    known = ~np.isnan(curve.probabilities)
    peak = int(np.nanargmax(curve.probabilities))
    crossing = ""
    if threshold is not None:
        over = np.flatnonzero(known & (np.nan_to_num(curve.probabilities) >= threshold))
        crossing = (
            f", first at or above the threshold {threshold:.2f} at {curve.times[over[0]]:.2f} s"
            if len(over)
            else f", never at the threshold {threshold:.2f}"
        )
    return (
        f"{path.name}: highest {curve.probabilities[peak]:.2f} at {curve.times[peak]:.2f} s"
        f"{crossing} -> {output / stem}.png, .csv"
    )


def probability_curve(
    predictor: Predictor,
    source: FeatureSource,
    index: VideoIndex,
    config: DictConfig,
    alone: bool,
) -> Curve:
    """Score a clip every ``config.every`` seconds; ``alone`` shows a bar of its extraction.

    Raises:
        VideoDecodeError: It can't be read, or is shorter than what the head has to see.
    """
    policy, spec = predictor.policy, source.spec
    start, end = float(index.frame_times[0]), float(index.frame_times[-1])
    first_time = start + history(policy, spec)
    if end + 1e-6 < first_time:
        raise VideoDecodeError(
            index.path,
            f"it is {end - start:.2f} s long; this predictor needs {first_time - start:.2f} s",
        )
    times = np.round(np.arange(start, end + 1e-6, config.every), 6)
    scored = times[times >= first_time - 1e-6]
    if not len(scored):
        scored = np.array([round(end, 6)])
        times = np.append(times[times < end], scored)
    record = VideoRecord(
        index.path.stem, index.path, UNLABELLED, "test", "", frame_rate=config.frame_rate
    )
    examples = [Example(record.id, float(time), UNLABELLED, 0.0) for time in scored]
    clip = DataIndex("clip", {record.id: record}, {"test": examples})
    requests = requests_for(clip, spec, policy)
    report = extract_windows(source, requests, plain(config.extraction), progress=alone)
    if report.signal is not None:
        raise Interrupted(report.signal)
    if report.failures:
        raise VideoDecodeError(index.path, report.failures[0].reason)
    data = feature_dataset(
        examples, clip.records, source.store, source.digest_of(clip, []), spec, policy
    )
    probabilities = np.full(len(times), np.nan)
    probabilities[-len(scored) :] = predictor.probabilities(data, torch.device("cpu"))
    return Curve(times, probabilities, first_time)


def history(policy: SamplingPolicy, spec: BackboneSpec) -> Seconds:
    """Say how much video there must be before a moment can be scored, in the shortest view."""
    example = Example("", 0.0, UNLABELLED, 0.0)
    return min(
        (policy.num_windows(spec) - 1) * window_spacing(example, policy, view, spec)
        + (spec.num_frames - 1) / spec.fps * view.stride
        for view in policy.views
    )


def write_curve(path: Path, curve: Curve) -> None:
    """Write ``time,probability``; empty where there is no full window yet."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "probability"])
        for time, probability in zip(curve.times, curve.probabilities, strict=True):
            writer.writerow([f"{time:.3f}", "" if np.isnan(probability) else f"{probability:.6f}"])


def unused_stem(folder: Path, stem: str) -> str:
    """Give a name that overwrites nothing."""
    candidate, number = stem, 1
    while (folder / f"{candidate}.csv").exists() or (folder / f"{candidate}.png").exists():
        number += 1
        candidate = f"{stem}-{number}"
    return candidate


@contextmanager
def local_file(name: str) -> Iterator[Path]:
    """Give a path; an http(s) URL is downloaded for as long as it is needed.

    Raises:
        VideoDecodeError: The download fails.
    """
    if not name.startswith(("http://", "https://")):
        yield Path(name).expanduser()
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / (Path(name.partition("?")[0]).name or "video.mp4")
        try:
            with urllib.request.urlopen(name, timeout=20) as answer, target.open("wb") as file:
                shutil.copyfileobj(answer, file)
        except (urllib.error.URLError, http.client.HTTPException, ValueError, OSError) as error:
            raise VideoDecodeError(name, f"download failed ({error})") from None
        yield target
