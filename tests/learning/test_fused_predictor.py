"""A predictor on several backbones: saved, read again, and refused where it does not fit."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from collision.config import names_of, part
from collision.errors import CheckpointError
from collision.features.fingerprint import Fingerprint, fingerprint
from collision.learning.head import Fused, HeadOptions, build_model
from collision.learning.predictor import Predictor, load_predictor
from collision.learning.predictor_files import FILE_NAME
from collision.sampling.policy import SamplingPolicy
from tests.kit.backbone import TinyBackbone

NAMES = ["efficientnet_lite0", "optical_flow"]
TINY = fingerprint(TinyBackbone())
BOTH = Fingerprint.of_parts([TINY, Fingerprint({**TINY.fields, "feature_dim": 3})])


def make_predictor(kind):
    torch.manual_seed(0)
    parts = {
        "backbone": part("backbone", "fusion", parts=NAMES),
        "head": part("head", "gru", dim=8),
        "pooling": part("pooling", "attention"),
        "fusion": part("fusion", kind),
        "prior": part("head", "logistic"),
    }
    fused = Fused(parts["fusion"], (5, 3))
    what = parts["head"], parts["pooling"], 8, HeadOptions(change=True)
    model = build_model(*what, fused=fused, prior=parts["prior"])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return Predictor(model.eval(), parts, SamplingPolicy(), BOTH)


@torch.no_grad()
@pytest.mark.parametrize("kind", names_of("fusion"))
def test_what_is_saved_comes_back(tmp_path, kind):
    original = make_predictor(kind)
    original.save(tmp_path / FILE_NAME)
    loaded = load_predictor(tmp_path / FILE_NAME)
    batch = torch.randn(3, 5, 8), torch.zeros(3, 5), torch.rand(3, 5) < 0.7
    assert torch.equal(loaded.model(*batch), original.model(*batch))
    assert loaded.parts == original.parts and loaded.fingerprint == original.fingerprint
    assert loaded.spec.feature_dim == 8


def rewritten(path, change):
    """Change a saved file's header."""
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["collision"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(header)
    save_file(tensors, path, metadata={"collision": json.dumps(header)})


def copied(data):
    return json.loads(json.dumps(data))


def backbones(header):
    return header["parts"]["backbone"]["options"]["parts"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header: backbones(header).pop(), "two backbones or more"),
        (lambda header: header["fingerprint"]["parts"].pop(), "is of 1 backbone"),
        (lambda header: header["fingerprint"]["parts"].reverse(), "does not fit its own head"),
        (lambda header: header["parts"].update(fusion={"name": "concat"}), "not fit its own head"),
        (lambda header: header["parts"].update(backbone={"name": "vjepa2"}), "2 backbone"),
        (lambda header: header["parts"]["fusion"].update(name="mine"), "names the fusion 'mine'"),
        (
            lambda header: header["parts"].update(fusion={"target": "os.system", "options": {}}),
            "not a class of this package",
        ),
        (
            lambda header: header["parts"]["fusion"].update(
                name="gated", options={"dim": 1_000_000_000}
            ),
            "1000000000 in the options of its head",
        ),
        (
            lambda header: backbones(header)[1].update(target="os.system"),
            "not a class of this package",
        ),
        (
            lambda header: backbones(header).append(copied(header["parts"]["backbone"])),
            "fusion is itself several backbones",
        ),
        (lambda header: backbones(header)[1].update(options={"fps": "${x}"}), "not interpolated"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, change, message):
    path = tmp_path / FILE_NAME
    make_predictor("late").save(path)
    rewritten(path, change)
    with pytest.raises(CheckpointError, match=message):
        load_predictor(path)
