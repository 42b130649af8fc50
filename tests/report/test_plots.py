from __future__ import annotations

from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from PIL import Image

from collision.errors import MetricError
from collision.metrics.scored import Scored
from collision.metrics.summary import summarise
from collision.report import plots
from collision.report.timeline import timeline
from tests.kit.scores import ORACLE, made_up_scores


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def has_colour(image: np.ndarray, colour: str) -> bool:
    red_green_blue = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((np.abs(image.astype(int) - red_green_blue).max(axis=2) < 8).any())


@pytest.fixture
def scored() -> Scored:
    return made_up_scores(30)


def test_ap_by_horizon_shows_the_oracle_only_where_known(scored, tmp_path) -> None:
    for name, oracle in (("with", ORACLE), ("without", None)):
        summary = summarise(scored, oracle=oracle, num_resamples=50)
        plots.ap_by_horizon(summary, tmp_path / f"{name}.png")
    assert has_colour(pixels(tmp_path / "with.png"), plots.GREEN)
    assert not has_colour(pixels(tmp_path / "without.png"), plots.GREEN)


def test_ap_by_horizon_without_any_ap(tmp_path) -> None:
    summary = summarise(
        Scored(["a"], ["g"], [1], [0.5], [0.5]), oracle={"0.5": 0.9}, num_resamples=5
    )
    plots.ap_by_horizon(summary, tmp_path / "a.png")
    assert pixels(tmp_path / "a.png").size


def test_precision_recall_skips_a_horizon_of_one_class(scored, tmp_path) -> None:
    one_class = replace(scored, label=np.where(scored.horizon == 1.0, 1, scored.label))
    plots.precision_recall(one_class, tmp_path / "a.png")
    image = pixels(tmp_path / "a.png")
    assert has_colour(image, plots.BLUE) and has_colour(image, plots.GREEN)
    assert not has_colour(image, plots.ORANGE)


def test_scores_with_and_without_the_tag(scored, tmp_path) -> None:
    for tag in ("variant", "light"):
        plots.score_by_variant(scored, tmp_path / "a.png", tag=tag)
        assert pixels(tmp_path / "a.png").size
    missing = replace(scored, score=np.full(len(scored), np.nan))
    plots.score_by_variant(missing, tmp_path / "missing.png")


def test_learning_curves_from_a_log(tmp_path) -> None:
    log = tmp_path / "metrics.csv"
    log.write_text(
        "epoch,step,train/loss,val/loss,val/nexar_map\n"
        "0,9,0.7,,\n0,9,,0.69,0.55\n1,19,0.6,,\n1,19,,0.66,0.65\n2,29,0.5,,\n2,29,,0.7,nan\n"
    )
    rows = plots.read_log(log)
    epochs, values = plots._by_epoch(rows, "val/nexar_map")
    assert epochs == [1, 2, 3]
    assert values[:2].tolist() == [0.55, 0.65] and np.isnan(values[2])
    plots.learning_curves(rows, tmp_path / "a.png")
    assert has_colour(pixels(tmp_path / "a.png"), plots.GREEN)
    plots.learning_curves([], tmp_path / "empty.png")


def test_style_stays_within_the_figure(scored, tmp_path) -> None:
    before = dict(matplotlib.rcParams)
    plots.precision_recall(scored, tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before


def frames(count: int, shape=(36, 64, 3)) -> list[np.ndarray]:
    return [np.full(shape, 8 * index, np.uint8) for index in range(count)]


def draw(path, times, probabilities, **options) -> np.ndarray:
    given = {
        "frames": frames(8),
        "frame_times": np.linspace(0, 9, 8),
        "first_time": 2.0,
        "threshold": 0.6,
        **options,
    }
    timeline(times, probabilities, path, **given)
    return pixels(path)


def test_timeline_marks_alarms_only_above_the_threshold(tmp_path) -> None:
    times = np.arange(2, 9, 0.25)
    quiet = draw(tmp_path / "quiet.png", times, np.full(times.size, 0.3))
    alarm = draw(tmp_path / "alarm.png", times, np.full(times.size, 0.9))
    event = draw(tmp_path / "event.png", times, np.full(times.size, 0.3), event_time=8.5)
    # The legend names the alarm in any case; dots or a line make more of the colour.
    red = [int(plots.RED[i : i + 2], 16) for i in (1, 3, 5)]
    count = [(np.abs(image.astype(int) - red).max(axis=2) < 8).sum() for image in (quiet, alarm)]
    assert count[1] > 5 * count[0]
    assert has_colour(event, plots.RED)


def test_timeline_invents_nothing_before_the_first_full_window(tmp_path) -> None:
    """A value handed in for a time before it is not drawn."""
    late = draw(tmp_path / "late.png", [2.0, 3.0], [0.1, 0.2])
    early = draw(tmp_path / "early.png", [1.0, 2.0, 3.0], [0.9, 0.1, 0.2])
    assert (late == early).all()


@pytest.mark.parametrize(
    ("times", "probabilities", "options"),
    [
        ([], [], {"frames": [], "frame_times": [], "first_time": 2.0}),
        ([2.0], [0.5], {"frames": frames(1), "frame_times": [0.0], "threshold": None}),
        ([2.0, 3.0], [np.nan, 0.5], {"title": "$5_{a.mp4 <b> %"}),
        (
            [0.5],
            [0.5],
            {"first_time": 0.0, "frames": frames(30, (64, 36, 3)), "frame_times": np.arange(30)},
        ),
        ([0.0], [0.5], {"first_time": 0.0, "frames": [], "frame_times": []}),
    ],
)
def test_timeline_of_odd_videos(tmp_path, times, probabilities, options) -> None:
    assert draw(tmp_path / "a.png", times, probabilities, **options).size


def test_timeline_refuses_what_does_not_belong_together(tmp_path) -> None:
    with pytest.raises(MetricError, match="2 times and 1 probabilities"):
        draw(tmp_path / "a.png", [1.0, 2.0], [0.5])
    with pytest.raises(MetricError, match="8 frames and 1 frame times"):
        draw(tmp_path / "a.png", [2.0], [0.5], frame_times=[1.0])
    assert not (tmp_path / "a.png").exists()
