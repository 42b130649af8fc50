"""Gradient boosting that predicts every run by a model that has not seen its combination.

Apart from the rest because scikit-learn, which takes a second, is loaded with it.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor


class HeldOut(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """One model for each fold, which the last column numbers; the first ``num_names`` are names.

    So shuffling a column draws from all runs, not from the few combinations of a fold.
    """

    def __init__(self, num_names: int, seed: int):
        self.num_names = num_names
        self.seed = seed

    def fit(self, columns: np.ndarray, score: np.ndarray) -> Self:
        """Fit to ``[R, P]`` columns and ``[R]`` scores of all folds but the model's own."""
        fold, count = columns[:, -1], columns.shape[1] - 1
        self.models_ = {}
        for own in np.unique(fold):
            rows = fold != own
            self.models_[own] = HistGradientBoostingRegressor(
                categorical_features=[place < self.num_names for place in range(count)],
                min_samples_leaf=max(2, min(20, int(rows.sum()) // 20)),
                early_stopping=False,
                random_state=self.seed,
            ).fit(columns[rows, :-1], score[rows])
        return self

    def predict(self, columns: np.ndarray) -> np.ndarray:
        """Predict ``[R]`` scores, each by its fold's model."""
        found = np.zeros(len(columns))
        for own, model in self.models_.items():
            rows = columns[:, -1] == own
            if rows.any():
                found[rows] = model.predict(columns[rows, :-1])
        return found
