"""What loggers show of a finished run: its numbers, tables, curves, pictures and files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from collision.files import load_json
from collision.metrics.nexar import horizon_key
from collision.metrics.scored import COLUMNS, Scored, ranked_rows, stand_in_weights
from collision.report.tables import Grid, as_markdown, mistakes_grid, numbers_grid

if TYPE_CHECKING:
    from collision.evaluation.numbers import Numbers
    from collision.metrics.summary import Summary

Cell: TypeAlias = float | int | str | None

MOST_ROWS = 10_000  # of one table; W&B shows no more
_CURVE_POINTS = 200  # of one horizon's curve
_FILES = ("results.html", "results.md", "metrics.json", "config.yaml", "provenance.json")


@dataclass(frozen=True)
class LoggedTable:
    """A table whose numbers stay numbers, so that it can be sorted."""

    columns: list[str]
    rows: list[list[Cell]]

    def as_markdown(self) -> str:
        """Lay it out for loggers that know only text."""
        return as_markdown(Grid("", self.columns, [[_cell(one) for one in r] for r in self.rows]))


def scalars_of(numbers: Numbers) -> dict[str, float]:
    """Give mAP, the AP of each horizon with its interval, chance, lift, AUC, and what warns."""
    summary, found = numbers.summary, dict[str, float | None]()
    for horizon, entry in summary.ap.items():
        name = "test/nexar_map" if horizon == "mean" else f"test/ap_{horizon}"
        found |= {name: entry.value, f"{name}_low": entry.low, f"{name}_high": entry.high}
    found["test/chance"] = summary.chance["mean"]
    found["test/lift"] = summary.lift["mean"].value
    found["test/auc"] = numbers.auc["mean"].value
    found["test/brier"] = numbers.calibration.brier.value
    found["test/ece"] = numbers.calibration.ece.value
    for point in numbers.operating_points[:1]:
        found |= {"test/precision": point.precision, "test/recall": point.recall}
        found |= {"test/false_alarm_rate": point.false_alarm_rate}
    return {name: float(value) for name, value in found.items() if value is not None}


def tables_of(run_folder: Path, numbers: Numbers) -> dict[str, LoggedTable]:
    """Give the tables of the final page, and the scores behind them, of every seed."""
    summary, scores = numbers.summary, predictions(run_folder)
    tables = {"test/ap": _ap_table(summary)}
    if summary.slices:
        tables["test/slices"] = _slices_table(summary)
    grids = {"test/numbers": numbers_grid(numbers)}
    if scores:
        grids["test/mistakes"] = mistakes_grid(next(iter(scores.values())))
        tables["test/predictions"] = _predictions_table(scores)
    texts = {name: LoggedTable(g.header, [list(r) for r in g.rows]) for name, g in grids.items()}
    return {**tables, **{name: one for name, one in texts.items() if one.rows}}


def curves_of(run_folder: Path) -> dict[str, LoggedTable]:
    """Give precision over recall and recall over false alarms, of the first seed's scores."""
    scores = predictions(run_folder)
    if not scores:
        return {}
    from sklearn.metrics import precision_recall_curve, roc_curve

    scored = next(iter(scores.values()))
    ranked = ranked_rows([scored])
    pr: list[list[Cell]] = []
    roc: list[list[Cell]] = []
    for horizon in np.unique(scored.horizon):
        own = scored.horizon == horizon
        rows, key = own & ranked, f"{horizon_key(horizon)} s"
        label, score = scored.label[rows], scored.judged_score[rows]
        if np.unique(label).size < 2:
            continue
        weight = stand_in_weights(scored.label[own], ranked[own])
        precision, recall, _ = precision_recall_curve(label, score, sample_weight=weight)
        pr += [[key, float(recall[i]), float(precision[i])] for i in _some(len(recall))]
        false_alarms, recall, _ = roc_curve(label, score, sample_weight=weight)
        roc += [[key, float(false_alarms[i]), float(recall[i])] for i in _some(len(recall))]
    return {
        "curves/precision_recall": LoggedTable(["horizon", "recall", "precision"], pr),
        "curves/roc": LoggedTable(["horizon", "false alarms", "recall"], roc),
    }


def predictions(run_folder: Path) -> dict[int, Scored]:
    """Read the scores of each seed, the first one first; none where labels are secret."""
    start = "predictions_seed"
    files = {int(p.stem.removeprefix(start)): p for p in run_folder.glob(f"{start}*.csv")}
    return {seed: Scored.from_csv(files[seed]) for seed in sorted(files)}


def pictures_of(run_folder: Path) -> dict[str, Path]:
    """Give the plots that the run has drawn, by name."""
    return {path.stem: path for path in sorted((run_folder / "plots").glob("*.png"))}


def files_of(run_folder: Path) -> list[Path]:
    """List the files that hold a run's result."""
    named = [run_folder / name for name in _FILES]
    return [*(p for p in named if p.is_file()), *sorted(run_folder.glob("predictions_*.csv"))]


def learned_from(run_folder: Path) -> dict[str, Any]:
    """Give the digest of the data and the fingerprint of the features, of ``provenance.json``."""
    path = run_folder / "provenance.json"
    made = load_json(path) if path.is_file() else {}
    found: dict[str, Any] = {"run": run_folder.resolve().name, "commit": made.get("commit")}
    return {**found, **made.get("learned_from", {})}


def as_text(facts: Mapping[str, Any]) -> str:
    """Give plain data as a block of Markdown."""
    return f"```json\n{json.dumps(facts, indent=1, default=str)}\n```"


def _some(count: int) -> list[int]:
    return sorted({*np.linspace(0, count - 1, min(count, _CURVE_POINTS)).astype(int).tolist()})


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _ap_table(summary: Summary) -> LoggedTable:
    oracle = summary.oracle or {}
    rows: list[list[Cell]] = []
    for key, one in summary.ap.items():
        beside = summary.chance[key], summary.lift[key].value, oracle.get(key)
        rows.append([key, one.value, one.low, one.high, *beside])
    return LoggedTable(["horizon", "value", "low", "high", "chance", "lift", "oracle"], rows)


def _slices_table(summary: Summary) -> LoggedTable:
    rows: list[list[Cell]] = []
    for name, part in summary.slices.items():
        mean = part.ap["mean"]
        rows.append([name, part.side, mean.value, mean.low, mean.high, part.chance["mean"]])
    return LoggedTable(["slice", "judged", "value", "low", "high", "chance"], rows)


def _predictions_table(scores: Mapping[int, Scored]) -> LoggedTable:
    """List the examples with their scores; of too many, those that are furthest from the label."""
    tags = sorted({name for one in scores.values() for name in one.tags})
    found: list[tuple[float, list[Cell]]] = []
    for seed, one in scores.items():
        for row in range(len(one)):
            score, label = float(one.score[row]), int(one.label[row])
            known = None if np.isnan(score) else score
            values: list[Cell] = [str(one.video[row]), str(one.group[row]), label]
            values += [float(one.horizon[row]), known]
            values += [str(one.tags[name][row]) if name in one.tags else "" for name in tags]
            found.append((2.0 if known is None else abs(label - score), [seed, *values]))
    if len(found) > MOST_ROWS:
        found = sorted(found, key=lambda pair: -pair[0])[:MOST_ROWS]
    return LoggedTable(["seed", *COLUMNS, *tags], [row for _, row in found])
