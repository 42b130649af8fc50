import dataclasses
import json

import pytest
import torch

from collision.backbones.optical_flow import OpticalFlow
from collision.backbones.vjepa2 import VJEPA2
from collision.checks import call_typed
from collision.errors import CacheMismatchError
from collision.features.fingerprint import Fingerprint, check_same, fingerprint, weights_digest
from collision.types import BackboneSpec
from tests.kit.backbone import TinyBackbone

OTHER_VALUES = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "dtype": "float16", "min_frames": 2}


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(BackboneSpec)])
def test_every_field_of_the_spec_changes_the_key(field):
    backbone = TinyBackbone()
    before = fingerprint(backbone)
    value = getattr(backbone.spec, field)
    other = OTHER_VALUES.get(field) or (f"{value}x" if isinstance(value, str) else value + 1)
    backbone.spec = dataclasses.replace(backbone.spec, **{field: other})
    assert fingerprint(backbone).key != before.key


def test_equal_backbones_have_equal_keys():
    one, two = TinyBackbone(), TinyBackbone()
    assert fingerprint(one) == fingerprint(two)
    assert fingerprint(one).key == fingerprint(two).key
    assert fingerprint(one.train()).key == fingerprint(two.eval()).key


def test_weights_and_precision_change_the_key():
    backbone = TinyBackbone()
    before = fingerprint(backbone).key
    assert fingerprint(backbone, "bf16-mixed").key != before
    backbone.projection.bias[0] += 1e-6
    assert fingerprint(backbone).key != before


def test_readers_with_other_pixels_have_other_keys():
    backbone = TinyBackbone()
    before = fingerprint(backbone)
    assert "reader" not in before.fields and before.reader == "pyav"
    assert fingerprint(backbone, reader="pyav") == before
    others = [fingerprint(backbone, reader=reader) for reader in ("decord", "torchcodec")]
    assert [other.reader for other in others] == ["decord", "torchcodec"]
    assert len({before.key, *(other.key for other in others)}) == 3


def test_digest_sees_names_dtypes_and_shapes_but_not_memory_layout():
    def digest(**tensors):
        module = torch.nn.Module()
        for name, tensor in tensors.items():
            module.register_buffer(name, tensor)
        return weights_digest(module)

    image = torch.arange(120.0).reshape(2, 3, 4, 5)
    same = image.contiguous(memory_format=torch.channels_last)
    assert digest(a=image) == digest(a=same)
    assert digest(a=image) != digest(b=image)
    assert digest(a=image) != digest(a=image.reshape(3, 2, 4, 5))
    zeros = torch.zeros(4)
    assert digest(a=zeros) != digest(a=zeros.int())
    assert digest(a=torch.tensor(1, dtype=torch.bfloat16)) != digest(a=torch.tensor(1.0))


def test_it_survives_json():
    found = fingerprint(TinyBackbone())
    again = Fingerprint(json.loads(json.dumps(dict(found.fields))))
    assert again == found and again.key == found.key
    check_same(found, again, "itself")


def test_mismatch_spells_out_the_difference():
    backbone = TinyBackbone()
    wanted = fingerprint(backbone)
    fields = {**wanted.fields, "height": 224}
    del fields["licence"]
    with pytest.raises(CacheMismatchError) as caught:
        check_same(wanted, Fingerprint(fields), "runs/1")
    assert "runs/1" in str(caught.value)
    assert "height: 32 here, 224 there" in str(caught.value)
    assert "licence:  here, (nothing) there" in str(caught.value)
    assert "width" not in str(caught.value)


@pytest.mark.parametrize(
    ("backbone", "options"),
    [(OpticalFlow, {}), (VJEPA2, {"size": "tiny", "pretrained": False})],
    ids=["optical_flow", "vjepa2"],
)
def test_a_whole_rate_stays_whole_on_the_way_from_the_yaml(backbone, options):
    """Caches made before options were checked have it so in their key."""
    default = call_typed(backbone, options, {}, "backbone")
    given = call_typed(backbone, {**options, "fps": int(default.spec.fps)}, {}, "backbone")
    assert fingerprint(given).key == fingerprint(default).key
    assert json.dumps(given.spec.fps).isdecimal()


def test_the_spec_is_in_it():
    found = fingerprint(TinyBackbone(fps=10))
    assert found.spec == TinyBackbone().spec and found.precision == "32-true"
    with pytest.raises(CacheMismatchError, match="height=tall: give a whole number"):
        _ = Fingerprint({**found.fields, "height": "tall"}).spec


def test_windows_that_must_be_whole_have_the_keys_they_always_had():
    backbone = TinyBackbone()
    assert "min_frames" not in fingerprint(backbone).fields
    assert fingerprint(backbone).key == "f3462ba5a0aaab63"
    assert fingerprint(backbone).spec.least_frames == 4
    found = fingerprint(TinyBackbone(min_frames=2))
    assert found.fields["min_frames"] == 2 and found.spec == TinyBackbone(min_frames=2).spec


def test_a_window_may_be_no_shorter_than_whole():
    """``min_frames`` of ``num_frames`` or more says nothing: the key is that of whole windows."""
    whole = fingerprint(OpticalFlow(num_frames=4, min_frames=None, height=32, width=48))
    for least in (4, 9):
        same = OpticalFlow(num_frames=4, min_frames=least, height=32, width=48)
        assert fingerprint(same) == whole
