import pytest
import torch

from collision.errors import ConfigError
from collision.learning.retention import RetentionBlock
from collision.learning.state_space import StateSpaceBlock
from collision.temporal.hybrid import Hybrid


def encode(encoder, features):
    shape = features.shape[:2]
    return encoder(features, torch.zeros(shape), torch.ones(shape, dtype=torch.bool))


@torch.no_grad()
@pytest.mark.parametrize("bidirectional", [False, True])
def test_without_any_one_of_its_blocks_it_is_another(bidirectional):
    torch.manual_seed(0)
    encoder = Hybrid(input_dim=6, dim=16, layers=5, bidirectional=bidirectional).eval()
    features = torch.randn(2, 7, 6)
    whole, blocks = encode(encoder, features), list(encoder.blocks)
    for removed in range(5):
        encoder.blocks = torch.nn.ModuleList(blocks[:removed] + blocks[removed + 1 :])
        moved = (encode(encoder, features) - whole).abs().amax(dim=-1)
        assert moved.min() > 1e-3, f"block {removed}, at the step that it moves least"


def test_the_blocks_are_those_of_the_two_others_in_turn():
    kinds = [type(block) for block in Hybrid(input_dim=6, layers=3).blocks]
    assert kinds == [RetentionBlock, StateSpaceBlock, RetentionBlock]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 20, "heads": 4}, "head.dim=20 with head.heads=4.*multiple of 8"),
        ({"layers": 0}, "head.layers=0: give 1 or more"),
        ({"kernel": 0}, "head.kernel=0: give 1 or more"),
        ({"state_dim": 0}, "head.state_dim=0: give 1 or more"),
        ({"feedforward_factor": 0}, "head.feedforward_factor"),
        ({"expansion": 0}, "head.expansion"),
        ({"dropout": 1}, "head.dropout=1"),
        ({"shortest_memory": 0}, "head.shortest_memory=0"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Hybrid(input_dim=8, **options)
