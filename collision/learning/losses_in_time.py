"""Losses that know how long before the event a cut was made.

Only positives have a time to an event: see ``Targets.horizons``.

Shapes: B examples of a batch, O outputs of the head. Times in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from collision.errors import ConfigError
from collision.learning.losses import BinaryCrossEntropy, ClassWeighted, Targets, weighted_mean

_EPSILON = 1e-4  # of times that are meant to be the same


class ExponentialLoss(BinaryCrossEntropy):
    """Cross entropy in which a positive counts more the nearer its event is.

    Its loss is multiplied by ``exp(-horizon / decay)`` (Chan et al., Anticipating Accidents in
    Dashcam Videos, ACCV 2016, where the unit of time is the frame; the code of UString and DSTA
    measures it in seconds, a ``decay`` of 1). As there, the positives together count the less for
    it. ``sampling.fade`` gives the same weights, but ``pos_weight=auto`` makes up for those.
    """

    def __init__(
        self,
        decay: float = 1.0,
        pos_weight: float | str = "auto",
        label_smoothing: float = 0.0,
    ):
        super().__init__(pos_weight, label_smoothing)
        if not 0 < decay < math.inf:
            raise ConfigError(f"loss.decay={decay}: give seconds, above 0.")
        self.decay = decay

    def forward(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Give the weighted mean loss of logits ``[B, 1]``."""
        nearness = (-targets.horizons.clamp_min(0) / self.decay).exp()
        nearness = torch.where(targets.labels == 1, nearness, 1.0)
        each = self.each(outputs.flatten(), self.smoothed(targets.labels))
        return weighted_mean(nearness * each, targets.weights)


class RampLoss(ClassWeighted):
    """Cross entropy with a positive's target rising as its event nears.

    Args:
        near: Up to so long before the event the target is 1.
        far: From here on it is ``floor``; linear in between.
        floor: Above 0; 1 is plain cross entropy.
        pos_weight: Factor of the positives' loss; ``auto`` makes both classes weigh the same.
    """

    def __init__(
        self,
        near: float = 0.5,
        far: float = 1.5,
        floor: float = 0.7,
        pos_weight: float | str = "auto",
    ):
        super().__init__(pos_weight)
        if not 0 <= near < far < math.inf:
            raise ConfigError(f"loss.near={near}, loss.far={far}: give seconds, near below far.")
        if not 0 < floor <= 1:
            raise ConfigError(f"loss.floor={floor}: give a target above 0, up to 1.")
        self.near, self.far, self.floor = near, far, floor

    def forward(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Give the weighted mean loss of logits ``[B, 1]``."""
        way = ((targets.horizons - self.near) / (self.far - self.near)).clamp(0, 1)
        wanted = torch.where(targets.labels == 1, 1 - (1 - self.floor) * way, 0.0)
        each = functional.binary_cross_entropy_with_logits(
            outputs.flatten().float(), wanted, reduction="none"
        )
        return weighted_mean(each * self.of_class(targets.labels), targets.weights)


class OccurrenceLoss(ClassWeighted):
    """An output for each step of time ahead: in which of them does the event fall, if in any?

    After TOP (Accident Anticipation via Temporal Occurrence Prediction, arXiv 2510.22260), whose
    steps are the 20 tenths of a second ahead. A positive whose event lies beyond all steps counts
    as no event, as there.

    What is not as there: steps exclude each other, so that this is the cross entropy of O + 1
    classes, "no event" having logit 0, where TOP asks of each step alone; an example's score is the
    probability of any step (see ``HeadModel``), where TOP takes the highest; and the outputs are
    read off one pooled vector, not off a decoder with a query each.

    Args:
        offsets: Where the steps end; each begins where the one before it ends, the first at 0.
        pos_weight: Factor of the positives' loss; ``auto`` makes both classes weigh the same.
    """

    ends: Tensor

    def __init__(
        self,
        offsets: Sequence[float] = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5),
        pos_weight: float | str = "auto",
    ):
        super().__init__(pos_weight)
        rising = [0.0, *offsets]
        if len(offsets) < 2 or not all(a < b < math.inf for a, b in pairwise(rising)):
            raise ConfigError(
                f"loss.offsets={list(offsets)}: give 2 or more rising times, in seconds, above 0."
            )
        self.num_outputs = len(offsets)
        self.register_buffer("ends", torch.tensor(offsets), persistent=False)

    def forward(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Give the weighted mean loss of logits ``[B, O]``."""
        until_end = self.ends + _EPSILON - targets.horizons[:, None]
        by_end = (until_end >= 0).float()  # 0 .. 0 1 .. 1: the event is over by the step's end
        wanted = by_end.diff(dim=1, prepend=by_end.new_zeros(len(by_end), 1))
        outputs = outputs.float()
        log_total = functional.softplus(outputs.logsumexp(1))
        each = log_total - (wanted * outputs).sum(1)
        return weighted_mean(each * self.of_class(targets.labels), targets.weights)


class NextStepLoss(ClassWeighted):
    """A positive far from its event learns what the head says of the next cut of its video.

    After RiskProp (arXiv 2603.27165): labels are trusted only near the event and for negatives;
    farther off the target is the head's own probability a step later, through which no gradient
    flows. A second term asks that scores don't fall towards the event: for any two cuts of a
    positive video, ``max(0, p_earlier - p_later + margin * seconds between)``.

    What is not as there: next cuts are ``sampling.stride`` apart, not a tenth of a second; the soft
    target is met by cross entropy (their code takes the squared difference of logits); the margin
    does not adapt to how sure the head is in between; all pairs of a batch are taken, not a draw.

    Args:
        anchor: Up to so long before the event the label is trusted.
        monotone: Weight of the second term.
        margin: Probability a second.
        pos_weight: Factor of the positives' loss; ``auto`` makes both classes weigh the same.
    """

    by_video = True

    def __init__(
        self,
        anchor: float = 0.5,
        monotone: float = 1.0,
        margin: float = 0.1,
        pos_weight: float | str = "auto",
    ):
        super().__init__(pos_weight)
        for name, value in (("anchor", anchor), ("monotone", monotone), ("margin", margin)):
            if not 0 <= value < math.inf:
                raise ConfigError(f"loss.{name}={value}: give 0 or more.")
        self.anchor, self.monotone, self.margin = anchor, monotone, margin

    def forward(self, outputs: Tensor, targets: Targets) -> Tensor:
        """Give the weighted mean loss of logits ``[B, 1]``, and the second term's."""
        logits, weights = outputs.flatten().float(), targets.weights
        scores, gaps = logits.sigmoid(), gaps_to_later(targets)
        is_next = gaps <= gaps.amin(dim=1, keepdim=True) + _EPSILON
        is_next &= gaps.isfinite()
        count = is_next.sum(1)
        soft = (is_next * scores.detach()).sum(1) / count.clamp_min(1)
        trusted = (targets.labels != 1) | (targets.horizons <= self.anchor + _EPSILON)
        wanted = torch.where(trusted, targets.labels, soft)
        known = weights * (trusted | (count > 0))
        each = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        loss = weighted_mean(each * self.of_class(targets.labels), known)
        return loss + self.monotone * self._falling(scores, gaps, weights)

    def _falling(self, scores: Tensor, gaps: Tensor, weights: Tensor) -> Tensor:
        """Give the mean over pairs, weighted by the earlier cut: 0 where there is none."""
        pairs = gaps.isfinite()
        rise = torch.where(pairs, self.margin * gaps, 0.0)
        falls = (scores[:, None] - scores[None, :] + rise).clamp_min(0)
        return weighted_mean(falls, pairs * weights[:, None])


def gaps_to_later(targets: Targets) -> Tensor:
    """Give the seconds from each cut to the later ones of its positive video, ``[B, B]``.

    Infinite where the second is not later, is of another video, or either is a negative.
    """
    positive = targets.labels == 1
    gaps = targets.horizons[:, None] - targets.horizons[None, :]  # NaN between negatives
    of_one = (targets.videos[:, None] == targets.videos[None, :]) & positive[:, None] & positive
    return torch.where(of_one & (gaps > _EPSILON), gaps, math.inf)
