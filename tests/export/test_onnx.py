"""Heads and backbones as ONNX agree with their originals, or are refused with a sentence."""

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("onnxscript")

from collision.config import names_of, part
from collision.errors import ConfigError
from collision.export import onnx
from collision.export.onnx import NotExportedError, export_backbone, export_head
from collision.features.fingerprint import Fingerprint
from collision.learning.ensemble import Ensemble
from collision.learning.head import HeadOptions, build_model, is_chosen
from collision.learning.predictor import Predictor
from collision.sampling.policy import SamplingPolicy
from collision.types import BackboneSpec

DIM = 12
FINGERPRINT = {
    "name": "test/tiny",
    "implementation": "kit 1",
    "num_frames": 1,
    "fps": 10.0,
    "height": 8,
    "width": 8,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "num_steps": 1,
    "feature_dim": DIM,
    "weights_digest": "0",
    "precision": "32-true",
    "schema": 1,
}
SLOW = ("zipformer", "transformer", "gru", "retnet", "tcn", "lstm", "attentive_probe")
UNTRACED = ("bimamba", "hybrid")
HEADS = [
    name
    for name in names_of("head")
    if not is_chosen(part("head", name)) and not name.startswith("zipformer_")
]


def predictor_of(name, members=1, **options):
    prior = None if name == "logistic" else part("head", "logistic")
    how = HeadOptions(components=8, change=name != "logistic")
    heads = []
    for seed in range(members):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            head = part("head", name, **options)
            model = build_model(head, part("pooling", "last"), DIM, how, prior=prior).eval()
            for weights in model.parameters():  # some begin at zero, and would hide others
                weights.data += 0.05 * torch.randn_like(weights)
        heads.append(model)
    parts = {"backbone": part("backbone", "efficientnet_lite0"), "head": head}
    model = heads[0] if members == 1 else Ensemble(heads).eval()
    made = Fingerprint(FINGERPRINT)
    return Predictor(model, {**parts, "pooling": part("pooling", "last")}, SamplingPolicy(), made)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name in HEADS
        if name not in UNTRACED
    ],
)
def test_a_head_has_its_logits_for_any_number_of_examples_and_steps(name, tmp_path):
    import onnxruntime

    predictor = predictor_of(name)
    made = export_head(predictor, tmp_path)
    assert made.difference < 1e-5
    session = onnxruntime.InferenceSession(
        str(tmp_path / made.file), providers=["CPUExecutionProvider"]
    )
    draw = torch.Generator().manual_seed(9)
    features = torch.randn(4, 6, DIM, generator=draw)
    times = torch.linspace(-1.5, 0, 6).expand(4, 6).contiguous()
    mask = torch.rand(4, 6, generator=draw) > 0.4
    mask[:, -1] = True
    given = {"features": features, "times": times, "mask": mask}
    kept = {one.name: given[one.name].numpy() for one in session.get_inputs()}
    (found,) = session.run(None, kept)
    with torch.no_grad():
        wanted = predictor.model(features, times, mask).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert wanted.std() > 1e-3


def test_an_ensemble_is_one_file(tmp_path):
    assert export_head(predictor_of("logistic", members=2), tmp_path).difference < 1e-5
    text = (tmp_path / "head.onnx").read_bytes()
    assert b".py" not in text and str(tmp_path).encode() not in text


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("bimamba", {}, marks=pytest.mark.slow),
        pytest.param("hybrid", {}, marks=pytest.mark.slow),
        ("gru", {"bidirectional": True}),
    ],
)
def test_what_cannot_be_traced_says_so_and_leaves_no_file(name, options, tmp_path):
    with pytest.raises(NotExportedError, match=rf"head {name}: torch cannot trace it for ONNX"):
        export_head(predictor_of(name, **options), tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_differs_is_not_left_there(tmp_path, monkeypatch):
    run = onnx._run
    monkeypatch.setattr(onnx, "_run", lambda *given: run(*given) + 2e-4)
    with pytest.raises(NotExportedError, match=r"it differs by 2.0e-04, more than 0.0001"):
        export_head(predictor_of("logistic"), tmp_path)
    assert not list(tmp_path.iterdir())


class Small(nn.Module):
    """A convolution over the mean of a window's frames."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.spec = BackboneSpec(
            *("test/small", "kit 1", 2, 4.0, 16, 24, (0.0,) * 3, (1.0,) * 3), 1, 5
        )
        self.eval().requires_grad_(False)

    def forward(self, frames):
        images = frames.float().mean(dim=1).permute(0, 3, 1, 2) / 255
        return self.conv(images).mean(dim=(2, 3))[:, None]


def test_a_backbone_takes_bytes_of_any_number_of_windows(tmp_path):
    made = export_backbone(Small(), "small", tmp_path)
    assert made.difference < 1e-5 and made.inputs == {"frames": "uint8 [batch, 2, 16, 24, 3]"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "chosen",
    [
        part("backbone", "efficientnet_lite0", height=64, width=96),
        part(
            *("backbone", "timm_image"),
            model="vit_tiny_patch16_224",
            pretrained=False,
            height=48,
            width=64,
        ),
        part("backbone", "vjepa2", size="tiny", pretrained=False, num_frames=4),
    ],
    ids=lambda one: one.name,
)
def test_real_backbones(chosen, tmp_path):
    assert export_backbone(chosen.build(), chosen.name, tmp_path).difference < 1e-4


def test_a_program_is_no_network(tmp_path):
    flow = part("backbone", "optical_flow").build()
    with pytest.raises(NotExportedError, match="backbone optical_flow: it is no network"):
        export_backbone(flow, "optical_flow", tmp_path)


def test_without_the_extra_there_is_a_sentence(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(onnx.importlib, "import_module", missing)
    with pytest.raises(ConfigError, match=r"export needs onnx, .*--extra export.*onnx=\[\]"):
        onnx.load_exporter()
