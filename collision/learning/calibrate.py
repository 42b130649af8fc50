"""What validation says of a trained head's probabilities: a temperature and a threshold."""

from __future__ import annotations

import logging

import numpy as np
import torch

from collision.errors import MetricError
from collision.learning.datamodule import FeatureDataset
from collision.learning.head import HeadModel
from collision.learning.task import probabilities
from collision.metrics.calibration import Temperature, calibrated, fit_temperature, logits_of
from collision.metrics.threshold import (
    OperatingPoint,
    threshold_at_best_f1,
    threshold_at_false_alarm_rate,
    threshold_at_precision,
)
from collision.options import ThresholdOptions


def calibrate(
    model: HeadModel, val: FeatureDataset, wanted: ThresholdOptions, device: torch.device
) -> tuple[Temperature, OperatingPoint]:
    """Fit the temperature on validation, and suggest a threshold on what it makes of the scores."""
    labels, scores = val.labels.numpy(), probabilities(model, val, device).numpy()
    temperature = fit_temperature(labels, logits_of(scores))
    return temperature, suggested_threshold(labels, calibrated(scores, temperature.value), wanted)


def suggested_threshold(
    labels: np.ndarray, scores: np.ndarray, wanted: ThresholdOptions
) -> OperatingPoint:
    """Give the threshold with the wanted precision or false-alarm rate on validation.

    Where none has it, the one with the best F1.
    """
    try:
        if wanted.precision is not None:
            return threshold_at_precision(labels, scores, wanted.precision)
        return threshold_at_false_alarm_rate(labels, scores, wanted.false_alarm_rate or 0.0)
    except MetricError as error:
        logging.getLogger(__name__).warning(
            f"{error} The suggested threshold is the one with the best F1 on validation instead."
        )
        return threshold_at_best_f1(labels, scores)
