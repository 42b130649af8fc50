"""DAD: folders, times, the crash frames and the consensus, and what goes wrong."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collision.datasets.dad import Dad
from collision.errors import AnnotationError, CollisionError, ConfigError, DatasetNotFoundError
from collision.types import VideoRecord
from collision.video.index import index_video
from tests.kit.experiments import compose
from tests.kit.layouts.dad import write
from tests.kit.real import REAL

CONSENSUS = (
    "id,Event-type,Nexar-vehicle-involved,min_support,Time-of-alert,Time-of-collision\n"
    "000003.mp4,Collision,yes,9,2.12,2.92\n"
    "000004.mp4,Collision,no,9,1.12,2.12\n"
)


def touch(root: Path) -> Path:
    """Two clips a class and split; the numbers go on."""
    for split, numbers in (("training", (1, 2)), ("testing", (3, 4))):
        for folder in ("positive", "negative"):
            for number in numbers:
                path = root / "videos" / split / folder / f"{number:06d}.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    return root


def records(root: Path, **options: Any) -> dict[str, VideoRecord]:
    return {record.id: record for record in Dad(str(root), **options).records()}


def test_the_layout_and_its_config(tmp_path: Path):
    dataset = compose("train", *write(tmp_path, train=2, test=1)).dataset.build()
    assert isinstance(dataset, Dad)
    dataset.prepare()
    found = {record.id: record for record in dataset.records()}
    assert sorted(found) == [f"{c}/00000{n}" for c in ("negative", "positive") for n in (1, 2, 3)]
    positive, negative = found["positive/000003"], found["negative/000001"]
    assert (positive.label, positive.split, positive.event_time) == (1, "test", 2.96)
    assert (negative.label, negative.split, negative.event_time) == (0, "train", None)
    assert positive.tags == {"event_from": "event_frame"}
    index = index_video(positive.path, positive.frame_rate)
    assert (len(index.frame_times), index.duration) == (100, 4.0)


def test_what_macos_writes_beside_clips_is_none_and_suffixes_are_in_any_case(tmp_path: Path):
    root = touch(tmp_path)
    positive = root / "videos/testing/positive"
    (positive / "._000003.mp4").touch()
    (positive / "000005.MP4").touch()
    found = [name for name, one in records(root).items() if one.path.parent == positive]
    assert found == ["positive/000003", "positive/000004", "positive/000005"]


def test_event_frame_and_rate(tmp_path: Path):
    found = records(touch(tmp_path), event_frame=80, frame_rate=20)
    assert found["positive/000001"].event_time == 4.0
    assert found["negative/000001"].frame_rate == 20


def test_crash_frames_hold_for_the_clips_they_list(tmp_path: Path):
    file = touch(tmp_path) / "frames.csv"
    file.write_text("Video Name,Crash Frame\n./videos/training/positive/000002.mp4,75\n")
    found = records(tmp_path, crash_frames=str(file))
    assert found["positive/000002"].event_time == 3.0
    assert found["positive/000002"].tags == {"event_from": "crash_frames"}
    assert found["positive/000001"].event_time == 2.96
    assert found["negative/000002"].event_time is None


def test_the_consensus_is_of_test_positives(tmp_path: Path):
    file = touch(tmp_path) / "badas.csv"
    file.write_text(CONSENSUS)
    found = records(tmp_path, badas=str(file))
    positive = found["positive/000003"]
    assert (positive.event_time, positive.alert_time) == (2.92, 2.12)
    assert (positive.tags["ego"], positive.tags["event_from"]) == ("yes", "consensus")
    assert found["negative/000003"].tags == {}
    assert found["positive/000001"].event_time == 2.96


def test_ego_only(tmp_path: Path):
    file = touch(tmp_path) / "badas.csv"
    file.write_text(CONSENSUS)
    found = records(tmp_path, badas=str(file), ego_only=True)
    assert [name for name, record in found.items() if record.label == 1] == ["positive/000003"]
    assert sum(record.label == 0 for record in found.values()) == 4
    with pytest.raises(ConfigError, match="badas=FILE"):
        records(tmp_path, ego_only=True)


def test_wrong_root(tmp_path: Path):
    with pytest.raises(DatasetNotFoundError) as caught:
        Dad(str(tmp_path)).prepare()
    assert caught.value.expected == [
        "videos/training/positive/*.mp4",
        "videos/training/negative/*.mp4",
        "videos/testing/positive/*.mp4",
        "videos/testing/negative/*.mp4",
    ]
    assert "docs/dad.md" in str(caught.value)


def test_listed_videos_that_are_missing(tmp_path: Path):
    file = touch(tmp_path) / "frames.csv"
    names = [f"./videos/training/positive/{number:06d}.mp4" for number in (1, 2, *range(101, 129))]
    file.write_text("Video Name,Crash Frame\n" + "".join(f"{name},75\n" for name in names))
    with pytest.raises(DatasetNotFoundError, match="28 of 36 listed videos are not in") as caught:
        Dad(str(tmp_path), crash_frames=str(file)).prepare()
    assert caught.value.expected[0] == "videos/training/positive/000101.mp4"
    assert len(caught.value.expected) == 28 and "... and 8 more" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (",75", "no video is named"),
        ("../a.mp4,75", "lies outside the root"),
        ("videos/training/negative/000001.mp4,75", "is none of the positives"),
        ("videos/training/positive/000001.mp4,100", "Crash Frame '100' is no frame"),
        ("videos/training/positive/000001.mp4,-1", "Crash Frame '-1' is no frame"),
        ("videos/training/positive/000001.mp4,7.5", "Crash Frame '7.5' is no frame"),
        ("videos/training/positive/000001.mp4,\u00b2", "is no frame"),
        ("videos/training/positive/000001.mp4", "1 fields where the header has 2"),
        ("./videos/training/positive/000002.mp4,5", "'000002' is in line 2 already"),
    ],
)
def test_wrong_crash_frame(tmp_path: Path, line: str, message: str):
    file = touch(tmp_path) / "frames.csv"
    file.write_text(f"Video Name,Crash Frame\nvideos/training/positive/000002.mp4,75\n{line}\n")
    with pytest.raises(AnnotationError) as caught:
        records(tmp_path, crash_frames=str(file))
    ((where, number, reason),) = [(r.file, r.line, r.reason) for r in caught.value.rejected]
    assert (where, number) == (file, 3)
    assert message in reason


@given(text=st.text(alphabet='videos/tranpg0123.m4,"\n -', max_size=60))
def test_any_text_gives_frames_or_an_error_for_users(
    text: str, tmp_path_factory: pytest.TempPathFactory
):
    root = touch(tmp_path_factory.getbasetemp() / "dad")
    file = root / "frames.csv"
    file.write_text("Video Name,Crash Frame\nvideos/training/positive/000001.mp4,75\n" + text)
    try:
        found = records(root, crash_frames=str(file))
    except CollisionError as error:
        assert "frames.csv" in str(error)
        return
    assert found["positive/000001"].event_time == 3.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"event_frame": 100}, "event_frame=100"),
        ({"event_frame": 7.5}, "event_frame=7.5"),
        ({"event_frame": True}, "event_frame=True"),
        ({"frame_rate": 0}, "frame_rate=0"),
        ({"frame_rate": "fast"}, "frame_rate='fast'"),
        ({"frame_rate": float("nan")}, "frame_rate=nan"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        Dad(str(tmp_path), **options)


def test_files_of_options_that_are_missing(tmp_path: Path):
    touch(tmp_path)
    with pytest.raises(DatasetNotFoundError, match=r"nope\.csv"):
        records(tmp_path, crash_frames=str(tmp_path / "nope.csv"))
    with pytest.raises(DatasetNotFoundError, match=r"nope\.csv(.|\n)*BADAS-Open"):
        records(tmp_path, badas=str(tmp_path / "nope.csv"))


def test_one_name_in_both_splits(tmp_path: Path):
    (touch(tmp_path) / "videos/testing/positive/000001.mp4").touch()
    with pytest.raises(
        ConfigError,
        match=r"training/positive/000001\.mp4 and testing/positive/000001\.mp4 have the same",
    ):
        records(tmp_path)


def test_a_link_out_of_the_root(tmp_path: Path):
    root = touch(tmp_path / "root")
    (tmp_path / "elsewhere.mp4").touch()
    (root / "videos/testing/positive/000009.mp4").symlink_to(tmp_path / "elsewhere.mp4")
    with pytest.raises(ConfigError, match=r"is a link .* dataset\.allow_links=true"):
        records(root)
    assert records(root, allow_links=True)


@pytest.mark.skipif(REAL is None, reason="the real annotations are not here")
def test_real_files(tmp_path: Path):
    """All 201 crash frames and all 165 rows of the consensus find their clip."""
    annotations = REAL / "annotations"  # type: ignore[operator]
    for split, folder, first, last in (
        ("training", "positive", 1, 455),
        ("training", "negative", 1, 829),
        ("testing", "positive", 456, 620),
        ("testing", "negative", 830, 1130),
    ):
        path = tmp_path / "videos" / split / folder
        path.mkdir(parents=True)
        for number in range(first, last + 1):
            (path / f"{number:06d}.mp4").touch()
    dataset = Dad(
        str(tmp_path),
        crash_frames=str(annotations / "dad" / "positive_training_videos_crash_annotation.csv"),
        badas=str(annotations / "badas" / "dad_test_concensus.csv"),
    )
    dataset.prepare()
    found = dataset.records()
    assert len(found) == 455 + 829 + 165 + 301
    sources = [record.tags["event_from"] for record in found if record.label == 1]
    assert sources.count("crash_frames") == 201
    assert sources.count("event_frame") == 254
    assert sources.count("consensus") == 165
    by_id = {record.id: record for record in found}
    assert by_id["positive/000001"].event_time == 70 / 25
    assert by_id["positive/000456"].event_time == 2.92


def test_half_a_download_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    Dad(str(touch(tmp_path))).prepare()
    assert "training/positive holds" in caplog.text and "the whole set has 455 there" in caplog.text
