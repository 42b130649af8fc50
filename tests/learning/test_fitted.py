import numpy as np
import pytest
import torch
from rich.console import Console

from collision.features.fingerprint import Fingerprint
from collision.learning.fit import Place
from collision.learning.fitted import Lesson, calibrate, fit_predictor, suggested_threshold
from collision.learning.predictor import Origin, load_predictor
from collision.learning.predictor_files import FILE_NAME
from collision.learning.scoring import probabilities
from collision.metrics.calibration import calibrated
from collision.option_groups import ThresholdOptions
from collision.sampling.policy import SamplingPolicy
from tests.kit.features import FEATURE_DIM, SETUP, planted, planted_splits, setup_with
from tests.learning.test_predictor import FINGERPRINT, PARTS

CPU = torch.device("cpu")


def test_the_threshold_has_the_wanted_rate_on_calibrated_scores():
    val = planted(40, seed=1)
    model = SETUP.model(FEATURE_DIM)
    temperature, point = calibrate(model, val, ThresholdOptions(false_alarm_rate=0.2), CPU)
    assert temperature.nll_after <= temperature.nll_before
    scores = calibrated(probabilities(model, val, CPU).numpy(), temperature.value)
    alarms = scores[val.labels.numpy() == 0] >= point.threshold
    assert alarms.mean() == pytest.approx(point.false_alarm_rate) and point.false_alarm_rate <= 0.2


def test_where_no_threshold_has_the_wanted_precision_the_best_f1_is_taken(caplog):
    """It is told at the end, for all heads together: no line of its own for each."""
    labels, scores = np.array([1, 0, 1, 0]), np.array([0.2, 0.9, 0.8, 0.1])
    point = suggested_threshold(labels, scores, ThresholdOptions(precision=0.9))
    assert 0 < point.threshold < 0.9 and point.precision < 0.9 and not caplog.text


def test_a_fitted_head_knows_videos_like_its_own(tmp_path):
    parts = {**PARTS, "head": SETUP.head, "pooling": SETUP.pooling}
    about = (SamplingPolicy(), Fingerprint(FINGERPRINT), Origin(is_painted=True))
    lesson = Lesson(planted_splits(), parts, *about)
    place = Place(tmp_path, 0, Console(quiet=True))
    fit_predictor(SETUP, lesson, ThresholdOptions(false_alarm_rate=0.2), place)
    loaded = load_predictor(tmp_path / FILE_NAME)
    assert loaded.origin.is_painted
    far = [distance > 1 for distance in loaded.known.distances(planted(40, seed=5)).values()]
    assert np.mean(far) < 0.2


def test_what_selecting_gained_is_said_with_its_interval(tmp_path):
    data = {"train": planted(16, seed=0, signal=0.8), "val": planted(60, seed=1, signal=0.8)}
    parts = {"backbone": PARTS["backbone"], "head": SETUP.head, "pooling": SETUP.pooling}
    policy = SamplingPolicy(horizons=(0.5, 1.0))
    lesson = Lesson(data, parts, policy, Fingerprint(FINGERPRINT), Origin())
    place = Place(tmp_path / "a", 0, Console(quiet=True))
    overfitting = {"max_steps": 120, "validations": 12, "patience": None, "selection": "loss"}
    head = fit_predictor(setup_with(trainer=overfitting), lesson, ThresholdOptions(), place)
    assert head.num_groups == 60 and head.best_step < head.last_step
    assert head.over_last.value == pytest.approx(head.over_last.first - head.over_last.second)
    assert head.over_last.first == pytest.approx(head.predictor.origin.value, abs=1e-6)
    assert head.over_last.low <= head.over_last.value <= head.over_last.high
    last = setup_with(trainer={"selection": "last"})
    place = Place(tmp_path / "b", 0, Console(quiet=True))
    assert fit_predictor(last, lesson, ThresholdOptions(), place).over_last is None
