"""The archive of MAP-Elites, and its picture."""

from contextlib import contextmanager

import pytest

from collision.errors import ConfigError
from collision.report import plots
from collision.search.archive import Archive, archive_of, draw_archive
from collision.search.space import Space
from collision.search.trials import DONE, FAILED, RUNNING, SEARCH, Trial
from tests.kit.policies import space_of

AXES = ("backbone", "head")


@pytest.fixture
def space(tmp_path):
    return space_of(tmp_path)


def trial(number, point, value, state=DONE):
    return Trial(number, state, SEARCH, point, seed=number, value=value)


def at(space, **changes):
    (point,) = space.sample(1, seed=2)
    return space.named({**point.values, "loss.gamma": 1, "head.cell": "gru", **changes})


def test_seeds_of_an_experiment_count_by_their_mean(space):
    """One lucky seed is no elite."""
    lucky, steady = at(space, pooling="max"), at(space, pooling="mean")
    trials = [
        *(trial(0, lucky, 0.9), trial(1, steady, 0.8), trial(2, lucky, 0.5)),
        *(trial(3, steady, 0.78), trial(4, lucky, None, FAILED), trial(5, steady, None, RUNNING)),
    ]
    archive = archive_of(trials, space, AXES)
    ((niche, elite),) = archive.elites().items()
    assert niche == (steady.cell["backbone"], steady.cell["head"])
    assert elite.point == steady and elite.mean == pytest.approx(0.79)
    assert (elite.first, elite.numbers, elite.scores) == (1, [1, 3], [0.8, 0.78])
    assert archive.num_trials(niche) == 4 and archive.num_trials(("no", "where")) == 0


def test_an_elite_that_turns_out_bad_makes_way(space):
    archive, first, second = Archive(space, AXES), at(space), at(space, pooling="mean")
    archive.add(0, first, 0.9)
    archive.add(1, second, 0.7)
    assert [one.point for one in archive.elites().values()] == [first]
    archive.add(2, first, 0.1)
    assert [one.point for one in archive.elites().values()] == [second]


def test_niches_are_pairs_of_the_axes(space):
    trials = [trial(number, point, 0.5) for number, point in enumerate(space.sample(60))]
    for axes in (AXES, ("pooling", "loss")):
        elites = archive_of(trials, space, axes).elites()
        niches = {tuple(one.point.cell[key] for key in axes) for one in trials}
        assert list(elites) == sorted(niches)
        for niche, elite in elites.items():
            assert tuple(elite.point.cell[key] for key in axes) == niche
    shuffled = archive_of(trials[::-1], space, AXES)
    assert shuffled.elites() == archive_of(trials, space, AXES).elites()  # of equals, the first


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        (("backbone", "colour"), "its cells have no colour. There are: backbone, head, pooling"),
        (("backbone", "optimizer.lr"), "its cells have no optimizer.lr"),
        (("backbone",), "give two different dimensions"),
        (("head", "head"), "give two different dimensions"),
        (("head", "backbone", "loss"), "give two different dimensions"),
    ],
)
def test_a_wrong_axis_is_a_sentence(space, axes, said):
    with pytest.raises(ConfigError, match=said) as refused:
        Archive(space, axes)
    assert "\n" not in str(refused.value)


@pytest.fixture
def figures(monkeypatch):
    """What was drawn."""
    seen, real = [], plots.styled_figure

    @contextmanager
    def kept(*arguments):
        with real(*arguments) as figure:
            seen.append(figure)
            yield figure

    monkeypatch.setattr(plots, "styled_figure", kept)
    return seen


def test_the_picture_shows_each_niche_with_its_value_and_trials(space, tmp_path, figures):
    points = [at(space, head="gru"), at(space, head="tcn", backbone="efficientnet_lite1")]
    trials = [trial(0, points[0], 0.71), trial(1, points[0], 0.73), trial(2, points[1], 0.4)]
    draw_archive(trials, space, AXES, tmp_path / "archive.png")
    assert (tmp_path / "archive.png").stat().st_size > 10_000
    panel = figures[0].axes[0]
    place = (points[0].cell["backbone"], "gru")
    rows, columns = (
        [label.get_text() for label in labels]
        for labels in (panel.get_yticklabels(), panel.get_xticklabels())
    )
    assert rows == ["optical_flow", "efficientnet_lite0", "efficientnet_lite1"]
    assert columns == ["gru", "linear", "tcn", "transformer"]
    drawn = {text.get_position(): text.get_text() for text in panel.texts}
    assert drawn == {
        (columns.index("gru"), rows.index(place[0])): "0.720\nn 2",
        (columns.index("tcn"), 2): "0.400\nn 1",
    }
    empty = [patch for patch in panel.patches if patch.get_hatch()]
    assert len(empty) == 3 * 4 - 2
    corners = {(patch.get_x() + 0.5, patch.get_y() + 0.5) for patch in empty}
    assert not corners & set(drawn)
    assert "2 of 12 niches" in panel.get_title(loc="left")


def test_the_words_on_a_niche_are_legible(space, tmp_path, figures):
    """Contrast of at least 3.5 at both ends and in the middle of the colours."""
    trials = [trial(i, point, i / 60) for i, point in enumerate(space.sample(60, seed=3))]
    draw_archive(trials, space, AXES, tmp_path / "archive.svg")
    panel = figures[0].axes[0]
    (image,) = panel.images

    def luminance(colour):
        from matplotlib.colors import to_rgb

        linear = [c / 12.92 if c <= 0.04 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for text in panel.texts:
        score = float(text.get_text().partition("\n")[0])
        low, high = sorted(
            (luminance(image.cmap(image.norm(score))[:3]), luminance(text.get_color()))
        )
        assert (high + 0.05) / (low + 0.05) > 3.5


def test_nothing_yet_and_names_from_elsewhere_are_drawn(tmp_path, figures):
    names = ["$5 </script>", "${oc.env:HOME}", "\udcff"]
    choices = [{"name": name, "head": "gru", "head.dim": 8 + i} for i, name in enumerate(names)]
    space = space_of(tmp_path, {"backbone": ["optical_flow"], "head": choices[:2]}, {})
    draw_archive([], space, AXES, tmp_path / "archive.svg")
    assert [text.get_text() for text in figures[0].axes[0].texts] == ["no trial has a score yet"]
    assert len(figures[0].axes) == 1  # and no scale of colours
    draw_archive([trial(0, at_first(space), 0.5)], space, AXES, tmp_path / "archive.svg")
    labels = [label.get_text() for label in figures[1].axes[0].get_xticklabels()]
    assert labels == names[:2]


def at_first(space):
    return space.at([0.0] * len(space.dimensions))


def test_a_large_space_is_drawn(tmp_path):
    space = Space.load("full")
    trials = [trial(i, point, 0.5 + i / 1000) for i, point in enumerate(space.sample(100))]
    draw_archive(trials, space, AXES, tmp_path / "archive.svg")
    assert "<svg" in (tmp_path / "archive.svg").read_text()
