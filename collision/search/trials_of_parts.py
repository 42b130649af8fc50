"""A proposed part beside its siblings: all are trained behind walls, in the same way.

Only the labels of training examples go in. Validation goes in afterwards, as features in an order
that nobody inside knows; what comes back are logits, and the score is computed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from collision.config import Part
from collision.learning.datamodule import FeatureDataset
from collision.learning.fit import TrainingSetup
from collision.metrics.comparison import Comparison, compare
from collision.metrics.scored import Scored
from collision.metrics.views import mean_by_example
from collision.option_groups import Limits
from collision.search.lessons import setup_as_data, train_as_data
from collision.search.proposed import Kind, Proposed
from collision.search.sandbox import Wall
from collision.search.session import PartFailed, Remote, Session, opened
from collision.search.subject import Ask, Batch

_ROWS = 512  # of a batch that is scored
_LESSONS = ("collision.search.lessons",)


@dataclass(frozen=True)
class Trained:
    """A part that was trained with several seeds: its scores, its size, seconds of a training."""

    name: str
    scored: list[Scored]
    num_parameters: int
    seconds: float


@dataclass(frozen=True)
class Trial:
    """What is trained, on what, and with which seeds."""

    setup: TrainingSetup
    data: Mapping[str, FeatureDataset]
    seeds: Sequence[int]
    wall: Wall | None
    limits: Limits

    def of_proposed(self, proposed: Proposed) -> Trained:
        """Train the proposed part; PartFailed: it cannot be."""
        return self._trained(proposed.name, proposed.kind, proposed.part, proposed.files)

    def of_sibling(self, one: Part, kind: Kind) -> Trained:
        """Train a part of this project, behind the same walls."""
        return self._trained(one.name, kind, one, {})

    def _trained(self, name: str, kind: Kind, one: Part, files: Mapping[str, str]) -> Trained:
        setup = setup_as_data(replace(self.setup, **{kind: one}))  # type: ignore[arg-type]
        train = train_as_data(self.data["train"])
        scored, seconds, size = [], [], 0
        for seed in self.seeds:  # a process each: no seed knows what another one saw
            with opened(
                files, self.wall, self.limits, load=["collision.search.lessons"]
            ) as session:
                asked = {"do": "fit", "setup": setup, "train": train, "seed": seed}
                answer = session.ask(asked)
                remote = Remote(session, {}, answer)
                scored.append(self._scored(session, remote, seed))
            taken = answer.get("seconds")
            seconds.append(float(taken) if isinstance(taken, int | float) else float("nan"))
            size = remote.facts.num_parameters
        return Trained(name, scored, size, float(np.mean(seconds)))

    def _scored(self, session: Session, remote: Remote, seed: int) -> Scored:
        val = self.data["val"]
        # Unknown inside, and never the same order twice.
        order = torch.from_numpy(np.random.default_rng().permutation(len(val)))
        logits = torch.empty(len(val))
        for rows in order.split(_ROWS):
            batch = val.__getitems__(rows)
            asked = Batch(batch["features"], batch["times"], batch["mask"])
            found = remote.run(asked, Ask()).outputs
            if found.shape != rows.shape or not found.isfinite().all():
                raise PartFailed(f"Of {len(rows)} examples it gives no {len(rows)} finite numbers.")
            logits[rows] = found.float()
        scores = mean_by_example(logits.sigmoid(), val.example_of)
        return Scored(
            np.array([example.video for example in val.examples]),
            np.array([record.group for record in val.records]),
            val.labels.numpy().astype(int),
            val.horizons.numpy().astype(float).round(6),
            scores.numpy(),
        )


def compared(trained: Sequence[Trained], num_resamples: int) -> Comparison:
    """Set every sibling against the proposed part, which is the first."""
    scored = {one.name: one.scored for one in trained}
    return compare(scored, num_resamples=num_resamples)
