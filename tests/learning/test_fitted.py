import numpy as np
import pytest
import torch

from collision.learning.fitted import calibrate, suggested_threshold
from collision.learning.task import probabilities
from collision.metrics.calibration import calibrated
from collision.options import ThresholdOptions
from tests.kit.features import FEATURE_DIM, SETUP, planted

CPU = torch.device("cpu")


def test_the_threshold_has_the_wanted_rate_on_calibrated_scores():
    val = planted(40, seed=1)
    model = SETUP.model(FEATURE_DIM)
    temperature, point = calibrate(model, val, ThresholdOptions(false_alarm_rate=0.2), CPU)
    assert temperature.nll_after <= temperature.nll_before
    scores = calibrated(probabilities(model, val, CPU).numpy(), temperature.value)
    alarms = scores[val.labels.numpy() == 0] >= point.threshold
    assert alarms.mean() == pytest.approx(point.false_alarm_rate) and point.false_alarm_rate <= 0.2


def test_a_precision_that_no_threshold_has_is_told(caplog):
    labels, scores = np.array([1, 0, 1, 0]), np.array([0.2, 0.9, 0.8, 0.1])
    point = suggested_threshold(labels, scores, ThresholdOptions(precision=0.9))
    assert "precision of 0.9" in caplog.text and "best F1" in caplog.text
    assert 0 < point.threshold < 0.9
