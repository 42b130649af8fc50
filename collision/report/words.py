"""A run in words: what it was, and what its numbers mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collision.evaluation.numbers import Numbers
from collision.report.tables import with_interval


@dataclass(frozen=True)
class RunDescription:
    """What describes a run, beside its results: commit, digests, steps and the like (facts).

    ``counts`` are the examples by split, as ``collision.report.tables.count_examples`` gives them;
    ``evaluated`` is the path of what an evaluation judged.
    """

    title: str
    command: str
    facts: Mapping[str, object]
    counts: Mapping[str, Mapping[str, Mapping[str, int]]] | None = None
    evaluated: str | None = None


def described(metrics: Mapping[str, Any]) -> RunDescription:
    """Describe a run by its ``metrics.json``."""
    if "datasets" in metrics:
        first = next(iter(metrics["datasets"].values()))
        made, name = first["provenance"], str(metrics["checkpoint"]).rstrip("/").rpartition("/")[2]
        facts = {"predictor": metrics["checkpoint"], **_origin(made)}
        checkpoint = str(metrics["checkpoint"])
        return RunDescription(f"Evaluation of {name}", made["command"], facts, evaluated=checkpoint)
    made = metrics["provenance"]
    title = f"{metrics['parts']['head']} on {metrics['dataset']}"
    return RunDescription(title, made["command"], facts_of(metrics), metrics.get("examples"))


def facts_of(metrics: Mapping[str, Any]) -> dict[str, object]:
    """Give the rows of the page's table about the run."""
    names = ("split", "data_digest", "feature_fingerprint", "selected_on")
    return {
        **_origin(metrics["provenance"]),
        **{name: metrics[name] for name in names},
        **{f"head, {fold}": one["chosen"] for fold, one in (metrics.get("choice") or {}).items()},
        **{f"seed {seed}": steps_line(steps) for seed, steps in metrics["steps"].items()},
        "videos that could not be read": metrics["failures"],
        "examples left out": ", ".join(f"{s} {n}" for s, n in metrics["dropped"].items()),
        "limit": metrics["limit"],
    }


def _origin(made: Mapping[str, Any]) -> dict[str, object]:
    return {
        "commit": f"{made['commit']}{' and changes' if made['dirty'] else ''}",
        "started": made["started"],
        "machine": f"{made['device']}, {made['cpu_cores']} cores",
    }


def steps_line(steps: Mapping[str, Any]) -> str:
    """Say how far a head was trained, and what selecting its weights gained on validation."""
    best, last, over = steps["best_step"], steps["last_step"], steps["over_last"]
    monitor = "val/nexar_map"
    text = f"step {best} of {last}, {monitor} {steps[monitor]:.3f} on {steps['val_groups']} groups"
    if over is None:
        return text
    low, high = over["low"], over["high"]
    interval = "" if low is None else f" [{low:+.3f}, {high:+.3f}]"
    return f"selected {text}, {over['value']:+.3f}{interval} over the last step"


def distances_sentence(distances: Mapping[str, Any]) -> str:
    """Say how unlike the training's videos the judged ones are."""
    return (
        f"Distance from the training's videos (limit 1): median {distances['median']:.2f}; "
        f"{distances['unlike']:.0%} of {distances['videos']} videos lie beyond the limit, where "
        f"{distances['expected']:.0%} of videos like the training's do."
    )


def reading(numbers: Numbers) -> str:
    """What the numbers under the table mean, and what is missing from them."""
    summary = numbers.summary
    mean, bootstrap = summary.ap["mean"], summary.bootstrap
    sentences = []
    if any(entry.low is not None for entry in summary.ap.values()):
        sentences.append(
            f"Intervals: {bootstrap.level:.0%}, {bootstrap.num_groups} groups resampled "
            f"{bootstrap.num_resamples} times (seed {bootstrap.seed})."
        )
    if mean.reason:
        sentences.append(f"No interval of the mean: {mean.reason}.")
    if len(mean.seeds) > 1:
        sentences.append("By seed: " + ", ".join(f"{value:.3f}" for value in mean.seeds) + ".")
    if summary.fraction_to_oracle:
        closed = with_interval(summary.fraction_to_oracle, "{:.0%}".format)
        sentences.append(f"Share of the gap from chance to the oracle that is closed: {closed}.")
        sentences.append("The oracle is a model that is given the true state of the scene.")
    counts = summary.counts.values()
    positive, negative = sum(c.positive for c in counts), sum(c.negative for c in counts)
    sentences.append(
        f"Without a score: {sum(c.missing_positive for c in counts)} of {positive} positive "
        f"examples, which count as 0, and {sum(c.missing_negative for c in counts)} of {negative} "
        "negative ones, which are left out."
    )
    if summary.absent_slices:
        sentences.append(f"Not in these data: tag {', '.join(summary.absent_slices)}.")
    return " ".join(sentences)
