"""A head: from cached features to one logit per example.

Shapes: B examples, L feature steps, D feature dim, E encoder output dim, P pooled dim, O outputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from collision.checks import STRICT
from collision.config import Part, part
from collision.errors import ConfigError
from collision.features.bank import FusedBank
from collision.learning.components import Steps, components_of, some_rows, std_mean
from collision.types import Encoder

# A feature that hardly moves in the training set is not blown up by more than this.
MIN_RELATIVE_STD = 0.01


@dataclass(frozen=True)
class HeadOptions:
    """What a head sees, and through which noise.

    Attributes:
        feature_dropout: The share of the D features that a training example loses, the same ones
            at every step: single numbers could be guessed from the neighbouring steps.
        feature_noise: Standard deviation of the Gaussian noise on training examples, in units of
            the standardised features.
        components: The encoder sees so many principal components of the features, those in which
            the training set differs most; None: the features as they are.
        change: The encoder also sees each number's difference from its mean over the window.
    """

    __pydantic_config__ = STRICT

    feature_dropout: float = 0.0
    feature_noise: float = 0.0
    components: int | None = None
    change: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.feature_dropout < 1:
            raise ConfigError(
                f"feature_dropout={self.feature_dropout}: a share, from 0 to below 1."
            )
        if not 0 <= self.feature_noise < math.inf:
            raise ConfigError(f"feature_noise={self.feature_noise}: give 0 or more; 0 is none.")
        if self.components is not None and self.components < 1:
            raise ConfigError(
                f"components={self.components}: give 1 or more; null is all features."
            )

    def num_seen(self, feature_dim: int) -> int:
        """Count the numbers a step that the encoder gets, of D features."""
        kept = min(self.components or feature_dim, feature_dim)
        return 2 * kept if self.change else kept


PLAIN_HEAD = HeadOptions()


@dataclass(frozen=True)
class Fused:
    """How a head sees the features of several backbones.

    Attributes:
        kind: One of the ``fusion`` group.
        widths: The features of each, in the order in which they lie side by side.
    """

    kind: Part
    widths: tuple[int, ...]

    @property
    def needs_columns(self) -> bool:
        """Whether the head must know which number is whose."""
        return bool(getattr(self.kind.imported(), "needs_columns", True))

    def num_seen(self, options: HeadOptions) -> list[int]:
        """Count the numbers a step of each backbone; components are of all, as of a single one."""
        widths = self.widths if options.components is None else [sum(self.widths)]
        return [options.num_seen(width) for width in widths]

    def check(self, options: HeadOptions) -> None:
        """Refuse (ConfigError) what hides which number is whose."""
        if self.needs_columns and options.components is not None:
            raise ConfigError(
                f"components={options.components} with fusion={self.kind.name}: principal "
                "components mix the features of all backbones. Give components=null, or take "
                "fusion=concat."
            )


class HeadModel(nn.Module):
    """Standardise the features, encode the sequence, pool it, classify.

    The mean and standard deviation are buffers: they travel in the state dict. Until
    ``fit_standardiser`` is called they leave the features as they are. The logits of a ``prior``,
    a solved head, are added to its own, which begin at zero: what is trained is the rest.
    """

    feature_mean: Tensor
    feature_std: Tensor
    rotation: Tensor

    def __init__(
        self,
        encoder: Encoder,
        pooling: nn.Module,
        feature_dim: int,
        options: HeadOptions = PLAIN_HEAD,
        num_outputs: int = 1,
        prior: HeadModel | None = None,
        widths: Sequence[int] = (),
    ):
        """Put the parts together.

        Args:
            encoder: To E numbers a step, from D features, or from 2D where it sees change.
            pooling: Over the steps; to P numbers if it has an ``output_dim`` of P, else to E.
            feature_dim: D.
            options: What it sees, and through which noise.
            num_outputs: O; more than one for a loss that wants them.
            prior: Whose weights are not trained.
            widths: How many features are of each backbone, where the encoder is to see all numbers
                of one before those of the next.
        """
        super().__init__()
        self.feature_dim = feature_dim
        self.register_buffer("feature_mean", torch.zeros(feature_dim))
        self.register_buffer("feature_std", torch.ones(feature_dim))
        self.options = options
        if options.components is not None:
            num = min(options.components, feature_dim)
            self.register_buffer("rotation", torch.eye(feature_dim, num))
        self.feature_dropout = nn.Dropout(options.feature_dropout)
        self.encoder = encoder
        self.pooling = pooling
        pooled_dim = getattr(pooling, "output_dim", encoder.output_dim)
        self.classifier = nn.Linear(pooled_dim, num_outputs)
        self.register_load_state_dict_pre_hook(_without_idle_pooling)
        self.prior, self.widths = prior, list(widths)
        if prior is not None:
            prior.requires_grad_(False)
            nn.init.zeros_(self.classifier.weight)
            nn.init.zeros_(self.classifier.bias)

    def forward(self, features: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        """Score a batch: logits ``[B]``; ConfigError where shapes don't fit.

        With several outputs it is ``joint`` of them.

        Args:
            features: ``[B, L, D]``, any float type.
            times: ``[B, L]``, seconds relative to the cut.
            mask: ``[B, L]`` bool, True where a step holds data; elsewhere features and times may be
                anything, NaN too.
        """
        return joint(self.outputs(features, times, mask))

    def outputs(
        self, features: Tensor, times: Tensor, mask: Tensor, before: Tensor | None = None
    ) -> Tensor:
        """Give the logits of all outputs, ``[B, O]``, from what ``forward`` takes.

        ``before``, ``[B, 1]``, are those of the prior where they are known already.
        """
        pooled = self.pooled(features, times, mask)
        # Half precision has too few values for logits: examples would tie.
        with torch.autocast(pooled.device.type, enabled=False):
            own = self.classifier(pooled)
        if self.prior is None:
            return own
        return own + (self.prior.outputs(features, times, mask) if before is None else before)

    def pooled(self, features: Tensor, times: Tensor, mask: Tensor) -> Tensor:
        """Give what the classifier sees, ``float32 [B, P]``, from what ``forward`` takes."""
        self._check_shapes(features, times, mask)
        times = times.masked_fill(~mask, 0.0)
        seen = self._seen(features, mask)
        encoded = self.encoder(seen, times, mask)
        wanted = [*features.shape[:2], self.encoder.output_dim]
        if list(encoded.shape) != wanted:
            raise ConfigError(f"The head gives shape {list(encoded.shape)}, not its {wanted}.")
        pooled = self.pooling(encoded, mask)
        wanted = [len(features), self.classifier.in_features]
        if list(pooled.shape) != wanted:
            raise ConfigError(f"The pooling gives shape {list(pooled.shape)}, not its {wanted}.")
        return pooled.float()

    def _seen(self, features: Tensor, mask: Tensor) -> Tensor:
        """Give what the encoder gets, ``float32 [B, L, K]``; twice as many where it sees change."""
        # In place: making room for another copy costs more than what is done to it.
        seen = features.to(torch.float32, copy=True).sub_(self.feature_mean).div_(self.feature_std)
        if self.training and self.options.feature_noise:
            seen += self.options.feature_noise * torch.randn_like(seen)
        gaps = _gaps(mask)
        if gaps is not None:  # filled, not multiplied: NaN times zero is NaN
            seen.masked_fill_(gaps, 0.0)
        if self.training and self.options.feature_dropout:
            seen *= self.feature_dropout(seen.new_ones(len(seen), 1, self.feature_dim))
        if self.options.components is not None:
            seen = seen @ self.rotation
        if not self.options.change:
            return seen
        mean = seen.sum(1, keepdim=True) / mask.sum(1).clamp_min(1).view(-1, 1, 1)
        whole = [seen, seen - mean]
        if self.widths:
            split = zip(*(one.split(self.widths, dim=-1) for one in whole), strict=True)
            whole = [one for of_backbone in split for one in of_backbone]
        both = torch.cat(whole, dim=-1)
        return both if gaps is None else both.masked_fill_(gaps, 0.0)

    @torch.no_grad()
    def fit_standardiser(self, features: Tensor | Steps) -> None:
        """Take mean and standard deviation per feature from valid steps ``[..., D]``."""
        if isinstance(features, Tensor):
            self._check_dim(features)
            rows: Tensor | Steps = features.reshape(-1, self.feature_dim).float()
        else:
            self._check_dim(features.bank)
            rows = features
        if len(rows) == 0:
            raise ConfigError("No features to standardise by: the training split has no example.")
        std, mean = std_mean(rows)
        broken = int((~(std + mean).isfinite()).sum())
        if broken:
            raise ConfigError(
                f"{broken} of {self.feature_dim} features have values that are not finite numbers. "
                "float16 ends at 65504: extract again with dtype float32."
            )
        std = std.clamp_min(MIN_RELATIVE_STD * std.mean())
        self.feature_mean.copy_(mean)
        self.feature_std.copy_(torch.where(std > 0, std, torch.ones_like(std)))
        if self.options.components is not None:
            self._rotate((some_rows(rows) - self.feature_mean) / self.feature_std)

    def _rotate(self, standardised: Tensor) -> None:
        """Take the directions in which rows ``[N, D]`` vary most, as columns.

        They keep the ratios of their sizes, so that a small one stays small; all together have the
        mean variance 1.
        """
        variances, directions = components_of(standardised)
        num = self.rotation.shape[1]
        scale = variances[-num:].clamp_min(0).mean().sqrt().clamp_min(1e-6)
        self.rotation.copy_(directions[:, -num:].flip(1) / scale)

    @property
    def num_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    def _check_dim(self, features: Tensor | FusedBank) -> None:
        if features.shape[-1] != self.feature_dim:
            raise ConfigError(
                f"Features have dim {features.shape[-1]}, the head was built for "
                f"{self.feature_dim}. Use the head's own backbone, or train a new head."
            )

    def _check_shapes(self, features: Tensor, times: Tensor, mask: Tensor) -> None:
        if features.dim() != 3 or features.shape[1] == 0:
            raise ConfigError(f"Features have shape {list(features.shape)}, expected [B, L, D].")
        self._check_dim(features)
        for name, tensor in (("times", times), ("mask", mask)):
            if tensor.shape != features.shape[:2]:
                wanted = f"expected {list(features.shape[:2])} as the features have"
                raise ConfigError(f"{name} has shape {list(tensor.shape)}, {wanted}.")
        if mask.dtype != torch.bool:
            raise ConfigError(f"mask has dtype {mask.dtype}, expected torch.bool.")


def _gaps(mask: Tensor) -> Tensor | None:
    """Give the steps that hold no data, bool ``[B, L, 1]``; None if that is known to be none.

    Asking a GPU would make it wait.
    """
    is_known = mask.device.type == "cpu" and not torch.compiler.is_exporting()
    if is_known and bool(mask.all()):
        return None
    return ~mask.unsqueeze(-1)


def _without_idle_pooling(
    module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object
) -> None:
    """Read solved heads that were saved with the weights of a pooling, which meant nothing."""
    assert isinstance(module, HeadModel)
    is_idle = callable(getattr(module.encoder, "solve", None)) and not module.pooling.state_dict()
    for name in [name for name in state if is_idle and name.startswith(f"{prefix}pooling.")]:
        del state[name]


def joint(outputs: Tensor) -> Tensor:
    """Give one logit ``[B]`` for outputs ``[B, O]``: the log-odds of any of them.

    They are the logits of classes that exclude each other, beside "no event", whose logit is 0. Of
    one output it is that output.
    """
    return outputs.logsumexp(-1)


def build_model(
    head: Part,
    pooling: Part,
    feature_dim: int,
    options: HeadOptions = PLAIN_HEAD,
    *,
    num_outputs: int = 1,
    prior: Part | None = None,
    fused: Fused | None = None,
) -> HeadModel:
    """Make a head for features of size D; ConfigError for an option that can't work.

    A ``prior`` is a head that is solved. Such a head itself has one output, no prior and no noise,
    and sees ``fused`` features side by side; since its steps all have the same output, the last one
    stands for any pooling.
    """
    if is_chosen(head):
        raise ConfigError(
            f"head={head.name} is no head, but a choice that training makes: name one of its "
            "candidates."
        )
    solved = HeadOptions(components=options.components)
    if is_solved(head):
        options, prior, num_outputs, fused = solved, None, 1, None
        pooling = part("pooling", "last")
    before = build_model(prior, pooling, feature_dim, solved) if prior else None

    def encoder_of(width: int) -> Encoder:
        encoder: Encoder = head.build(input_dim=width)
        if not isinstance(getattr(encoder, "output_dim", None), int):
            raise ConfigError(
                f"The head {head.name!r} has no output_dim: how many numbers a step it gives."
            )
        return encoder

    widths: tuple[int, ...] = ()
    if fused is None:
        encoder = encoder_of(options.num_seen(feature_dim))
        parts = encoder, pooling.build(dim=encoder.output_dim)
    else:
        fused.check(options)
        widths = fused.widths if fused.needs_columns else ()
        seen = fused.num_seen(options)
        parts = fused.kind.build().make(seen, encoder_of, lambda dim: pooling.build(dim=dim))
    return HeadModel(*parts, feature_dim, options, num_outputs, before, widths)


def is_solved(head: Part) -> bool:
    """Say whether the head's encoder finds the classifier's weights itself, without training."""
    return callable(getattr(head.imported(), "solve", None))


def is_chosen(head: Part) -> bool:
    """Say whether this is no encoder, but candidates to choose one from: ``candidate_heads``."""
    return callable(getattr(head.imported(), "candidate_heads", None))
