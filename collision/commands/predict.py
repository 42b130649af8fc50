"""Draw the probability of a collision over the time of video clips."""

from __future__ import annotations

import csv
import http.client
import io
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from collision import api
from collision.checks import user_path
from collision.errors import CollisionError, VideoDecodeError
from collision.files import write_whole
from collision.options import PredictOptions
from collision.prediction import Moments, Prediction


def run(options: PredictOptions, paths: list[str]) -> int:
    """Predict each clip; one that fails is told and the rest go on."""
    console = Console()
    model = api.load(options.checkpoint, trust=options.trust, cache_root=options.cache_root)
    moments = Moments(options.every, options.frame_rate, options.event_time, options.video_stream)
    options.output.mkdir(parents=True, exist_ok=True)
    chosen = paths if options.limit is None else paths[: options.limit]
    failures: list[str] = []
    told: set[str] = set()
    for name in track(chosen, "Predicting", console=console, disable=len(chosen) < 2):
        try:
            with local_file(name) as path:
                prediction = model.predict(path, moments, options.extraction)
                target = write_prediction(prediction, options.output)
            for line in [f"{prediction} -> {target}.png, .csv", *remarks(prediction, told)]:
                console.print(line, markup=False, highlight=False, soft_wrap=True)
        except VideoDecodeError as error:
            failures.append(str(error))
        except (CollisionError, OSError):  # of the model, the signal or the disk: true of all clips
            raise
        except Exception as error:  # one odd clip must not cost the others
            failures.append(f"{name}: {type(error).__name__}: {error}")
    if failures:
        raise CollisionError(
            f"{len(failures)} of {len(chosen)} clip(s) gave no prediction:\n  "
            + "\n  ".join(failures)
        )
    return 0


def remarks(prediction: Prediction, told: set[str]) -> list[str]:
    """Give what is to be known of a clip; a warning already ``told`` of an earlier one is not."""
    lines = [f"  note: {note}" for note in prediction.notes]
    if prediction.distance is not None:
        lines.append(f"  distance from the training's videos: {prediction.distance:.2f} (limit 1)")
    lines += [f"  warning: {one}" for one in prediction.warnings if one not in told]
    told.update(prediction.warnings)
    return lines


def write_prediction(prediction: Prediction, output: Path) -> Path:
    """Write ``<clip>.csv`` and ``<clip>.png``; give their stem.

    Columns: ``time,probability,window``. ``window`` is ``whole``, ``part`` where the beginning of
    the file or a hole left less to see, or, as the probability then, empty where nothing is seen.
    """
    target = output / unused_stem(output, prediction.path.stem)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time", "probability", "window"])
    columns = (prediction.times, prediction.probabilities, prediction.from_part)
    for time, probability, is_part in zip(*columns, strict=True):
        known = (f"{probability:.6f}", "part" if is_part else "whole")
        writer.writerow([f"{time:.3f}", *(("", "") if np.isnan(probability) else known)])
    write_whole(target.with_name(f"{target.name}.csv"), text.getvalue())
    prediction.plot(target.with_name(f"{target.name}.png"))
    return target


def unused_stem(folder: Path, stem: str) -> str:
    """Give a name that overwrites nothing."""
    candidate, number = stem, 1
    while (folder / f"{candidate}.csv").exists() or (folder / f"{candidate}.png").exists():
        number += 1
        candidate = f"{stem}-{number}"
    return candidate


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
