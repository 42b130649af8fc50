"""What a model that predicts scores relies on: gradient boosting, and Optuna's PED-ANOVA.

R: runs. P: columns: factors as names, then numbers as they are.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from collision.report.tables import ABSENT, Grid
from collision.study.section import Section, interval_text, share
from collision.study.table import Runs, combination

FOLDS, REPEATS = 5, 20


@dataclass(frozen=True)
class Importance:
    """What two ways say of each column.

    Attributes:
        r_squared: Of the model, in combinations that it was not fitted to; None: there are fewer
            than ten, or a factor is alone.
        loss: By column: the share of all differences that hangs on it, alone or with others, by
            what shuffling it costs in combinations that were held out; and where 95 of 100
            shuffles lie. Empty: the model predicts nothing.
        ped_anova: By column, shares that sum to 1: how much what the best tenth has chosen differs
            from what all have. Empty: nothing differs, or fewer than 50 runs.
    """

    runs: int
    cells: int
    r_squared: float | None
    loss: dict[str, tuple[float, tuple[float, float]]]
    ped_anova: dict[str, float]


def importance(
    runs: Runs, numbers: Mapping[str, np.ndarray] | None = None, seed: int = 0
) -> Importance:
    """Judge factors, and further columns ``[R]`` of numbers (NaN: plays no part in that run)."""
    numbers = dict(numbers or {})
    factors = {name: c for name, c in runs.factors.items() if name not in numbers}
    cells = combination(runs.factors.values(), len(runs))
    count = len(np.unique(cells))
    r_squared: float | None = None
    loss: dict[str, tuple[float, tuple[float, float]]] = {}
    # Of one factor alone, every combination held out is a level that was never seen.
    if count >= 2 * FOLDS and len(factors) + len(numbers) > 1:
        r_squared, loss = _held_out(runs, factors, numbers, cells, seed)
    return Importance(len(runs), count, r_squared, loss, _ped_anova(runs, factors, numbers))


def _held_out(
    runs: Runs,
    factors: Mapping[str, np.ndarray],
    numbers: Mapping[str, np.ndarray],
    cells: np.ndarray,
    seed: int,
) -> tuple[float, dict[str, tuple[float, tuple[float, float]]]]:
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import GroupKFold

    from collision.study.boosting import HeldOut

    coded = [np.unique(column, return_inverse=True)[1] for column in factors.values()]
    names = [*factors, *numbers]
    fold = np.zeros(len(runs))
    splits = GroupKFold(FOLDS, shuffle=True, random_state=seed).split(fold, groups=cells)
    for place, (_, held) in enumerate(splits):
        fold[held] = place
    columns = np.column_stack([*coded, *numbers.values(), fold]).astype(np.float64)
    score = runs.score - _of_blocks(runs)
    model = HeldOut(num_names=len(factors), seed=seed).fit(columns, score)
    left = score - model.predict(columns)
    total = float(np.sum((score - score.mean()) ** 2))
    r_squared = 1 - float(np.sum(left**2)) / total
    if r_squared <= 0:
        return r_squared, {}
    found = permutation_importance(
        model,
        columns,
        score,
        scoring="neg_mean_squared_error",
        n_repeats=REPEATS,
        random_state=seed,
    )
    # A shuffle puts one choice for another: twice the variance that hangs on the choice.
    drawn = found.importances[: len(names)] * len(runs) / (2 * total)
    loss = {}
    for name, own in zip(names, drawn, strict=True):
        low, high = np.quantile(own, (0.025, 0.975))
        loss[name] = float(own.mean()), (float(low), float(high))
    return r_squared, loss


def _of_blocks(runs: Runs) -> np.ndarray:
    """Give ``[R]`` the mean of each run's block: what a data set gives away is no prediction."""
    strata = runs.strata
    return np.asarray((np.bincount(strata, runs.score) / np.bincount(strata))[strata])


def _ped_anova(
    runs: Runs, factors: Mapping[str, np.ndarray], numbers: Mapping[str, np.ndarray]
) -> dict[str, float]:
    import optuna
    from optuna.distributions import (
        BaseDistribution,
        CategoricalDistribution,
        FloatDistribution,
    )
    from optuna.importance import PedAnovaImportanceEvaluator

    known = {n: c for n, c in numbers.items() if np.isfinite(c).all() and np.ptp(c) > 0}
    ways: dict[str, BaseDistribution] = {
        name: CategoricalDistribution(tuple(map(str, np.unique(c)))) for name, c in factors.items()
    }
    ways |= {name: FloatDistribution(float(c.min()), float(c.max())) for name, c in known.items()}
    if len(runs) < 50 or len(ways) < 2:
        return {}
    score = runs.score - _of_blocks(runs)
    verbosity = optuna.logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            study = optuna.create_study(direction="maximize")
            study.add_trials(
                optuna.trial.create_trial(
                    params={
                        **{name: str(column[row]) for name, column in factors.items()},
                        **{name: float(column[row]) for name, column in known.items()},
                    },
                    distributions=ways,
                    value=float(score[row]),
                )
                for row in range(len(runs))
            )
            found = PedAnovaImportanceEvaluator().evaluate(study)
        finally:
            optuna.logging.set_verbosity(verbosity)
    total = sum(found.values())
    return {name: float(value / total) for name, value in found.items()} if total > 0 else {}


def section_of(one: Importance) -> Section:
    """Show both ways beside each other."""
    names = dict.fromkeys([*one.loss, *one.ped_anova])
    order = sorted(names, key=lambda n: -one.loss.get(n, (one.ped_anova.get(n, 0.0),))[0])
    rows = []
    for name in order:
        loss = one.loss.get(name)
        lost = ABSENT if loss is None else share(loss[0]) + interval_text(loss[1])
        ped = one.ped_anova.get(name)
        rows.append([name, lost, ABSENT if ped is None else share(ped)])
    header = ["column", "share that hangs on it\n[95 % of shuffles]", "PED-ANOVA\n(best tenth)"]
    grids = [Grid("Importance", header, rows)] if rows else []
    return Section("importance", "What a model relies on", [_words(one)], one, grids)


def _words(one: Importance) -> str:
    if one.r_squared is None:
        text = "Too few combinations to fit a model to some and predict others."
    elif not one.loss:
        text = (
            "Gradient boosting predicts nothing of the scores of combinations that it has not seen "
            f"(R2 {share(one.r_squared)}, {one.cells} combinations held out in {FOLDS} parts): "
            "there is no importance to read from it."
        )
    else:
        text = (
            f"Gradient boosting predicts {one.r_squared:.0%} of the differences between "
            f"combinations that it has not seen ({one.cells} of {one.runs} runs, held out in "
            f"{FOLDS} parts). The share that hangs on a column is what shuffling it costs there; "
            "columns that say the same stand in for each other."
        )
    if one.ped_anova:
        text += (
            " PED-ANOVA asks another question: where the best tenth of the runs differs in what it "
            "chose."
        )
    return text
