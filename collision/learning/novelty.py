"""How unlike the videos that a head learned from another video is.

A video is the mean of its windows' features, each feature in units of its spread over training. The
main directions in which the training's videos differ are kept (PCA); a video is unlike them if it
lies far out along these directions (Mahalanobis) or, more often, far beside them (the residual):
as in process monitoring (Jackson and Mudholkar, 1979). The larger
of the two counts. How far is far is told by the training's own videos, each held out in turn with
its group, of which nothing then goes into the measure, units included (conformal prediction).
Which of several distances was chosen by what: docs/metrics.md.

Shapes: V videos, M windows, D features, K directions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Tensor

from collision.errors import CheckpointError
from collision.learning.datamodule import FeatureDataset
from collision.metrics.estimate import MIN_GROUPS

FALSE_ALARM_RATE = 0.05  # of videos like those of the training
NUM_DIRECTIONS = 16
NUM_FOLDS = 5
TINY = 1e-9  # least variance, of videos that are all alike
PREFIX = "known_videos."  # of its tensors in a predictor's file
MIN_SPREAD = 0.1  # as a share of the mean one: a feature that was nearly still decides little


@dataclass(frozen=True, eq=False)
class KnownVideos:
    """What the videos that a head learned from look like.

    Attributes:
        centre: float32 ``[D]``, the mean of their features, all videos counting alike.
        spread: float32 ``[D]``, the standard deviation over their windows, not below a floor.
        directions: float32 ``[K, D]``, orthonormal.
        variances: float32 ``[K]`` of their videos along these.
        residual: float32 ``[1]``, their mean squared distance from these.
        held_out: float32 ``[V]``, rising: how far each was from the others, without its group.
        num_groups: int64 ``[1]``, their source events or drives.
    """

    centre: Tensor
    spread: Tensor
    directions: Tensor
    variances: Tensor
    residual: Tensor
    held_out: Tensor
    num_groups: Tensor

    @property
    def limit(self) -> float:
        """The distance that so many held-out videos stay within: 19 of 20."""
        return float(self.held_out[limit_rank(len(self.held_out)) - 1])

    def distances(self, data: FeatureDataset) -> dict[str, float]:
        """Give each video's distance by id; 1 is the limit that 19 of 20 videos like these keep."""
        names, means = video_means(data)
        measure = self.centre, self.spread, self.directions, self.variances, self.residual
        far = _distances(means, *measure) / self.limit
        return {name: float(one) for name, one in zip(names, far, strict=True)}

    def share_beyond(self, distance: float) -> float:
        """Give the share of held-out videos that are at least so far from the others."""
        return float((self.held_out >= distance * self.limit).float().mean())

    def tensors(self) -> dict[str, Tensor]:
        """As they are saved beside a head's weights."""
        return {PREFIX + one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> Self | None:
        """Read what ``tensors`` gave, or None where a file has none of it.

        CheckpointError: they do not belong together.
        """
        own = {one.name: tensors.get(PREFIX + one.name) for one in fields(cls)}
        there = {name: tensor for name, tensor in own.items() if tensor is not None}
        if not there:
            return None
        if len(there) < len(own) or not _are_sound(there):
            raise CheckpointError("what its training videos look like is damaged")
        return cls(**there)


def limit_rank(count: int) -> int:
    """Give the place of the limit among so many held-out values, rising, counted from 1.

    A further value from the same source lies beyond it with a chance of at most 5 %.
    """
    return min(count, math.ceil((1 - FALSE_ALARM_RATE) * (count + 1)))


def known_videos(train: FeatureDataset, val: FeatureDataset) -> KnownVideos | None:
    """Describe the videos of training and validation; None of fewer than 20 groups."""
    group_of = {record.id: record.group for part in (train, val) for record in part.records}
    groups = sorted(set(group_of.values()))
    if len(groups) < MIN_GROUPS:
        return None
    described = [_moments(part) for part in (train, val)]
    names = [name for own, _, _ in described for name in own]
    means = torch.cat([own for _, own, _ in described])
    squares = torch.cat([own for _, _, own in described])
    fold_of = {group: number % NUM_FOLDS for number, group in enumerate(groups)}
    folds = torch.tensor([fold_of[group_of[name]] for name in names])
    held_out = torch.empty(len(names))
    for fold in range(NUM_FOLDS):
        others = _measure(means[folds != fold], squares[folds != fold])
        held_out[folds == fold] = _distances(means[folds == fold].float(), *others)
    measure, count = _measure(means, squares), torch.tensor([len(groups)])
    if not held_out.isfinite().all() or held_out.max() <= 0:  # features that never move
        return None
    return KnownVideos(*measure, held_out.sort().values, count)


def video_means(data: FeatureDataset) -> tuple[list[str], Tensor]:
    """Give the ids of the videos and the mean feature of each one's windows, float32 ``[V, D]``."""
    names, means, _ = _moments(data)
    return names, means.float()


def _moments(data: FeatureDataset) -> tuple[list[str], Tensor, Tensor]:
    """Ids of videos; means of their features and of the squares, float64 ``[V, D]``.

    Every window counts once, by the mean of its real steps.
    """
    names = list(dict.fromkeys(example.video for example in data.examples))
    number_of = {name: number for number, name in enumerate(names)}
    of_example = torch.tensor([number_of[e.video] for e in data.examples], dtype=torch.int64)
    video_of = torch.full((len(data.bank),), -1)
    video_of[data.window_index] = of_example[data.example_of, None].expand_as(data.window_index)
    video_of[-1] = -1  # the window that does not exist
    used = torch.nonzero(video_of >= 0).flatten()
    sums, squares = torch.zeros(2, len(names), data.bank.shape[-1], dtype=torch.float64)
    for chunk in used.split(2048):
        real = data.is_real[chunk, :, None]
        steps, num_real = data.bank[chunk].double() * real, real.sum(dim=1)
        sums.index_add_(0, video_of[chunk], steps.sum(dim=1) / num_real)
        squares.index_add_(0, video_of[chunk], steps.square().sum(dim=1) / num_real)
    num_windows = torch.bincount(video_of[used], minlength=len(names))[:, None]
    return names, sums / num_windows, squares / num_windows


def _measure(means: Tensor, squares: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Fit centre, spread, directions, variances and residual of ``KnownVideos`` to moments."""
    centre = means.mean(dim=0)
    spread = (squares.mean(dim=0) - centre.square()).clamp_min(0).sqrt()
    spread = spread.clamp_min(MIN_SPREAD * float(spread.mean()) or 1.0)
    values = (means - centre) / spread
    return centre.float(), spread.float(), *_main(values)


def _main(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Directions ``[K, D]``, variances along them ``[K]`` and the residual ``[1]`` of videos."""
    from scipy.linalg import eigh  # a predictor that is only used does not need it

    count, dim = values.shape
    num_directions = max(1, min(NUM_DIRECTIONS, count // 4, dim - 1))
    gram = values.T @ values if count > dim else values @ values.T  # whichever is smaller
    wanted = (len(gram) - num_directions, len(gram) - 1)
    top = torch.from_numpy(eigh(gram.numpy(), subset_by_index=wanted)[1])
    # Orthonormal also where the videos differ in fewer directions than are asked for.
    directions = torch.linalg.qr(top if count > dim else values.T @ top).Q.T
    along = (values @ directions.T).square()
    variances, residual = along.mean(dim=0), _beside(values, along).mean()[None]
    least = (variances.clamp_min(TINY).float(), residual.clamp_min(TINY).float())
    return directions.float().contiguous(), *least


def _distances(
    means: Tensor,
    centre: Tensor,
    spread: Tensor,
    directions: Tensor,
    variances: Tensor,
    residual: Tensor,
) -> Tensor:
    """The larger of both distances, each 1 on average over the videos that it was fitted on."""
    values = (means - centre) / spread
    along = (values @ directions.T).square()
    within = (along / variances).mean(dim=1)
    return torch.maximum(within, _beside(values, along) / residual).sqrt()


def _beside(values: Tensor, along: Tensor) -> Tensor:
    return (values.square().sum(dim=1) - along.sum(dim=1)).clamp_min(0)


def _are_sound(tensors: Mapping[str, Tensor]) -> bool:
    centre, directions = tensors["centre"], tensors["directions"]
    shapes = {
        "centre": centre.shape if centre.ndim == 1 else None,
        "spread": centre.shape,
        "directions": (len(directions), len(centre)) if centre.ndim and directions.ndim else None,
        "variances": (len(directions),) if directions.ndim else None,
        "residual": (1,),
        "held_out": (tensors["held_out"].numel(),),
        "num_groups": (1,),
    }
    of_floats = [tensors[name] for name in shapes if name != "num_groups"]
    positive = [tensors[name] for name in ("spread", "variances", "residual", "num_groups")]
    return (
        all(tuple(tensors[name].shape) == shape for name, shape in shapes.items())
        and all(one.dtype == torch.float32 and bool(one.isfinite().all()) for one in of_floats)
        and all(bool((one > 0).all()) for one in positive)
        and tensors["num_groups"].dtype == torch.int64
        and tensors["held_out"].numel() >= int(tensors["num_groups"]) >= MIN_GROUPS
        and bool((tensors["held_out"].diff() >= 0).all())
        and float(tensors["held_out"][-1]) > 0
    )
