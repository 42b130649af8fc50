"""What a trial is trained on; and the trial of backbones, each of which has features of its own.

A proposed backbone sees frames behind walls and gives features; it is never told a label. Heads are
then trained on them as on those of its siblings.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from collision.config import Part
from collision.experiment import Experiment
from collision.features.clips import ClipDataset
from collision.features.missing import store_key
from collision.features.source import FeatureSource
from collision.features.sources import Source
from collision.learning.asked import setup_of, source_of
from collision.learning.fit import check_trainable
from collision.option_groups import Limits
from collision.options import TrainOptions
from collision.report.tables import print_missing
from collision.sampling.index import Selection
from collision.search.backbone_conformance import source_of_subject
from collision.search.backbone_subject import BackboneSubject
from collision.search.checking import FOR_FRAMES
from collision.search.proposed import Proposed
from collision.search.remotes import RemoteBackbone
from collision.search.sandbox import Wall
from collision.search.session import PartFailed, opened
from collision.search.trials_of_parts import Trained, Trial
from collision.types import PLAIN, Failure

_BATCH = 8  # windows of a message
_SEEN_AGAIN, _TOLERANCE = 16, 2e-3


def experiment_of(options: TrainOptions, source: Source, console: Console) -> Experiment:
    """Index training and validation, extract what is missing, and read it."""
    policy, skip = options.sampling.build(), options.skip_failures
    selection = Selection(("train", "val"), options.limit, options.val_fraction, skip_missing=skip)
    experiment = Experiment.index(options.dataset.build(), policy, source, selection)
    experiment.collect(options, console)
    experiment.load()
    print_missing(console, experiment.missing.as_json())
    experiment.missing.check("train", "val")
    check_trainable(experiment.folds[0].data)
    return experiment


@dataclass(frozen=True)
class BackboneTrial:
    """Which heads are trained on the features of backbones, on what, and with which seeds."""

    options: TrainOptions
    seeds: Sequence[int]
    wall: Wall | None
    limits: Limits
    console: Console

    def of_sibling(self, one: Part) -> Trained:
        """Train heads on the features of a backbone of this project, from the cache."""
        asked = replace(self.options, backbone=one)
        return self._trained(one.name, experiment_of(asked, source_of(asked), self.console))

    def of_proposed(self, proposed: Proposed) -> Trained:
        """Train heads on what the proposed backbone makes of frames; its features are not kept.

        PartFailed: It gives none, or others when it is asked again.
        """
        extraction = replace(
            self.options.extraction,
            accelerator="cpu",
            precision=None,
            batch_size=self.options.extraction.batch_size or _BATCH,
        )
        asked = replace(self.options, extraction=extraction, extract=True)
        with tempfile.TemporaryDirectory() as place:
            how = proposed.files, self.wall, self.limits
            with opened(*how, load=FOR_FRAMES) as session:
                subject = RemoteBackbone(session, proposed.part)
                source = source_of_subject(subject, proposed.part, Path(place))
                experiment = experiment_of(asked, source, self.console)
            with opened(*how, load=FOR_FRAMES) as session:
                see_again(RemoteBackbone(session, proposed.part), source, experiment)
            return self._trained(proposed.name, experiment)

    def _trained(self, name: str, experiment: Experiment) -> Trained:
        setup = setup_of(self.options, experiment.policy, source=experiment.source)
        data = experiment.folds[0].data
        trial = Trial(setup, data, self.seeds, self.wall, self.limits)
        return replace(trial.of_sibling(setup.head, "head"), name=name)


def see_again(subject: BackboneSubject, source: FeatureSource, experiment: Experiment) -> None:
    """Show a new process some windows alone, in an order of chance, and compare.

    What remembers, or looks at the other windows of a batch, may have seen the future of a clip.
    """
    chance = np.random.default_rng()  # that nobody inside can know
    windows = [
        replace(request, end_times=request.end_times[number : number + 1])
        for request in experiment.requests(source)
        for number in range(len(request.end_times))
        if request.view == PLAIN
    ]
    for number in chance.permutation(len(windows))[:_SEEN_AGAIN]:
        one = windows[number]
        stored, there = source.store.read(store_key(source.digests, one), one.end_times)
        clip = ClipDataset([one], subject.facts.spec)[0]
        if (
            isinstance(clip, Failure)
            or not there.all()
            or not len(clip.windows)
            or (clip.windows < 0).any()
        ):
            continue  # before the beginning of its file
        live = subject.embed(torch.from_numpy(clip.frames[clip.windows])).float().numpy()
        wanted = stored.astype(np.float32)
        if live.shape != wanted.shape or not np.allclose(live, wanted, _TOLERANCE, _TOLERANCE):
            raise PartFailed(
                "Seen again alone, in a new process, a window has other features than it had among "
                "others: what it gives hangs on more than the window's frames."
            )
