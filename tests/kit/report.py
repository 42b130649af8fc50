"""Run folders as ``train`` and ``evaluate`` leave them, without training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collision.evaluation.baseline import against_baseline
from collision.evaluation.numbers import Numbers, judge, judge_curves
from collision.metrics.curves import Curve, curves_to_csv
from collision.metrics.scored import Scored
from collision.report.clips import Clip, Clips, size_of, write_clips
from tests.kit.scores import ORACLE

MADE = {
    "command": "python train.py head=gru",
    "started": "2026-01-31T12:00:00+00:00",
    "commit": "abc1234def",
    "dirty": False,
    "device": "cpu",
    "cpu_cores": 2,
}
STEPS = {
    "best_step": 9,
    "last_step": 12,
    "val/nexar_map": 0.61,
    "val_groups": 30,
    "over_last": {"value": 0.01, "low": -0.02, "high": 0.04},
}


def made_up_clips(
    scored: Scored, videos: Sequence[Path] = (), event_time: float = 3.0, seen: float = 1.75
) -> Clips:
    """Let the clips lie in some files, in turn; without any they are gone."""
    clips = {}
    for number, name in enumerate(dict.fromkeys(scored.video.tolist())):
        rows = scored.video == name
        path = videos[number % len(videos)] if videos else Path("/nowhere/gone.mp4")
        cuts = {f"{h:.1f}": event_time - float(h) for h in scored.horizon[rows]}
        event = event_time if scored.label[rows][0] else None
        alert = None if event is None else event - 1.5
        size = size_of(path) or 1
        clips[name] = Clip(name, str(path), size, event, alert, cuts=cuts)
    return Clips(seen, clips)


def numbers_of(
    seeds: Sequence[Scored], curves: Sequence[Curve] = (), last: Sequence[Scored] = ()
) -> Numbers:
    thresholds = [0.6] * len(seeds)
    numbers = judge(seeds, last, oracle=ORACLE, num_resamples=60, thresholds=thresholds)
    if not curves:
        return numbers
    from dataclasses import replace

    return replace(numbers, anticipation=judge_curves([curves], [0.6], 60))


def trained_run(
    folder: Path,
    *seeds: Scored,
    clips: Clips | None = None,
    curves: Sequence[Curve] = (),
    dataset: str = "made_up",
    warnings: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Write what ``train`` leaves; give its ``metrics.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    metrics = {
        "version": 1,
        **_facts(dataset, seeds, warnings),
        **numbers_of(seeds, curves, seeds).as_json(),
        "baseline": against_baseline(seeds[0], seeds, 60).as_json(),
        "parts": {"head": "gru", "backbone": "lite0"},
        "folds": None,
        "steps": {str(seed): STEPS for seed in range(len(seeds))},
        "choice": None,
        "examples": {"test": {"0.5": {"positive": 30, "negative": 30}}},
        "provenance": MADE,
    }
    _write(folder, "", metrics, seeds, curves)
    if clips is not None:
        write_clips(folder, {dataset: clips})
    return metrics


def evaluated_run(folder: Path, **seeds: Sequence[Scored]) -> dict[str, Any]:
    """Write what ``evaluate`` leaves, of several data sets."""
    folder.mkdir(parents=True, exist_ok=True)
    sets = {
        name: {**_facts(name, own, ()), **numbers_of(own).as_json(), "provenance": MADE}
        for name, own in seeds.items()
    }
    for name, own in seeds.items():
        _write(folder, f"_{name}", {}, own)
    metrics = {"version": 1, "checkpoint": "/runs/first", "datasets": sets}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return metrics


def _facts(
    dataset: str, seeds: Sequence[Scored], warnings: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "data_digest": "d1",
        "feature_fingerprint": "f1",
        "videos": len(set(seeds[0].video.tolist())),
        "limit": None,
        "failures": 1,
        "notes": ["1 video (v1): its clock is late"],
        "split": "test",
        "trained_on": dataset,
        "selected_on": "the last step",
        "seeds": list(range(len(seeds))),
        "dropped": {"test": 2},
        "missing": {
            "test": {"positive": {"wanted": 9, "left": 7, "reasons": {"unreadable": 2}}},
        },
        "distances": {"videos": 9, "median": 0.5, "unlike": 0.1, "expected": 0.05},
        "warnings": list(warnings),
    }


def _write(
    folder: Path,
    middle: str,
    metrics: Mapping[str, Any],
    seeds: Sequence[Scored],
    curves: Sequence[Curve] = (),
) -> None:
    for seed, scored in enumerate(seeds):
        scored.to_csv(folder / f"predictions{middle}_seed{seed}.csv")
    if curves:
        curves_to_csv(curves, folder / f"curves{middle}_seed0.csv")
    seeds[0].to_csv(folder / f"baseline{middle}.csv")
    if metrics:
        (folder / "metrics.json").write_text(json.dumps(metrics, allow_nan=False))
