import pytest
import torch

from collision.temporal.gru import GRU


def encode(encoder, features, mask=None):
    shape = features.shape[:2]
    mask = torch.ones(shape, dtype=torch.bool) if mask is None else mask
    return encoder(features, torch.zeros(shape), mask)


@torch.no_grad()
@pytest.mark.parametrize("bidirectional", [False, True])
def test_only_a_bidirectional_gru_lets_early_steps_see_later_ones(bidirectional):
    torch.manual_seed(0)
    encoder = GRU(input_dim=5, dim=8, bidirectional=bidirectional).eval()
    features = torch.randn(1, 6, 5)
    before = encode(encoder, features)
    features[:, 5] += 10
    after = encode(encoder, features)
    assert before.shape == (1, 6, encoder.output_dim)
    assert torch.equal(before[:, 0], after[:, 0]) is not bidirectional
    assert not torch.equal(before[:, 5], after[:, 5])


@torch.no_grad()
def test_padding_is_invisible_in_both_directions_and_in_every_layer():
    torch.manual_seed(0)
    encoder = GRU(input_dim=5, dim=8, layers=2, bidirectional=True).eval()
    features = torch.randn(1, 9, 5)
    mask = torch.tensor([[0, 0, 1, 1, 1, 1, 0, 0, 0]]).bool()
    padded = encode(encoder, features, mask)
    torch.testing.assert_close(padded[:, 2:6], encode(encoder, features[:, 2:6]))
    assert padded[~mask].abs().max() == 0


@pytest.mark.parametrize("layers", [1, 2])
def test_dropout_acts_in_training_alone(layers):
    torch.manual_seed(0)
    features = torch.randn(2, 6, 5)
    encoder = GRU(input_dim=5, dim=8, layers=layers, dropout=0.5)
    dropped = encode(encoder.train(), features)
    assert (dropped - encode(encoder.eval(), features)).abs().max() > 0.01
