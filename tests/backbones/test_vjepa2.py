import json
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import VJEPA2Config, VJEPA2ForVideoClassification, VJEPA2Model

from collision.backbones.vjepa2 import SIZES, VJEPA2
from collision.errors import ConfigError, WeightsNotFoundError
from collision.features.fingerprint import fingerprint
from tests.conftest import runs_in

ROOT = Path(__file__).parents[2]
FILE = "model.safetensors"
FOLDERS = ("data", "cache", "runs")
SHAPE = {
    **SIZES["tiny"].shape,
    "pred_hidden_size": 48,
    "pred_num_hidden_layers": 1,
    "num_pooler_layers": 1,
    "initializer_range": 0.2,  # smaller weights hardly attend, so that positions would not matter
}


def tiny_model(kind=VJEPA2Model, seed=3, **options):
    torch.manual_seed(seed)
    return kind(VJEPA2Config(**{**SHAPE, **options})).eval()


@pytest.fixture(scope="module")
def theirs():
    return tiny_model()


@pytest.fixture(scope="module")
def folder(theirs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    theirs.save_pretrained(folder)
    return folder


def windows(side=64, count=2, num_frames=16):
    generator = torch.Generator().manual_seed(1)
    shape = (count, num_frames, side, side, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def pixels(frames):
    """The preprocessing, written the other way round."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((frames / 255 - mean) / std).permute(0, 1, 4, 2, 3)


@torch.no_grad()
def tokens_of(model, frames, **options):
    return model(pixel_values_videos=pixels(frames), skip_predictor=True, **options)


@torch.no_grad()
def embed(backbone, frames):
    return backbone(frames)


def test_features_are_the_tokens_of_transformers_averaged_over_the_picture(theirs, folder):
    frames = windows()
    tokens = tokens_of(theirs, frames).last_hidden_state
    assert tokens.shape == (2, 8 * 16, 96)
    by_tubelet = tokens.reshape(2, 8, 16, 96).mean(2)
    ours = embed(VJEPA2(weights=str(folder)), frames)
    torch.testing.assert_close(ours, by_tubelet, atol=1e-5, rtol=1e-5)
    ours = embed(VJEPA2(weights=str(folder), token_pooling="window"), frames)
    torch.testing.assert_close(ours, tokens.mean(1, keepdim=True), atol=1e-5, rtol=1e-5)


def test_fewer_layers_are_the_hidden_states_of_transformers_after_the_last_norm(theirs, folder):
    frames = windows()
    hidden = tokens_of(theirs, frames, output_hidden_states=True).hidden_states[1]
    with torch.no_grad():
        expected = theirs.encoder.layernorm(hidden).reshape(2, 8, 16, 96).mean(2)
    backbone = VJEPA2(weights=str(folder), num_layers=1)
    torch.testing.assert_close(embed(backbone, frames), expected, atol=1e-5, rtol=1e-5)
    assert fingerprint(backbone) != fingerprint(VJEPA2(weights=str(folder)))


def test_a_checkpoint_with_a_classifier_gives_its_encoder(tmp_path):
    model = tiny_model(VJEPA2ForVideoClassification, seed=4)
    model.save_pretrained(tmp_path)
    assert any(key.startswith("vjepa2.encoder.") for key in load_file(tmp_path / FILE))
    expected = tokens_of(model.vjepa2, windows()).last_hidden_state.reshape(2, 8, 16, 96).mean(2)
    ours = embed(VJEPA2(weights=str(tmp_path)), windows())
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_a_checkpoint_in_several_files_is_the_same(theirs, folder, tmp_path):
    theirs.save_pretrained(tmp_path, max_shard_size="300KB")
    assert not (tmp_path / FILE).exists()
    assert torch.equal(
        embed(VJEPA2(weights=str(tmp_path)), windows()),
        embed(VJEPA2(weights=str(folder)), windows()),
    )


def test_another_input_size_without_the_guard_would_be_wrong(theirs, folder):
    """transformers takes any size without a word and tells tokens the places of its own."""
    frames = windows(side=96)
    right_model = tiny_model(crop_size=96)
    right_model.load_state_dict(theirs.state_dict())
    right, wrong = (
        tokens_of(model, frames).last_hidden_state.reshape(2, 8, 36, 96).mean(2)
        for model in (right_model, theirs)
    )
    assert (right - wrong).abs().max() > 0.05
    larger = VJEPA2(weights=str(folder), crop_size=96)
    assert (larger.spec.height, larger.spec.width) == (96, 96)
    torch.testing.assert_close(embed(larger, frames), right, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("shape", [(96, 96), (32, 128), (128, 32), (64, 80)])
def test_frames_of_another_size_are_refused(folder, shape):
    """32 x 128 has as many tokens as 64 x 64."""
    frames = torch.zeros(1, 16, *shape, 3, dtype=torch.uint8)
    with pytest.raises(ConfigError, match=rf"{shape[0]} x {shape[1]} .*rotary.* 64 x 64"):
        VJEPA2(weights=str(folder))(frames)


def test_windows_keep_their_order_and_frames_have_one(folder):
    backbone = VJEPA2(weights=str(folder))
    frames = windows(count=3)
    features = embed(backbone, frames)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(embed(backbone, frames[order]), features[order])
    backwards = embed(backbone, frames.flip(1)).flip(1)
    assert (features - backwards).abs().max() > 0.01
    mirrored = embed(backbone, frames.transpose(2, 3))
    assert (features - mirrored).abs().max() > 0.01


def test_the_spec_tells_the_window_and_the_origin(folder):
    spec = VJEPA2(weights=str(folder)).spec
    assert (spec.num_frames, spec.fps, spec.num_steps, spec.feature_dim) == (16, 8.0, 8, 96)
    assert (spec.height, spec.width, spec.resize) == (64, 64, "squash")
    assert spec.implementation == f"transformers {transformers.__version__}"
    assert spec.source == folder.name
    other = VJEPA2("tiny", pretrained=False, num_frames=8, fps=4, token_pooling="window").spec
    assert (other.num_frames, other.fps, other.num_steps) == (8, 4, 1)
    assert other.name == "vjepa2-tiny-random0" and other.source == "random"


def test_attention_is_pytorch_s_fused_one(folder):
    backbone = VJEPA2(weights=str(folder))
    fused = torch.nn.functional.scaled_dot_product_attention
    with mock.patch("torch.nn.functional.scaled_dot_product_attention", wraps=fused) as called:
        embed(backbone, windows())
    assert called.call_count == 2  # layers


def test_bfloat16_gives_nearly_the_same(folder):
    backbone = VJEPA2(weights=str(folder))
    with torch.autocast("cpu", torch.bfloat16):
        rough = embed(backbone, windows())
    fine = embed(backbone, windows())
    assert rough.dtype == torch.float32
    assert 0 < (rough - fine).abs().max() < 0.1


def test_the_seed_draws_the_weights():
    digests = [
        fingerprint(VJEPA2("tiny", pretrained=False, seed=seed)).fields["weights_digest"]
        for seed in (0, 0, 1)
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("size", "millions"), [("l", 326.0), ("h", 653.9), ("g", 1034.6), ("g384_ssv2", 1034.6)]
)
def test_random_weights_have_the_shape_of_the_hub_s(size, millions):
    with torch.device("meta"):
        model = VJEPA2Model(VJEPA2Config(**SIZES[size].shape))
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)


def damaged(folder, tmp_path, file=None, **config):
    """Copy a checkpoint; replace its weights by ``file`` and entries of its configuration."""
    content = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**content, **config}))
    (tmp_path / FILE).write_bytes((folder / FILE).read_bytes() if file is None else file)
    return str(tmp_path)


def test_folders_that_are_no_checkpoint_are_refused(folder, tmp_path):
    def refused(match, weights):
        with pytest.raises(WeightsNotFoundError, match=match):
            VJEPA2(weights=weights)

    refused(r"absent.*no config\.json", str(tmp_path / "absent"))
    refused(r"no config\.json", str(folder / FILE))
    refused("damaged", damaged(folder, tmp_path, file=b"hello"))
    refused("damaged", damaged(folder, tmp_path, file=(folder / FILE).read_bytes()[:-1000]))
    refused("type 'vit'", damaged(folder, tmp_path, model_type="vit"))
    refused("do not fit.*size mismatch", damaged(folder, tmp_path, hidden_size=192))
    refused("do not fit.*layer.2", damaged(folder, tmp_path, num_hidden_layers=3))
    refused("do not fit.*layer.1", damaged(folder, tmp_path, num_hidden_layers=1))
    refused("config.json", damaged(folder, tmp_path, hidden_size="many"))
    refused("config.json", damaged(folder, tmp_path, num_attention_heads=7))
    (tmp_path / "config.json").write_text("{")
    refused("not JSON", str(tmp_path))


def test_only_safetensors_are_read(folder, tmp_path):
    weights = Path(damaged(folder, tmp_path))
    (weights / FILE).rename(weights / "pytorch_model.bin")
    with pytest.raises(WeightsNotFoundError, match=r"no model\.safetensors"):
        VJEPA2(weights=str(weights))


def test_missing_weights_are_refused_not_filled_in(folder, tmp_path):
    state = load_file(folder / FILE)
    del state["encoder.layer.1.attention.key.weight"]
    weights = damaged(folder, tmp_path)
    save_file(state, tmp_path / FILE)
    with pytest.raises(WeightsNotFoundError, match=r"layer\.1\.attention\.key\.weight"):
        VJEPA2(weights=weights)


def test_an_index_cannot_lead_out_of_the_folder(folder, tmp_path):
    weights = Path(damaged(folder, tmp_path))
    (weights / FILE).unlink()
    index = {"weight_map": {"encoder.layernorm.weight": f"../{folder.name}/{FILE}"}}
    (weights / f"{FILE}.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsNotFoundError, match="outside"):
        VJEPA2(weights=str(weights))


@pytest.mark.parametrize("size", [size for size in SIZES if size != "tiny"])
def test_no_network_is_one_error_that_says_what_to_do(tmp_path, monkeypatch, size):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsNotFoundError) as caught:
        VJEPA2(size)
    for part in (
        f"'{SIZES[size].hub}'",
        "backbone.weights=FOLDER",
        "backbone=efficientnet_lite0",
        "backbone.size=tiny backbone.pretrained=false",
    ):
        assert part in str(caught.value)


def test_weights_in_the_hub_cache_need_no_network(folder, tmp_path, monkeypatch):
    hub = SIZES["l_ssv2"].hub
    snapshot = tmp_path / f"models--{hub.replace('/', '--')}" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    for file in ("config.json", FILE):
        (snapshot / file).write_bytes((folder / file).read_bytes())
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    backbone = VJEPA2("l_ssv2")
    assert backbone.spec.name == backbone.spec.source == hub
    assert torch.equal(embed(backbone, windows()), embed(VJEPA2(weights=str(folder)), windows()))


@pytest.mark.parametrize(("pooling", "num_steps"), [("tubelet", 3), ("window", 1)])
def test_fewer_frames_are_a_window_of_their_own(pooling, num_steps):
    """Of an odd number the oldest is left out: a token spans two."""
    options = {"size": "tiny", "pretrained": False, "token_pooling": pooling}
    cut, six = VJEPA2(**options, min_frames=4), VJEPA2(**options, num_frames=6)
    frames = windows(num_frames=7)
    found = embed(cut, frames)
    assert cut.spec.min_frames == 4 and found.shape == (2, num_steps, cut.spec.feature_dim)
    assert torch.equal(found, embed(six, frames[:, 1:]))
    assert six.spec.min_frames is None
    with pytest.raises(AssertionError):
        embed(six, frames[:, 2:])  # no window is cut short where nobody says that it may be


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("size", "xl"),
        ("num_frames", 15),
        ("num_frames", 0),
        ("min_frames", 1),
        ("fps", 0),
        ("crop_size", 100),
        ("crop_size", 0),
        ("num_layers", 0),
        ("num_layers", 3),
        ("token_pooling", "max"),
    ],
)
def test_options_that_cannot_work(option, value):
    with pytest.raises(ConfigError, match=rf"backbone\.{option}="):
        VJEPA2(**{"size": "tiny", "pretrained": False, option: value})


def test_options_that_exclude_each_other():
    with pytest.raises(ConfigError, match="pretrained=false"):
        VJEPA2("tiny")
    with pytest.raises(ConfigError, match="pretrained=false"):
        VJEPA2(weights="folder", pretrained=False)


@pytest.mark.slow
def test_the_whole_way_without_weights(tmp_path):
    """From videos to a scored head, on a few clips."""
    folders = {f"COLLISION_{name.upper()}": str(tmp_path / name) for name in FOLDERS}
    options = (
        "dataset.num_scenes=6",
        "limit=2",
        "trainer.max_steps=4",
        "trainer.validations=1",
        "num_resamples=50",
    )
    backbone = ("backbone=vjepa2", "backbone.size=tiny", "backbone.pretrained=false")
    command = [sys.executable, "train.py", *backbone, "head=zipformer", *options]
    result = subprocess.run(
        command, cwd=ROOT, env=os.environ | folders, capture_output=True, text=True, timeout=900
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "8 steps of 96 features from vjepa2-tiny-random0" in result.stdout + result.stderr
    (run,) = runs_in(tmp_path)
    assert json.loads((run / "metrics.json").read_text())["dataset"] == "synthetic"
