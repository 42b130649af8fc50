"""Every logger shows the cards of the page: as many, with the same scores, and their pictures."""

import json
import re

import pytest
from PIL import Image

from collision.config import part
from collision.evaluation.numbers import Numbers
from collision.report.judged import read_judged
from collision.report.run_page import remake
from collision.runs.folder import write_config
from collision.runs.logged_cards import COLUMNS, PICTURES, logged_cards
from tests.kit.report import made_up_clips, trained_run
from tests.kit.scores import made_up_scores
from tests.kit.video import numbered_frames, write_video
from tests.kit.wandb_log import read_offline_run, read_table

CLIP, KIND, SCORE = COLUMNS.index("clip"), COLUMNS.index("kind"), COLUMNS.index("score")
SPREAD, TAGS = COLUMNS.index("seeds' spread"), COLUMNS.index("tags")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A finished run with its page; one clip's video is gone."""
    folder = tmp_path_factory.mktemp("runs") / "2026-01-31_12-00-00_made_up"
    folder.mkdir()
    path = write_video(folder.parent / "a.mp4", numbered_frames(50, 48, 64), fps=10)
    seeds = [made_up_scores(num_groups=12, seed=seed) for seed in (0, 1)]
    clips = made_up_clips(seeds[0], [path])
    trained_run(folder, *seeds, clips=clips)
    write_config(folder, {"head": {"name": "gru"}})
    remake(folder, "none")
    return folder


@pytest.fixture(scope="module")
def page(run_folder):
    """Name, outcome and score of each card of ``results.html``, as text."""
    text = (run_folder / "results.html").read_text()
    found = re.findall(
        r'<article class="card.*?data-kind="([^"]*)".*?data-name="([^"]*)".*?data-score="([^"]*)"',
        text,
    )
    return [(name, kind, score) for kind, name, score in found]


def shown(rows):
    return [
        (row[CLIP], row[KIND], f"{-1.0 if row[SCORE] is None else row[SCORE]:.6g}") for row in rows
    ]


def numbers_of(run_folder) -> Numbers:
    (judged,) = read_judged(run_folder, json.loads((run_folder / "metrics.json").read_text()))
    assert judged.numbers
    return judged.numbers


def test_the_cards_are_those_of_the_page(run_folder, page):
    cards = logged_cards(run_folder)
    assert len(cards) == len(page) > 15
    assert shown([card.row for card in cards]) == page
    card = cards[0]
    assert card.row[SPREAD] > 0 and card.row[TAGS].startswith("variant: ")
    assert card.cut and card.cut.size == (64, 48)
    assert [words for words, _ in card.frames][-2].endswith(" cut")
    assert card.strip and card.strip.width == 64 * len(card.frames)
    assert card.whole.height == 48 + 48 + card.risk.height
    assert len(card.risk.getcolors(10**6)) > 20, "something is drawn"


def test_a_clip_whose_video_is_gone_has_a_curve_and_no_frames(tmp_path):
    one = made_up_scores(num_groups=4)
    trained_run(tmp_path, one, clips=made_up_clips(one))
    card = logged_cards(tmp_path)[0]
    assert card.cut is None and card.strip is None and card.words == ""
    assert card.whole.size == card.risk.size


def test_before_a_run_is_judged_there_are_none(tmp_path):
    assert logged_cards(tmp_path) == []


def test_wandb_keeps_them_as_a_table_with_pictures(run_folder, page, wandb_home):
    part("logger", "wandb", mode="offline").build().summary(run_folder, numbers_of(run_folder))
    (folder,) = run_folder.glob("wandb/offline-run-*")
    run = read_offline_run(folder)
    assert any("test/cards" in row for row in run.history)
    table, files = read_table(run, "test/cards")
    assert table["columns"] == [*COLUMNS, *PICTURES]
    assert shown(table["data"]) == page
    metrics = json.loads((run_folder / "metrics.json").read_text())
    limit = metrics["operating_points"][0]["threshold"]
    assert {line[COLUMNS.index("threshold")] for line in table["data"]} == {limit}
    cut, strip, risk = table["data"][0][len(COLUMNS) :]
    with Image.open(files[cut["path"]]) as picture:
        assert picture.size == (64, 48)
    with Image.open(files[risk["path"]]) as picture:
        assert picture.size == logged_cards(run_folder)[0].risk.size
    assert " cut" in strip["caption"]


def test_tensorboard_keeps_them_as_text_and_images(run_folder, page):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    part("logger", "tensorboard").build().summary(run_folder, numbers_of(run_folder))
    sizes = {"tensors": 0, "images": 0}
    events = EventAccumulator(str(run_folder / "tensorboard/summary"), sizes).Reload()
    (text,) = events.Tensors("test/cards/text_summary")
    lines = text.tensor_proto.string_val[0].decode().splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == [name for name, _, _ in page]
    names = sorted(name for name in events.Tags()["images"] if name.startswith("cards/"))
    wanted = [f"cards/{n:02d} {kind}: {name}" for n, (name, kind, _) in enumerate(page)]
    assert names == wanted
    (picture,) = events.Images(names[0])
    whole = logged_cards(run_folder)[0].whole
    assert (picture.width, picture.height) == whole.size


def test_trackio_keeps_them_as_a_table_with_pictures(run_folder, page, monkeypatch, tmp_path):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio")
    from trackio.sqlite_storage import SQLiteStorage
    from trackio.utils import MEDIA_DIR

    part("logger", "trackio", project="cards").build().summary(run_folder, numbers_of(run_folder))
    (row,) = SQLiteStorage.get_logs("cards", f"{run_folder.name} summary")
    rows = row["test/cards"]["_value"]
    assert shown([[line[name] for name in COLUMNS] for line in rows]) == page
    frames = rows[0]["frames"]
    assert frames[-2]["caption"].endswith(" cut")
    for picture in (rows[0]["at the cut"], rows[0]["risk"], *frames):
        assert (MEDIA_DIR / picture["file_path"]).is_file()
