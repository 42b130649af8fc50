"""Names as they come from cameras, spreadsheets and other systems mean the files that are there."""

import unicodedata
from pathlib import Path

import pytest

from collision.records.annotations import path_below
from collision.records.files import VideosNotFoundError, require_videos
from collision.records.near import with_other_suffix


def touched(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root.resolve()


@pytest.mark.parametrize(
    ("there", "text"),
    [
        ("a.MP4", "a.mp4"),
        ("Monday/A.mp4", "monday/a.MP4"),
        ("monday/a.mp4", "monday\\a.mp4"),
        ("monday/a.mp4", ".\\Monday\\a"),
        ("a.mkv", "a"),
        ("trip.1.mov", "trip.1"),
        (unicodedata.normalize("NFD", "Fahrt_über_Ä.mp4"), "Fahrt_über_Ä.mp4"),
        (unicodedata.normalize("NFC", "José/á.mp4"), unicodedata.normalize("NFD", "José/á.MP4")),
        ("a\\b.mp4", "a\\b.mp4"),  # a file may really be called so
    ],
)
def test_the_one_file_that_a_name_can_mean_is_found(tmp_path: Path, there: str, text: str):
    root = touched(tmp_path, there, "b.mp4", "._a.mp4", "a.csv", "a.txt")
    assert path_below(root, text) == root / there


@pytest.mark.parametrize(
    ("there", "text"),
    [
        (["a.mp4", "a.mov"], "a"),
        (["a.MP4", "A.mp4"], "a.mp4"),
        (["Da/a.mp4", "dA/a.mp4"], "da/a.mp4"),
    ],
)
def test_a_name_that_may_mean_several_is_refused_with_all_of_them(tmp_path: Path, there, text):
    root = touched(tmp_path, *there)
    with pytest.raises(ValueError, match=r"may be .* or .*: write the one") as told:
        path_below(root, text)
    assert all(repr(name) in str(told.value) for name in there)


def test_a_name_that_is_there_is_meant_whatever_is_like_it(tmp_path: Path):
    root = touched(tmp_path, "a.mp4", "A.mp4", "a.MP4")
    assert path_below(root, "A.mp4") == root / "A.mp4"


def test_paths_of_windows_never_leave_the_root(tmp_path: Path):
    root = touched(tmp_path / "root", "a.mp4")
    touched(tmp_path, "b.mp4")
    for text in ("..\\b.mp4", "\\\\server\\share\\b.mp4", "\\etc\\passwd"):
        with pytest.raises(ValueError, match="outside the root"):
            path_below(root, text)
    with pytest.raises(ValueError, match=r"a path of Windows: write it relative"):
        path_below(root, "C:\\clips\\a.mp4")


def test_what_is_like_a_link_is_checked_as_a_link(tmp_path: Path):
    root = touched(tmp_path / "root", "blobs/5e4")
    (root / "A.MP4").symlink_to(root / "blobs/5e4")
    assert path_below(root, "a.mp4") == root / "A.MP4"


def test_a_missing_file_is_told_with_what_is_near(tmp_path: Path):
    root = touched(tmp_path, "d/a.avi", "d/b.mp4", "d/.a.mp4")
    assert with_other_suffix(root / "d/a.mp4") == ["a.avi"]
    with pytest.raises(VideosNotFoundError, match=r"d/a\.mp4 \(there is a\.avi\)\n  d/c.mp4\n"):
        require_videos(root, [root / "d/a.mp4", root / "d/b.mp4", root / "d/c.mp4"], "")


def test_a_file_that_comes_later_is_seen(tmp_path: Path):
    root = touched(tmp_path, "b.mp4")
    assert path_below(root, "a") == root / "a"
    touched(tmp_path / "d", "a.mp4")
    touched(tmp_path, "A.mp4")
    assert path_below(root, "a") == root / "A.mp4"
