import math

import pytest
import torch

from collision.config import Part, names_of, part
from collision.errors import ConfigError
from collision.learning.head import HeadOptions, build_model

POOLING = part("pooling", "mean")


def batch(feature_dim=5, num_steps=3):
    return (
        torch.randn(2, num_steps, feature_dim),
        torch.zeros(2, num_steps),
        torch.ones(2, num_steps, dtype=torch.bool),
    )


def linear_model(feature_dim, **options):
    return build_model(part("head", "linear"), POOLING, feature_dim, HeadOptions(**options))


class Recorder(torch.nn.Module):
    """An encoder that keeps what it was given."""

    output_dim = 5

    def forward(self, features, times, mask):
        self.seen = features, times
        return features


def recording_model(**options):
    model = linear_model(5, **options)
    model.encoder = Recorder()
    return model


def test_features_are_as_they_were_until_fitted_and_standard_after():
    model = recording_model().eval()
    features, times, mask = batch(num_steps=400)
    features = features * torch.tensor([1.0, 2.0, 3.0, 4.0, 100.0]) + 7
    model(features, times, mask)
    assert torch.equal(model.encoder.seen[0], features)
    model.fit_standardiser(features)
    model(features, times, mask)
    seen = model.encoder.seen[0].reshape(-1, 5)
    torch.testing.assert_close(seen.mean(0), torch.zeros(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.std(0, correction=0), torch.ones(5), atol=1e-4, rtol=0)


class Nothing(torch.nn.Module):
    """An encoder without an output_dim."""

    def __init__(self, input_dim):
        super().__init__()


class Wider(Recorder):
    def forward(self, features, times, mask):
        return torch.cat([features, features], dim=-1)


def test_a_head_gives_as_many_numbers_as_it_says():
    model = recording_model()
    model.encoder = Wider()
    with pytest.raises(ConfigError, match=r"gives shape \[2, 3, 10\], not its \[2, 3, 5\]"):
        model(*batch(num_steps=3))
    with pytest.raises(ConfigError, match="'x' has no output_dim"):
        build_model(Part("head", "x", f"{__name__}.Nothing"), POOLING, 5)


def test_the_standardiser_travels_in_the_state_dict():
    model, other = linear_model(5), linear_model(5)
    model.fit_standardiser(3 + torch.randn(50, 5))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.feature_mean, model.feature_mean)
    assert torch.equal(other.feature_std, model.feature_std)
    assert model.feature_mean.mean() > 2


def test_constant_features_stay_finite_and_nearly_constant_ones_small():
    model = recording_model().eval()
    features = torch.randn(200, 5)
    features[:, 0] = 4.0
    features[:, 1] *= 1e-6
    model.fit_standardiser(features)
    assert model.feature_std.min() > 0.005
    only_constant = linear_model(5)
    only_constant.fit_standardiser(torch.full((10, 5), 2.0))
    assert torch.equal(only_constant.feature_std, torch.ones(5))


def test_features_without_a_number_are_refused():
    features = torch.randn(10, 5)
    features[3, 2] = float("inf")
    with pytest.raises(ConfigError, match=r"1 of 5 features.*dtype float32"):
        linear_model(5).fit_standardiser(features)
    with pytest.raises(ConfigError, match="no example"):
        linear_model(5).fit_standardiser(torch.zeros(0, 5))


def test_encoders_see_zeros_under_the_mask():
    model = recording_model().eval()
    model.fit_standardiser(3 + torch.randn(50, 5))
    features, times, mask = batch()
    mask[0, 1] = False
    features[0, 1] = times[0, 1] = float("nan")
    model(features, times, mask)
    seen_features, seen_times = model.encoder.seen
    assert torch.equal(seen_features[0, 1], torch.zeros(5))
    assert seen_times[0, 1] == 0


def test_feature_dropout_drops_a_feature_at_every_step_and_only_in_training():
    torch.manual_seed(0)
    model = recording_model(feature_dropout=0.5)
    features = torch.ones(2, 3, 5)
    model.train()(features, *batch()[1:])
    seen = model.encoder.seen[0]
    assert torch.equal(seen[:, :1].expand_as(seen), seen)
    assert set(seen.unique().tolist()) == {0.0, 2.0}
    model.eval()(features, *batch()[1:])
    assert torch.equal(model.encoder.seen[0], features)


def test_feature_noise_is_in_units_of_the_standardised_features_and_only_in_training():
    torch.manual_seed(0)
    model = recording_model(feature_noise=0.5)
    scales = torch.tensor([1.0, 2.0, 3.0, 4.0, 100.0])
    features, times, mask = (
        torch.randn(400, 6, 5) * scales,
        *(x.repeat(200, 2) for x in batch()[1:]),
    )
    mask[:, 0] = False
    model.fit_standardiser(features)
    model.eval()(features, times, mask)
    clean = model.encoder.seen[0]
    model.train()(features, times, mask)
    noise = model.encoder.seen[0] - clean
    assert (noise[:, 0] == 0).all()
    torch.testing.assert_close(
        noise[:, 1:].std(dim=(0, 1)), torch.full((5,), 0.5), atol=0.03, rtol=0
    )
    model.eval()(features, times, mask)
    assert torch.equal(model.encoder.seen[0], clean)


def test_several_outputs_become_the_log_odds_of_any_against_none():
    torch.manual_seed(0)
    model, tensors = build_model(part("head", "linear"), POOLING, 5, num_outputs=3).eval(), batch()
    outputs = model.outputs(*tensors)
    classes = torch.cat([torch.zeros(2, 1), outputs], dim=1).softmax(1)
    torch.testing.assert_close(model(*tensors), torch.logit(1 - classes[:, 0]))
    one = linear_model(5).eval()
    assert torch.equal(one.outputs(*tensors)[:, 0], one(*tensors))


def test_linear_head_with_mean_pooling_is_logistic_regression():
    model = linear_model(5).eval()
    features, times, mask = batch()
    expected = features.mean(1) @ model.classifier.weight[0] + model.classifier.bias
    torch.testing.assert_close(model(features, times, mask), expected)
    assert model.num_parameters == 6


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (batch(feature_dim=7), "dim 7, the head was built for 5.*backbone"),
        ((torch.zeros(2, 5), torch.zeros(2), torch.ones(2).bool()), r"shape \[2, 5\]"),
        (
            (torch.zeros(2, 0, 5), torch.zeros(2, 0), torch.ones(2, 0).bool()),
            r"shape \[2, 0, 5\]",
        ),
        ((*batch()[:2], torch.ones(2, 4).bool()), r"mask has shape \[2, 4\]"),
        ((batch()[0], torch.zeros(2, 9), batch()[2]), r"times has shape \[2, 9\]"),
        ((*batch()[:2], torch.ones(2, 3)), "mask has dtype torch.float32"),
    ],
)
def test_wrong_shapes_are_named(tensors, message):
    with pytest.raises(ConfigError, match=message):
        linear_model(5)(*tensors)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (part("head", "gru", dims=8), r"no option 'head.dims'.*head.dim"),
        (Part("head", "", "collision.temporal.nothing.Here"), "collision.temporal.nothing.Here"),
        (part("head", "zipformer", kernel=4), "^head.kernel=4"),
    ],
)
def test_options_that_cannot_work_are_refused(head, message):
    with pytest.raises(ConfigError, match=message):
        build_model(head, POOLING, 5)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_feature_dropout_is_a_share(share):
    with pytest.raises(ConfigError, match="feature_dropout"):
        linear_model(5, feature_dropout=share)


def test_logits_leave_the_head_in_full_precision():
    model = linear_model(5).eval()
    tensors = batch()
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(*tensors)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, model(*tensors))


@pytest.mark.parametrize("amount", [-0.1, math.inf, math.nan])
def test_feature_noise_is_a_standard_deviation(amount):
    with pytest.raises(ConfigError, match="feature_noise"):
        linear_model(5, feature_noise=amount)


def test_a_pooling_may_give_more_numbers_than_the_encoder():
    model = build_model(part("head", "linear"), part("pooling", "change"), 5).eval()
    assert model.classifier.in_features == 15
    features, times, mask = batch()
    last = features[:, -1]
    seen = torch.cat([last, last - features[:, 0], last - features.mean(1)], dim=1)
    torch.testing.assert_close(model.pooled(features, times, mask), seen)
    torch.testing.assert_close(model(features, times, mask), model.classifier(seen)[:, 0])


def test_a_pooling_that_gives_another_shape_is_named():
    model = linear_model(5)
    model.pooling.forward = lambda encoded, mask: encoded
    with pytest.raises(ConfigError, match=r"The pooling gives shape \[2, 3, 5\], not its \[2, 5\]"):
        model(*batch())


@pytest.mark.parametrize("pooling", ["attention", "cls", "probe"])
def test_a_solved_head_has_no_pooling_that_nobody_trains(pooling):
    head = part("head", "logistic")
    model = build_model(head, part("pooling", pooling), 5)
    plain = build_model(head, part("pooling", "last"), 5)
    assert model.state_dict().keys() == plain.state_dict().keys()
    saved = {**plain.state_dict(), "pooling.score.weight": torch.ones(1, 15)}  # as once saved
    model.load_state_dict(saved)
    tensors = batch()
    assert torch.equal(model(*tensors), plain(*tensors))
    with pytest.raises(RuntimeError, match=r"pooling\.score"):
        linear_model(15).load_state_dict(
            {**linear_model(15).state_dict(), "pooling.score.weight": torch.ones(1, 15)}
        )


@pytest.mark.parametrize("pooling", names_of("pooling"))
def test_a_prior_is_the_same_head_whatever_the_pooling(pooling):
    prior = part("head", "logistic")
    model = build_model(part("head", "gru"), part("pooling", pooling), 5, prior=prior)
    alone = build_model(prior, part("pooling", "last"), 5)
    alone.load_state_dict(model.prior.state_dict())
    assert not any(parameter.requires_grad for parameter in model.prior.parameters())
    tensors = batch()
    assert torch.equal(model.eval()(*tensors), alone.eval()(*tensors))


def test_change_is_the_difference_from_the_mean_of_what_is_there():
    model = recording_model(change=True).eval()
    model.encoder.output_dim = 10
    model.classifier = torch.nn.Linear(10, 1)
    features, times, mask = batch(num_steps=3)
    mask[0, 0] = False
    model(features, times, mask)
    seen = model.encoder.seen[0]
    assert torch.equal(seen[..., :5], features * mask.unsqueeze(-1))
    torch.testing.assert_close(seen[0, 1, 5:], (features[0, 1] - features[0, 2]) / 2)
    assert not seen[0, 0].any()
    torch.testing.assert_close(seen[1, :, 5:], features[1] - features[1].mean(0))


@pytest.mark.parametrize("options", [{}, {"change": True}, {"feature_noise": 0.3, "change": True}])
@pytest.mark.parametrize("has_gaps", [False, True])
def test_what_is_done_in_place_is_the_plain_formula(options, has_gaps):
    """Standardise, add noise, fill gaps, drop features, append the change: each a copy here."""
    model = build_model(part("head", "linear"), POOLING, 5, HeadOptions(0.4, **options)).train()
    features, _, mask = batch(num_steps=3)
    model.fit_standardiser(features)
    if has_gaps:
        mask[0, 0] = False
        features[0, 0] = math.nan
    given = features.clone()
    torch.manual_seed(7)
    found = model._seen(features, mask)
    torch.manual_seed(7)
    plain = (features - model.feature_mean) / model.feature_std
    if noise := options.get("feature_noise"):
        plain = plain + noise * torch.randn_like(plain)
    plain = plain.masked_fill(~mask.unsqueeze(-1), 0.0)
    plain = plain * model.feature_dropout(plain.new_ones(len(plain), 1, 5))
    if options.get("change"):
        mean = plain.sum(1, keepdim=True) / mask.sum(1).view(-1, 1, 1)
        plain = torch.cat([plain, (plain - mean) * mask.unsqueeze(-1)], dim=-1)
    assert torch.equal(found, plain)
    assert torch.equal(features.nan_to_num(9), given.nan_to_num(9))  # the batch stays as it was


def test_logits_of_the_prior_can_be_given():
    model = build_model(part("head", "gru"), POOLING, 5, prior=part("head", "logistic")).eval()
    torch.nn.init.normal_(model.classifier.weight)
    torch.nn.init.normal_(model.prior.classifier.weight)
    tensors = batch()
    known = model.prior.outputs(*tensors)
    assert torch.equal(model.outputs(*tensors, known), model.outputs(*tensors))
    more = model.outputs(*tensors, known + 1)
    torch.testing.assert_close(more, model.outputs(*tensors) + 1)
