"""Which clips arguments mean, what they are called, and which event time is whose."""

import pytest

from collision.commands._clips import check_clips, clips_of, read_event_times
from collision.errors import AnnotationError, CollisionError, ConfigError, VideoDecodeError


@pytest.fixture
def cams(tmp_path, monkeypatch):
    for name in ("cam1/a.mp4", "cam1/sub/b.MOV", "cam2/a.mp4", "cam2/.hidden.mp4", "cam2/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*arguments):
    return [clip.name for clip in clips_of(list(arguments))]


def test_folders_hold_their_videos_and_keep_their_names(cams):
    assert names("cam1", "cam2") == ["cam1/a", "cam1/sub/b", "cam2/a"]
    wanted = ("cam1/a", "cam1/sub/b", "cam2/a")
    assert names(".") == [f"{cams.name}/{name}" for name in wanted]
    assert names("cam1/") == ["cam1/a", "cam1/sub/b"]


def test_files_of_one_name_are_kept_apart(cams):
    assert names("cam1/a.mp4", "cam2/a.mp4") == ["cam1/a.mp4", "cam2/a.mp4"]
    (cams / "cam1/a.avi").touch()
    assert names("cam1/a.mp4", "cam1/a.avi") == ["a.mp4", "a.avi"]
    assert names("cam1/a.mp4", "./cam1/a.mp4", str(cams / "cam1/a.mp4")) == ["a"]
    (cams / "cam1/A.mp4").touch()  # some disks hold them for one
    assert len({name.casefold() for name in names("cam1/a.mp4", "cam1/A.mp4")}) == 2


def test_patterns(cams):
    assert names("cam*/*.mp4") == ["cam1/a", "cam2/a"]
    assert names("**/*.M*") == ["cam1/sub/b"]
    assert sorted(names("**")) == ["cam1/a", "cam1/sub/b", "cam2/a"]
    (cams / "odd[1].mp4").touch()
    assert names("odd[1].mp4") == ["odd[1]"]  # a file of that very name


def test_links_in_a_circle_end(cams):
    (cams / "cam1" / "sub" / "back").symlink_to(cams / "cam1")
    assert names("cam1") == ["cam1/a", "cam1/sub/b"]


def test_addresses_and_hidden_names_stay_in_the_folder(cams):
    assert names("http://h/x/drive.mp4?token=a/b") == ["drive"]
    assert names("https://h/..%2F..%2Fetc.mp4") == ["etc"]
    for name in names("http://h/", "http://h/..", "http://a/.mp4", "cam2/.hidden.mp4"):
        assert name and not name.startswith((".", "/")) and ".." not in name.split("/")
    assert names("http://a/x.mp4", "http://b/x.mp4") == ["x.mp4", "x.mp4-2"]


def test_folders_of_images_and_empty_ones(cams):
    (cams / "images").mkdir()
    (cams / "images" / "1.png").touch()
    assert names("images") == ["images"]
    (cams / "none").mkdir()
    with pytest.raises(ConfigError, match="'none' holds no video"):
        names("none")


def test_what_is_not_there_is_told_early(cams):
    check_clips(["cam1/a.mp4", "nowhere.mp4"])
    with pytest.raises(VideoDecodeError, match="no file matches this pattern"):
        check_clips(["nowhere/*.mp4"])
    with pytest.raises(CollisionError, match="None of the clips is there: a, b"):
        check_clips(["a", "b"])
    with pytest.raises(ConfigError, match=r"rtsp://\*\*\*@h/x is a stream: predict it alone"):
        check_clips(["rtsp://me:secret@h/x", "cam1/a.mp4"])


def test_event_times_find_their_clips(cams):
    clips = clips_of(["cam1", "cam2", "http://h/drive.mp4?x=1"])
    file = cams / "events.csv"
    file.write_text("video;event_time\ncam1/a.mp4;1.5\ncam2/a;00:02\nb;3\nother.mp4;4\ndrive;5\n")
    found = read_event_times(file, clips)
    own = [str(cams / name) for name in ("cam1/a.mp4", "cam2/a.mp4", "cam1/sub/b.MOV")]
    assert [found[path] for path in own] == [1.5, 2.0, 3.0]
    assert found["http://h/drive.mp4?x=1"] == 5.0 and len(found) == 4
    for text, words in {
        "a.mp4,1": "video 'a.mp4' may be",
        "cam1/a.mp4,soon": "event_time 'soon' is not a number",
        "cam1/a.mp4,1\ncam1/a,2": "is in line 2 already",
        ",1": "the field 'video' is empty",
    }.items():
        file.write_text(f"video,event_time\n{text}\n")
        with pytest.raises(AnnotationError, match=words):
            read_event_times(file, clips)
    file.write_text("video,event_time\ncam1/a.mp4,\n")
    assert read_event_times(file, clips) == {}
