import pytest
import torch
from torch import nn

from collision.errors import ConfigError
from collision.learning.attention import Attention, BlockOptions, ProbeBlock, SelfBlock

DIM, HEADS = 12, 3
OPTIONS = BlockOptions("head", DIM, HEADS, 2.0, 0.0)


def peer_of(attention):
    """Torch's own attention with the same weights."""
    peer = nn.MultiheadAttention(DIM, HEADS, batch_first=True)
    parts = attention.query_projection, attention.key_value_projection
    with torch.no_grad():
        peer.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        peer.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        is_linear = isinstance(attention.out_projection, nn.Linear)
        out = attention.out_projection if is_linear else None
        peer.out_proj.weight.copy_(out.weight if out else torch.eye(DIM))
        peer.out_proj.bias.copy_(out.bias if out else torch.zeros(DIM))
    return lambda rows, steps, mask: peer(
        rows, steps, steps, key_padding_mask=~mask, need_weights=False
    )[0]


def make_steps():
    generator = torch.Generator().manual_seed(0)
    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 1, 1, 0, 1]]).bool()
    return torch.randn(2, 5, DIM, generator=generator), mask


@torch.no_grad()
@pytest.mark.parametrize("has_output", [True, False])
def test_attention_is_torchs(has_output):
    torch.manual_seed(0)
    attention = Attention(DIM, HEADS, has_output)
    steps, mask = make_steps()
    rows = torch.randn(2, 4, DIM)
    wanted = peer_of(attention)(rows, steps, mask)
    torch.testing.assert_close(attention(rows, steps, mask), wanted)
    torch.testing.assert_close(attention(rows, steps, None)[:1], wanted[:1])


@torch.no_grad()
def test_a_block_of_self_attention_is_torchs_encoder_layer():
    torch.manual_seed(0)
    block = SelfBlock(OPTIONS).eval()
    steps, mask = make_steps()
    normed = block.attention_norm(steps)
    hidden = steps + peer_of(block.attention)(normed, normed, mask)
    wanted = hidden + block.feedforward(block.feedforward_norm(hidden))
    torch.testing.assert_close(block(steps, mask), wanted)
    torch.testing.assert_close(block(steps, mask, first=2), wanted[:, :2])


@torch.no_grad()
def test_a_probe_is_built_from_torchs_attention():
    torch.manual_seed(0)
    probe = ProbeBlock(OPTIONS, num_queries=2).eval()
    steps, mask = make_steps()
    queries = probe.queries.expand(2, -1, -1)
    hidden = queries + peer_of(probe.attention)(queries, probe.steps_norm(steps), mask)
    wanted = hidden + probe.feedforward(probe.feedforward_norm(hidden))
    torch.testing.assert_close(probe(steps, mask), wanted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": 0}, "^pooling.dim=0: give 1"),
        ({"heads": 0}, "^pooling.heads=0: attention heads share 8 channels"),
        ({"heads": 3}, "^pooling.heads=3: attention heads share 8 channels evenly"),
        ({"feedforward_factor": 0.1}, "^pooling.feedforward_factor=0.1: no channel is left of 8"),
        ({"dropout": 1.0}, "^pooling.dropout=1.0: it is a share"),
    ],
)
def test_options_that_cannot_work_are_refused(change, message):
    options = {"dim": 8, "heads": 2, "feedforward_factor": 2.0, "dropout": 0.1, **change}
    with pytest.raises(ConfigError, match=message):
        BlockOptions("pooling", **options)
