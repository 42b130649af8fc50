import math

import pytest
import torch

from collision.config import names_of, part
from collision.learning.losses import BinaryCrossEntropy, Targets
from collision.learning.mixup import mixed

SIZE, STEPS, DIM = 40, 3, 4


def some_batch():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (SIZE,), generator=generator).float()
    return {
        "features": torch.randn(SIZE, STEPS, DIM, generator=generator),
        "times": torch.tensor([-0.5, -0.25, 0.0]).repeat(SIZE, 1),
        "mask": torch.ones(SIZE, STEPS, dtype=torch.bool),
        "label": labels,
        "weight": 0.5 + torch.rand(SIZE, generator=generator),
        "horizon": torch.full((SIZE,), 1.0),
        "video": torch.arange(SIZE),
    }


def shares(batch, targets):
    """The share of each example, and which other it was mixed with."""
    other = targets.videos[SIZE:]
    return targets.weights[:SIZE] / batch["weight"], other


def test_features_are_mixed_by_the_shares_that_the_weights_carry():
    torch.manual_seed(0)
    batch = some_batch()
    (features, times, mask), targets = mixed(batch, alpha=0.4)
    share, other = shares(batch, targets)
    wide = share[:, None, None]
    expected = wide * batch["features"] + (1 - wide) * batch["features"][other]
    torch.testing.assert_close(features, expected)
    assert mask.all() and torch.equal(times, batch["times"])
    torch.testing.assert_close(targets.weights[SIZE:], (1 - share) * batch["weight"][other])
    assert torch.equal(targets.labels[:SIZE], batch["label"])
    assert torch.equal(targets.labels[SIZE:], batch["label"][other])
    assert sorted(other.tolist()) == list(range(SIZE))
    assert (targets.horizons.isinf() == (targets.labels == 0)).all()


def test_cross_entropy_of_the_pairs_is_that_of_mixed_labels():
    torch.manual_seed(0)
    batch = {**some_batch(), "weight": torch.ones(SIZE)}
    logits = torch.randn(SIZE, 1)
    _, targets = mixed(batch, alpha=0.4)
    share, other = shares(batch, targets)
    soft = share * batch["label"] + (1 - share) * batch["label"][other]
    loss = BinaryCrossEntropy(1.0, label_smoothing=0.0)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], soft)
    torch.testing.assert_close(loss(logits.repeat(2, 1), targets), expected)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_shares_are_drawn_from_beta(alpha):
    torch.manual_seed(0)
    batch = some_batch()
    drawn = torch.cat([shares(batch, mixed(batch, alpha)[1])[0] for _ in range(200)])
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.02)
    assert drawn.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


def test_a_step_that_one_lacks_is_missing_and_what_lies_under_it_is_not_seen():
    torch.manual_seed(0)
    batch = some_batch()
    batch["mask"][::2, 0] = False
    batch["features"][::2, 0] = math.nan
    batch["times"][::2, 0] = math.nan
    (features, times, mask), targets = mixed(batch, alpha=0.4)
    other = targets.videos[SIZE:]
    assert torch.equal(mask, batch["mask"] & batch["mask"][other])
    assert features[mask].isfinite().all() and times[mask].isfinite().all()


def test_examples_without_a_common_step_stay_as_they_are():
    torch.manual_seed(0)
    batch = some_batch()
    batch["mask"][:] = torch.tensor([True, False, False])
    batch["mask"][::2] = torch.tensor([False, True, True])
    batch["features"][~batch["mask"]] = math.nan
    (features, _, mask), targets = mixed(batch, alpha=0.4)
    share, other = shares(batch, targets)
    alone = (torch.arange(SIZE) + other) % 2 == 1
    assert alone.any() and not alone.all() and (share[alone] == 1).all()
    assert torch.equal(mask[alone], batch["mask"][alone])
    own = batch["mask"] & alone[:, None]
    assert torch.equal(features[own], batch["features"][own])
    assert (targets.weights[SIZE:][alone] == 0).all()


NO_MEANS = ("next_step", "ranking")  # of which the second is in tests/learning/test_losses_ranking


@pytest.mark.parametrize("name", [n for n in names_of("loss") if n not in NO_MEANS])
def test_every_loss_of_a_mixture_lies_between_those_of_its_parts(name):
    """Which a loss that is no weighted mean of its examples would not."""
    torch.manual_seed(0)
    loss = part("loss", name).build()
    batch = {**some_batch(), "weight": torch.ones(SIZE)}
    outputs = torch.randn(SIZE, loss.num_outputs)
    _, both = mixed(batch, alpha=1.0)
    share, other = shares(batch, both)

    def alone(rows):
        own = Targets.of({key: value[rows] for key, value in batch.items()})
        return [loss(outputs[i, None], pick(own, i)).item() for i in range(SIZE)]

    def pick(targets, row):
        kept = (getattr(targets, n)[row, None] for n in ("labels", "weights", "horizons", "videos"))
        return Targets(*kept)

    first, second = (torch.tensor(alone(rows)) for rows in (torch.arange(SIZE), other))
    expected = (share * first + (1 - share) * second).mean()
    torch.testing.assert_close(loss(outputs.repeat(2, 1), both), expected)
