"""What every backbone promises, here of those that are small enough; and some that break it."""

import pytest

from collision.config import part
from collision.search.backbone_conformance import CHECKS
from collision.search.backbone_subject import LocalBackbone

SMALL = {
    "efficientnet_lite0": {"height": 64, "width": 96},
    "optical_flow": {"height": 64, "width": 96, "num_frames": 5, "min_frames": 3},
}


@pytest.fixture(scope="module", params=SMALL)
def backbone(request):
    return LocalBackbone(part("backbone", request.param, **SMALL[request.param]))


@pytest.mark.parametrize("check", CHECKS)
def test_a_backbone_keeps_its_promises(backbone, check):
    CHECKS[check](backbone)
