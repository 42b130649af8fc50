"""Where the judged clips lie and which moments of them were scored: ``clips.json`` of a run.

With it ``collision report`` finds the footage again, without the data set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from collision.errors import CheckpointError
from collision.files import write_json
from collision.metrics.nexar import horizon_key
from collision.report.saved import built, read_json
from collision.types import UNLABELLED, Seconds
from collision.untrusted import check_format, reading

if TYPE_CHECKING:  # a page that is made anew needs no torch
    from collision.evaluation.evaluation import Evaluation
    from collision.experiment import Experiment

FILE_NAME = "clips.json"
FORMAT = 1


@dataclass(frozen=True)
class Clip:
    """A judged video, as its data set's index has it.

    Attributes:
        size: Of its file in bytes, by which another file of that name is told; None of a folder.
        cuts: Seconds at which what was scored ends, by horizon.
        threshold: Of its own fold's head, of the first seed; None where all have the same.
    """

    video: str
    path: str
    size: int | None
    event_time: Seconds | None = None
    alert_time: Seconds | None = None
    frame_rate: float | None = None
    video_stream: int | None = None
    cuts: dict[str, Seconds] = field(default_factory=dict)
    threshold: float | None = None


@dataclass(frozen=True)
class Clips:
    """The judged videos of a data set by id; a score looks at the last ``seen`` seconds."""

    seen: Seconds = 0.0
    clips: dict[str, Clip] = field(default_factory=dict)


def clips_of(evaluation: Evaluation) -> Clips:
    """Take what is to be known of each judged video."""
    experiment, split = evaluation.experiment, evaluation.split
    cuts: dict[str, dict[str, Seconds]] = {}
    for fold in experiment.folds:
        data = fold.data.get(split)
        for example in [*data.examples, *data.dropped] if data else []:
            own = cuts.setdefault(example.video, {})
            if example.end_time >= 0:
                own[horizon_key(example.horizon)] = round(float(example.end_time), 6)
    first = next(iter(evaluation.thresholds), None)
    own_threshold = first if isinstance(first, Mapping) else {}
    clips = {}
    for name, record in experiment.records.items():
        is_judged = record.split == split or name in cuts
        if not is_judged or record.label == UNLABELLED:
            continue
        path = Path(record.path).absolute()
        timing = record.event_time, record.alert_time, record.frame_rate, record.video_stream
        more = cuts.get(name, {}), own_threshold.get(name)
        clips[name] = Clip(name, str(path), size_of(path), *timing, *more)
    return Clips(round(max(_reach(experiment, split), default=0.0), 6), clips)


def size_of(path: Path) -> int | None:
    """Give a file's size in bytes; None of a folder, or of what is not there."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def _reach(experiment: Experiment, split: str) -> Iterator[Seconds]:
    """Say how far back each backbone's windows look from a cut."""
    from collision.sampling.windows import example_window_ends
    from collision.types import PLAIN

    for fold in experiment.folds:
        for example in (fold.data[split].examples if split in fold.data else [])[:1]:
            for part in experiment.source.parts:
                ends = example_window_ends(example, experiment.policy, PLAIN, part.spec)
                length = (part.spec.num_frames - 1) / part.spec.fps
                yield float(example.end_time - ends.min() + length) if ends.min() >= 0 else length


def write_clips(folder: Path, by_dataset: Mapping[str, Clips]) -> None:
    """Write ``clips.json`` into a run's folder."""
    sets = {name: asdict(clips) for name, clips in by_dataset.items()}
    write_json(folder / FILE_NAME, {"format": FORMAT, "datasets": sets})


def read_clips(folder: Path, names: Sequence[str]) -> dict[str, Clips]:
    """Read what ``write_clips`` wrote; of a run of an earlier version nothing is known.

    CheckpointError: the file is damaged, or of a newer version.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return {name: Clips() for name in names}
    where, data = repr(str(path)), read_json(path)
    if not isinstance(data, dict) or not isinstance(data.get("datasets"), dict):
        raise CheckpointError(f"{where} is damaged: it lists no data sets.")
    check_format(data.get("format"), FORMAT, where)
    with reading(where):
        known: dict[str, Clips] = built(dict[str, Clips], data["datasets"])
    return {name: known.get(name, Clips()) for name in names}
