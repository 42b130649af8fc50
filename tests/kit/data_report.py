"""A report about a data set that has something to tell of everything, as in ``data.json``."""

from __future__ import annotations

from typing import Any

import numpy as np

Measures = dict[str, dict[str, np.ndarray]]


def made_up_measures() -> Measures:
    """Eight measures, as many as a real report has."""
    generator = np.random.default_rng(0)
    names = ("duration [s]", "anchor [s]", "alert [s]", "kB/s", "frames/s", "a", "b", "c")
    classes = ("positive", "negative")
    return {name: {one: generator.normal(5, 1, 40) for one in classes} for name in names}


def made_up_data_report(name: str = "made_up", is_odd: bool = True) -> dict[str, Any]:
    """Of 80 videos; if odd, ``name`` is that of videos and groups, too."""
    report = {
        "dataset": name,
        "counts": {"train": _count(28), "test": _count(12)},
        "groups": {"number": 40, "largest": {name: 2}, "in several splits": {}},
        **{"without_alert": 0, "failures": [], "failures_by_class": {}, "faults": []},
        **{"missing": {}, "units": [], "notes": []},
        "measures": {
            what: {one: _spread(values) for one, values in by_class.items()}
            for what, by_class in made_up_measures().items()
        },
        "kinds": {"codec": {"h264": {"positive": 40, "negative": 40}}},
        "tags": {"weather": {f"kind {n}": {"positive": n} for n in range(20)}},
        "check": {"videos": 80, "decoded_now": 80, "damaged": [], "notes": []},
        "duplicates": {"crossing": 0, "unrelated": 0, "pairs": []},
        "shortcuts": {"label": _probes("not shown"), "split": _probes("not shown")},
    }
    return {**report, **_oddities(name)} if is_odd else report


def _oddities(name: str) -> dict[str, Any]:
    return {
        "groups": {
            "number": 40,
            "largest": {name: 2},
            "in several splits": {name: ["train", "test"]},
        },
        "without_alert": 3,
        "failures": [{"video": name, "path": f"/a/{name}.mp4", "reason": "no video stream"}] * 30,
        "failures_by_class": {"positive": 30},
        "faults": [{"video": name, "fault": "the event lies beyond its end"}],
        "notes": [{"video": name, "note": "its clock has a hole"}],
        "check": {
            "videos": 80,
            "decoded_now": 80,
            "damaged": [{"video": name, "reason": "a frame of 12 cannot be decoded"}],
            "notes": [{"video": name, "note": "its picture stands still"}],
        },
        "duplicates": {
            "crossing": 1,
            "unrelated": 1,
            "pairs": [
                {"first": name, "second": "b", "splits": ["train", "test"], "groups": [name, "b"],
                 "is_copy": False, "num_matching": 5, "num_overlapping": 8, "shift": 0.6},
            ],
        },
        "shortcuts": {
            "label": _probes("shortcut"),
            "split": _probes("not shown"),
            "other": {"question": "Can it be asked?", "reason": "there is one class"},
        },
    }  # fmt: skip


def _count(each: int) -> dict[str, int]:
    return {"positive": each, "negative": each, "unlabelled": 0, "videos": 2 * each, "groups": each}


def _spread(values: np.ndarray) -> dict[str, float]:
    shares = np.percentile(values, (0, 5, 50, 95, 100)).tolist()
    return {
        "number": len(values),
        **dict(zip(("min", "p5", "median", "p95", "max"), shares, strict=True)),
    }


def _probes(grade: str) -> dict[str, Any]:
    ap = {"value": 0.81, "low": 0.7, "high": 0.9}
    probe = {"ap": ap, "chance": 0.5, "auc": 0.8, "p_value": 0.02, "grade": grade}
    names = ("file", "position", "first_frame", "whole_file")
    probes = {name: {**probe, "sentence": f"From {name} much can be told."} for name in names}
    probes["position"] = {**probes["position"], "grade": "not shown"}
    return {"question": "Can it be told?", "prevalence": 0.5, "probes": probes}
