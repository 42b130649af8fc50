"""Which factor explains how much of the scores: analysis of variance, of runs or published cells.

Sums of squares are of type II: what a term adds to the model of all terms that do not contain it,
so neither the order of the factors nor an uneven number of runs gives a factor what belongs to
another. All factors are names, so cells without runs cost degrees of freedom and nothing else.

R: runs, or cells with their number of runs as weight. P: columns of a design.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import linalg, stats

from collision.errors import ConfigError
from collision.study.table import Runs, combination


@dataclass(frozen=True)
class Term:
    """A factor, or the interaction of two.

    ``added`` is an orthonormal basis ``[R, df]`` of what the term adds to the terms that do not
    contain it, ``others`` the basis ``[R, P]`` of those.
    """

    factors: tuple[str, ...]
    added: np.ndarray
    others: np.ndarray

    @property
    def name(self) -> str:
        """As in ``backbone x head``."""
        return " x ".join(self.factors)

    @property
    def df(self) -> int:
        """Degrees of freedom; 0: nothing that the other terms do not say."""
        return self.added.shape[1]


@dataclass(frozen=True)
class Design:
    """The terms of a model, the basis ``[R, P]`` of all of it, and whether pairs are among them."""

    terms: tuple[Term, ...]
    whole: np.ndarray
    has_interactions: bool


@dataclass(frozen=True)
class Effect:
    """A term's share of the total sum of squares.

    Attributes:
        name: The factor, or two joined by `` x ``.
        eta_squared: The share itself; noise alone makes it df / (R - 1).
        omega_squared: The share less what noise makes of it: about 0 without an effect, and below.
        f: None: no degrees of freedom are left to judge by; so ``p_value``.
        p_value: Of the F distribution, which asks for normal noise of one spread.
    """

    name: str
    df: int
    sum_of_squares: float
    eta_squared: float
    omega_squared: float | None
    f: float | None
    p_value: float | None


@dataclass(frozen=True)
class Anova:
    """Effects, in the order of the factors, then of their pairs, with what is left over."""

    effects: tuple[Effect, ...]
    residual_df: int
    residual: float
    total: float
    has_interactions: bool

    @property
    def noise_variance(self) -> float | None:
        """The residual mean square."""
        return self.residual / self.residual_df if self.residual_df else None

    def __getitem__(self, name: str) -> Effect:
        return next(effect for effect in self.effects if effect.name == name)


def anova(runs: Runs, design: Design | None = None) -> Anova:
    """Analyse runs: main effects and, where runs are left to judge them by, pairwise interactions.

    ``design`` is theirs (``design_of``), where it was laid out before.

    ConfigError: all scores are the same.
    """
    if np.ptp(runs.score) == 0:
        raise ConfigError(
            f"All {len(runs)} runs score {runs.score[0]:g}: there is nothing to explain."
        )
    return analysed(design or design_of(runs), runs.score)


def design_of(runs: Runs) -> Design:
    """Lay out the model of a table of runs."""
    return _design(runs.factors, runs.blocks, np.ones(len(runs)), len(runs))


def grouped_design(runs: Runs, groups: Mapping[str, Sequence[str]], rest: str) -> Design:
    """Lay out the same model, with a term for each group of factors, by name.

    A group's term is what its factors and their pairs add to those of the other groups; ``rest`` is
    what pairs across groups add to all of that.
    """
    design = design_of(runs)
    owner = {factor: name for name, factors in groups.items() for factor in factors}
    columns: dict[str, list[np.ndarray]] = {name: [] for name in (*groups, rest)}
    for term in design.terms:
        owners = {owner[factor] for factor in term.factors}
        own = _indicators(combination([runs.factors[f] for f in term.factors], len(runs)))
        columns[owners.pop() if len(owners) == 1 else rest].append(own)
    always = [np.ones((len(runs), 1)), *map(_indicators, runs.blocks.values())]
    terms = []
    for name, added in columns.items():
        others = [c for other in groups if other != name for c in columns[other]]
        basis = _basis(np.hstack(always + others))
        if added:
            terms.append(Term((name,), _basis(_outside(basis, np.hstack(added))), basis))
    terms = [term for term in terms if term.df]
    return Design(tuple(terms), design.whole, design.has_interactions)


@dataclass(frozen=True)
class Cells:
    """Published aggregates, one row per combination of factors.

    Attributes:
        factors: By name ``[R]`` text.
        n: ``[R]`` numbers of runs.
        mean: ``[R]``.
        sd: ``[R]``, with n in the denominator (ddof 0).
    """

    factors: Mapping[str, np.ndarray]
    n: np.ndarray
    mean: np.ndarray
    sd: np.ndarray

    @property
    def within(self) -> float:
        """The sum of squares within cells."""
        return float(np.sum(self.n * self.sd**2))

    @property
    def between(self) -> float:
        """The sum of squares between cells."""
        return float(np.sum(self.n * (self.mean - np.average(self.mean, weights=self.n)) ** 2))


def from_cells(cells: Cells) -> Anova:
    """Analyse published cells as if their runs were there: the same sums of squares.

    ConfigError: a cell without runs or with a negative or undefined spread.
    """
    n, mean, sd = (np.asarray(x, dtype=np.float64) for x in (cells.n, cells.mean, cells.sd))
    if not (np.isfinite(n + mean + sd).all() and (n >= 1).all() and (sd >= 0).all()):
        raise ConfigError("A cell needs n of at least 1, a mean, and an sd of at least 0.")
    design = _design(cells.factors, {}, n, int(n.sum()))
    return analysed(design, mean, n, cells.within)


def by_margins(cells: Cells) -> dict[str, float]:
    """Give eta squared of two factors as arXiv 2603.15916 computes it, and of their interaction.

    Each factor's is that of a one-way analysis; the interaction is what is left between cells. In
    uneven cells the factors overlap: what both could explain is counted for each of them, and taken
    off the interaction, so the numbers sum to the right total and differ from type II.
    """
    first, second = cells.factors
    total = cells.between + cells.within
    shares = {name: _between(cells, cells.factors[name]) / total for name in (first, second)}
    shares[f"{first} x {second}"] = cells.between / total - sum(shares.values())
    return shares


def _between(cells: Cells, column: np.ndarray) -> float:
    mean = np.average(cells.mean, weights=cells.n)
    rows = [np.asarray(column) == level for level in np.unique(column)]
    means = [np.average(cells.mean[row], weights=cells.n[row]) for row in rows]
    return float(
        sum(cells.n[row].sum() * (m - mean) ** 2 for row, m in zip(rows, means, strict=True))
    )


def analysed(
    design: Design, score: np.ndarray, weight: np.ndarray | None = None, within: float = 0.0
) -> Anova:
    """Analyse ``[R]`` scores, of weight 1 unless given, with so much more inside each row."""
    weight = np.ones(len(score)) if weight is None else weight
    y = np.sqrt(weight) * (score - np.average(score, weights=weight))
    total = float(y @ y) + within
    df = int(weight.sum()) - design.whole.shape[1]
    # Without a degree of freedom nothing is left but rounding.
    left = max(total - float(squares(design.whole, y)), 0.0) if df else 0.0
    effects = tuple(
        _effect(term, float(squares(term.added, y)), total, df, left) for term in design.terms
    )
    return Anova(effects, df, left, total, design.has_interactions)


def _effect(term: Term, own: float, total: float, df: int, left: float) -> Effect:
    own_df, eta = term.df, own / total
    if df == 0 or own_df == 0:
        return Effect(term.name, own_df, own, eta, None, None, None)
    variance = left / df
    omega = (own - own_df * variance) / (total + variance)
    if left <= 1e-12 * total:  # the model leaves nothing, and F no number
        return Effect(term.name, own_df, own, eta, omega, None, None)
    f = own / own_df / variance
    return Effect(term.name, own_df, own, eta, omega, f, float(stats.f.sf(f, own_df, df)))


def squares(basis: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Give the sum of squares of ``[R]`` or ``[R, N]`` within the span of an orthonormal basis."""
    return np.sum((basis.T @ y) ** 2, axis=0)


def _design(
    factors: Mapping[str, np.ndarray],
    blocks: Mapping[str, np.ndarray],
    weight: np.ndarray,
    count: int,
) -> Design:
    """Lay out main effects and pairs; main effects alone where pairs leave no degree of freedom."""
    mains: list[tuple[str, ...]] = [(name,) for name in factors]
    pairs = list(combinations(factors, 2))
    for names in ([*mains, *pairs], mains):
        design = _layout(names, factors, blocks, weight)
        if pairs and names != mains and count > design.whole.shape[1]:
            return design
    return design


def _layout(
    names: Sequence[tuple[str, ...]],
    factors: Mapping[str, np.ndarray],
    blocks: Mapping[str, np.ndarray],
    weight: np.ndarray,
) -> Design:
    root = np.sqrt(weight)[:, None]
    columns = {
        name: root * _indicators(combination([factors[factor] for factor in name], len(weight)))
        for name in names
    }
    always = np.hstack([root, *(root * _indicators(column) for column in blocks.values())])
    whole = _basis(np.hstack([always, *columns.values()]))
    # In the coordinates of the whole, which are far fewer than runs.
    always, within = whole.T @ always, {name: whole.T @ own for name, own in columns.items()}
    terms = []
    for name in names:
        others = [within[other] for other in names if not set(name) <= set(other)]
        basis = _basis(np.hstack([always, *others]))
        added = _basis(_outside(basis, within[name]))
        terms.append(Term(name, whole @ added, whole @ basis))
    return Design(tuple(terms), whole, any(len(name) > 1 for name in names))


def _indicators(codes: np.ndarray) -> np.ndarray:
    levels = np.unique(codes)
    return (np.asarray(codes)[:, None] == levels).astype(np.float64)


def _outside(basis: np.ndarray, columns: np.ndarray) -> np.ndarray:
    outside = columns - basis @ (basis.T @ columns)
    # Of what lies within, rounding is left: it must not become a direction of its own.
    outside[:, np.linalg.norm(outside, axis=0) < 1e-9 * np.linalg.norm(columns, axis=0)] = 0
    return outside


def _basis(columns: np.ndarray) -> np.ndarray:
    """Give an orthonormal basis of the span of columns; none of them need be independent.

    By the eigenvectors of their products, which takes a second where a pivoted QR of a thousand
    runs takes a minute; twice, so that rounding is gone.
    """
    size = np.linalg.norm(columns, axis=0)
    basis = columns[:, size > 0] / size[size > 0]
    for _ in range(2 if basis.shape[1] else 0):
        values, vectors = linalg.eigh(basis.T @ basis)
        kept = values > 1e-10 * values[-1]
        basis = basis @ (vectors[:, kept] / np.sqrt(values[kept]))
    return np.asarray(basis)
