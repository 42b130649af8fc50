"""How a head sees several backbones: side by side, one by one, or through a gate."""

import itertools

import pytest
import torch

from collision.config import names_of, part
from collision.errors import ConfigError
from collision.learning.head import Fused, HeadOptions, build_model
from collision.temporal.fusion import GatedEncoder

KINDS = names_of("fusion")
WIDTHS = (5, 3)
HEADS = ("linear", "gru", "transformer", "zipformer", "attentive_probe")


def make_model(kind, head="gru", pooling="attention", change=True, **options):
    torch.manual_seed(0)
    given = HeadOptions(change=change, **options)
    fused = Fused(part("fusion", kind), WIDTHS)
    model = build_model(part("head", head), part("pooling", pooling), 8, given, fused=fused)
    model.fit_standardiser(3 + 2 * torch.randn(100, 8))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def make_batch(num_examples=4, num_steps=6):
    generator = torch.Generator().manual_seed(1)
    features = 3 + 2 * torch.randn(num_examples, num_steps, 8, generator=generator)
    times = torch.linspace(-1, 0, num_steps).repeat(num_examples, 1)
    mask = torch.ones(num_examples, num_steps, dtype=torch.bool)
    mask[0, :2], mask[1, 3:5] = False, False
    return features, times, mask


def with_part(batch, number):
    """Change the features of one backbone."""
    features, times, mask = batch
    columns = slice(0, WIDTHS[0]) if number == 0 else slice(WIDTHS[0], None)
    features = features.clone()
    features[..., columns] = features[..., columns].flip(1) * 1.5 + 0.3
    return features, times, mask


@pytest.mark.parametrize(
    ("kind", "head", "change"), list(itertools.product(KINDS, HEADS, (True, False)))
)
def test_every_kind_with_every_head(kind, head, change):
    """One finite logit an example; nothing under the mask counts; every weight has a gradient."""
    model, batch = make_model(kind, head, "mean", change=change), make_batch()
    expected = model(*batch)
    assert expected.shape == (4,) and expected.isfinite().all()
    features, times, mask = batch
    hidden = torch.where(mask[..., None], features, torch.nan)
    assert torch.allclose(model(hidden, times, mask), expected, atol=1e-5)
    for number in (0, 1):
        assert not torch.allclose(model(*with_part(batch, number)), expected, atol=1e-3)
    model.train()(*batch).square().sum().backward()
    silent = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().max()]
    assert silent == []


@torch.no_grad()
@pytest.mark.parametrize("pooling", names_of("pooling"))
def test_late_takes_every_pooling(pooling):
    """Some give more numbers than the encoder."""
    model, batch = make_model("late", "linear", pooling, change=False), make_batch()
    features, times, mask = batch
    single = part("pooling", pooling).build(dim=8)
    assert model.pooled(*batch).shape == (4, getattr(single, "output_dim", 8))
    hidden = torch.where(mask[..., None], features, torch.nan)
    torch.testing.assert_close(model(hidden, times, mask), model(*batch))


@torch.no_grad()
@pytest.mark.parametrize("components", [None, 4])
def test_side_by_side_is_what_a_single_backbone_of_all_features_is(components):
    model = make_model("concat", components=components)
    options = HeadOptions(change=True, components=components)
    plain = build_model(part("head", "gru"), part("pooling", "attention"), 8, options).eval()
    plain.load_state_dict(model.state_dict())
    assert torch.equal(plain(*make_batch()), model(*make_batch()))


@torch.no_grad()
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("change", [True, False])
def test_late_adds_a_logit_of_each(head, change):
    """What a backbone adds does not depend on the other, whose columns it never sees."""
    model, batch = make_model("late", head, "mean", change=change), make_batch()
    both = with_part(with_part(batch, 0), 1)
    none, first, second, all_of_it = (
        model(*one) for one in (batch, with_part(batch, 0), with_part(batch, 1), both)
    )
    torch.testing.assert_close(all_of_it - second, first - none, atol=1e-4, rtol=1e-4)
    dims = model.pooling.dims
    for number in (0, 1):
        pooled = [model.pooled(*one).split(dims, 1) for one in (batch, with_part(batch, number))]
        assert torch.allclose(pooled[0][1 - number], pooled[1][1 - number], atol=1e-5)
        assert not torch.allclose(pooled[0][number], pooled[1][number], atol=1e-3)


def fresh_gate():
    """A gate as it is built, without the rest."""
    gate = GatedEncoder(part("head", "linear").build(input_dim=64), WIDTHS, 64)
    del gate.projections
    return gate


@torch.no_grad()
def test_a_gate_begins_as_the_mean_and_can_shut_one_out():
    model, batch = make_model("gated"), make_batch()
    gated = model.encoder
    gated.load_state_dict(fresh_gate().state_dict(), strict=False)
    parts = torch.randn(2, 3, 5, 64).unbind(0)
    torch.testing.assert_close(gated.weights(parts), torch.full((3, 5, 2), 0.5))
    expected = model(*batch)
    assert not torch.allclose(model(*with_part(batch, 1)), expected, atol=1e-3)
    gated.gate.bias[0] = 50.0
    expected = model(*batch)
    torch.testing.assert_close(model(*with_part(batch, 1)), expected)
    assert not torch.allclose(model(*with_part(batch, 0)), expected, atol=1e-3)


@torch.no_grad()
def test_the_gate_weighs_each_step_by_what_is_seen_there():
    model, (features, times, mask) = make_model("gated", "linear", "last"), make_batch()
    seen = []
    model.encoder.gate.register_forward_hook(lambda _, __, scores: seen.append(scores))
    model(features, times, mask)
    shares = seen[0].softmax(-1)
    assert shares.shape == (4, 6, 2) and shares.std(dim=1).min() > 1e-3


@pytest.mark.parametrize("kind", ["late", "gated"])
def test_what_hides_whose_a_number_is_is_refused(kind):
    with pytest.raises(ConfigError, match=f"components=4 with fusion={kind}: .*components=null"):
        make_model(kind, components=4)


def test_a_solved_head_and_a_prior_see_everything_side_by_side():
    fused = Fused(part("fusion", "late"), WIDTHS)
    pooling, solved = part("pooling", "last"), part("head", "logistic")
    assert build_model(solved, pooling, 8, fused=fused).encoder.output_dim == 3 * 8
    model = build_model(part("head", "gru"), pooling, 8, prior=solved, fused=fused)
    assert model.prior.encoder.output_dim == 3 * 8 and model.encoder.output_dim == 2 * 64


def test_a_gate_has_a_size():
    with pytest.raises(ConfigError, match=r"fusion.dim=0: give 1 or more"):
        part("fusion", "gated", dim=0).build()
