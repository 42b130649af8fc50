"""DADA-2000 in its three forms, and what a wrong line or entry is told."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collision.datasets.dada2000 import TABLE, Dada2000
from collision.errors import AnnotationError, CollisionError, ConfigError, DatasetNotFoundError
from collision.records import annotations
from collision.types import VideoRecord
from collision.video.index import index_video
from tests.kit.experiments import compose
from tests.kit.layouts.dada2000 import write
from tests.kit.real import REAL

HEADER = "video,type,abnormal start frame,accident frame,abnormal end frame\n"


@pytest.fixture(autouse=True)
def _tells_anew():
    annotations.warn_once.cache_clear()


def lists(
    root: Path, table: str | None = "1,1,31,61,90\n2.0,10,1,31.0,60\n", **splits: Any
) -> Path:
    splits = splits or {"test": [[["1", "001"], "001"], [["10", "002"], "002"]]}
    for split, entries in splits.items():
        text = entries if isinstance(entries, str) else json.dumps(entries)
        (root / f"{split}_file.json").write_text(text)
    if table is not None:
        (root / TABLE).write_text(HEADER + table)
    return root


def small(root: Path, text: str, name: str = "testing") -> Path:
    (root / name).mkdir(parents=True, exist_ok=True)
    (root / name / f"{name}.txt").write_text(text)
    return root


def read(root: Path, **options: Any) -> list[VideoRecord]:
    return Dada2000(str(root), **options).records()


def faults(root: Path, **options: Any) -> list[tuple[str, int, str]]:
    with pytest.raises(AnnotationError) as caught:
        read(root, **options)
    return [(r.file.name, r.line, r.reason) for r in caught.value.rejected]


@pytest.mark.parametrize("form", ["lists", "small", "whole"])
def test_the_layouts_and_their_config(tmp_path: Path, form: str):
    overrides = write(tmp_path, form, train=2, val=1, test=1)
    dataset = compose("train", *overrides).dataset.build()
    assert isinstance(dataset, Dada2000)
    dataset.prepare()
    found = dataset.records()
    splits = ["test"] * 4 if form == "whole" else ["train", "train", "val", "test"]
    assert [record.split for record in found] == splits
    first = found[0]
    assert (first.id, first.label, first.event_time) == ("7_001", 1, 4.2)
    assert first.alert_time == (None if form == "small" else 3.2)
    assert first.tags["ego"] == "yes"
    assert first.tags.get("light") == (None if form == "small" else "night")
    assert first.path.exists()


def test_frames_by_count(tmp_path: Path):
    write(tmp_path, "small", train=0, val=0, test=1)
    (record,) = read(tmp_path)
    index = index_video(record.path, record.frame_rate)
    assert index.frame_times[126] == record.event_time


def test_the_table_counts_images_from_one(tmp_path: Path):
    first, second = read(lists(tmp_path))
    assert (first.event_time, first.alert_time) == (2.0, 1.0)
    assert (second.event_time, second.alert_time) == (1.0, 0.0)
    assert (first.tags["ego"], first.tags["class"], second.id) == ("yes", "1", "10_002")


@pytest.mark.parametrize("start", ["-1", "", "0", "62"])
def test_an_abnormal_start_that_cannot_be_is_no_alert(tmp_path: Path, start: str):
    root = lists(tmp_path, f"1,1,{start},61,90\n", test=[[["1", "001"], "001"]])
    (record,) = read(root)
    assert (record.event_time, record.alert_time) == (2.0, None)


@pytest.mark.parametrize(
    "place", ["1/001/images", "1/001", "frames/1/001/images", "frames/1/001", "1_001", "1_001.mp4"]
)
def test_where_clips_may_lie(tmp_path: Path, place: str):
    root = lists(tmp_path, "1,1,1,61,90\n", test=[[["1", "001"], "001"]])
    if place.endswith(".mp4"):
        (root / place).touch()
    else:
        (root / place).mkdir(parents=True)
    Dada2000(str(root)).prepare()
    (record,) = read(root)
    assert record.path == root.resolve() / place


@pytest.mark.parametrize("accident", ["-1", "", "0"])
def test_a_clip_without_a_time_is_an_error_line(tmp_path: Path, accident: str):
    root = lists(tmp_path, f"1,1,1,61,90\n2,10,1,{accident},60\n")
    ((file, line, reason),) = faults(root)
    assert (file, line) == ("test_file.json", 1)
    assert reason.startswith("clip 10_002 has no time of its accident")
    assert "badas=FILE" in reason


def test_clips_without_a_time_can_be_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    root = lists(tmp_path, "1,1,1,61,90\n")
    with caplog.at_level(logging.WARNING):
        found = read(root, leave_out_unannotated=True)
    assert [record.id for record in found] == ["1_001"]
    assert "left out 1 clips" in caplog.text


def test_the_consensus_gives_times(tmp_path: Path):
    root = lists(tmp_path, table=None)
    (root / "badas.csv").write_text(
        "id,Event-type,Nexar-vehicle-involved,min_support,Time-of-alert,Time-of-collision\n"
        "1_001.mp4,Collision,no,10,5.1,7.2\n10_002.mp4,Collision,yes,10,1.5,2.5\n"
    )
    badas = str(root / "badas.csv")
    first, second = read(root, badas=badas)
    assert (first.event_time, first.alert_time, first.tags["ego"]) == (7.2, 5.1, "no")
    assert second.event_time == 2.5
    assert [r.id for r in read(root, badas=badas, ego_only=True)] == ["10_002"]


def test_a_clip_in_two_lists_stays_in_the_last(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    clip = [["1", "001"], "001"]
    root = lists(tmp_path, "1,1,1,61,90\n", train=[], val=[clip], test=[clip])
    with caplog.at_level(logging.WARNING):
        (record,) = read(root)
    assert record.split == "test"
    assert "1 clips are in two lists" in caplog.text


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (None, "None is not of the form [[class, video], index]"),
        (["1", "001"], "is not of the form"),
        ([["1"], "001"], "is no class and video"),
        ([["1", "001", "2"], "001"], "is no class and video"),
        ([[1, "001"], "001"], "is no class and video"),
        ([["1", "../001"], "001"], "is no class and video"),
        ([["1", "\u0661"], "001"], "is no class and video"),
        ([["1", ""], "001"], "is no class and video"),
        ([["1", "1" * 300], "001"], "is no class and video"),
        ([["1", "001"], "002"], "'1_001' is in line 2 already"),
    ],
)
def test_wrong_entry(tmp_path: Path, entry: Any, message: str):
    good = '[["1", "001"], "001"]'
    root = lists(tmp_path, "1,1,1,61,90\n", test=f"[\n{good},\n{json.dumps(entry)}\n]")
    ((file, line, reason),) = faults(root)
    assert (file, line) == ("test_file.json", 3)
    assert message in reason


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (",1,1,31,60", "type '1', video '' name no clip"),
        ("2,0,1,31,60", "name no clip"),
        ("two,1,1,31,60", "video 'two' is no whole number"),
        ("2,1.5,1,31,60", "type '1.5' is no whole number"),
        ("2,1,1,soon,60", "accident frame 'soon' is no whole number"),
        ("2,1,1,31", "4 fields where the header has 5"),
        ("1,1,1,31,60", "'1_001' is in line 2 already"),
    ],
)
def test_wrong_row_of_the_table(tmp_path: Path, row: str, message: str):
    ((file, line, reason),) = faults(lists(tmp_path, f"1,1,1,61,90\n{row}\n"))
    assert (file, line) == (TABLE, 3)
    assert message in reason


def test_a_wrong_code_of_the_table(tmp_path: Path):
    text = '"light(day,night)1-2",' + HEADER + "3,1,1,1,61,90\n"
    (tmp_path / TABLE).write_text(text)
    assert faults(tmp_path) == [(TABLE, 2, "light(day,night)1-2 '3' is none of 1 to 2")]


def test_the_table_of_the_whole_set_does_not_fit_the_lists(tmp_path: Path):
    root = lists(tmp_path, "1,1,1,61,90\n5,57,1,31,60\n")
    with pytest.raises(AnnotationError, match="57_005 is in it"):
        read(root)
    (root / "test_file.json").unlink()
    assert [record.id for record in read(root)] == ["1_001", "57_005"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1/002 1 0 149", "is not of the form '1/002 1 0 149 136'"),
        ("1/002 1 0 x 136", "is not of the form"),
        ("1-002 1 0 149 136", "is no class and video"),
        ("../002 1 0 149 136", "is no class and video"),
        ("1/002 2 0 149 136", "label '2' is neither 0 nor 1"),
        ("1/002 1 0 149 150", "accident frame '150' is not within 0 to 149"),
        ("1/002 1 0 149 -1", "accident frame '-1' is not within"),
        ("1/001 1 0 149 137", "'1_001' is in line 1 already"),
    ],
)
def test_wrong_line_of_the_small_set(tmp_path: Path, line: str, message: str):
    root = small(tmp_path, f"1/001 1 0 149 136,a car turns left\n{line}\n")
    ((file, number, reason),) = faults(root)
    assert (file, number) == ("testing.txt", 2)
    assert message in reason


def test_the_small_set_repeats_accidents_and_names_normal_parts(tmp_path: Path):
    text = "1/002 1 0 149 136\n1/002 1 20 149 136\n1/002 0 0 60 -1\n\n1/003 1 5 99 50\n"
    root = small(small(tmp_path, text), "1/004 1 0 149 136\n", "training")
    found = read(root)
    assert [(r.id, r.split) for r in found] == [
        ("1_004", "train"),
        ("1_002", "test"),
        ("1_003", "test"),
    ]
    assert found[1].event_time == 136 / 30
    assert found[1].path == root.resolve() / "testing/rgb_videos/1/002.avi"


def test_the_small_set_takes_no_table(tmp_path: Path):
    root = small(tmp_path, "1/002 1 0 149 136\n")
    (root / "table.csv").write_text(HEADER)
    with pytest.raises(ConfigError, match="which were cut"):
        read(root, annotations=str(root / "table.csv"))


def test_wrong_root(tmp_path: Path):
    with pytest.raises(DatasetNotFoundError, match=r"docs/dada2000\.md") as caught:
        Dada2000(str(tmp_path)).prepare()
    assert len(caught.value.expected) == 3


def test_missing_clips(tmp_path: Path):
    with pytest.raises(DatasetNotFoundError, match="2 of 2 listed videos are not in") as caught:
        Dada2000(str(lists(tmp_path))).prepare()
    assert caught.value.expected == ["1/001/images", "10/002/images"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"annotations": "a.xlsx"}, "save its sheet"),
        ({"annotations": "nope.csv"}, "there is no such file"),
        ({"frame_rate": None}, "frame_rate=None"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        Dada2000(str(tmp_path), **options)


scalars = st.sampled_from(["1", "001", "10", "", "a/b", 1, None, "1" * 400])
entries = st.one_of(
    scalars,
    st.lists(scalars, max_size=3),
    st.tuples(st.lists(scalars, min_size=1, max_size=3), scalars).map(list),
)


@given(entries=st.lists(entries, max_size=4), indent=st.sampled_from([None, 0]))
def test_any_list_is_read_or_rejected_in_its_place(
    entries: list[Any], indent: int | None, tmp_path_factory: pytest.TempPathFactory
):
    root = tmp_path_factory.getbasetemp() / "dada"
    root.mkdir(exist_ok=True)
    text = json.dumps(entries, indent=indent)
    try:
        found = read(lists(root, "1,1,1,61,90\n", test=text), leave_out_unannotated=True)
    except CollisionError as error:
        assert isinstance(error, AnnotationError)
        assert all(1 <= r.line <= text.count("\n") + 1 for r in error.rejected)
        return
    assert {record.id for record in found} <= {"1_001"}


@given(text=st.text(alphabet="1/02 3,-\n\r.x", max_size=60))
def test_any_text_gives_clips_or_an_error_for_users(
    text: str, tmp_path_factory: pytest.TempPathFactory
):
    root = tmp_path_factory.getbasetemp() / "small"
    try:
        found = read(small(root, "1/002 1 0 149 136\n" + text))
    except CollisionError as error:
        assert isinstance(error, AnnotationError)
        assert all(r.file.name == "testing.txt" and r.line >= 2 for r in error.rejected)
        return
    assert all(record.event_time is not None for record in found)


@pytest.mark.skipif(REAL is None, reason="the real annotations are not here")
def test_real_files(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    annotations = REAL / "annotations"  # type: ignore[operator]
    table = [HEADER]
    for split, count in (("train", 598), ("val", 198), ("test", 222)):
        text = (annotations / "dada2000" / f"{split}_file.json").read_text()
        (tmp_path / f"{split}_file.json").write_text(text)
        clips = {tuple(clip) for clip, _ in json.loads(text)}
        assert len(clips) == count
        table += [f"{int(video)},{number},1,61,90\n" for number, video in clips]
    (tmp_path / TABLE).write_text("".join(dict.fromkeys(table)))
    with caplog.at_level(logging.WARNING):
        found = read(tmp_path)
    splits = [record.split for record in found]
    assert [splits.count(split) for split in ("train", "val", "test")] == [598, 193, 222]
    assert "5 clips are in two lists" in caplog.text

    (tmp_path / TABLE).unlink()
    badas = str(annotations / "badas" / "dada2000_small_test_concensus.csv")
    found = read(tmp_path, badas=badas, leave_out_unannotated=True)
    assert len(found) == 221
    assert {record.split for record in found} == {"test"}
    assert len(read(tmp_path, badas=badas, leave_out_unannotated=True, ego_only=True)) == 112
