"""What tells the label where nothing may: every sampling policy must be at chance.

Videos whose label can be seen after the event alone, and short ones, of which some is missing.

The pictures before the event are noise, the same for both classes. After it a positive turns
white. A policy that lets a single frame too much in gives its positives away.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from collision.config import names_of, part
from collision.features.digest import VideoDigests
from collision.features.fingerprint import fingerprint
from collision.features.source import FeatureSource
from collision.features.store import FeatureStore
from collision.learning.alignment import load_features
from collision.option_groups import ExtractionOptions
from collision.sampling.index import DENSE, Selection, index_records
from collision.sampling.policy import SamplingPolicy
from collision.types import SPLITS, BackboneSpec, VideoRecord
from tests.kit.video import write_video

POLICIES = names_of("sampling")
FPS, NUM_FRAMES, EVENT = 10, 70, 5.0
WHITE = 0.9  # of mean brightness: noise lies near 0.5
OPTIONS = ExtractionOptions(accelerator="cpu", batch_size=8, num_workers=0, timeout=60)


class Brightness(nn.Module):
    """Brightness of each quarter of each frame; of one frame or of a clip of four."""

    def __init__(self, num_frames: int, min_frames: int | None = None):
        super().__init__()
        self.spec = BackboneSpec(
            name=f"test/brightness{num_frames}",
            implementation="kit 1",
            num_frames=num_frames,
            fps=5.0,
            height=48,
            width=64,
            mean=(0.0,) * 3,
            std=(1.0,) * 3,
            num_steps=num_frames,
            feature_dim=4,
            dtype="float32",
            min_frames=min_frames,
        )

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        quarters = frames.float().unflatten(2, (2, 24)).unflatten(4, (2, 32)).mean(dim=(3, 5, 6))
        return quarters.flatten(2) / 255


def policy_of(name: str) -> SamplingPolicy:
    """Build a policy as the command line would, with the flag that whole clips ask for."""
    leak = {"allow_leak": True} if name == "whole_clip" else {}
    return part("sampling", name, **leak).build()


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    generator = np.random.default_rng(0)
    found = []
    for number in range(60):
        label, split = number % 2, SPLITS[number // 2 % 3]
        # Blocks of 8 pixels: finer noise would make the files large.
        blocks = generator.integers(60, 196, (NUM_FRAMES, 6, 8, 3), dtype=np.uint8)
        frames = blocks.repeat(8, axis=1).repeat(8, axis=2)
        if label:
            frames[int(EVENT * FPS) :] = 255
        path = write_video(folder / f"{number}.mp4", frames, fps=FPS)
        found.append(
            VideoRecord(
                id=str(number),
                path=path,
                label=label,
                split=split,
                group=str(number),
                event_time=EVENT if label else None,
                alert_time=EVENT - 1.0 if label else None,
            )
        )
    return found


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One for all policies: they share windows."""
    return tmp_path_factory.mktemp("cache")


def seen_by(backbone, records, policy, cache):
    index = index_records("planted", records, policy, Selection(SPLITS))
    store = FeatureStore(cache, fingerprint(backbone))
    source = FeatureSource(store, VideoDigests(cache / "videos.json"), None, _backbone=backbone)
    report = source.extract(source.requests(index, policy), OPTIONS, progress=False)
    assert not report.failures
    return load_features(index, source, policy, [])


@pytest.mark.parametrize("num_frames", [1, 4])
@pytest.mark.parametrize("name", POLICIES)
def test_what_shows_after_the_event_alone_is_not_seen(name, num_frames, records, cache):
    policy = policy_of(name)
    data = seen_by(Brightness(num_frames), records, policy, cache)
    if policy.dense is not None:
        assert len(data[DENSE])
    brightest = max(part.bank.mean(dim=-1).max() for part in data.values())
    inputs = {split: _inputs(part) for split, part in data.items()}
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    probe.fit(*inputs["train"])
    features, labels = inputs["test"]
    auc = roc_auc_score(labels, probe.predict_proba(features)[:, 1])
    if policy.whole_clip:  # it must be told apart, or this test could not fail
        assert brightest > WHITE and auc > 0.95
    else:
        assert brightest < WHITE
        assert 0.2 < auc < 0.8


def _inputs(data):
    batch = data.__getitems__(range(len(data)))
    return batch["features"].flatten(1).numpy(), batch["label"].numpy()


@pytest.fixture(scope="module")
def short_records(tmp_path_factory):
    """Clips of noise of which some are too short for a window before the cut; events midway."""
    folder = tmp_path_factory.mktemp("short")
    generator = np.random.default_rng(1)
    found = []
    for number in range(120):
        label, split = number % 2, SPLITS[number // 2 % 3]
        middle = int(generator.integers(8, 37))  # the frame: 0.8 to 3.6 s
        frames = generator.integers(60, 196, (2 * middle + 1, 48, 64, 1), dtype=np.uint8)
        path = write_video(folder / f"{number}.mp4", frames.repeat(3, axis=3), fps=FPS)
        times = {"event_time": middle / FPS, "alert_time": middle / FPS - 0.3} if label else {}
        found.append(VideoRecord(str(number), path, label, split, str(number), **times))
    return found


def shares_seen(data):
    """Give what a probe sees that is shown the mask alone, with the labels."""
    batch = data.__getitems__(range(len(data)))
    return batch["mask"].float().numpy(), batch["label"].numpy()


@pytest.mark.parametrize("backbone", [Brightness(1), Brightness(8, min_frames=2)], ids=["1", "8"])
@pytest.mark.parametrize("name", [name for name in POLICIES if name != "whole_clip"])
def test_how_much_was_seen_tells_no_label(name, backbone, short_records, cache):
    data = seen_by(backbone, short_records, policy_of(name), cache)
    masks, labels = shares_seen(data["test"])
    assert 0.05 < 1 - masks.mean() < 0.9  # some steps are missing, or nothing is shown here
    if backbone.spec.num_frames > 1:
        assert len(np.unique(masks.sum(axis=1))) > 3
    probe = LogisticRegression(C=0.1).fit(*shares_seen(data["train"]))
    for scores in (masks.sum(axis=1), probe.predict_proba(masks)[:, 1]):
        assert 0.35 < roc_auc_score(labels, scores) < 0.65


def test_a_mask_that_tells_the_label_would_be_found(short_records, cache):
    """Positives here have their events at the very beginning."""
    early = [replace(r, event_time=0.7, alert_time=None) if r.label else r for r in short_records]
    early = [r if r.label else replace(r, mock_event_time=1.4) for r in early]
    data = seen_by(Brightness(8, min_frames=2), early, policy_of("nexar"), cache)
    masks, labels = shares_seen(data["test"])
    assert roc_auc_score(labels, -masks.sum(axis=1)) > 0.9
