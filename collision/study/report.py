"""The analysis of effects, levels and growth as tables, pictures and in words."""

from __future__ import annotations

import numpy as np

from collision.report.tables import ABSENT, Grid, number, signed
from collision.study.analysis import Analysis
from collision.study.section import ALPHA, Drawing, Section, interval_text, p_text, share


def sections_of(analysis: Analysis) -> list[Section]:
    """What matters, levels, and, where the order of the runs is known, growth."""
    from collision.study import plots  # matplotlib: a page needs it, a table does not

    words = [_about(analysis), _of_effects(analysis), _of_spread(analysis), _of_luck(analysis)]
    words += _of_doubts(analysis)
    drawings = [Drawing("effects", "Effects with intervals", lambda p: plots.effects(analysis, p))]
    few = [Drawing("levels", "Levels and their runs", lambda p: plots.levels(analysis, p))]
    if plots.pair_of(analysis):
        few.append(
            Drawing("pair", "Means of two factors together", lambda p: plots.pair(analysis, p))
        )
    largest = max(len(np.unique(column)) for column in analysis.runs.factors.values())
    found = [
        Section("effects", "What matters", words, None, [effects_grid(analysis)], drawings),
        Section(
            "levels",
            "Levels",
            [],
            None,
            [levels_grid(analysis)],
            few if largest <= plots.MOST_LEVELS else (),
        ),
    ]
    grid = growth_grid(analysis)
    if grid is not None:
        drawn = [
            Drawing("growth", "The best so far, with fits", lambda p: plots.growth(analysis, p)),
            Drawing("entropy", "Variety of what was tried", lambda p: plots.entropy(analysis, p)),
        ]
        found.append(
            Section("growth", "The best so far", _of_growth(analysis), None, [grid], drawn)
        )
    return found


def effects_grid(analysis: Analysis) -> Grid:
    """A line an effect, then what is left over."""
    rows = []
    for effect in analysis.anova.effects:
        sure = analysis.sure[effect.name]
        omega = ABSENT if effect.omega_squared is None else share(effect.omega_squared)
        omega += interval_text(sure.interval)
        f = ABSENT if effect.f is None else f"{effect.f:.2f}"
        p_values = map(p_text, (sure.p_value, sure.p_adjusted))
        spread = ""  # of a pair, Levene's test is that of its combinations, in the words below
        if effect.name in analysis.levene_by_factor:
            spread = p_text(analysis.levene_by_factor[effect.name])
        own = [effect.name, str(effect.df), number(effect.eta_squared), omega, f]
        rows.append([*own, *p_values, spread])
    left = analysis.anova.residual / analysis.anova.total
    rows.append(["left over", str(analysis.anova.residual_df), number(left), *[""] * 5])
    header = ["effect", "df", "eta\nsquared", "omega squared\n[95 % interval]", "F", "p"]
    header += [f"p,\n{analysis.correction.capitalize()}", "Levene\np"]
    return Grid(f"What explains {analysis.score}", header, rows)


def levels_grid(analysis: Analysis) -> Grid:
    """A line a level: plain means, and how many sd within cells they lie below the best level's."""
    best = {level.factor: level.mean for level in reversed(analysis.levels)}  # the first stays
    spread, rows = analysis.spread, []
    for level in analysis.levels:
        below = best[level.factor] - level.mean
        beside = f"{below / spread.sd:.1f}" if spread.sd else ABSENT
        own = number(level.mean), number(level.sd), beside
        rows.append([level.factor, level.name, str(level.runs), *own])
    of = "seeds" if spread.of_seeds else "a cell"
    header = ["factor", "level", "runs", "mean", "sd of\nruns", f"below best,\nin sd of {of}"]
    return Grid("Levels", header, rows)


def growth_grid(analysis: Analysis) -> Grid | None:
    """A line a curve through the best so far; None where the order of the runs is not known."""
    if analysis.growth is None:
        return None
    rows = []
    for fit in analysis.growth.fits:
        values = []
        for name, value in fit.values.items():
            interval = fit.intervals.get(name)
            beside = f" [{interval[0]:.3g}, {interval[1]:.3g}]" if interval else ""
            values.append(f"{name} {value:.3g}{beside}")
        known = "not identified" if fit.not_identified else "identified"
        rows.append([f"{fit.name}: {fit.formula}", "; ".join(values), number(fit.r_squared), known])
    header = ["curve", "parameters [95 % interval]", "R2", "parameters"]
    return Grid("The best so far", header, rows)


def diagnosis(analysis: Analysis) -> list[str]:
    """Say what the numbers come to, a paragraph each."""
    said = [_about(analysis), _of_effects(analysis), _of_spread(analysis), _of_luck(analysis)]
    said += _of_doubts(analysis)
    return [*said, *_of_growth(analysis)]


def _about(analysis: Analysis) -> str:
    runs, counts = analysis.runs, np.bincount(analysis.runs.cells)
    possible = int(np.prod([len(np.unique(column)) for column in runs.factors.values()]))
    sizes = str(counts.min()) if np.ptp(counts) == 0 else f"{counts.min()} to {counts.max()}"
    text = (
        f"{len(runs)} runs in {len(counts)} of {possible} combinations of "
        f"{', '.join(runs.factors)}, {sizes} in each."
    )
    if runs.blocks:
        text += f" Blocks, taken out first: {', '.join(runs.blocks)}."
    return text


def _of_effects(analysis: Analysis) -> str:
    if analysis.anova.residual_df == 0:
        return (
            "No factor can be judged: every run is a combination of its own, nothing is left over."
        )
    if not analysis.matters:
        return (
            f"No factor is shown to matter: no p, corrected for {len(analysis.sure)} effects, is "
            f"at most {ALPHA:g}. That is no proof that none does; the intervals say how much could "
            "be missed."
        )
    parts = []
    for name in analysis.matters:
        effect, sure = analysis.anova[name], analysis.sure[name]
        beside = "" if sure.interval is None else "{:.0%} to {:.0%}; ".format(*sure.interval)
        parts.append(
            f"{name} explains {effect.eta_squared:.0%} of the differences between runs, "
            f"{max(0.0, effect.omega_squared or 0.0):.0%} less what noise would "
            f"({beside}p {p_text(sure.p_adjusted)}, corrected)"
        )
    others = [e.name for e in analysis.anova.effects if e.name not in analysis.matters]
    rest = f" Not shown to matter: {', '.join(others)}." if others else ""
    return f"{'; '.join(parts)}.{rest}"


def _of_spread(analysis: Analysis) -> str:
    spread = analysis.spread
    if spread.sd is None:
        return "No combination was run twice: how far seeds move the score is not known."
    what = "seeds of one combination" if spread.of_seeds else "runs of one combination"
    sd = number(spread.sd)
    text = f"{what.capitalize()} differ by an sd of {sd} ({spread.df} degrees of freedom)."
    if not spread.of_seeds:
        text += " Whether they differ by their seed alone, this table does not say."
    for factor in analysis.runs.factors:
        own = [level for level in analysis.levels if level.factor == factor]
        reach = own[0].mean - own[-1].mean
        text += f" {factor}: {own[0].name} is {signed(reach)} over {own[-1].name}"
        text += f", {reach / spread.sd:.1f} such sd." if spread.sd else "."
    return text


def _of_luck(analysis: Analysis) -> str:
    luck = analysis.luck
    text = (
        f"The best run, {number(luck.best)}, lies {number(luck.above_mean)} over the mean of all."
    )
    if luck.of_noise is not None:
        text += (
            f" Were all {luck.runs} runs equal, the best would lie about {number(luck.of_noise)} "
            "over it by luck: run it again with fresh seeds before it is called best."
        )
    return text


def _of_doubts(analysis: Analysis) -> list[str]:
    doubts = []
    counts = np.bincount(analysis.runs.cells)
    if len(analysis.runs.factors) > 1 and counts.max() >= 3 * counts.min():
        doubts.append(
            "The combinations were run unevenly, as in the log of a search: what was chosen may "
            "hang on what scored well, and p-values do not know of it. Confirm a claim by a "
            "designed run."
        )
    if len(analysis.runs.factors) > 1 and not analysis.anova.has_interactions:
        doubts.append(
            "Too few runs to judge interactions: what they explain is counted as left over."
        )
    empty = [effect.name for effect in analysis.anova.effects if effect.df == 0]
    if empty:
        doubts.append(
            f"Not to be told from the other terms, as the runs stand: {', '.join(empty)}."
        )
    if analysis.levene is not None and analysis.levene <= ALPHA:
        doubts.append(
            f"Combinations do not spread alike (Levene's p {p_text(analysis.levene)}): p-values "
            "are less exact, and a mean says less of a combination that spreads widely."
        )
    return doubts


def _of_growth(analysis: Analysis) -> list[str]:
    growth = analysis.growth
    if growth is None:
        return []
    by_reason: dict[str, list[str]] = {}
    for fit in growth.fits:
        if fit.not_identified:
            by_reason.setdefault(fit.not_identified, []).append(fit.name)
    said = [
        f"Not identified as a curve through the best so far: {', '.join(names)} ({reason}). Do not "
        "read the parameters, nor extrapolate."
        for reason, names in by_reason.items()
    ]
    if growth.entropy_fit:
        line = growth.entropy_fit
        what = "grew" if line.k < 0 else "fell"
        said.append(
            f"The variety of what was tried {what}: entropy of the combinations is {line.h0:.3f} "
            f"{-line.k:+.3f} ln(runs) bits, R2 {number(line.r_squared)}, from "
            f"{len(growth.entropy.runs)} windows that overlap; the first are shorter, "
            "which alone keeps them lower."
        )
    if growth.parting:
        parting = growth.parting
        said.append(
            f"{parting.first} and {parting.second} part by a Jensen-Shannon divergence of "
            f"{number(float(parting.divergence.value[-1]))} (0: the same combinations equally "
            "often; 1: none in common; few runs alone raise it)."
        )
    return said
