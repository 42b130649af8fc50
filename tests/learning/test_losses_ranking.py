import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from collision.errors import ConfigError
from collision.learning.losses import Targets
from collision.learning.losses_ranking import RankingLoss
from tests.kit.losses import targets


def random_examples(seed=0, num=60):
    """Scores a thousandth apart at least, in random order."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randperm(num, generator=generator) / 20.0 - 1.5
    labels = (torch.rand(num, generator=generator) < 0.3).float()
    return logits, labels, torch.rand(num, generator=generator)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("is_weighted", [False, True])
def test_at_a_small_temperature_it_is_one_minus_average_precision(seed, is_weighted):
    logits, labels, weights = random_examples(seed)
    weights = weights if is_weighted else torch.ones_like(weights)
    wanted = 1 - average_precision_score(labels, logits, sample_weight=weights)
    ours = RankingLoss(1e-3)(logits[:, None], targets(labels, weights)).item()
    assert ours == pytest.approx(wanted, abs=1e-3)


def test_it_is_the_papers_formula():
    logits, labels, _ = random_examples()
    of_positives, of_negatives = logits[labels == 1], logits[labels == 0]
    precisions = []
    for i, score in enumerate(of_positives):
        others = torch.cat([of_positives[:i], of_positives[i + 1 :]])
        above = 1 + ((others - score) / 0.5).sigmoid().sum()
        precisions.append(above / (above + ((of_negatives - score) / 0.5).sigmoid().sum()))
    ours = RankingLoss(0.5)(logits[:, None], targets(labels))
    assert ours.item() == pytest.approx(1 - np.mean(precisions), abs=1e-5)


def test_examples_without_weight_do_not_count_and_their_gradient_is_zero():
    logits, labels, _ = random_examples()
    weights = (torch.arange(len(labels)) < 25).float()
    logits.requires_grad_()
    loss = RankingLoss()(logits[:, None], targets(labels, weights))
    alone = RankingLoss()(logits[:25, None], targets(labels[:25]))
    torch.testing.assert_close(loss, alone)
    loss.backward()
    assert (logits.grad[25:] == 0).all() and (logits.grad[:25] != 0).all()


def test_steps_against_the_gradient_raise_average_precision():
    logits, labels, _ = random_examples()
    before = average_precision_score(labels, logits)
    logits.requires_grad_()
    reached = [before]
    for _ in range(8):
        (gradient,) = torch.autograd.grad(RankingLoss()(logits[:, None], targets(labels)), logits)
        logits = (logits - 10 * gradient).detach().requires_grad_()
        reached.append(average_precision_score(labels, logits.detach()))
    assert reached == sorted(reached) and reached[1] > before and reached[-1] > before + 0.2


@pytest.mark.parametrize("labels", [[0.0] * 4, [1.0] * 4, [1.0], [0.0]])
def test_a_batch_of_one_class_gives_nothing_to_learn(labels):
    logits = torch.linspace(-1, 1, len(labels), requires_grad=True)
    loss = RankingLoss()(logits[:, None], targets(torch.tensor(labels)))
    loss.backward()
    assert loss.item() == 0 and (logits.grad == 0).all()


def test_a_class_without_weight_is_none():
    logits = torch.tensor([0.0, 1.0, 2.0], requires_grad=True)
    given = targets(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
    RankingLoss()(logits[:, None], given).backward()
    assert (logits.grad == 0).all()


def test_far_out_gradients_are_finite():
    logits = torch.tensor([-1e4, 50.0, -50.0, 1e4], requires_grad=True)
    loss = RankingLoss(1e-3)(logits[:, None], targets(torch.tensor([1.0, 0.0, 1.0, 0.0])))
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()


def test_mixtures_are_ranked_by_their_share_of_positives():
    """A mixture comes twice, as ``mixed`` gives it: once with each label, by its shares."""
    share = torch.tensor([0.5, 0.9, 0.1, 0.7, 0.3])
    labels = torch.cat([torch.ones(5), torch.zeros(5)])
    given = Targets(labels, torch.cat([share, 1 - share]), labels, torch.arange(10))
    logits = torch.zeros(5, requires_grad=True)
    for _ in range(20):
        loss = RankingLoss()(logits[:, None].repeat(2, 1), given)
        (gradient,) = torch.autograd.grad(loss, logits)
        logits = (logits - gradient).detach().requires_grad_()
    assert logits.argsort().tolist() == share.argsort().tolist()


@pytest.mark.parametrize("temperature", [0, -1.0, float("inf"), float("nan")])
def test_wrong_temperature(temperature):
    with pytest.raises(ConfigError, match=f"^loss.temperature={temperature}: give"):
        RankingLoss(temperature)
