"""A list made from a folder: what its folders' names say, and nothing that they don't."""

from pathlib import Path

import pytest

from collision.errors import ConfigError
from collision.records.listing import list_videos


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_labels_and_groups_come_from_folders(tmp_path: Path):
    names = ("Near-Misses/a.mp4", "normal/drive_7/b.MP4", "drive_8/c.mkv", "d.avi", "notes.txt")
    folder = touched(tmp_path / "clips", *names, ".hidden/e.mp4", ".f.mp4", "drive_8/._c.mkv")
    listed = list_videos(folder, tmp_path / "clips.csv")
    assert listed.root == tmp_path
    assert [tuple(row.values()) for row in listed.rows] == [
        ("clips/Near-Misses/a.mp4", "1", "", ""),
        ("clips/d.avi", "", "", ""),
        ("clips/drive_8/c.mkv", "", "", "drive_8"),
        ("clips/normal/drive_7/b.MP4", "0", "", "normal/drive_7"),
    ]
    assert (listed.num_unlabelled, listed.num_untimed) == (2, 1)


def test_paths_are_relative_to_the_folder_where_the_list_lies_elsewhere(tmp_path: Path):
    folder = touched(tmp_path / "crashes", "1/a.mp4")
    listed = list_videos(folder, tmp_path / "lists" / "clips.csv")
    assert listed.root == folder
    assert [(row["video"], row["label"]) for row in listed.rows] == [("1/a.mp4", "1")]


def test_what_is_no_folder_of_videos_is_said(tmp_path: Path):
    touched(tmp_path / "pictures", "a.jpg")
    with pytest.raises(ConfigError, match=r"holds no video \(\.mp4"):
        list_videos(tmp_path / "pictures", tmp_path / "clips.csv")
    with pytest.raises(ConfigError, match="is no folder"):
        list_videos(tmp_path / "nowhere", tmp_path / "clips.csv")


@pytest.mark.parametrize(
    ("name", "label", "is_group"),
    [
        ("ccd_crash", "1", False),
        ("Crash-1500", "1", False),
        ("normal driving", "0", False),
        ("near_miss_2024", "1", False),
        ("fleet-no-crash", "0", False),
        ("non crashes", "0", False),
        ("crash_and_normal", "", True),  # of both
        ("crashcam", "", True),  # no word of its own
        ("event_12", "", True),
        ("drive_7", "", True),
    ],
)
def test_a_word_of_a_folders_name_is_its_label(name, label, is_group, tmp_path: Path):
    (row,) = list_videos(touched(tmp_path, f"{name}/a.mp4"), tmp_path / "clips.csv").rows
    assert (row["label"], row["group"]) == (label, name * is_group)


def test_folders_numbered_one_by_one_are_groups_with_a_label(tmp_path: Path):
    """Views of one crash belong together."""
    names = ("crash_01/a.mp4", "crash_01/b.mp4", "crash_02/a.mp4", "normal/a.mp4")
    listed = list_videos(touched(tmp_path, *names), tmp_path / "clips.csv")
    assert [row["label"] for row in listed.rows] == ["1", "1", "1", "0"]
    assert listed.groups == {"crash_01": 2, "crash_02": 1}


def test_the_listed_folder_itself_must_be_called_just_like_a_label(tmp_path: Path):
    folder = touched(tmp_path / "crash_study", "a.mp4")
    assert list_videos(folder, tmp_path / "clips.csv").rows[0]["label"] == ""
