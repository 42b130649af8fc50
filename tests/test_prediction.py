"""Which moments of a video are scored, and which of them from part of what the head looks at."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest

from collision.commands._predicted import write_curve
from collision.errors import VideoDecodeError
from collision.features.digest import VideoDigests
from collision.features.fingerprint import fingerprint
from collision.features.source import FeatureSource
from collision.features.sources import FusedSource
from collision.features.store import FeatureStore
from collision.learning.alignment import load_features
from collision.option_groups import ExtractionOptions
from collision.prediction import Moments, Prediction, predict
from collision.sampling.index import DataIndex
from collision.sampling.policy import SamplingPolicy
from collision.types import Example, VideoRecord
from tests.kit.backbone import TinyBackbone
from tests.kit.video import numbered_frames, write_video
from tests.kit.zoo import Kind

OPTIONS = ExtractionOptions(accelerator="cpu", batch_size=8, num_workers=0, timeout=60)


class Counting:
    """A predictor whose probability is the share of steps that it was shown."""

    threshold = SimpleNamespace(threshold=0.5)
    known, origin = None, SimpleNamespace(is_painted=False)
    knows_whole = False

    def __init__(self, policy):
        self.policy = policy

    def seen(self, groups, digests, whole_digests=()):
        return {}

    def probabilities(self, data, device):
        return data.__getitems__(range(len(data)))["mask"].float().mean(dim=1).numpy()


@pytest.fixture
def source(tmp_path):
    def make(**options):
        backbone = TinyBackbone(**options)
        store = FeatureStore(tmp_path / "cache", fingerprint(backbone))
        digests = VideoDigests(tmp_path / "videos.json")
        return FeatureSource(store, digests, None, _backbone=backbone)

    return make


def shares(prediction):
    return [None if np.isnan(p) else round(float(p), 3) for p in prediction.probabilities]


def test_a_moment_is_scored_as_soon_as_one_window_is_there(tmp_path, source):
    """As evaluation scores it; until all windows are there, from part of them."""
    clip = write_video(tmp_path / "a.mp4", numbered_frames(21), fps=10)
    made, policy = source(), SamplingPolicy(context=0.75)  # 3 windows of 0.3 s, 0.25 s apart
    found = predict(Counting(policy), made, clip, Moments(), OPTIONS)
    assert found.times.tolist() == np.arange(0, 2.1, 0.25).tolist()
    assert shares(found) == [None, None, 0.333, 0.667, 1, 1, 1, 1, 1]
    assert found.from_part.tolist() == [False] * 2 + [True] * 2 + [False] * 5
    assert found.first_time == pytest.approx(0.3)
    known = np.flatnonzero(~np.isnan(found.probabilities))
    record = VideoRecord("a", clip, 1, "test", "a")
    examples = [Example("a", time, 1, 0.5) for time in found.times]
    judged = DataIndex("one", {"a": record}, {"test": examples})
    data = load_features(judged, made, policy, [])["test"]
    assert [examples.index(example) for example in data.examples] == known.tolist()
    assert str(found) == (
        "a.mp4: highest 1.00 at 1.00 s, first at or above the threshold 0.50 at 0.75 s (from part "
        "of the window)"
    )


def test_a_window_cut_short_is_a_part(tmp_path, source):
    clip = write_video(tmp_path / "a.mp4", numbered_frames(16), fps=10)
    made = source(num_frames=8, min_frames=4)
    found = predict(Counting(SamplingPolicy()), made, clip, Moments(), OPTIONS)
    assert shares(found) == [None, None, 0.75, 1, 1, 1, 1]
    assert found.from_part.tolist() == [False, False, True, False, False, False, False]
    whole = predict(Counting(SamplingPolicy()), source(num_frames=8), clip, Moments(), OPTIONS)
    assert shares(whole) == [None, None, None, 1, 1, 1, 1] and not whole.from_part.any()


def test_a_hole_leaves_parts_behind_it_and_nothing_is_invented_in_it(tmp_path, source):
    clip = Kind("h264", "mp4", clock="hole").write(tmp_path)  # nothing is shown from 1 to 3 s
    policy = SamplingPolicy(context=0.75)
    found = predict(Counting(policy), source(), clip, Moments(), OPTIONS)
    by_time = dict(zip(found.times.tolist(), shares(found), strict=True))
    assert 0 < by_time[1.25] < 1
    assert [by_time[time] for time in (2.0, 2.5, 3.0, 3.25)] == [None] * 4
    assert by_time[3.5] == 0.333 and by_time[4.0] == 1
    part = {time for time, is_part in zip(found.times, found.from_part, strict=True) if is_part}
    assert {1.25, 3.5, 3.75} <= part and not part & {1.0, 2.0, 3.0, 4.0}


def test_a_video_without_a_single_window_is_refused(tmp_path, source):
    clip = write_video(tmp_path / "a.mp4", numbered_frames(6), fps=10)
    said = "it is 0.50 s long; this predictor needs 0.70 s without a hole"
    with pytest.raises(VideoDecodeError, match=said):
        predict(Counting(SamplingPolicy()), source(num_frames=8), clip, Moments(), OPTIONS)
    # No moment of the grid has a window, the last frame has.
    found = predict(
        Counting(SamplingPolicy()), source(num_frames=6), clip, Moments(every=0.4), OPTIONS
    )
    assert found.times.tolist() == [0, 0.4, 0.5] and shares(found) == [None, None, 1]


def test_the_table_and_the_sentence_say_what_was_seen(tmp_path):
    clip = write_video(tmp_path / "a.mp4", numbered_frames(21), fps=10)
    times, values = np.array([0.0, 0.5, 1.0, 1.5]), np.array([np.nan, 0.9, 0.2, 0.7])
    from_part = np.array([False, True, True, False])
    found = Prediction(clip, times, values, 0.3, 0.6, from_part=from_part)
    assert str(found) == (
        "a.mp4: highest 0.90 at 0.50 s (from part of the window), first at or above the threshold "
        "0.60 at 0.50 s (from part of the window)"
    )
    write_curve(found, tmp_path / "a.csv", "csv")
    with (tmp_path / "a.csv").open() as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert rows == [
        ("0.000", "", ""),
        ("0.500", "0.900000", "part"),
        ("1.000", "0.200000", "part"),
        ("1.500", "0.700000", "whole"),
    ]
    assert "part of" not in str(Prediction(clip, times, values, 0.3, 0.6))


@pytest.mark.parametrize("order", [(4, 8), (8, 4)])
def test_several_backbones_score_where_each_has_a_window(tmp_path, source, order):
    """From the longest window on; in a hole, and until both are there behind it, nothing."""
    both = FusedSource(tuple(source(num_frames=number) for number in order))
    policy = SamplingPolicy()
    clip = write_video(tmp_path / "a.mp4", numbered_frames(21), fps=10)
    found = predict(Counting(policy), both, clip, Moments(), OPTIONS)
    assert [n is not None for n in shares(found)] == [False] * 3 + [True] * 6
    assert found.first_time == pytest.approx(0.7) and not found.from_part.any()
    alone = predict(Counting(policy), both.parts[order.index(4)], clip, Moments(), OPTIONS)
    assert alone.first_time == pytest.approx(0.3)
    clip = Kind("h264", "mp4", clock="hole").write(tmp_path)  # nothing is shown from 1 to 3 s
    known = [
        ~np.isnan(predict(Counting(policy), one, clip, Moments(), OPTIONS).probabilities)
        for one in (both, *both.parts)
    ]
    assert (known[0] == (known[1] & known[2])).all() and known[0].sum() < known[
        1 + order.index(4)
    ].sum()
