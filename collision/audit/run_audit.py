"""What a run should know of its data before its numbers are believed: copies and shortcuts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from collision.audit.duplicates import crossing, near_duplicates
from collision.audit.facts import gather_facts
from collision.audit.jobs import Pool, find_jobs
from collision.audit.probes import probe_scores
from collision.errors import MetricError
from collision.features.digest import VideoDigests
from collision.types import Example, VideoRecord


@dataclass(frozen=True)
class FoldToAudit:
    """What one training learns from and is judged on.

    Attributes:
        records: All its videos.
        train: Examples that the head learns from.
        judged: Examples that it is judged on.
    """

    records: Sequence[VideoRecord]
    train: Sequence[Example]
    judged: Sequence[Example]


@dataclass(frozen=True)
class FoldAudit:
    """What was found.

    Attributes:
        pairs: Ids of videos in different splits that look the same.
        scores: By probe, the probability of a collision of each judged example ``[E]``, of a model
            that was fitted on the training examples and knows no more than the probe. Empty where
            none can be fitted.
    """

    pairs: list[tuple[str, str]]
    scores: dict[str, np.ndarray]


def audit_fold(fold: FoldToAudit, digests: VideoDigests, cache_root: Path, pool: Pool) -> FoldAudit:
    """Look for copies across splits, and fit the probes.

    Args:
        fold: What to look at.
        digests: Of the videos' contents.
        cache_root: Where facts of files are kept.
        pool: How files are read.

    Raises:
        Interrupted: A signal asked to stop.
    """
    jobs, _ = find_jobs(fold.records, digests, pool.progress)
    facts, _ = gather_facts(jobs, cache_root, pool)
    digest_of = {video: job.digest for video, job in jobs.items()}
    pairs = crossing(near_duplicates(fold.records, facts, digest_of))
    try:
        by_id = {record.id: record for record in fold.records}
        scores = probe_scores(fold.train, fold.judged, by_id, facts)
    except MetricError:  # of one class no file could be read whole: no reason not to train
        scores = {}
    return FoldAudit([(pair.first.id, pair.second.id) for pair in pairs], scores)
