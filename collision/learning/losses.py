"""Losses over a head's outputs and what is known of the examples; each gives a scalar.

Shapes: B examples of a batch, O outputs of the head.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from collision.config import Part
from collision.errors import ConfigError


@dataclass(frozen=True)
class Targets:
    """What a batch is to learn; all ``[B]``.

    Attributes:
        labels: 1 or 0.
        weights: Factor of each example's loss.
        horizons: Seconds to the event. Infinity where the label is 0, whatever the batch says: a
            negative is cut by a mock event, which never comes.
        videos: Equal numbers are cuts of one video.
    """

    labels: Tensor
    weights: Tensor
    horizons: Tensor
    videos: Tensor

    @classmethod
    def of(cls, batch: Mapping[str, Tensor]) -> Targets:
        """Take them from a batch of a ``FeatureDataset``."""
        horizons = batch["horizon"].masked_fill(batch["label"] != 1, math.inf)
        return cls(batch["label"], batch["weight"], horizons, batch["video"])


class Loss(Protocol):
    """What a YAML in ``configs/loss`` names: an ``nn.Module`` with these.

    Attributes:
        num_outputs: O, how many outputs the head is to have.
        by_video: The cuts of one video have to come in one batch.
    """

    num_outputs: int
    by_video: bool

    def fit(self, negative: float, positive: float) -> None:
        """Take note of the summed weights of each class in a pass, once before training."""

    def __call__(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Give the weighted mean loss of a batch from logits ``[B, O]``."""


def build_loss(part: Part) -> Loss:
    """Make a loss; ConfigError for options that can't work, or one that lacks what a loss has."""
    loss: Loss = part.build()
    missing = [name for name in ("num_outputs", "by_video", "fit") if not hasattr(loss, name)]
    if missing:
        raise ConfigError(
            f"The loss {part.name!r} has no {' and no '.join(missing)}: docs/add_a_head.md says "
            "what a loss has. Or take another loss."
        )
    return loss


class ClassWeighted(nn.Module):
    """A loss of one output with a weight on positives, from which the others start.

    Args:
        pos_weight: Factor of the positives' loss; ``auto`` makes both classes weigh the same.
    """

    num_outputs = 1
    by_video = False
    pos_weight: Tensor

    def __init__(self, pos_weight: float | str = "auto"):
        super().__init__()
        if isinstance(pos_weight, str) and pos_weight != "auto":
            raise ConfigError(f"loss.pos_weight={pos_weight!r}: give a number or 'auto'.")
        self.automatic = pos_weight == "auto"
        if not self.automatic and not float(pos_weight) > 0:
            raise ConfigError(f"loss.pos_weight={pos_weight}: must be above 0.")
        given = 1.0 if self.automatic else float(pos_weight)
        self.register_buffer("pos_weight", torch.tensor(given))

    def fit(self, negative: float, positive: float) -> None:
        """Set an automatic ``pos_weight`` from the summed weights of each class in a pass."""
        if self.automatic and negative > 0 and positive > 0:
            self.pos_weight.fill_(negative / positive)

    def of_class(self, labels: Tensor) -> Tensor:
        """Give ``pos_weight`` to positives and 1 to negatives, ``[B]``."""
        return torch.where(labels == 1, self.pos_weight, 1.0)


def weighted_mean(each: Tensor, weights: Tensor) -> Tensor:
    """Average ``[B]``; 0 where nothing has a weight."""
    return (each * weights).sum() / weights.sum().clamp_min(1e-8)


class BinaryCrossEntropy(ClassWeighted):
    """Cross entropy with label smoothing and a weight on positives.

    Args:
        pos_weight: Factor of the positives' loss; ``auto`` makes both classes weigh the same.
        label_smoothing: Labels become ``eps/2`` and ``1 - eps/2``.
    """

    def __init__(self, pos_weight: float | str = "auto", label_smoothing: float = 0.05):
        super().__init__(pos_weight)
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"loss.label_smoothing={label_smoothing}: give 0 or more, below 1.")
        self.label_smoothing = label_smoothing

    def forward(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Give the weighted mean loss of logits ``[B, 1]``."""
        each = self.each(outputs.flatten(), self.smoothed(targets.labels))
        return weighted_mean(each, targets.weights)

    def smoothed(self, labels: Tensor) -> Tensor:
        """Give labels ``[B]`` after smoothing."""
        return labels * (1 - self.label_smoothing) + 0.5 * self.label_smoothing

    def each(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Give the loss of every example, ``[B]``; labels lie between 0 and 1."""
        return functional.binary_cross_entropy_with_logits(
            logits, labels, pos_weight=self.pos_weight, reduction="none"
        )


class FocalLoss(BinaryCrossEntropy):
    """Cross entropy in which examples that are already right count less (arXiv 1708.02002, eq. 5).

    ``(1 - p_t) ** gamma`` scales each example's cross entropy, where ``p_t`` is the probability
    of its class; a smoothed label belongs to both classes in part. ``pos_weight`` takes the place
    of the paper's alpha: ``alpha / (1 - alpha)``. With ``gamma`` 0 it is cross entropy; the paper
    uses 2.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        pos_weight: float | str = "auto",
        label_smoothing: float = 0.0,
    ):
        super().__init__(pos_weight, label_smoothing)
        if not 0 <= gamma < math.inf:
            raise ConfigError(f"loss.gamma={gamma}: give 0 or more; 2 is usual.")
        self.gamma = gamma

    def each(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Give the loss of every example, ``[B]``; labels lie between 0 and 1."""
        # -log(p) and -log(1 - p). Powers of 1 - p are taken as exponentials of them: the gradient
        # of 0 ** gamma is not finite for a gamma below 1.
        as_positive = functional.softplus(-logits.float())
        as_negative = functional.softplus(logits.float())
        positive = (-self.gamma * as_negative).exp() * as_positive
        negative = (-self.gamma * as_positive).exp() * as_negative
        return self.pos_weight * labels * positive + (1 - labels) * negative


class AsymmetricLoss(ClassWeighted):
    """Cross entropy that looks away from easy negatives more than from easy positives.

    ASL (arXiv 2009.14119). A positive with probability p has the loss
    ``(1 - p) ** gamma_pos * -log(p)``, a negative ``q ** gamma_neg * -log(1 - q)`` with
    ``q = max(p - clip, 0)``: one that lies below ``clip`` already counts nothing.

    Args:
        gamma_neg: The paper uses 4.
        gamma_pos: The paper uses 0, its code 1.
        clip: A probability, below 1; 0 is none.
        pos_weight: Factor of the positives' loss; ``auto`` makes both classes weigh the same
            before they are focused. The paper has none: 1.
    """

    def __init__(
        self,
        gamma_neg: float = 4.0,
        gamma_pos: float = 0.0,
        clip: float = 0.05,
        pos_weight: float | str = "auto",
    ):
        super().__init__(pos_weight)
        for name, value in (("gamma_neg", gamma_neg), ("gamma_pos", gamma_pos)):
            if not 0 <= value < math.inf:
                raise ConfigError(f"loss.{name}={value}: give 0 or more; 4 and 0 are usual.")
        if not 0 <= clip < 1:
            raise ConfigError(f"loss.clip={clip}: give a probability, from 0 to below 1.")
        self.gamma_neg, self.gamma_pos, self.clip = gamma_neg, gamma_pos, clip

    def forward(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Give the weighted mean loss of logits ``[B, 1]``."""
        logits = outputs.flatten().float()
        is_positive = targets.labels == 1
        each = torch.where(is_positive, self._of_positives(logits), self._of_negatives(logits))
        return weighted_mean(each * self.of_class(targets.labels), targets.weights)

    def _of_positives(self, logits: Tensor) -> Tensor:
        # (1 - p) ** gamma as an exponential of log(1 - p): see ``FocalLoss``.
        focus = (-self.gamma_pos * functional.softplus(logits)).exp()
        return focus * functional.softplus(-logits)

    def _of_negatives(self, logits: Tensor) -> Tensor:
        log_rest = -functional.softplus(logits)  # log(1 - p), and from here on log(1 - q)
        if self.clip:
            clip = log_rest.new_tensor(self.clip).log()
            log_rest = torch.logaddexp(log_rest, clip).clamp_max(0)
        # Not down to 0: there a power below 1 has no finite gradient.
        clipped = (logits.sigmoid() - self.clip).clamp_min(1e-12)
        return -(clipped**self.gamma_neg) * log_rest
