import math

import pytest
import torch

from collision.errors import ConfigError
from collision.temporal.transformer import (
    Attention,
    Transformer,
    rotary_frequencies,
    rotate,
    visible_steps,
)


def make_encoder(**options):
    torch.manual_seed(0)
    return Transformer(input_dim=6, dim=16, heads=2, **options).eval()


def make_batch(num_steps=8):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, num_steps, 6, generator=generator)
    times = torch.linspace(-0.25 * (num_steps - 1), 0.0, num_steps).repeat(2, 1)
    return features, times, torch.ones(2, num_steps, dtype=torch.bool)


@torch.no_grad()
def test_only_differences_of_times_matter():
    encoder = make_encoder()
    features, times, mask = make_batch()
    encoded = encoder(features, times, mask)
    shifted = encoder(features, times - 3.7, mask)
    torch.testing.assert_close(shifted, encoded, atol=1e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("stretch", [0.5, 1.3, 2.0])
def test_stretched_times_are_other_positions(stretch):
    encoder = make_encoder()
    features, times, mask = make_batch()
    difference = encoder(features, stretch * times, mask) - encoder(features, times, mask)
    assert difference.abs().max() > 1e-3


@torch.no_grad()
def test_positions_come_from_times_and_not_from_the_order_of_the_steps():
    encoder = make_encoder()
    features, times, mask = make_batch()
    order = torch.tensor([3, 0, 7, 1, 2, 6, 4, 5])
    permuted = encoder(features[:, order], times[:, order], mask)
    torch.testing.assert_close(
        permuted, encoder(features, times, mask)[:, order], atol=1e-5, rtol=1e-5
    )


@torch.no_grad()
def test_a_gap_keeps_its_length_whether_masked_or_left_out():
    encoder = make_encoder()
    features, times, mask = make_batch()
    mask[:, 2:5] = False
    kept = mask[0]
    without_gap = encoder(features[:, kept], times[:, kept], mask[:, kept])
    torch.testing.assert_close(
        encoder(features, times, mask)[:, kept], without_gap, atol=1e-5, rtol=1e-5
    )
    closed_up = encoder(features[:, kept], times[:, -int(kept.sum()) :], mask[:, kept])
    assert (closed_up - without_gap).abs().max() > 1e-3


@torch.no_grad()
def test_every_step_sees_every_other():
    encoder = make_encoder(layers=1)
    features, times, mask = make_batch()
    before = encoder(features, times, mask)
    features[:, 3] += 1
    assert ((encoder(features, times, mask) - before).abs().amax(dim=-1) > 1e-6).all()


@torch.no_grad()
def test_outputs_under_the_mask_are_zero():
    features, times, mask = make_batch()
    mask[0, :3], mask[1] = False, False
    encoded = make_encoder()(features, times, mask)
    assert encoded[~mask].abs().max() == 0
    assert encoded[mask].abs().min() > 0


def test_who_sees_whom():
    visible = visible_steps(torch.tensor([[True, False, True]]))
    assert visible.shape == (1, 1, 3, 3)
    assert visible[0, 0].int().tolist() == [[1, 0, 1], [1, 1, 1], [1, 0, 1]]
    visible = visible_steps(torch.tensor([[True, False, True]]), causal=True)
    assert visible[0, 0].int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]


def test_rotation_keeps_lengths_and_turns_products_by_the_difference():
    torch.manual_seed(0)
    queries, keys = torch.randn(1, 1, 1, 2), torch.randn(1, 1, 1, 2)
    products = [
        (rotate(queries, torch.tensor([a])) * rotate(keys, torch.tensor([b]))).sum()
        for a, b in ((0.0, 0.0), (2.0, 2.0), (2.0, 2.0 + math.pi))
    ]
    torch.testing.assert_close(products[1], products[0])
    torch.testing.assert_close(products[2], -products[0])
    turned = rotate(torch.tensor([1.0, 0.0]), torch.tensor([math.pi / 2]))
    torch.testing.assert_close(turned, torch.tensor([0.0, 1.0]), atol=1e-6, rtol=0)


def test_frequencies_span_the_periods():
    periods = 2 * math.pi / rotary_frequencies(8, 0.5, 32.0)
    torch.testing.assert_close(periods, torch.tensor([0.5, 2.0, 8.0, 32.0]))
    torch.testing.assert_close(2 * math.pi / rotary_frequencies(2, 0.5, 32.0), torch.tensor([0.5]))


def test_frequencies_follow_the_options_and_not_the_checkpoint():
    assert "frequencies" not in make_encoder().state_dict()


def test_dropout_acts_in_training_alone():
    batch = make_batch()
    encoder = make_encoder(dropout=0.5)
    dropped = encoder.train()(*batch)
    assert (dropped - encoder.eval()(*batch)).abs().max() > 0.01
    without = make_encoder(dropout=0.0)
    assert torch.equal(without.train()(*batch), without.eval()(*batch))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 20, "heads": 4}, "head.dim=20 with head.heads=4.*multiple of 8.*head.dim=24"),
        ({"dim": 4, "heads": 4}, "multiple of 8, such as head.dim=8"),
        ({"layers": 0}, "head.layers=0"),
        ({"heads": -1}, "head.heads=-1"),
        ({"feedforward_factor": 0}, "head.feedforward_factor=0"),
        ({"dropout": 1.0}, "head.dropout=1.0"),
        ({"shortest_period": 0}, "head.shortest_period=0"),
        ({"longest_period": 0.5}, "head.longest_period=0.5"),
        ({"longest_period": float("nan")}, "head.longest_period=nan"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Transformer(input_dim=8, **options)


@torch.no_grad()
def test_a_step_can_be_found_by_its_distance_alone():
    torch.manual_seed(0)
    attention = Attention(16, 2)
    attention.in_projection.weight[:32] = 0.0  # nothing of what the steps hold
    times = torch.linspace(-1.75, 0.0, 8).unsqueeze(0)
    angles = times.unsqueeze(-1) * rotary_frequencies(8, 0.5, 30.0)
    visible = visible_steps(torch.ones(1, 8, dtype=torch.bool))
    value = torch.randn(16)
    seen = []
    for step in range(8):
        hidden = torch.zeros(1, 8, 16)
        hidden[0, step] = value
        seen.append(attention(hidden, angles, visible)[0, -1])
    spread = torch.stack(seen).std(0) / torch.stack(seen).abs().mean(0)
    assert spread.mean() > 0.05


@torch.no_grad()
def test_weights_without_biases_of_the_projection_are_read_as_zero_biases():
    old, new = make_encoder(), make_encoder()
    for block in old.blocks:
        block.attention.in_projection.bias.zero_()
    state = {n: v for n, v in old.state_dict().items() if "in_projection.bias" not in n}
    new.load_state_dict(state)
    torch.testing.assert_close(new(*make_batch()), old(*make_batch()), atol=0, rtol=0)
