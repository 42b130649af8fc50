"""What every backbone in configs/backbone must do; a new YAML is found by itself."""

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from unittest import mock

import hydra
import numpy as np
import pytest
import timm
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file

from collision.features.clips import ClipDataset, WindowRequest
from collision.features.fingerprint import fingerprint
from collision.types import Backbone
from tests.kit.extraction import Options, open_source, write_videos
from tests.kit.video import write_video

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "backbone").glob("*.yaml"))

# Makes a backbone small, and random where its weights do not come with the installation.
SHRUNK = {
    "timm_image": {"model": "resnet18", "pretrained": False, "height": 64, "width": 96},
    "efficientnet_lite0": {"height": 64, "width": 96},
    "efficientnet_lite1": {"height": 64, "width": 96},
    "efficientnet_lite2": {"height": 64, "width": 96},
    "dinov2_b": {"pretrained": False, "height": 56, "width": 98},
    "dinov3_b": {"pretrained": False, "height": 64, "width": 96},
    "dinov3_l": {"pretrained": False, "height": 64, "width": 96},
    "siglip2_b": {"pretrained": False, "height": 64, "width": 96},
    "internvit": {"pretrained": False, "height": 56, "width": 98},
    "vjepa2": {"pretrained": False, "size": "tiny"},
    "optical_flow": {"height": 64, "width": 96, "num_frames": 4},
}

# Built with the first of their blocks alone, which are all alike: 24 take seconds each time.
SHALLOW = {"dinov2_b", "dinov3_b", "dinov3_l", "siglip2_b", "internvit"}


def build(path, device="cpu"):
    config = OmegaConf.merge(OmegaConf.load(path), SHRUNK.get(path.stem, {}))
    one_block = mock.patch("timm.create_model", partial(timm.create_model, depth=1))
    with one_block if path.stem in SHALLOW else nullcontext():
        return hydra.utils.instantiate(config).to(device)


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    """The whole suite runs on a GPU too: pytest -m gpu."""
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield request.param


@pytest.fixture(scope="module")
def backbone(path, device):
    return build(path, device)


def windows(spec, count=3):
    shape = (count, spec.num_frames, spec.height, spec.width, 3)
    generator = np.random.default_rng(0)
    return torch.from_numpy(generator.integers(0, 256, shape, dtype=np.uint8))


@torch.inference_mode()
def embed(backbone, frames):
    placed = next(backbone.buffers(), frames)  # optical flow has no tensors to be placed
    return backbone(frames.to(placed.device)).cpu()


def test_the_spec_is_complete(backbone):
    spec = backbone.spec
    assert isinstance(backbone, Backbone) and isinstance(backbone, torch.nn.Module)
    assert spec.name and spec.implementation and spec.source
    assert len(spec.mean) == len(spec.std) == 3
    assert min(spec.num_frames, spec.fps, spec.height, spec.width) > 0
    assert spec.dtype in ("float16", "float32")


def test_shape_dtype_and_range(backbone):
    spec = backbone.spec
    features = embed(backbone, windows(spec))
    assert features.shape == (3, spec.num_steps, spec.feature_dim)
    assert features.is_floating_point()
    stored = features.numpy().astype(spec.dtype)
    assert np.isfinite(stored).all()
    assert stored.std() > 0


def test_an_empty_picture_is_told_from_a_busy_one(backbone):
    """Black and white need not differ: to optical flow they don't."""
    frames = windows(backbone.spec, 3)
    frames[1], frames[2] = 0, 255
    busy, black, white = embed(backbone, frames)
    assert torch.isfinite(black).all() and torch.isfinite(white).all()
    assert not torch.allclose(busy, black) and not torch.allclose(busy, white)


def test_deterministic_and_independent_of_the_batch(backbone):
    frames = windows(backbone.spec)
    together = embed(backbone, frames)
    assert torch.equal(together, embed(backbone, frames))
    alone = torch.cat([embed(backbone, frame[None]) for frame in frames])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-3)


def test_frozen_and_in_eval_mode(backbone):
    assert not backbone.training
    assert not any(module.training for module in backbone.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_built_again_or_loaded_it_is_the_same(tmp_path, path, device, backbone):
    state = torch.random.get_rng_state()
    again = build(path, device)
    assert torch.equal(state, torch.random.get_rng_state())
    assert fingerprint(again) == fingerprint(backbone)
    frames = windows(backbone.spec, 1)
    features = embed(backbone, frames)
    assert torch.equal(features, embed(again, frames))

    contiguous = {name: tensor.contiguous() for name, tensor in backbone.state_dict().items()}
    save_file(contiguous, tmp_path / "weights.safetensors")
    for tensor in again.state_dict().values():
        tensor.zero_()
    again.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(features, embed(again, frames))
    assert fingerprint(again) == fingerprint(backbone)


def test_frames_outside_the_window_change_nothing(tmp_path, backbone):
    """Neither what comes after its end nor what lies before its start: on real video files."""
    spec, end, rate = backbone.spec, 2.52, 20
    noise = np.random.default_rng(0).integers(0, 256, (60, 8, 12, 3), np.uint8)
    frames = noise.repeat(8, axis=1).repeat(8, axis=2)
    last = int(end * rate)
    first = int((end - (spec.num_frames - 1) / spec.fps) * rate)
    assert 0 < first <= last < 59
    outside, inside = frames.copy(), frames.copy()
    outside[:first] = 255 - outside[:first]
    outside[last + 1 :] = 255 - outside[last + 1 :]
    inside[last] = 255 - inside[last]
    original, same, other = (
        embed(backbone, window_of(write_lossless(tmp_path / f"{number}.mp4", video), spec, end))
        for number, video in enumerate((frames, outside, inside))
    )
    assert torch.equal(original, same)
    assert not torch.allclose(original, other)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_cache_holds_what_the_backbone_gives(tmp_path, backbone, device, seed):
    """Features that were extracted are those of the same frames now, in batches of one shape."""
    draw, spec, num_in_batch = np.random.default_rng(seed), backbone.spec, 3
    span = (spec.num_frames - 1) / spec.fps
    paths = write_videos(tmp_path, 2)  # of 2.5 s
    requests = [
        WindowRequest(path.stem, path, np.sort(draw.uniform(span, 2.49, size)).round(2))
        for path, size in zip(paths, (4, 3), strict=True)
    ]
    source = open_source(tmp_path, backbone)
    accelerator = {"cpu": "cpu", "cuda": "gpu"}[device]
    options = Options(batch_size=num_in_batch, num_workers=0, accelerator=accelerator)
    assert not source.extract(requests, options, progress=False).failures

    clips = [ClipDataset(requests, spec)[number] for number in range(len(requests))]
    frames = np.concatenate([clip.frames[clip.windows] for clip in clips])
    assert len(frames) == 7 and all((clip.windows >= 0).all() for clip in clips)
    padded = torch.from_numpy(np.concatenate([frames, frames[:2]])).split(num_in_batch)
    live = torch.cat([embed(backbone, batch) for batch in padded])[:7].float().numpy()

    pairs = [(source.digests.digest(one.path), one.end_times) for one in requests]
    found = [source.store.read(*pair) for pair in pairs]
    assert all(available.all() for _, available in found)
    stored = np.concatenate([features for features, _ in found])
    assert stored.dtype == spec.dtype and np.ptp(stored, axis=0).max() > 0
    smallest = np.finfo(spec.dtype)
    np.testing.assert_allclose(stored, live, rtol=smallest.eps, atol=smallest.smallest_subnormal)


def write_lossless(path, frames):
    """Each frame a key frame of fixed quality, so that none depends on its neighbours."""
    return write_video(path, frames, keyframe_every=1, encoder_options={"qp": "0"})


def window_of(video, spec, end):
    clip = ClipDataset([WindowRequest("clip", video, np.array([end]))], spec)[0]
    return torch.from_numpy(clip.frames[clip.windows])


def test_every_frame_of_a_window_is_used(backbone):
    frames = windows(backbone.spec, 1)
    features = embed(backbone, frames)
    for number in range(backbone.spec.num_frames):
        changed = frames.clone()
        changed[:, number] = 255 - changed[:, number]
        assert not torch.allclose(features, embed(backbone, changed)), f"frame {number}"


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_at_full_size(path):
    """Random weights at the depth and input size that users run."""
    config = OmegaConf.load(path)
    if "pretrained" in config:
        config.pretrained = False
    if path.stem == "timm_image":
        config.model = "resnet18"
    backbone = hydra.utils.instantiate(config)
    features = embed(backbone, windows(backbone.spec, 1))
    assert features.shape == (1, backbone.spec.num_steps, backbone.spec.feature_dim)
    assert torch.isfinite(features).all()
