"""Losses, backbones, heads and poolings that each break one promise."""

import math

import numpy as np
import torch
from torch import nn

from collision.config import Part
from collision.errors import ConfigError
from collision.learning.losses import BinaryCrossEntropy, weighted_mean
from collision.types import BackboneSpec


def broken(group, made, **options):
    """Name a class of this file as a part."""
    return Part(group, made.__name__.lower(), f"{__name__}.{made.__name__}", options)


class Plain(BinaryCrossEntropy):
    """Keeps all promises: what the others do is their own fault."""

    def __init__(self, pos_weight: float | str = "auto"):
        super().__init__(pos_weight, 0.0)

    def rows(self, outputs, targets):
        return self.each(outputs.flatten(), targets.labels)


class OfEachExample(Plain):
    def forward(self, outputs, targets):
        return self.rows(outputs, targets) * targets.weights


class Detached(Plain):
    def forward(self, outputs, targets):
        return super().forward(outputs.detach(), targets) + 0 * outputs.sum()


class Trained(Plain):
    def __init__(self, pos_weight: float | str = "auto"):
        super().__init__(pos_weight)
        self.scale = nn.Parameter(torch.ones(()))


class Remembers(Plain):
    def forward(self, outputs, targets):
        now = super().forward(outputs, targets)
        before, self.before = getattr(self, "before", now.detach()), now.detach()
        return now + 0.1 * before


class LooksAside(Plain):
    def forward(self, outputs, targets):
        steps = outputs.flatten().diff(prepend=outputs.flatten()[:1])
        return super().forward(outputs, targets) + 0.01 * (steps**2).mean()


class Unweighted(Plain):
    def forward(self, outputs, targets):
        return self.rows(outputs, targets).mean()


class SumOfWeights(Plain):
    def forward(self, outputs, targets):
        return (self.rows(outputs, targets) * targets.weights).sum()


class NoPosWeight(Plain):
    def rows(self, outputs, targets):
        return nn.functional.binary_cross_entropy_with_logits(
            outputs.flatten(), targets.labels, reduction="none"
        )

    def forward(self, outputs, targets):
        return weighted_mean(self.rows(outputs, targets), targets.weights)


class FitWins(Plain):
    def fit(self, negative, positive):
        self.pos_weight.fill_(negative / max(positive, 1e-8))


class NeedsBoth(Plain):
    def forward(self, outputs, targets):
        share = (targets.labels * targets.weights).sum() / targets.weights.sum().clamp_min(1e-8)
        keep = 0.0 if targets.weights.sum() == 0 else 1.0
        return super().forward(outputs, targets) * (keep + 0.0 * (share / share))


class FarOut(Plain):
    def rows(self, outputs, targets):
        right = torch.where(targets.labels == 1, 1.0, -1.0) * outputs.flatten()
        return -right.sigmoid().log()

    def forward(self, outputs, targets):
        each = self.rows(outputs, targets) * self.of_class(targets.labels)
        return weighted_mean(each, targets.weights)


class Coarse(Plain):
    def forward(self, outputs, targets):
        return super().forward(outputs.bfloat16() if outputs.dtype == torch.float64 else outputs,
                               targets)  # fmt: skip


class Uphill(Plain):
    def forward(self, outputs, targets):
        value = super().forward(outputs, targets)
        return 2 * value.detach() - value


class TurnedRound(Plain):
    def forward(self, outputs, targets):
        return super().forward(-outputs, targets)


LOSSES = {
    "it_is_one_number_with_a_gradient": (OfEachExample, Detached, Trained),
    "it_is_the_same_twice": (Remembers,),
    "order_is_free": (LooksAside,),
    "weights_are_obeyed": (Unweighted, SumOfWeights),
    "pos_weight_is_obeyed": (NoPosWeight, FitWins),
    "one_class_alone_is_harmless": (NeedsBoth,),
    "far_logits_are_harmless": (FarOut,),
    "other_precisions": (Coarse,),
    "its_gradient_leads_down": (Uphill,),
    "it_teaches_the_labels": (TurnedRound,),
}


class Blocks(nn.Module):
    """A backbone that keeps all promises: means over blocks of the pixels of two frames."""

    source = "computed"

    def __init__(self, height: int = 32, width: int = 48, min_frames: int | None = 1):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d((2, 3))
        self.register_buffer("scale", torch.full((), 1 / 255))
        self.spec = BackboneSpec(
            name="blocks",
            implementation="kit 1",
            num_frames=2,
            fps=10.0,
            height=height,
            width=width,
            mean=(0.0,) * 3,
            std=(1.0,) * 3,
            num_steps=2,
            feature_dim=18,
            source=self.source,
            min_frames=min_frames,
        )
        self.eval().requires_grad_(False)

    def forward(self, frames):
        images = frames.movedim(-1, 2).float() * self.scale
        return self.pool(images.flatten(0, 1)).flatten(1).unflatten(0, frames.shape[:2])


class Nameless(Blocks):
    source = ""


class OneStep(Blocks):
    def forward(self, frames):
        return super().forward(frames).mean(1, keepdim=True)


class Infinite(Blocks):
    def forward(self, frames):
        return super().forward(frames) * 1e6  # beyond float16


class WantsTexture(Blocks):
    """Lost where a part of the picture is flat, and the rest is not."""

    def forward(self, frames):
        parts = frames.float().unfold(2, 12, 4).unfold(3, 12, 4)  # [B, T, h, w, 3, 12, 12]
        flat = (parts.amax((-1, -2)) == parts.amin((-1, -2))).all(-1).flatten(2)
        lost = flat.any(-1) & ~flat.all(-1)
        return super().forward(frames).masked_fill(lost[..., None], math.nan)


class Blind(Blocks):
    def forward(self, frames):
        return super().forward(frames) * 0 + torch.arange(18.0)


class OldestFrame(Blocks):
    def forward(self, frames):
        return super().forward(frames[:, :1].expand_as(frames))


class LooksIntoTheBatch(Blocks):
    def forward(self, frames):
        features = super().forward(frames)
        return features + 0.1 * features.mean(0)


class RemembersFrames(Blocks):
    last = 0.0

    def forward(self, frames):
        features = super().forward(frames)
        found, self.last = features + 0.1 * self.last, features.mean()
        return found


class InTraining(Blocks):
    def __init__(self, height: int = 32, width: int = 48):
        super().__init__(height, width)
        self.train()


class Drifting(Blocks):
    def __init__(self, height: int = 32, width: int = 48):
        super().__init__(height, width)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, frames):
        self.count += 1
        return super().forward(frames)


class Chance(Blocks):
    def __init__(self, height: int = 32, width: int = 48):
        super().__init__(height, width)
        self.scale *= 1 + torch.rand(())


class NotInItsState(Blocks):
    """Other weights each time it is built, which its state does not hold."""

    def __init__(self, height: int = 32, width: int = 48):
        super().__init__(height, width)
        self.hidden = float(np.random.default_rng().random())

    def forward(self, frames):
        return super().forward(frames) + self.hidden


class MoreOfLess(Blocks):
    def forward(self, frames):
        features = super().forward(frames)
        return features if frames.shape[1] == 2 else features.repeat(1, 4, 1)


class EvenAlone(Blocks):
    def forward(self, frames):
        if frames.shape[2] % 2:
            raise RuntimeError("shape mismatch")
        return super().forward(frames)


class OtherSize(Blocks):
    def __init__(self, height: int = 32, width: int = 48):
        super().__init__()


class RefusesOdd(Blocks):
    """Allowed: it says so."""

    def __init__(self, height: int = 32, width: int = 48):
        if height % 2 or width % 2:
            raise ConfigError("backbone.height: give an even number.")
        super().__init__(height, width)


class ByContent(Blocks):
    """What noise does not show: other features of a picture that moves, in a larger batch."""

    def forward(self, frames):
        features = super().forward(frames)
        is_smooth = frames.float().diff(dim=3).abs().mean() < 30
        return features + 0.2 * len(frames) if is_smooth else features


BACKBONES = {
    "the_spec_is_complete": (Nameless,),
    "features_fit_the_spec": (OneStep, Infinite),
    "an_empty_picture_is_told_from_a_busy_one": (Blind,),
    "every_frame_of_a_window_is_used": (OldestFrame,),
    "windows_do_not_see_each_other": (LooksIntoTheBatch, RemembersFrames),
    "it_is_frozen": (InTraining, Drifting),
    "built_again_it_is_the_same": (Chance, NotInItsState),
    "shorter_windows_have_fewer_steps": (MoreOfLess,),
    "odd_sizes_work_or_are_refused": (EvenAlone, OtherSize),
    "cached_features_are_live_ones": (ByContent,),
    "heat_maps_of_it_are_finite": (WantsTexture,),
}


class Steps(nn.Module):
    """A head that keeps the promises about gradients: a layer a step."""

    causal = True

    def __init__(self, input_dim: int, dim: int = 8):
        super().__init__()
        self.output_dim = dim
        self.layer = nn.Linear(input_dim, dim)
        self.extra = nn.Parameter(torch.ones(dim))

    def forward(self, features, times, mask):
        return self.layer(features) * self.extra


class Idle(Steps):
    def forward(self, features, times, mask):
        return self.layer(features)


class Dead(Steps):
    """In the graph, and yet without a gradient."""

    def forward(self, features, times, mask):
        return self.layer(features) + 0 * self.extra


class InFloat32Alone(Steps):
    def forward(self, features, times, mask):
        encoded = self.layer(features)
        return encoded if encoded.dtype == torch.bfloat16 else encoded * self.extra


class Newest(Steps):
    """Allowed: it reads from the newest step on, so that the last step has kept nothing."""

    causal = False

    def forward(self, features, times, mask):
        later = features.flip(1).cumsum(1).flip(1) - features
        return self.layer(features) + later.mean(-1, keepdim=True) * self.extra


class IdlePooling(nn.Module):
    """The last step, beside a weight that nobody uses."""

    def __init__(self, dim: int):
        super().__init__()
        self.output_dim = dim
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, encoded, mask):
        return encoded[:, -1]


class DeadPooling(IdlePooling):
    def forward(self, encoded, mask):
        return encoded[:, -1] + 0 * self.weight
