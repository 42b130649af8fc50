"""What a training was asked for, as what it is made of: its features, and the setup of its head."""

from __future__ import annotations

from dataclasses import replace

from collision.config import Part, names_of, part
from collision.devices import precision_of
from collision.errors import ConfigError
from collision.features.sources import Source, source_of_part
from collision.learning.fit import TrainingSetup
from collision.learning.head import Fused, HeadOptions, is_solved
from collision.learning.losses import build_loss
from collision.learning.predictor import Predictor
from collision.options import TrainOptions
from collision.sampling.policy import SamplingPolicy


def source_of(options: TrainOptions) -> Source:
    """Find the features; weights or devices that can't be had are told at once."""
    extraction, trainer = options.extraction, options.trainer
    precision_of(trainer.accelerator, trainer.precision, "trainer")
    precision = precision_of(extraction.accelerator, extraction.precision, "extraction")
    return source_of_part(options.backbone, options.cache_root, precision, extraction.reader)


def setup_of(
    options: TrainOptions,
    policy: SamplingPolicy,
    initial: Predictor | None = None,
    source: Source | None = None,
) -> TrainingSetup:
    """Take what a head is made of and how it is trained; what can't be built is told at once.

    Without the ``source`` of the features they count as those of a single backbone.
    """
    if build_loss(options.loss).by_video and options.mixup:
        raise ConfigError(
            f"mixup={options.mixup}: loss={options.parts.get('loss', options.loss.name)} compares "
            "the cuts of one video, which are none once they are mixed. Leave mixup out, or take "
            "another loss."
        )
    options.optimizer.build()
    options.scheduler.build()
    prior = None if options.prior is None else solved_part(options.prior)
    is_found = options.components == "auto"
    components = options.components if isinstance(options.components, int) else None
    seen = HeadOptions(options.feature_dropout, options.feature_noise, components, options.change)
    if initial is not None:  # what it was made with
        prior, is_found = initial.parts.get("prior"), False
        given = initial.model.options
        seen = replace(seen, components=given.components, change=given.change)
    fused = fused_of(options, source)
    if fused is not None and fused.needs_columns:
        is_found = False  # components would mix the backbones
    return TrainingSetup(
        head=options.head,
        pooling=options.pooling,
        loss=options.loss,
        optimizer=options.optimizer,
        scheduler=options.scheduler,
        trainer=options.trainer,
        options=seen,
        find_components=is_found,
        prior=prior,
        balanced=policy.balanced,
        mixup=options.mixup,
        fused=fused,
    )


def fused_of(options: TrainOptions, source: Source | None) -> Fused | None:
    """Say how the head sees several backbones; ConfigError where it cannot see them so."""
    if options.fusion is None or source is None:
        return None
    fused = Fused(options.fusion, tuple(part.spec.feature_dim for part in source.parts))
    if fused.needs_columns and is_solved(options.head):
        raise ConfigError(
            f"fusion={options.fusion.name} with head={options.head.name}: a head that is solved "
            "sees all features side by side. Leave fusion out, or take another head."
        )
    return fused


def solved_part(name: str) -> Part:
    """Find a head that is solved; ConfigError where it has to be trained."""
    found = part("head", name)
    if not is_solved(found):
        names = [other for other in names_of("head") if is_solved(part("head", other))]
        raise ConfigError(
            f"prior={name}: that head has to be trained. Give {' or '.join(names)}, or null."
        )
    return found
