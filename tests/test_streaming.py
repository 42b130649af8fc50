"""A stream is scored as a file of it: whatever the windows, views and backbones are."""

import os
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from collision.config import part
from collision.features.digest import VideoDigests
from collision.features.fingerprint import fingerprint
from collision.features.source import FeatureSource
from collision.features.sources import FusedSource
from collision.features.store import FeatureStore
from collision.learning.head import build_model
from collision.option_groups import ExtractionOptions
from collision.prediction import Moments, predict
from collision.sampling.policy import SamplingPolicy
from collision.streaming import StreamScorer
from collision.video.live import LiveVideo, Reading
from tests.kit.backbone import TinyBackbone
from tests.kit.streams import outputs_step_by_step
from tests.kit.video import numbered_frames, write_video

OPTIONS = ExtractionOptions(accelerator="cpu", batch_size=8, num_workers=0, timeout=60)


class Summing:
    """A predictor whose probability hangs on every feature, its step's place, and the mask."""

    threshold, known, knows_whole = None, None, False
    origin = SimpleNamespace(is_painted=False)

    def __init__(self, policy):
        self.policy = policy

    def seen(self, *videos):
        return {}

    def probabilities(self, data, device):
        batch = data.__getitems__(range(len(data)))
        steps = batch["mask"] * (1 + batch["times"].float() / 7) / 3
        sums = (batch["features"].float().mean(-1) * steps).sum(1) + batch["mask"].float().mean(1)
        found = np.zeros(len(data.examples))
        for example, value in zip(batch["example"].tolist(), sums.tolist(), strict=True):
            found[example] += value / len(self.policy.views)
        return 1 / (1 + np.exp(-found))


def source_of(folder, **options):
    backbone = TinyBackbone(**options)
    store = FeatureStore(folder / "cache", fingerprint(backbone))
    return FeatureSource(store, VideoDigests(folder / "videos.json"), None, _backbone=backbone)


def scored_as_it_comes(clip, scorer, every, pipe):
    """Score all moments of a file that is written into a pipe."""
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(clip.read_bytes()), daemon=True)
    writer.start()
    found = []
    with LiveVideo(str(pipe), scorer.sizes, scorer.reach + 1, Reading(drop=False), print) as video:
        while (frames := video.wait_for(round(len(found) * every, 6))) is not None:
            moment = round(len(found) * every, 6)
            found.append(scorer.score(moment, frames.times, frames.pictures))
    writer.join(10)
    return found


CASES = {
    "one window": (SamplingPolicy(), [{}], 0.25),
    "three windows": (SamplingPolicy(context=0.75), [{}], 0.25),
    "moments between the windows": (SamplingPolicy(context=0.75), [{}], 0.1),
    "mirrored and stretched": (SamplingPolicy(flip=True, strides=(1.0, 2.0)), [{}], 0.25),
    "cut short": (SamplingPolicy(context=0.5), [{"num_frames": 8, "min_frames": 4}], 0.25),
    "half precision": (SamplingPolicy(context=0.75), [{"dtype": "float16"}], 0.25),
    "two backbones": (SamplingPolicy(context=0.5), [{}, {"num_frames": 8}], 0.25),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("times", ["even", "uneven", "hole"])
def test_a_stream_has_the_scores_of_its_file(tmp_path, case, times):
    policy, backbones, every = CASES[case]
    gaps = {"uneven": 0.05 + 0.02 * (np.arange(60) % 3), "hole": 0.1 + 2.0 * (np.arange(60) == 30)}
    own = np.cumsum(gaps.get(times, np.full(60, 0.1))) - 0.1 * (times != "uneven")
    own = np.round(own - own[0], 3)
    frames = numbered_frames(60, 64, 96)
    frames[:, :, 48:] //= 2  # mirrored it is another picture
    clip = write_video(tmp_path / "a.ts", frames, fps=10, times=own.tolist())
    parts = [source_of(tmp_path, **options) for options in backbones]
    source = parts[0] if len(parts) == 1 else FusedSource(tuple(parts))
    predictor = Summing(policy)
    wanted = predict(predictor, source, clip, Moments(every=every), OPTIONS)
    scorer = StreamScorer(predictor, source, "cpu")
    found = scored_as_it_comes(clip, scorer, every, tmp_path / "pipe")
    probabilities = [one.probability for one in found]
    assert [one.time for one in found] == pytest.approx(wanted.times.tolist())
    np.testing.assert_allclose(probabilities, wanted.probabilities, atol=1e-5)
    is_part = [not one.is_whole and not np.isnan(one.probability) for one in found]
    assert is_part == wanted.from_part.tolist()
    assert len(set(np.round(probabilities, 5))) > 10  # scores that differ, so equal is no accident


def test_each_window_is_embedded_once_and_memory_does_not_grow(tmp_path):
    source = source_of(tmp_path)
    scorer = StreamScorer(Summing(SamplingPolicy(context=0.75)), source, "cpu")
    frames = numbered_frames(200, 32, 48)
    sizes = []
    for number in range(19, 200):
        times = np.arange(number - 19, number + 1) / 20
        pictures = [(frame,) for frame in frames[number - 19 : number + 1]]
        if number % 5 == 0:
            scorer.score(number / 20, times, pictures)
            sizes.append(len(scorer.memories[0]))
    assert max(sizes[10:]) <= 8 and sizes[-1] == sizes[10]
    # The first moment has three windows, each later one a single new one.
    assert scorer.backbones[0].num_forwards <= len(sizes) + 2


@pytest.mark.parametrize("head", ["retnet", "bimamba", "hybrid"])
def test_a_head_that_takes_single_steps_has_other_scores_than_those_that_were_measured(head):
    """Which is why windows are scored: it remembers what lies before the window."""
    options = {"bidirectional": False} if head != "retnet" else {}
    torch.manual_seed(0)
    encoder = build_model(part("head", head, **options), part("pooling", "last"), 6).encoder.eval()
    features = torch.randn(1, 24, 6)
    length = 8
    with torch.no_grad():
        stepped = outputs_step_by_step(encoder, features)
        mask = torch.ones(1, length, dtype=torch.bool)
        ends = range(length, 25)
        windows = [features[:, end - length : end] for end in ends]
        whole = [encoder(one, torch.zeros(1, length), mask)[:, -1] for one in windows]
    differences = (torch.stack(whole, 1) - stepped[:, length - 1 :]).abs()
    assert differences[:, 0].max() < 1e-5  # the first window is all that there was
    assert differences[:, 1:].max() > 5e-4
