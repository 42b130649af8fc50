import pytest
import torch
from torch.nn import functional

from collision.errors import ConfigError
from collision.losses import BinaryCrossEntropy
from collision.optim import AdamWCosine


def test_plain_loss_is_torchs():
    logits, labels = torch.randn(20), torch.randint(2, (20,)).float()
    ours = BinaryCrossEntropy(pos_weight=1.0)(logits, labels, torch.ones(20))
    assert torch.allclose(ours, functional.binary_cross_entropy_with_logits(logits, labels))


def test_automatic_pos_weight_makes_classes_weigh_the_same():
    loss = BinaryCrossEntropy()
    loss.fit(num_negative=30, num_positive=10)
    labels = torch.tensor([1.0] * 10 + [0.0] * 30)
    logits = torch.zeros(40, requires_grad=True)
    loss(logits, labels, torch.ones(40)).backward()
    assert logits.grad.sum().abs() < 1e-6


def test_smoothing_moves_the_best_logit_inwards():
    loss = BinaryCrossEntropy(pos_weight=1.0, label_smoothing=0.1)
    best = torch.logit(torch.tensor([0.95]))
    one = torch.ones(1)
    assert loss(best, one, one) < loss(best + 1, one, one)
    assert loss(best, one, one) < loss(best - 1, one, one)


def test_weights_count_examples():
    loss = BinaryCrossEntropy(pos_weight=1.0)
    logits, labels = torch.tensor([0.3, -2.0]), torch.tensor([1.0, 1.0])
    twice = loss(logits[[0, 0, 1]], labels[[0, 0, 1]], torch.ones(3))
    assert torch.allclose(loss(logits, labels, torch.tensor([2.0, 1.0])), twice)


@pytest.mark.parametrize(
    "options", [{"pos_weight": "x"}, {"pos_weight": 0}, {"label_smoothing": 1}]
)
def test_wrong_options(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        BinaryCrossEntropy(**options)


def test_schedule_rises_then_falls_and_biases_do_not_decay():
    model = torch.nn.Linear(3, 2)
    optimizer, schedule = AdamWCosine(lr=1.0, warmup_epochs=2, final_fraction=0.1).build(
        model, steps_per_epoch=5, total_steps=50
    )
    rates = []
    for _ in range(50):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates.index(max(rates)) == 10
    assert max(rates) == pytest.approx(1.0)
    assert all(a < b for a, b in zip(rates[:10], rates[1:11], strict=True))
    assert all(a > b for a, b in zip(rates[10:-1], rates[11:], strict=True))
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)
    decays = {len(g["params"]): g["weight_decay"] for g in optimizer.param_groups}
    assert [g["weight_decay"] for g in optimizer.param_groups] == [1e-2, 0.0], decays
