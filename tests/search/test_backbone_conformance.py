"""What every backbone promises, here of those that are small; and backbones that break a promise.

tests/backbones holds every YAML to more.
"""

import pytest

from collision.config import part
from collision.errors import CollisionError
from collision.search.backbone_conformance import CHECKS
from collision.search.backbone_subject import LocalBackbone
from tests.kit.broken import BACKBONES, Blocks, EvenAlone, RefusesOdd, broken

SIZE = {"height": 32, "width": 48}
SMALL = {
    "efficientnet_lite0": {"height": 64, "width": 96},
    "optical_flow": {"height": 64, "width": 96, "num_frames": 5, "min_frames": 3},
}


@pytest.fixture(
    scope="module",
    params=["optical_flow", pytest.param("efficientnet_lite0", marks=pytest.mark.slow)],
)
def backbone(request):
    return LocalBackbone(part("backbone", request.param, **SMALL[request.param]))


@pytest.mark.parametrize("check", CHECKS)
def test_a_backbone_keeps_its_promises(backbone, check):
    CHECKS[check](backbone)


@pytest.mark.parametrize("check", CHECKS)
def test_each_promise_can_be_broken(check):
    for allowed in (Blocks, RefusesOdd):
        CHECKS[check](LocalBackbone(broken("backbone", allowed, **SIZE)))
    for made in BACKBONES[check]:
        backbone = LocalBackbone(broken("backbone", made, **SIZE))
        # What raises an error behind walls is a finding there; here it is the error itself.
        errors = RuntimeError if made is EvenAlone else CollisionError
        with pytest.raises(errors) as refused:
            CHECKS[check](backbone)
        assert "\n" not in str(refused.value), made
