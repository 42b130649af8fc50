"""Losses that know the time to the event: against plain numpy, by hand, and in training."""

import math

import numpy as np
import pytest
import torch
from rich.console import Console

from collision.config import names_of, part
from collision.errors import ConfigError
from collision.learning.fit import Place, fit_head
from collision.learning.losses import BinaryCrossEntropy, Targets
from collision.learning.losses_in_time import (
    ExponentialLoss,
    NextStepLoss,
    OccurrenceLoss,
    RampLoss,
)
from tests.kit.features import SETUP, planted_splits, setup_with
from tests.kit.losses import targets

OFFSETS = (0.25, 0.5, 1.0, 1.5)
LOSSES = {
    "exponential": lambda **o: ExponentialLoss(decay=0.7, **o),
    "ramp": lambda **o: RampLoss(near=0.4, far=1.2, floor=0.6, **o),
    "occurrence": lambda **o: OccurrenceLoss(OFFSETS, **o),
    "next_step": lambda **o: NextStepLoss(anchor=0.5, monotone=0.8, margin=0.2, **o),
}


def some_batch(num_outputs=1, seed=0):
    """Six cuts of each of two crashes, a far cut of each as a hard negative, and a calm drive."""
    generator = torch.Generator().manual_seed(seed)
    times = [0.25, 0.5, 0.75, 1.0, 1.25, 1.5]
    horizons = torch.tensor([*times, 4.0, *times, 3.0, 0.5, 1.0])
    labels = torch.tensor([1.0] * 6 + [0.0] + [1.0] * 6 + [0.0] * 3)
    videos = torch.tensor([0] * 7 + [1] * 7 + [2] * 2)
    order = torch.randperm(len(labels), generator=generator)
    weights = 0.1 + torch.rand(len(labels), generator=generator)
    logits = 2 * torch.randn(len(labels), num_outputs, generator=generator)
    return logits, targets(labels[order], weights, horizons[order], videos[order])


def as_numpy(given):
    return tuple(
        getattr(given, name).double().numpy()
        for name in ("labels", "weights", "horizons", "videos")
    )


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def cross_entropy(logit, wanted):
    return -wanted * np.log(sigmoid(logit)) - (1 - wanted) * np.log(sigmoid(-logit))


def plain_exponential(logits, given, pos_weight):
    total = 0.0
    for z, label, weight, horizon, _ in zip(logits[:, 0], *as_numpy(given), strict=True):
        factor = pos_weight * math.exp(-horizon / 0.7) if label == 1 else 1.0
        total += weight * factor * cross_entropy(z, label)
    return total / as_numpy(given)[1].sum()


def plain_ramp(logits, given, pos_weight):
    total = 0.0
    for z, label, weight, horizon, _ in zip(logits[:, 0], *as_numpy(given), strict=True):
        wanted = np.interp(horizon, [0.4, 1.2], [1.0, 0.6]) if label == 1 else 0.0
        total += weight * (pos_weight if label == 1 else 1.0) * cross_entropy(z, wanted)
    return total / as_numpy(given)[1].sum()


def plain_occurrence(logits, given, pos_weight):
    total = 0.0
    for row, label, weight, horizon, _ in zip(logits, *as_numpy(given), strict=True):
        begins = (0.0, *OFFSETS[:-1])
        inside = [label == 1 and b < horizon <= e for b, e in zip(begins, OFFSETS, strict=True)]
        shares = np.exp([0.0, *row]) / np.exp([0.0, *row]).sum()
        share = shares[1 + inside.index(True)] if any(inside) else shares[0]
        total -= weight * (pos_weight if label == 1 else 1.0) * np.log(share)
    return total / as_numpy(given)[1].sum()


def plain_next_step(logits, given, pos_weight, teacher=None):
    """``teacher``: the logits that soft targets are read from, if not the same."""
    labels, weights, horizons, videos = as_numpy(given)
    z, teacher = logits[:, 0], (logits if teacher is None else teacher)[:, 0]
    loss = known = falls = pairs = 0.0
    for i in range(len(z)):
        later = [
            j
            for j in range(len(z))
            if labels[i] == labels[j] == 1
            and videos[i] == videos[j]
            and horizons[j] < horizons[i] - 1e-3
        ]
        for j in later:
            rise = 0.2 * (horizons[i] - horizons[j])
            falls += weights[i] * max(0.0, sigmoid(z[i]) - sigmoid(z[j]) + rise)
            pairs += weights[i]
        if labels[i] == 0 or horizons[i] <= 0.5:
            wanted = labels[i]
        elif later:
            wanted = sigmoid(teacher[max(later, key=lambda j: horizons[j])])
        else:
            continue
        loss += weights[i] * (pos_weight if labels[i] else 1.0) * cross_entropy(z[i], wanted)
        known += weights[i]
    return loss / known + 0.8 * falls / pairs


PLAIN = {
    "exponential": plain_exponential,
    "ramp": plain_ramp,
    "occurrence": plain_occurrence,
    "next_step": plain_next_step,
}


def inputs(name, **options):
    loss = LOSSES[name](**options)
    return loss, *some_batch(loss.num_outputs)


@pytest.mark.parametrize("pos_weight", [1.0, 2.5])
@pytest.mark.parametrize("name", LOSSES)
def test_value_and_gradient_are_those_of_the_plain_formula(name, pos_weight):
    loss, logits, given = inputs(name, pos_weight=pos_weight)
    logits.requires_grad_()
    value = loss(logits, given)
    value.backward()
    numbers = logits.detach().double().numpy()
    frozen = {"teacher": numbers} if name == "next_step" else {}
    plain = PLAIN[name]
    assert value.item() == pytest.approx(plain(numbers, given, pos_weight), rel=1e-5)
    step, expected = 1e-5, np.zeros_like(numbers)
    for place in np.ndindex(*numbers.shape):
        moved = np.zeros_like(numbers)
        moved[place] = step
        up, down = (plain(numbers + s * moved, given, pos_weight, **frozen) for s in (1, -1))
        expected[place] = (up - down) / (2 * step)
    np.testing.assert_allclose(logits.grad.numpy(), expected, atol=1e-5)


def test_a_positive_a_decay_before_its_event_counts_a_third():
    one = torch.ones(1)
    value = ExponentialLoss(decay=2.0, pos_weight=1.0)(
        torch.zeros(1, 1), targets(one, horizons=2 * one)
    )
    assert value.item() == pytest.approx(math.log(2) / math.e)


def test_a_ramp_halfway_down():
    horizons = torch.tensor([0.2, 1.0, 9.0])
    wanted = torch.tensor([1.0, 0.75, 0.5])
    loss = RampLoss(near=0.5, far=1.5, floor=0.5, pos_weight=1.0)
    for horizon, best in zip(horizons, wanted, strict=True):
        logit = torch.logit(best.clamp(max=0.999)).view(1, 1).requires_grad_()
        loss(logit, targets(torch.ones(1), horizons=horizon.view(1))).backward()
        assert logit.grad.abs().item() < 0.002


def test_a_ramp_without_slope_is_cross_entropy():
    logits, given = some_batch()
    plain = BinaryCrossEntropy(1.0, label_smoothing=0.0)
    torch.testing.assert_close(
        RampLoss(floor=1.0, pos_weight=1.0)(logits, given), plain(logits, given)
    )


@pytest.mark.parametrize(
    ("horizon", "step"), [(0.0, 0), (0.25, 0), (0.26, 1), (0.5, 1), (1.5, 3), (1.6, None)]
)
def test_an_event_falls_in_one_step(horizon, step):
    loss = OccurrenceLoss(OFFSETS, pos_weight=1.0)
    logits = torch.zeros(1, 4, requires_grad=True)
    loss(logits, targets(torch.ones(1), horizons=torch.tensor([horizon]))).backward()
    wanted = [float(number == step) for number in range(4)]
    assert (0.2 - logits.grad[0]).tolist() == pytest.approx(wanted)  # of 5 classes alike


def test_the_cross_entropy_of_steps_is_that_of_the_label_and_of_the_step_given_the_label():
    logits, given = some_batch(num_outputs=4)
    label = BinaryCrossEntropy(1.0, label_smoothing=0.0)(logits.logsumexp(1), given)
    positive = given.labels == 1
    step = torch.bucketize(given.horizons[positive], torch.tensor(OFFSETS))
    which = torch.nn.functional.cross_entropy(logits[positive], step, reduction="none")
    expected = label + (which * given.weights[positive]).sum() / given.weights.sum()
    torch.testing.assert_close(OccurrenceLoss(OFFSETS, pos_weight=1.0)(logits, given), expected)


def test_steps_of_binary_fractions_that_float32_cannot_write():
    offsets = [round(0.1 * k, 1) for k in range(1, 21)]
    loss = OccurrenceLoss(offsets, pos_weight=1.0)
    logits = torch.zeros(20, 20, requires_grad=True)
    horizons = torch.tensor([k * 0.1 for k in range(1, 21)])
    loss(logits, targets(torch.ones(20), horizons=horizons)).backward()
    assert torch.equal((logits.grad < 0).float(), torch.eye(20))


def test_a_far_cut_learns_from_the_next_one_and_not_the_other_way_round():
    loss = NextStepLoss(anchor=0.5, monotone=0.0, pos_weight=1.0)
    given = targets(torch.ones(2), horizons=torch.tensor([1.0, 0.5]), videos=torch.zeros(2).long())
    logits = torch.tensor([[0.0], [3.0]], requires_grad=True)
    loss(logits, given).backward()
    near, soft = torch.tensor(3.0).sigmoid(), torch.tensor(0.0).sigmoid()
    torch.testing.assert_close(2 * logits.grad[:, 0], torch.stack([soft - near, near - 1]))


def test_a_far_cut_whose_next_is_elsewhere_is_left_out():
    loss = NextStepLoss(anchor=0.5, pos_weight=1.0)
    horizons = torch.tensor([1.0, 0.5])
    logits = torch.tensor([[0.0], [3.0]], requires_grad=True)
    loss(logits, targets(torch.ones(2), horizons=horizons)).backward()
    assert logits.grad[0] == 0 and logits.grad[1] != 0


def test_scores_that_rise_as_asked_cost_nothing_and_a_fall_its_depth():
    given = targets(torch.ones(2), horizons=torch.tensor([1.0, 0.5]), videos=torch.zeros(2).long())
    with_term, without = (NextStepLoss(monotone=m, margin=0.1, pos_weight=1.0) for m in (2.0, 0.0))
    for early, late, cost in ((0.4, 0.46, 0.0), (0.4, 0.4, 0.05), (0.7, 0.4, 0.35)):
        logits = torch.logit(torch.tensor([[early], [late]]))
        difference = with_term(logits, given) - without(logits, given)
        assert difference.item() == pytest.approx(2 * cost, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_the_times_of_mock_events_change_nothing(name):
    loss, logits, given = inputs(name)
    batch = {
        "label": given.labels,
        "weight": given.weights,
        "horizon": given.horizons,
        "video": given.videos,
    }
    values = []
    for mock in (0.0, 0.25, 7.0):
        batch["horizon"] = torch.where(given.labels == 1, given.horizons, mock)
        values.append(loss(logits, Targets.of(batch)).item())
    assert values[0] == values[1] == values[2]


@pytest.mark.parametrize("name", LOSSES)
def test_weights_have_no_scale_and_zero_is_absence(name):
    loss, logits, given = inputs(name)
    whole = loss(logits, given)
    scaled = Targets(given.labels, 3 * given.weights, given.horizons, given.videos)
    torch.testing.assert_close(loss(logits, scaled), whole)
    first = given.videos == 0
    masked = Targets(given.labels, given.weights * first, given.horizons, given.videos)
    alone = Targets(
        *(getattr(given, n)[first] for n in ("labels", "weights", "horizons", "videos"))
    )
    torch.testing.assert_close(loss(logits, masked), loss(logits[first], alone))


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_a_batch_does_not_matter(name):
    loss, logits, given = inputs(name)
    order = torch.randperm(len(logits), generator=torch.Generator().manual_seed(5))
    moved = (getattr(given, n)[order] for n in ("labels", "weights", "horizons", "videos"))
    torch.testing.assert_close(loss(logits[order], Targets(*moved)), loss(logits, given))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("labels", [[0.0] * 4, [1.0] * 4, [0.0, 1.0, 0.0, 1.0]])
@pytest.mark.parametrize("weight", [1.0, 0.0])
@pytest.mark.parametrize("name", names_of("loss"))
def test_nothing_is_ever_nan(name, labels, weight, dtype):
    loss = part("loss", name).build()
    labels = torch.tensor(labels)
    loss.fit(float((labels == 0).sum()), float((labels == 1).sum()))
    given = targets(
        labels,
        torch.full((4,), weight),
        torch.tensor([0.5, 1.5, 0.25, 9.0]),
        torch.zeros(4, dtype=torch.int64),
    )
    for size in (0.0, 30.0, 1e4):
        logits = torch.tensor([[-size], [-size], [size], [size]], dtype=dtype)
        logits = logits.repeat(1, loss.num_outputs).requires_grad_()
        value = loss(logits, given)
        value.backward()
        assert value.isfinite() and value >= 0 and logits.grad.isfinite().all()
        assert weight or not value


@pytest.mark.parametrize("name", [n for n in LOSSES if n != "exponential"])
def test_automatic_pos_weight_makes_positives_weigh_as_much_as_negatives(name):
    loss = LOSSES[name]()
    loss.fit(negative=30, positive=10)
    assert loss.of_class(torch.tensor([0.0, 1.0])).tolist() == [1.0, 3.0]


@pytest.mark.parametrize("name", names_of("loss"))
def test_every_configured_loss_learns_a_planted_rule(name, tmp_path):
    setup = setup_with(trainer={"max_steps": 60, "validations": 6})
    setup = type(setup)(**{**vars(setup), "loss": part("loss", name)})
    trained = fit_head(setup, planted_splits(), Place(tmp_path, 0, Console(quiet=True)))
    assert trained.best_value > 0.95
    assert trained.best.classifier.out_features == setup.loss.build().num_outputs


@pytest.mark.parametrize(
    ("make", "options", "named"),
    [
        (ExponentialLoss, {"decay": 0.0}, "loss.decay=0.0"),
        (ExponentialLoss, {"decay": math.inf}, "loss.decay=inf"),
        (ExponentialLoss, {"label_smoothing": 1.0}, "loss.label_smoothing=1.0"),
        (RampLoss, {"near": 2.0}, "loss.near=2.0, loss.far=1.5"),
        (RampLoss, {"near": -1.0}, "loss.near=-1.0"),
        (RampLoss, {"floor": 0.0}, "loss.floor=0.0"),
        (RampLoss, {"floor": 1.1}, "loss.floor=1.1"),
        (OccurrenceLoss, {"offsets": [1.0]}, r"loss.offsets=\[1.0\]"),
        (OccurrenceLoss, {"offsets": [0.5, 0.5]}, r"loss.offsets=\[0.5, 0.5\]"),
        (OccurrenceLoss, {"offsets": [0.0, 0.5]}, r"loss.offsets=\[0.0, 0.5\]"),
        (OccurrenceLoss, {"offsets": [0.5, math.nan]}, "loss.offsets"),
        (NextStepLoss, {"anchor": -0.5}, "loss.anchor=-0.5"),
        (NextStepLoss, {"monotone": math.nan}, "loss.monotone=nan"),
        (NextStepLoss, {"margin": -1.0}, "loss.margin=-1.0"),
        (NextStepLoss, {"pos_weight": 0}, "loss.pos_weight=0"),
    ],
)
def test_options_that_cannot_work(make, options, named):
    with pytest.raises(ConfigError, match=named):
        make(**options)


def test_the_setup_of_these_tests_has_one_output():
    assert SETUP.model(6).classifier.out_features == 1
