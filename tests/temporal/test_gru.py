import pytest
import torch

from collision.config import part
from collision.learning.head import build_model
from collision.temporal.gru import GRU
from collision.untrusted import saved_part


def encode(encoder, features, mask=None):
    shape = features.shape[:2]
    mask = torch.ones(shape, dtype=torch.bool) if mask is None else mask
    return encoder(features, torch.zeros(shape), mask)


@torch.no_grad()
@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_only_a_bidirectional_one_lets_early_steps_see_later_ones(bidirectional, cell):
    torch.manual_seed(0)
    encoder = GRU(input_dim=5, dim=8, bidirectional=bidirectional, cell=cell).eval()
    features = torch.randn(1, 6, 5)
    before = encode(encoder, features)
    features[:, 5] += 10
    after = encode(encoder, features)
    assert before.shape == (1, 6, encoder.output_dim)
    assert torch.equal(before[:, 0], after[:, 0]) is not bidirectional
    assert not torch.equal(before[:, 5], after[:, 5])


@torch.no_grad()
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_padding_is_invisible_in_both_directions_and_in_every_layer(cell):
    torch.manual_seed(0)
    encoder = GRU(input_dim=5, dim=8, layers=2, bidirectional=True, cell=cell).eval()
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


@torch.no_grad()
@pytest.mark.parametrize(("name", "peer"), [("gru", torch.nn.GRU), ("lstm", torch.nn.LSTM)])
def test_a_cell_is_torchs(name, peer):
    encoder = part("head", name, dim=8).build(input_dim=5).eval()
    peer = peer(8, 8, batch_first=True)
    peer.load_state_dict(encoder.gru.state_dict())
    features = torch.randn(2, 6, 5)
    wanted, _ = peer(encoder.projection(features))
    torch.testing.assert_close(encode(encoder, features), wanted)


@torch.no_grad()
def test_heads_saved_before_there_was_a_choice_of_cell_are_read():
    """Their options name none, and their weights are called ``gru``."""
    options = {"dim": 8, "layers": 1, "bidirectional": False, "dropout": 0.3}
    for saved in (
        {"name": "gru", "options": options},
        {"_target_": "collision.temporal.gru.GRU", **options},
    ):
        head = saved_part(saved, "head", "x")
        state = build_model(head, part("pooling", "last"), 5).state_dict()
        assert isinstance(head.build(input_dim=5).gru, torch.nn.GRU)
        assert state["encoder.gru.weight_ih_l0"].shape == (3 * 8, 8)


def test_a_saved_lstm_stays_one():
    saved = part("head", "lstm", dim=8).as_saved()
    assert saved["name"] == "lstm"
    assert isinstance(saved_part(saved, "head", "x").build(input_dim=5).gru, torch.nn.LSTM)
