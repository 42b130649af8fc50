"""A logistic regression as the peer of a cross-validated head.

`python -m benchmarks.logistic_baseline RUN [RUN ...]`, where the runs were made by
`train.py sampling=within_clip folds=K` on one data set, the first with a frame model, whose
features the baseline uses. It sees the same cuts of the same videos: the mean feature of the last
and of the first 0.3 s of the last
second, concatenated and standardised. Each group is scored by a model that never saw it.
Differences are paired over groups.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from collision.checks import typed
from collision.errors import ConfigError
from collision.evaluation.scores import NEGATIVES_FROM
from collision.features.clips import WindowRequest
from collision.features.missing import store_key
from collision.features.source import FeatureSource
from collision.learning.predictor import load_predictor
from collision.metrics.comparison import compare
from collision.metrics.estimate import Difference, Estimate
from collision.metrics.scored import Scored
from collision.metrics.summary import summarise
from collision.option_groups import ExtractionOptions
from collision.sampling.anchors import anchors, needs_durations
from collision.sampling.durations import Durations
from collision.untrusted import read_config, saved_part

STEP = 0.1  # seconds between frames
NUM_FRAMES = 10  # of the last second
NUM_MEAN = 3  # frames in 0.3 s
REGULARISATION = 0.01  # scikit-learn's C, chosen before the first run


def main(runs: list[Path]) -> None:
    config = read_config(runs[0])
    if config["folds"] is None or config["sampling"].get("within") is None:
        raise SystemExit(f"{runs[0]} is not a run of sampling=within_clip with folds.")
    first = Scored.from_csv(next(iter(sorted(runs[0].glob("predictions_seed*.csv")))))
    baseline = leave_one_group_out(features_of(first, config, runs[0]), first)
    for name, keep in (
        ("all windows", np.ones(len(first), bool)),
        ("within crash videos", first.tags[NEGATIVES_FROM] != "normal videos"),
    ):
        everything = subset(baseline, np.flatnonzero(keep))
        print(f"\n{name}: logistic regression on {sizes(everything)}, AP {ap_of(everything)}")
        for run in runs:
            print(run.name)
            for path in sorted(run.glob("predictions_seed*.csv")):
                theirs, own = in_common(Scored.from_csv(path), everything)
                compared = compare({"logistic": [own], "run": [theirs]})
                difference = compared.differences["run"]
                print(
                    f"  {path.stem.removeprefix('predictions_')}: AP {ap_of(theirs)} on "
                    f"{sizes(theirs)}; minus logistic {shown(difference)}"
                    + (f", p = {difference.p_value:.2f}" if difference.p_value else "")
                )


def in_common(scored: Scored, other: Scored) -> tuple[Scored, Scored]:
    """Take the cuts that both have, in one order; a video's cuts are told apart by their kind."""
    place, wanted = (
        {key: row for row, key in enumerate(zip(s.video, s.tags[NEGATIVES_FROM], strict=True))}
        for s in (scored, other)
    )
    keys = [key for key in wanted if key in place]
    return (
        subset(scored, np.array([place[key] for key in keys])),
        subset(other, np.array([wanted[key] for key in keys])),
    )


def sizes(scored: Scored) -> str:
    return f"{scored.label.sum()} positives and {(scored.label == 0).sum()} negatives"


def ap_of(scored: Scored) -> str:
    return shown(summarise(scored).ap["mean"])


def features_of(scored: Scored, config: dict, run: Path) -> np.ndarray:
    """Mean features of the first and last 0.3 s of the last second before each cut, ``[N, 2D]``."""
    predictor = load_predictor(next(run.glob("fold_*/seed_*/predictor.safetensors")))
    if predictor.spec.num_frames != 1:
        raise ConfigError("The baseline needs a frame model, not a clip model.")
    source = FeatureSource.of_fingerprint(
        predictor.fingerprint, predictor.parts["backbone"], Path(config["cache_root"])
    )
    dataset = saved_part(config["dataset"], "dataset", str(run)).build()
    records = {r.id: r for r in dataset.records()}
    policy = predictor.policy
    options = typed(ExtractionOptions, config["extraction"], where="extraction")
    has_to_look = needs_durations(records.values(), policy)
    durations = Durations()(records.values())[0] if has_to_look else {}
    anchor_of = anchors(
        list(records.values()), durations, policy, separate_pools=False
    )  # as folds do
    near, far = policy.within
    rows = []
    for video, kind in zip(scored.video, scored.tags[NEGATIVES_FROM], strict=True):
        cut = anchor_of[video] - (far if kind == "crash videos" else near)
        times = np.round(cut - STEP * np.arange(NUM_FRAMES)[::-1], 6)
        times = times[times >= 0]
        wanted = WindowRequest(video, records[video].path, times, records[video].frame_rate)
        source.extract([wanted], options, progress=False)
        values, exists = source.store.read(store_key(source.digests, wanted), times)
        frames = values[exists][:, 0].astype(np.float64)
        rows.append(np.concatenate([frames[-NUM_MEAN:].mean(0), frames[:NUM_MEAN].mean(0)]))
    return np.stack(rows)


def leave_one_group_out(features: np.ndarray, scored: Scored) -> Scored:
    """Score each group by a model trained on all others."""
    scores = np.zeros(len(scored))
    for train, test in LeaveOneGroupOut().split(features, scored.label, scored.group):
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=REGULARISATION, class_weight="balanced")
        )
        model.fit(features[train], scored.label[train])
        scores[test] = model.predict_proba(features[test])[:, 1]
    return Scored(scored.video, scored.group, scored.label, scored.horizon, scores, scored.tags)


def subset(scored: Scored, rows: np.ndarray) -> Scored:
    columns = (scored.video, scored.group, scored.label, scored.horizon, scored.score)
    return Scored(
        *(column[rows] for column in columns),
        tags={name: column[rows] for name, column in scored.tags.items()},
    )


def shown(entry: Estimate | Difference) -> str:
    if entry.low is None:
        return f"{entry.value:.3f} (no interval: {entry.reason})"
    return f"{entry.value:.3f} [{entry.low:.3f}, {entry.high:.3f}]"


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
