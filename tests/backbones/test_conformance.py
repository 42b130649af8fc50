"""What every backbone in configs/backbone must do; a new YAML is found by itself."""

from pathlib import Path

import hydra
import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file, save_file

from collision.features.fingerprint import fingerprint
from collision.types import Backbone

CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "backbone").glob("*.yaml"))

# Makes a backbone small, and random where its weights do not come with the installation.
SHRUNK = {
    "timm_image": {"model": "resnet18", "pretrained": False, "height": 64, "width": 96},
    "efficientnet_lite0": {"height": 64, "width": 96},
}


def build(path):
    config = OmegaConf.merge(OmegaConf.load(path), SHRUNK.get(path.stem, {}))
    return hydra.utils.instantiate(config)


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture(scope="module")
def backbone(path):
    return build(path)


def windows(spec, count=3):
    shape = (count, spec.num_frames, spec.height, spec.width, 3)
    generator = np.random.default_rng(0)
    return torch.from_numpy(generator.integers(0, 256, shape, dtype=np.uint8))


@torch.inference_mode()
def embed(backbone, frames):
    return backbone(frames)


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


def test_black_and_white_frames_are_told_apart(backbone):
    frames = torch.zeros_like(windows(backbone.spec, 2))
    frames[1] = 255
    black, white = embed(backbone, frames)
    assert torch.isfinite(white).all() and not torch.allclose(black, white)


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


def test_built_again_it_is_the_same(path, backbone):
    state = torch.random.get_rng_state()
    again = build(path)
    assert torch.equal(state, torch.random.get_rng_state())
    assert fingerprint(again) == fingerprint(backbone)
    frames = windows(backbone.spec, 1)
    assert torch.equal(embed(backbone, frames), embed(again, frames))


def test_save_and_load(tmp_path, path, backbone):
    contiguous = {name: tensor.contiguous() for name, tensor in backbone.state_dict().items()}
    save_file(contiguous, tmp_path / "weights.safetensors")
    again = build(path)
    for tensor in again.state_dict().values():
        tensor.zero_()
    again.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    frames = windows(backbone.spec, 1)
    assert torch.equal(embed(backbone, frames), embed(again, frames))
    assert fingerprint(again) == fingerprint(backbone)
