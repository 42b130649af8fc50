import pytest
import timm
import torch
from timm.layers import Conv2dSame
from torch import nn

from collision.backbones.timm_image import TimmImage
from collision.features.fingerprint import weights_digest
from collision.features.folding import folded


def norms(network):
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def lived_in(network):
    """Give batch norms statistics that are not those of a new network."""
    torch.manual_seed(1)
    for module in network.eval().modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.weight.data, module.bias.data):
                tensor.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    return network


@pytest.mark.parametrize("model", ["tf_efficientnet_lite0", "resnet18", "densenet121"])
@torch.inference_mode()
def test_a_folded_network_gives_the_same_features(model):
    network = lived_in(timm.create_model(model, num_classes=0))
    fast = folded(network, 64, 64)
    # densenet's norms that follow a concatenation stay.
    assert norms(fast) == (62 if model == "densenet121" else 0) < norms(network)
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(fast(images), network(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("height", "width", "left"), [(64, 64, 0), (72, 200, 2), (61, 64, 2)])
@torch.inference_mode()
def test_even_pictures_are_halved_without_a_padded_copy(height, width, left):
    network = lived_in(timm.create_model("tf_efficientnet_lite0", num_classes=0))
    fast = folded(network, height, width)
    assert sum(isinstance(module, Conv2dSame) for module in fast.modules()) == left
    images = torch.rand(1, 3, height, width)
    torch.testing.assert_close(fast(images), network(images), rtol=1e-4, atol=1e-5)


class TwoTakers(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images):
        found = self.conv(images)
        return self.norm(found) + found


@torch.inference_mode()
def test_an_output_with_other_takers_is_not_folded():
    network = lived_in(TwoTakers())
    assert folded(network, 16, 16) is network
    assert norms(network) == 1


def test_a_backbone_that_has_run_keeps_its_weights_and_digest():
    backbone = TimmImage("resnet10t", pretrained=False, height=64, width=64)
    fresh = weights_digest(backbone)
    backbone(torch.zeros(1, 1, 64, 64, 3, dtype=torch.uint8))
    assert weights_digest(backbone) == fresh
    assert norms(backbone) > 0 == norms(backbone._for_cpu(64, 64))
