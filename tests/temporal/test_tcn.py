import pytest
import torch
from torch import nn

from collision.errors import ConfigError
from collision.temporal.tcn import TCN


def make_encoder(**options):
    torch.manual_seed(0)
    return TCN(input_dim=5, **{"dim": 8, **options}).eval()


def encode(encoder, features, mask=None):
    shape = features.shape[:2]
    mask = torch.ones(shape, dtype=torch.bool) if mask is None else mask
    return encoder(features, torch.zeros(shape), mask)


def peer_of(encoder, kernel, is_causal):
    """The paper's network from torch's layers: pad both sides, cut off what looks ahead."""

    def run(features):
        hidden = encoder.projection(features).transpose(1, 2)
        for depth, block in enumerate(encoder.blocks):
            inner = hidden
            for ours in block.convolutions:
                reach = (kernel - 1) * 2**depth
                padding = reach if is_causal else reach // 2
                conv = nn.Conv1d(8, 8, kernel, padding=padding, dilation=2**depth)
                conv.load_state_dict({"weight": ours.weight, "bias": ours.bias})
                inner = conv(inner)[..., : hidden.shape[-1]].relu()
            hidden = (hidden + inner).relu()
        return hidden.transpose(1, 2)

    return run


@torch.no_grad()
@pytest.mark.parametrize("num_steps", [1, 4, 20])
@pytest.mark.parametrize(
    ("kernel", "is_causal", "layers"), [(3, True, 3), (2, True, 1), (3, False, 2), (5, False, 1)]
)
def test_it_is_composed_of_torchs_convolutions(num_steps, kernel, is_causal, layers):
    encoder = make_encoder(kernel=kernel, causal=is_causal, layers=layers)
    features = torch.randn(2, num_steps, 5)
    wanted = peer_of(encoder, kernel, is_causal)(features)
    torch.testing.assert_close(encode(encoder, features), wanted)


def seen_by(encoder, step, num_steps=40):
    """Which steps the output of one depends on."""
    features = torch.randn(1, num_steps, 5, requires_grad=True)
    encode(encoder, features)[0, step].sum().backward()
    return features.grad[0].abs().sum(1).nonzero().flatten().tolist()


@pytest.mark.parametrize(("layers", "kernel"), [(1, 3), (2, 2), (3, 3)])
def test_a_causal_one_sees_as_far_back_as_it_says_and_nothing_ahead(layers, kernel):
    encoder = make_encoder(layers=layers, kernel=kernel, dim=32)
    reach = 2 * (kernel - 1) * (2**layers - 1)
    assert encoder.causal
    assert seen_by(encoder, 35) == list(range(35 - reach, 36))


def test_one_that_is_not_causal_sees_as_far_ahead():
    encoder = make_encoder(layers=2, causal=False, dim=32)
    assert not encoder.causal
    assert seen_by(encoder, 20) == list(range(14, 27))


@torch.no_grad()
@pytest.mark.parametrize("is_causal", [True, False])
def test_padding_and_gaps_are_taken_out(is_causal):
    encoder = make_encoder(causal=is_causal)
    features = torch.randn(2, 9, 5)
    mask = torch.tensor([[0, 0, 1, 1, 0, 1, 1, 1, 0], [1, 0, 0, 0, 1, 1, 1, 1, 1]]).bool()
    rows = zip(features, mask, strict=True)
    expected = [encode(encoder, row[own].unsqueeze(0))[0] for row, own in rows]
    features[~mask] = float("nan")
    found = encode(encoder, features, mask)
    for row, own, wanted in zip(found, mask, expected, strict=True):
        torch.testing.assert_close(row[own], wanted)
    assert (found[~mask] == 0).all()


def test_dropout_acts_in_training_alone():
    encoder, features = make_encoder(dropout=0.5), torch.randn(2, 6, 5)
    dropped = encode(encoder.train(), features)
    assert (dropped - encode(encoder.eval(), features)).abs().max() > 0.01


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 0}, "^head.dim=0"),
        ({"layers": 0}, "^head.layers=0: give 1 to 12"),
        ({"layers": 13}, "^head.layers=13: give 1 to 12"),
        ({"kernel": 1}, "^head.kernel=1 with head.causal=true"),
        ({"kernel": 4, "causal": False}, "^head.kernel=4 with head.causal=false.*odd number"),
        ({"dropout": 1.0}, "^head.dropout=1.0"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        make_encoder(**options)
