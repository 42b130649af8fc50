"""Finds where a predictor looked at each moment of a video, by one of two ways."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from collision.errors import ConfigError
from collision.features.ranks import Ranks
from collision.features.sources import Source
from collision.heatmap.gradients import of_gradients, token_layer
from collision.heatmap.maps import HeatMap
from collision.heatmap.occlusion import of_occlusion
from collision.learning.predictor import Predictor
from collision.option_groups import ExtractionOptions, HeatOptions
from collision.prediction import Moments, Prediction
from collision.sampling.index import DataIndex
from collision.types import UNLABELLED, Example, VideoRecord

_PIECE = 64  # moments whose windows are held at once


def look(
    predictor: Predictor,
    source: Source,
    prediction: Prediction,
    moments: Moments,
    extraction: ExtractionOptions,
    options: HeatOptions = HeatOptions(),
    on_share: Callable[[float], None] = lambda _: None,
) -> HeatMap:
    """Find where a predictor looked at each moment of a prediction of its own.

    Args:
        predictor: Whose prediction it is.
        source: Of its features; its backbone is built.
        prediction: Of a file.
        moments: As for the prediction: how the file is timed, and which stream is read.
        extraction: Device and batch size.
        options: By which way.
        on_share: Told now and then which share of the work is done.

    Raises:
        VideoDecodeError: A frame cannot be read.
        ConfigError: Gradients are asked of a backbone that says nothing of its tokens.
    """
    times = prediction.times[~np.isnan(prediction.probabilities)]
    pieces = [times[first : first + _PIECE] for first in range(0, len(times), _PIECE)]
    rate, stream = moments.frame_rate, moments.video_stream
    record = VideoRecord(
        "clip", prediction.path, UNLABELLED, "test", "", frame_rate=rate, video_stream=stream
    )
    by_gradients = _by_gradients(source, options)
    parts = [
        (part, Ranks(extraction.accelerator, part.fingerprint.precision, 1, 1, is_task=True).fabric)
        for part in source.parts
    ]
    falls = []
    for number, piece in enumerate(pieces):
        examples = [Example(record.id, float(time), UNLABELLED, 0.0) for time in piece]
        about = DataIndex("clip", {record.id: record}, {"test": examples})

        def on_part(share: float, number: int = number) -> None:
            on_share((number + share) / len(pieces))

        if by_gradients:
            for part, _ in parts:
                part.extract(part.requests(about, predictor.policy), extraction, progress=False)
            falls.append(of_gradients(predictor, *parts[0], about, on_part))
        else:
            how = extraction.batch_size, options.cells
            falls.append(of_occlusion(predictor, parts, about, how, on_part))
    return HeatMap(times.astype(np.float64), np.concatenate(falls).astype(np.float32))


def _by_gradients(source: Source, options: HeatOptions) -> bool:
    if options.method == "occlusion":
        return False
    can = len(source.parts) == 1 and token_layer(source.parts[0].backbone()) is not None
    if options.method == "gradients" and not can:
        raise ConfigError(
            f"heat.method=gradients: {source.spec.name} does not say where the tokens of a picture "
            "lie. Give heat.method=occlusion, which any backbone can, or leave it out."
        )
    return can
