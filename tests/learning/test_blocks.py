"""What a stack of blocks promises, of the heads that are made so."""

import pytest
import torch

from collision.errors import ConfigError
from collision.temporal.bimamba import BiMamba
from collision.temporal.hybrid import Hybrid
from collision.temporal.retnet import RetNet
from tests.kit.streams import outputs_step_by_step

HEADS = [RetNet, BiMamba, Hybrid]


def make(head, **options):
    torch.manual_seed(0)
    return head(input_dim=5, **{"bidirectional": False, **options}).eval()


@torch.no_grad()
@pytest.mark.parametrize("num_steps", [1, 7, 64, 65, 150])
@pytest.mark.parametrize("head", HEADS)
def test_step_by_step_it_gives_what_it_gives_at_once(head, num_steps):
    encoder, features = make(head), torch.randn(2, num_steps, 5)
    times, mask = torch.zeros(2, num_steps), torch.ones(2, num_steps).bool()
    stepped = outputs_step_by_step(encoder, features)
    torch.testing.assert_close(stepped, encoder(features, times, mask), atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("head", HEADS)
def test_the_state_of_a_stream_does_not_grow(head):
    encoder, state, sizes = make(head), None, []
    for _ in range(3):
        _, state = encoder.step(state, torch.randn(2, 5))
        parts = [part if isinstance(part, tuple) else (part,) for part in state]
        sizes.append([tensor.shape for part in parts for tensor in part])
    assert sizes[0] == sizes[1] == sizes[2]


@pytest.mark.parametrize("head", HEADS)
def test_a_head_that_reads_both_ways_has_no_stream(head):
    encoder = make(head, bidirectional=True)
    with pytest.raises(ConfigError, match=r"head\.bidirectional=true"):
        encoder.step(None, torch.randn(2, 5))


@torch.no_grad()
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_the_order_of_the_steps_matters_and_gaps_close(head, bidirectional):
    encoder = make(head, bidirectional=bidirectional)
    features, times, mask = torch.randn(2, 8, 5), torch.zeros(2, 8), torch.ones(2, 8).bool()
    swapped = features[:, [1, 0, *range(2, 8)]]
    moved = encoder(features, times, mask)[:, -1] - encoder(swapped, times, mask)[:, -1]
    assert moved.abs().max() > 1e-4
    mask[:, 2:5], kept = False, [0, 1, 5, 6, 7]
    gap = encoder(features, times, mask)
    closed = encoder(features[:, kept], times[:, kept], mask[:, kept])
    torch.testing.assert_close(gap[:, kept], closed, atol=1e-5, rtol=1e-5)
    assert gap[~mask].abs().max() == 0


@pytest.mark.parametrize("head", HEADS)
def test_dropout_acts_in_training_alone(head):
    features, times, mask = torch.randn(2, 6, 5), torch.zeros(2, 6), torch.ones(2, 6).bool()
    encoder = make(head, dropout=0.5)
    dropped = encoder.train()(features, times, mask)
    assert (dropped - encoder.eval()(features, times, mask)).abs().max() > 0.01
    without = make(head, dropout=0.0)
    assert torch.equal(
        without.train()(features, times, mask), without.eval()(features, times, mask)
    )
