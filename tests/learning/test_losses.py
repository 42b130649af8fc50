from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from collision.config import names_of, part
from collision.errors import ConfigError
from collision.learning.losses import AsymmetricLoss, BinaryCrossEntropy, FocalLoss, build_loss
from tests.kit.losses import targets


def test_plain_loss_is_torchs():
    logits, labels = torch.randn(20), torch.randint(2, (20,)).float()
    ours = BinaryCrossEntropy(1.0, label_smoothing=0.0)(logits, targets(labels))
    assert torch.allclose(ours, functional.binary_cross_entropy_with_logits(logits, labels))


def test_automatic_pos_weight_makes_classes_weigh_the_same():
    loss = BinaryCrossEntropy(label_smoothing=0.0)
    loss.fit(negative=30, positive=10)
    labels = torch.tensor([1.0] * 10 + [0.0] * 30)
    logits = torch.zeros(40, requires_grad=True)
    loss(logits, targets(labels)).backward()
    assert logits.grad.sum().abs() < 1e-6


def test_smoothing_moves_the_best_logit_inwards():
    loss = BinaryCrossEntropy(pos_weight=1.0, label_smoothing=0.1)
    best = torch.logit(torch.tensor([0.95]))
    one = targets(torch.ones(1))
    assert loss(best, one) < loss(best + 1, one)
    assert loss(best, one) < loss(best - 1, one)


def test_weights_count_examples():
    loss = BinaryCrossEntropy(1.0, label_smoothing=0.0)
    logits, labels = torch.tensor([0.3, -2.0]), torch.tensor([1.0, 1.0])
    twice = loss(logits[[0, 0, 1]], targets(labels[[0, 0, 1]]))
    assert torch.allclose(loss(logits, targets(labels, torch.tensor([2.0, 1.0]))), twice)


def random_examples():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(30, generator=generator)
    labels = torch.randint(2, (30,), generator=generator).float()
    return logits, labels, torch.rand(30, generator=generator)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("pos_weight", ["auto", 1.0, 2.5])
def test_focal_loss_without_focus_is_cross_entropy(pos_weight, smoothing):
    logits, *given = random_examples()
    values = []
    for loss in (
        FocalLoss(0.0, pos_weight, smoothing),
        BinaryCrossEntropy(pos_weight, smoothing),
    ):
        loss.fit(negative=20, positive=10)
        values.append(loss(logits, targets(*given)))
    torch.testing.assert_close(values[0], values[1])


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_loss_is_the_papers_formula(gamma):
    logits, labels, _ = random_examples()
    alpha = 0.25
    of_class = torch.where(labels == 1, logits.sigmoid(), 1 - logits.sigmoid())
    alpha_of_class = torch.where(labels == 1, alpha, 1 - alpha)
    paper = -alpha_of_class * (1 - of_class) ** gamma * of_class.log()
    ours = FocalLoss(gamma, pos_weight=alpha / (1 - alpha))(logits, targets(labels))
    torch.testing.assert_close((1 - alpha) * ours, paper.mean())


def test_focal_loss_looks_away_from_what_is_right_already():
    one = targets(torch.ones(1))
    focal, plain = FocalLoss(2.0, pos_weight=1.0), BinaryCrossEntropy(1.0, label_smoothing=0.0)
    for probability, share in ((0.9, 0.01), (0.5, 0.25), (0.1, 0.81)):
        logit = torch.logit(torch.tensor([probability]))
        assert (focal(logit, one) / plain(logit, one)).item() == pytest.approx(share)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_stays_finite_far_out(gamma):
    logits = torch.tensor([-1e4, -200.0, 200.0, 1e4] * 2, requires_grad=True)
    labels = torch.tensor([0.0] * 4 + [1.0] * 4)
    loss = FocalLoss(gamma, label_smoothing=0.1)(logits, targets(labels))
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()


def test_focal_loss_weighs_examples():
    logits, labels, weights = random_examples()
    weights[3:] = 0
    loss = FocalLoss(pos_weight=1.0)
    alone = loss(logits[:3], targets(labels[:3], weights[:3]))
    torch.testing.assert_close(loss(logits, targets(labels, weights)), alone)


def test_label_smoothing_is_cross_entropy_with_a_tenth():
    logits, labels, weights = random_examples()
    given = targets(labels, weights)
    ours = part("loss", "label_smoothing", pos_weight=1.0).build()(logits, given)
    theirs = functional.binary_cross_entropy_with_logits(logits, 0.05 + 0.9 * labels, weights)
    torch.testing.assert_close(ours, theirs * len(weights) / weights.sum())


@pytest.mark.parametrize("clip", [0.0, 0.05, 0.3])
@pytest.mark.parametrize(("gamma_neg", "gamma_pos"), [(4.0, 0.0), (4.0, 1.0), (0.5, 0.5), (0, 0)])
def test_asymmetric_loss_is_the_papers_formula(gamma_neg, gamma_pos, clip):
    logits, labels, weights = random_examples()
    p = logits.double().sigmoid()
    shifted = (p - clip).clamp_min(0)
    of_positive = (1 - p) ** gamma_pos * p.log()
    of_negative = shifted**gamma_neg * (1 - shifted).log()
    paper = -(labels * of_positive + (1 - labels) * of_negative)
    ours = AsymmetricLoss(gamma_neg, gamma_pos, clip, 1.0)(logits, targets(labels, weights))
    torch.testing.assert_close(ours, ((paper * weights).sum() / weights.sum()).float())


@pytest.mark.parametrize("clip", [0.0, 0.05])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 4.0])
def test_asymmetric_loss_has_finite_gradients_at_the_clip_and_far_out(gamma, clip):
    at_clip = torch.logit(torch.tensor(0.05))
    logits = torch.stack([at_clip, *torch.tensor([-1e4, -50.0, 0.0, 50.0, 1e4])]).repeat(2)
    labels = torch.tensor([0.0] * 6 + [1.0] * 6)
    logits.requires_grad_()
    loss = AsymmetricLoss(gamma, gamma, clip, 1.0)(logits, targets(labels))
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()


def test_asymmetric_loss_forgets_negatives_below_the_clip():
    logits = torch.logit(torch.tensor([0.01, 0.04, 0.06])).requires_grad_()
    AsymmetricLoss(1.0)(logits, targets(torch.zeros(3))).backward()
    assert (logits.grad[:2] == 0).all() and logits.grad[2] > 0


@pytest.mark.parametrize(
    "options", [{"gamma_neg": -1}, {"gamma_pos": float("nan")}, {"clip": 1}, {"clip": -0.1}]
)
def test_wrong_options_of_the_asymmetric_loss(options):
    ((name, value),) = options.items()
    with pytest.raises(ConfigError, match=f"^loss.{name}={value}: give"):
        AsymmetricLoss(**options)


@pytest.mark.parametrize("name", names_of("loss"))
def test_every_configured_loss_falls_as_logits_get_better(name):
    loss = part("loss", name).build()
    loss.fit(negative=3, positive=1)
    labels = torch.tensor([1.0, 0.0, 0.0, 0.0])
    horizons = torch.tensor([0.25, 0.25, 1.0, 3.0])
    signs = torch.full((4, loss.num_outputs), -1.0)
    signs[0, 0] = 1.0
    values = [
        loss(scale * signs, targets(labels, horizons=horizons)).item()
        for scale in (-2, -1, 0, 1, 2)
    ]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("make", [BinaryCrossEntropy, FocalLoss])
@pytest.mark.parametrize(
    "options", [{"pos_weight": "x"}, {"pos_weight": 0}, {"label_smoothing": 1}]
)
def test_wrong_options(make, options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        make(**options)


@pytest.mark.parametrize("gamma", [-1, float("inf"), float("nan")])
def test_wrong_gamma(gamma):
    with pytest.raises(ConfigError, match="gamma"):
        FocalLoss(gamma)


def test_a_loss_that_lacks_what_a_loss_has_is_a_sentence():
    own = SimpleNamespace(name="mine", build=lambda: SimpleNamespace(fit=print))
    with pytest.raises(ConfigError, match="'mine' has no num_outputs and no by_video: docs/add"):
        build_loss(own)
