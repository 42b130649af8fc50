"""What every loss promises: one suite, for the tests and for proposed losses.

As in ``conformance``, the verdict is made here, from numbers alone.

Shapes: B examples of a batch, O outputs of the head.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from collision.learning.head import joint
from collision.learning.losses import Targets
from collision.search.loss_subject import How, LossSubject, Measured
from collision.search.verdicts import NotConformant, check_close, named

_MOST_OUTPUTS = 64
_SIZES = (1, 2, 7, 64)
_FAR = (-1e4, -200.0, -30.0, 0.0, 30.0, 200.0, 1e4)  # logits


def make_targets(labels: Tensor, seed: int = 0, *, one_video: bool = False) -> Targets:
    """Draw the rest: weights around 1, times to the event, each cut of its own video or not."""
    generator, count = torch.Generator().manual_seed(seed), len(labels)
    steps = torch.randint(1, 7, (count,), generator=generator)
    batch = {
        "label": labels,
        "weight": 0.5 + torch.rand(count, generator=generator),
        "horizon": 0.25 * steps,
        "video": torch.arange(count) // (6 if one_video else 1),
    }
    return Targets.of(batch)


def _examples(
    subject: LossSubject, count: int = 24, seed: int = 0, *, one_video: bool = False
) -> tuple[Tensor, Targets]:
    """Draw outputs ``[B, O]`` and targets: a third are positives, in blocks of a video."""
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(count, subject.facts.num_outputs, generator=generator)
    labels = (torch.arange(count) // 6 % 3 == 0).float()
    if not one_video:
        labels = (torch.arange(count) % 3 == 0).float()
    return outputs, make_targets(labels, seed, one_video=one_video)


def _rows(targets: Targets, rows: Tensor) -> Targets:
    return Targets(
        targets.labels[rows], targets.weights[rows], targets.horizons[rows], targets.videos[rows]
    )


def _measured(
    subject: LossSubject, outputs: Tensor, targets: Targets, where: str, how: How = "plain"
) -> tuple[Tensor, Tensor]:
    """Give loss and gradient; NotConformant: they are not a finite number and finite numbers."""
    value, gradient = subject.measure(outputs, targets, how)
    if value.shape != () or not value.is_floating_point():
        raise NotConformant(
            f"{where}: it gives {list(value.shape)} {value.dtype}, not one floating-point number."
        )
    if not value.isfinite():
        raise NotConformant(f"{where}: it gives {float(value)}.")
    if gradient is None:
        raise NotConformant(f"{where}: no gradient comes back to the outputs.")
    if gradient.shape != outputs.shape or not gradient.isfinite().all():
        broken = int((~gradient.isfinite()).sum())
        raise NotConformant(
            f"{where}: of outputs {list(outputs.shape)} the gradient is {list(gradient.shape)}, "
            f"with {broken} numbers that are not finite."
        )
    return value, gradient


def it_is_one_number_with_a_gradient(subject: LossSubject) -> None:
    """Of batches of any size, whether each cut is of its own video or not."""
    facts = subject.facts
    if not 1 <= facts.num_outputs <= _MOST_OUTPUTS:
        raise NotConformant(f"num_outputs is {facts.num_outputs}: give 1 to {_MOST_OUTPUTS}.")
    if facts.num_parameters:
        raise NotConformant(
            f"It has {facts.num_parameters} parameters, which no training moves: keep numbers in "
            "buffers."
        )
    for size in _SIZES:
        for one_video in (False, True):
            outputs, targets = _examples(subject, size, size, one_video=one_video)
            _, gradient = _measured(subject, outputs, targets, f"B={size}")
            if size == max(_SIZES) and not gradient.abs().max() > 0:
                raise NotConformant(f"B={size}: its gradient is 0 everywhere.")


def it_is_the_same_twice(subject: LossSubject) -> None:
    """Whatever it was asked before."""
    outputs, targets = _examples(subject)
    first = subject.measure(outputs, targets)
    subject.measure(-3 * outputs, targets)
    second = subject.measure(outputs, targets)
    if not torch.equal(first.value, second.value) or not _same(first, second):
        raise NotConformant("Asked twice for the same batch, it gives another loss or gradient.")


def _same(first: Measured, second: Measured) -> bool:
    if first.gradient is None or second.gradient is None:
        return first.gradient is second.gradient
    return torch.equal(first.gradient, second.gradient)


def order_is_free(subject: LossSubject) -> None:
    """In another order of examples the loss is the same, and gradients go with their examples."""
    for one_video in (False, True):
        outputs, targets = _examples(subject, one_video=one_video)
        order = torch.randperm(len(outputs), generator=torch.Generator().manual_seed(1))
        value, gradient = _measured(subject, outputs, targets, "a batch")
        moved, moved_gradient = _measured(subject, outputs[order], _rows(targets, order), "a batch")
        check_close(moved, value, 1e-5, "the loss, examples in another order")
        check_close(moved_gradient, gradient[order], 1e-5, "gradients, examples in another order")


def weights_are_obeyed(subject: LossSubject) -> None:
    """Weight 0 is absence, more weight is more pull, and only ratios count."""
    outputs, targets = _examples(subject)
    value, gradient = _measured(subject, outputs, targets, "a batch")
    tripled, _ = _measured(subject, outputs, replace(targets, weights=3 * targets.weights), "B=24")
    check_close(tripled, value, 1e-4, "the loss, all weights tripled")
    _measured(subject, outputs, replace(targets, weights=0 * targets.weights), "weights of 0")
    kept = torch.arange(len(outputs)) % 4 != 1  # of both classes
    some = replace(targets, weights=targets.weights * kept)
    masked, masked_gradient = _measured(subject, outputs, some, "weights of 0 among others")
    alone, alone_gradient = _measured(subject, outputs[kept], _rows(targets, kept), "a batch")
    check_close(masked, alone, 1e-5, "the loss with examples of weight 0, against without them")
    check_close(masked_gradient[kept], alone_gradient, 1e-5, "gradients beside weights of 0")
    if masked_gradient[~kept].abs().max() > 0:
        raise NotConformant("An example of weight 0 has a gradient.")
    for row in range(6):
        if not gradient[row].abs().sum() > 1e-6:
            continue  # it is right already, or waits for another cut
        heavier = targets.weights.clone()
        heavier[row] *= 4
        _, pulled = _measured(subject, outputs, replace(targets, weights=heavier), "a batch")
        shares = [float(one[row].abs().sum() / one.abs().sum()) for one in (gradient, pulled)]
        if not shares[1] > 1.2 * shares[0]:
            raise NotConformant(
                f"With four times the weight an example's share of the gradient goes from "
                f"{shares[0]:.1%} to {shares[1]:.1%}."
            )


def pos_weight_is_obeyed(subject: LossSubject) -> None:
    """Where its YAML has one: 3 triples the positives' part, auto is the ratio of the classes."""
    if "pos_weight" not in subject.options:
        return
    outputs, targets = _examples(subject)
    shares = []
    for weight in (1.0, 3.0):
        one = subject.changed(pos_weight=weight)
        _, gradient = _measured(one, outputs, targets, f"pos_weight={weight:g}")
        each = gradient.abs().sum(1)
        shares.append(float(each[targets.labels == 1].sum() / each[targets.labels == 0].sum()))
    if not 2.4 <= shares[1] / shares[0] <= 3.6:
        raise NotConformant(
            f"With pos_weight=3 positives have {shares[1] / shares[0]:.2f} times the part in the "
            "gradient that they have with 1, beside negatives."
        )
    fixed, told = subject.changed(pos_weight=3.0), subject.changed(pos_weight="auto").fitted(30, 10)
    wanted, _ = _measured(fixed, outputs, targets, "pos_weight=3")
    found, _ = _measured(told, outputs, targets, "pos_weight=auto")
    check_close(found, wanted, 1e-5, "pos_weight=auto of 30 to 10, against pos_weight=3")
    kept, _ = _measured(fixed.fitted(10, 10), outputs, targets, "pos_weight=3")
    check_close(kept, wanted, 1e-5, "pos_weight=3 after fit, against before")


def one_class_alone_is_harmless(subject: LossSubject) -> None:
    """A batch of positives, or of negatives; and a pass that has no other."""
    for label in (0.0, 1.0):
        outputs, targets = _examples(subject)
        targets = make_targets(torch.full_like(targets.labels, label))
        told = subject.fitted(30 * (1 - label), 30 * label)
        for one in (subject, told):
            _measured(one, outputs, targets, f"all labels {label:g}")
            _measured(one, outputs[:1], _rows(targets, torch.arange(1)), f"one label {label:g}")


def far_logits_are_harmless(subject: LossSubject) -> None:
    """Of either class, on either side."""
    count = subject.facts.num_outputs
    for labels in (0.0, 1.0, None):
        far = torch.tensor(_FAR).repeat(2)
        given = torch.arange(14) % 2 if labels is None else torch.full((14,), labels)
        targets = make_targets(given.float())
        _measured(subject, far[:, None].repeat(1, count), targets, "logits up to 1e4")
        mixed = torch.stack([far.roll(shift) for shift in range(count)], dim=1)
        _measured(subject, mixed, targets, "logits up to 1e4 beside others")


def other_precisions(subject: LossSubject) -> None:
    """Float64 is float32 with more digits; bfloat16 is near it, as is autocast."""
    outputs, targets = _examples(subject)
    value, gradient = _measured(subject, outputs, targets, "float32")
    double, exact = _measured(subject, outputs.double(), targets, "float64")
    check_close(double.float(), value, 1e-4, "the loss of float64, against float32")
    check_close(exact.float(), gradient, 1e-4, "the gradient of float64, against float32")
    cast, cast_gradient = _measured(subject, outputs, targets, "autocast", "autocast")
    short, short_gradient = _measured(subject, outputs, targets, "bfloat16", "bfloat16")
    exact_of_half, _ = _measured(subject, outputs.bfloat16().float(), targets, "float32")
    check_close(cast.float(), value, 0.05, "the loss under autocast, against float32")
    check_close(short.float(), exact_of_half, 0.05, "the loss of bfloat16, against float32")
    size = float(gradient.norm())
    for what, one in (("under autocast", cast_gradient), ("of bfloat16", short_gradient)):
        off = float((one.float() - gradient).norm()) / max(size, 1e-12)
        if not off <= 0.1:
            raise NotConformant(f"Its gradient {what} is off by {off:.0%}.")


def its_gradient_leads_down(subject: LossSubject) -> None:
    """A small step against it lowers the loss: the loss is what training minimises."""
    for seed in range(4):
        outputs, targets = _examples(subject, seed=seed)
        value, gradient = _measured(subject, outputs, targets, "a batch")
        step = 0.05 * gradient / gradient.norm().clamp_min(1e-12)
        after, _ = _measured(subject, outputs - step, targets, "a batch")
        if not after < value:
            raise NotConformant(
                f"A small step against its gradient takes it from {float(value):.6g} to "
                f"{float(after):.6g}: it does not fall."
            )


def it_teaches_the_labels(subject: LossSubject, steps: int = 60) -> None:
    """Outputs that follow its gradient rank positives above negatives, and have a lower loss."""
    outputs, targets = _examples(subject, 48, seed=3)
    told = subject.fitted(32, 16)
    moved = outputs.clone()
    optimizer = torch.optim.Adam([moved], lr=0.2)
    before, _ = _measured(told, outputs, targets, "a batch")
    for _ in range(steps):
        _, moved.grad = _measured(told, moved, targets, "in training")
        optimizer.step()
    after, _ = _measured(told, moved, targets, "after training")
    scores, is_positive = joint(moved), targets.labels == 1
    area = float((scores[is_positive][:, None] > scores[~is_positive][None]).float().mean())
    if not area >= 0.95:
        raise NotConformant(
            f"Outputs that follow its gradient for {steps} steps rank {area:.0%} of pairs right; "
            "95 % are wanted, and a guess gives 50 %."
        )
    turned, _ = _measured(told, -moved, targets, "logits turned round")
    if not after < min(before, turned):
        raise NotConformant(
            f"Of better ranked outputs it is {float(after):.4g}, of those before training "
            f"{float(before):.4g}, of the worst {float(turned):.4g}: it does not fall."
        )


# In the order of what breaks first.
CHECKS = named(
    it_is_one_number_with_a_gradient,
    it_is_the_same_twice,
    order_is_free,
    weights_are_obeyed,
    pos_weight_is_obeyed,
    one_class_alone_is_harmless,
    far_logits_are_harmless,
    other_precisions,
    its_gradient_leads_down,
    it_teaches_the_labels,
)
