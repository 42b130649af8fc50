"""What every head promises, for every file in configs/head with every one in configs/pooling."""

import itertools

import pytest
import torch
from safetensors.torch import load_file, save_file

from collision.config import names_of, part
from collision.learning.head import build_model
from tests.kit.heads import HEADS, is_large

POOLINGS = names_of("pooling")
FEATURE_DIM = 24
# Large heads with one pooling, in the slow tests.
PARTS = [
    pytest.param((head, pooling), marks=[pytest.mark.slow] if is_large(head) else [])
    for head, pooling in itertools.product(HEADS, POOLINGS)
    if pooling == "attention" or not is_large(head)
]


def make_model(head, pooling):
    torch.manual_seed(0)
    model = build_model(part("head", head), part("pooling", pooling), FEATURE_DIM)
    model.fit_standardiser(3 + 2 * torch.randn(100, FEATURE_DIM))
    # Modules that begin at nothing must take part in what is compared. Of many channels the sum
    # grows, and with it what rounding does.
    noise = 0.01 if is_large(head) else 0.05
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(noise * torch.randn_like(parameter))
    return model.eval()


def make_batch(num_examples, num_steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = 3 + 2 * torch.randn(num_examples, num_steps, FEATURE_DIM, generator=generator)
    times = torch.linspace(-2.0, 0.0, num_steps).repeat(num_examples, 1)
    return features, times, torch.ones(num_examples, num_steps, dtype=torch.bool)


def pad(batch, left, right, value=float("nan")):
    """Put masked steps of ``value`` on both sides."""
    features, times, mask = batch
    padding = torch.nn.functional.pad
    return (
        padding(features, (0, 0, left, right), value=value),
        padding(times, (left, right), value=value),
        padding(mask, (left, right), value=False),
    )


@pytest.fixture(params=PARTS, ids="-".join)
def parts(request):
    return request.param


@pytest.fixture
def model(parts):
    return make_model(*parts)


def test_every_part_is_found():
    assert {"zipformer", "transformer", "gru", "linear"} <= set(HEADS)
    assert {"attention", "mean", "max", "last"} <= set(POOLINGS)


@torch.no_grad()
def test_one_finite_logit_an_example_at_any_length(model):
    for num_steps in (*range(1, 10), 16, 23, 40):
        logits = model(*make_batch(3, num_steps))
        assert logits.shape == (3,)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all(), num_steps


@torch.no_grad()
def test_features_matter(model):
    logits = model(*make_batch(6, 8))
    assert logits.std() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("value", [0.0, 1e4, float("nan"), float("inf")])
def test_padding_is_invisible(model, value):
    generator = torch.Generator().manual_seed(1)
    for num_steps in (1, 2, 5, 8, 13):
        batch = make_batch(4, num_steps)
        expected = model(*batch)
        for _ in range(4):
            left, right = torch.randint(0, 10, (2,), generator=generator).tolist()
            padded = model(*pad(batch, left, right, value))
            message = f"L={num_steps}, {left} on the left, {right} on the right"
            torch.testing.assert_close(
                padded, expected, atol=1e-5, rtol=1e-5, msg=lambda text, m=message: f"{m}: {text}"
            )


@torch.no_grad()
def test_examples_of_different_length_do_not_see_each_other(model):
    alone = [make_batch(1, num_steps, seed=num_steps) for num_steps in (1, 3, 6, 11, 12)]
    expected = torch.cat([model(*batch) for batch in alone])
    sides = [(12 - len(times[0])) * (seed % 2) for seed, (_, times, _) in enumerate(alone)]
    padded = [
        pad(batch, left, 12 - batch[0].shape[1] - left)
        for left, batch in zip(sides, alone, strict=True)
    ]
    together = model(*(torch.cat(parts) for parts in zip(*padded, strict=True)))
    torch.testing.assert_close(together, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_an_encoder_alone_does_not_look_under_the_mask(model):
    features, times, mask = make_batch(4, 10)
    mask[0, :4], mask[1, 6:], mask[2, 3:5] = False, False, False
    expected = model.encoder(features, times, mask)
    features[~mask] = times[~mask] = float("nan")
    encoded = model.encoder(features, times, mask)
    assert encoded.shape == (4, 10, model.encoder.output_dim)
    torch.testing.assert_close(encoded[mask], expected[mask])


@torch.no_grad()
def test_an_example_without_a_valid_step_is_finite_and_harms_no_other(model):
    features, times, mask = make_batch(3, 6)
    expected = model(features, times, mask)
    features[1], mask[1] = float("nan"), False
    logits = model(features, times, mask)
    assert logits.isfinite().all()
    torch.testing.assert_close(logits[[0, 2]], expected[[0, 2]], atol=1e-5, rtol=1e-5)


def test_an_example_without_a_valid_step_leaves_gradients_finite(model):
    features, times, mask = make_batch(3, 6)
    features[1], mask[1] = float("nan"), False
    model.train()(features, times, mask).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_gradient_reaches_every_parameter(model):
    features, times, mask = make_batch(4, 9)
    mask[0, 7:] = False
    model(features, times, mask).square().sum().backward()
    silent = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().max() > 0
    ]
    assert silent == []


@torch.no_grad()
def test_saving_and_loading_gives_the_same_logits(model, parts, tmp_path):
    batch = make_batch(3, 7)
    expected = model(*batch)
    save_file(model.state_dict(), tmp_path / "head.safetensors")
    torch.save(model.state_dict(), tmp_path / "head.pt")
    for state in (
        load_file(tmp_path / "head.safetensors"),
        torch.load(tmp_path / "head.pt", weights_only=True),
    ):
        other = make_model(*parts)
        for value in other.state_dict().values():
            value.fill_(0.5)
        other.load_state_dict(state)
        assert torch.equal(other(*batch), expected)


@torch.no_grad()
def test_eval_mode_is_deterministic_and_the_order_of_examples_is_free(model):
    features, times, mask = make_batch(5, 8)
    mask[2, :3] = False
    expected = model(features, times, mask)
    assert torch.equal(model(features, times, mask), expected)
    order = torch.tensor([3, 0, 4, 2, 1])
    permuted = model(features[order], times[order], mask[order])
    torch.testing.assert_close(permuted, expected[order], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_half_precision(model):
    features, times, mask = make_batch(4, 9)
    mask[1, :4] = False
    expected = model(features, times, mask)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(features, times, mask)
    assert logits.isfinite().all()
    torch.testing.assert_close(logits.float(), expected, atol=0.1, rtol=0.1)
    # Features are stored as float16; rounding them must not change the outcome much.
    torch.testing.assert_close(model(features.half(), times, mask), expected, atol=0.05, rtol=0.05)
