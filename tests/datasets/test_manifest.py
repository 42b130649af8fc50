"""Own videos from a CSV: what is read, and what each wrong line is told."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from collision.datasets.manifest import Manifest
from collision.errors import AnnotationError, CollisionError, ConfigError, DatasetNotFoundError
from collision.records.files import prepare
from collision.sampling.index import Selection, index_records
from collision.sampling.policy import SamplingPolicy
from collision.video.index import index_video
from tests.kit.real import REAL

CONFIG = Path(__file__).parents[2] / "configs" / "dataset" / "manifest.yaml"


def manifest(tmp_path: Path, text: str | bytes, **options: Any) -> Manifest:
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Manifest(csv=str(path), **options)


def fault(tmp_path: Path, text: str, **options: Any) -> str:
    with pytest.raises(AnnotationError) as caught:
        manifest(tmp_path, text, **options).records()
    return str(caught.value)


def test_all_columns(tmp_path: Path):
    text = (
        "video,label,event_time,alert_time,group,split,weather,note\n"
        'a/1.mp4,1,12.5,11,drive_1,train,rain,"wet, dark"\n'
        "b/2.mp4,0,8,,drive_2,val,,\n"
    )
    first, second = manifest(tmp_path, text).records()
    assert (first.id, first.path) == ("1", tmp_path.resolve() / "a/1.mp4")
    assert (first.label, first.event_time, first.alert_time) == (1, 12.5, 11)
    assert (first.group, first.split) == ("drive_1", "train")
    assert first.tags == {"weather": "rain", "note": "wet, dark"}
    assert (second.label, second.event_time, second.mock_event_time) == (0, None, 8)
    assert second.tags == {}


def test_two_columns_are_enough(tmp_path: Path):
    records = manifest(tmp_path, "video,label\na.mp4,0\nb.mp4,0\n", split="val").records()
    assert [(r.id, r.group, r.split, r.mock_event_time) for r in records] == [
        ("a", "a.mp4", "val", None),
        ("b", "b.mp4", "val", None),
    ]


def test_ids_are_paths_where_stems_repeat(tmp_path: Path):
    text = "video,label\nx/1.mp4,0\ny/1.mp4,0\ny/2.mp4,0\n"
    assert [r.id for r in manifest(tmp_path, text).records()] == ["x/1.mp4", "y/1.mp4", "2"]
    text = "video,label\na.mp4,0\nd/a.mov,0\ne/a.mp4.avi,0\n"
    assert len({r.id for r in manifest(tmp_path, text).records()}) == 3


def test_columns_of_other_names(tmp_path: Path):
    text = "file,crash,event_time,seen\na.mp4,1,3,2.5\n"
    columns = {"video": "file", "label": "crash", "event_time": "seen"}
    (record,) = manifest(tmp_path, text, columns=columns).records()
    assert record.event_time == 2.5
    assert record.tags == {"event_time": "3"}


def test_a_column_can_be_left_unread(tmp_path: Path):
    text = "video,label,split\na.mp4,0,elsewhere\n"
    (record,) = manifest(tmp_path, text, columns={"split": None}).records()
    assert (record.split, record.tags) == ("test", {"split": "elsewhere"})


@pytest.mark.parametrize(
    "text",
    [
        b'\xef\xbb\xbfvideo,label,note\r\na.mp4,0,"x, y"\r\n\r\n',
        b'video , label,note\n "a.mp4",0,"x, y"\n'.replace(b' "a', b'"a'),
        b'"video","label","note"\n"a.mp4","0","x, y"',
    ],
)
def test_spellings_of_csv(tmp_path: Path, text: bytes):
    (record,) = manifest(tmp_path, text).records()
    assert (record.id, record.tags) == ("a", {"note": "x, y"})


ROWS = (
    *(("video", "label", "event_time", "group"), ("a.mp4", "0", "", "g")),
    *(("b.mp4", "1", "65.5", "g"), ("c, d.mp4", "0", "7", "h")),
)


def saved(separator: str = ",", **changed: str) -> str:
    """Spell the list as a program saves it; ``changed`` are fields that it spells in its way."""
    text = io.StringIO(newline="")
    rows = [[changed.get(f"_{field.replace('.', '_')}", field) for field in row] for row in ROWS]
    csv.writer(text, delimiter=separator).writerows(rows)
    return text.getvalue()


SPELLINGS: dict[str, str | bytes] = {
    "plain": saved(),
    "semicolons": saved(";"),
    "tabs": saved("\t"),
    "named": "sep=;\r\n" + saved(";"),
    "named comma, quoted": '"sep=,"\n' + saved(),
    "named and padded by a spreadsheet": "sep=;;;;\n" + saved(";"),
    "named in capitals, with a mark": b"\xef\xbb\xbfSEP=;\n" + saved(";").encode(),
    "a bar is named": "sep=|\n" + saved("|"),
    "blank lines on top": "\n  \n,,,\n" + saved(),
    "blank lines on top of semicolons": "\r\n;;;\r\n" + saved(";"),
    "once wider": saved(";").replace("\r\n", ";;\r\n"),
    "Unicode text of Excel": saved("\t").encode("utf-16"),
    "big-endian": b"\xfe\xff" + saved(";").encode("utf-16-be"),
    "yes and no": saved(_0="no", _1="yes"),
    "Yes and NO": saved(_0="NO", _1="Yes"),
    "True and FALSE": saved(_0="FALSE", _1="True"),
    "pandas": saved(_0="0.0", _1="1.0").replace(",,", ",NaN,"),
    "R": saved().replace(",,", ",NA,"),
    "minutes": saved(_65_5="1:05.5", _7="0:07"),
    "hours": saved(_65_5="00:01:05.500", _7="0:00:07"),
    "without suffixes": saved(_b_mp4="b"),
    "other case": saved(_b_mp4="B.MP4"),
    "Windows": saved(_b_mp4=".\\b.mp4"),
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_one_list_as_programs_save_it(tmp_path: Path, text: str | bytes):
    for name in ("a.mp4", "b.mp4", "c, d.mp4"):
        (tmp_path / name).touch()
    found = manifest(tmp_path, text).records()
    assert [(r.path.name, r.label, r.event_time, r.mock_event_time, r.group) for r in found] == [
        ("a.mp4", 0, None, None, "g"),
        ("b.mp4", 1, 65.5, None, "g"),
        ("c, d.mp4", 0, None, 7, "h"),
    ]


def test_a_group_without_a_value_is_none_that_others_share(tmp_path: Path):
    text = "video,label,group\na.mp4,0,NaN\nb.mp4,0,NaN\n"
    assert [r.group for r in manifest(tmp_path, text).records()] == ["a.mp4", "b.mp4"]


def test_a_name_that_two_files_can_mean_is_told_with_its_line(tmp_path: Path):
    for name in ("a.mp4", "a.mov", "b.MP4", "B.mp4"):
        (tmp_path / name).touch()
    message = fault(tmp_path, "video,label\na,0\nb.mp4,0\n")
    assert "line 2: video 'a' may be 'a.mp4' or 'a.mov': write the one that is meant" in message
    assert "line 3: video 'b.mp4' may be" in message


def test_clips_that_are_cut_already(tmp_path: Path):
    text = "video,label,event_time\na.mp4,1,\nb.mp4,0,\nc.mp4,1,4\n"
    records = manifest(tmp_path, text, cut_horizon=1.0).records()
    assert [(r.cut_horizon, r.event_time) for r in records] == [(1.0, None), (1.0, None), (None, 4)]
    assert "line 2: a positive needs an event_time" in fault(tmp_path, text)
    assert "cut_horizon=SECONDS" in fault(tmp_path, text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.mp4,2,,,g,test", "label '2' is neither 0 nor 1"),
        ("a.mp4,,,,g,test", "label '' is neither"),
        (",1,3,,g,test", "no video is named"),
        ("a.mp4,1,soon,,g,test", "event_time 'soon' is not a number"),
        ("a.mp4,1,-1,,g,test", "event_time '-1' is not a time"),
        ("a.mp4,1,nan,,g,test", "a positive needs an event_time"),
        ("a.mp4,1,inf,,g,test", "event_time 'inf' is not a time"),
        ("a.mp4,1,3,4,g,test", "alert_time 4 is after event_time 3"),
        ("a.mp4,0,,4,g,test", "a negative has no alert_time"),
        ("a.mp4,1,3,,g,dev", "split 'dev' is none of train, val, test"),
        ("a.mp4,1,3,,g,", "split '' is none of"),
        ("a.mp4,1,3,,g", "5 fields where the header has 6"),
        ("a,b.mp4,1,3,,g,test", "7 fields where the header has 6"),
        ("../a.mp4,0,,,g,test", "lies outside the root"),
        ("/etc/passwd,0,,,g,test", "lies outside the root"),
        (".,0,,,g,test", "lies outside the root"),
        ("loop,0,,,g,test", "is no path"),
        ("a\0.mp4,0,,,g,test", "is no path"),
        ("ok.mp4,0,,,g,test", "video 'ok.mp4' is in line 2 already"),
        ("./sub/../ok.mp4,0,,,g,test", "video 'ok.mp4' is in line 2 already"),
        ("a.mp4,0,,,shared,val", "group 'shared' is in val here and in test in line 2"),
    ],
)
def test_wrong_line(tmp_path: Path, line: str, message: str):
    root = tmp_path / "root"
    root.mkdir()
    (root / "loop").symlink_to(root / "loop")
    text = f"video,label,event_time,alert_time,group,split\nok.mp4,0,,,shared,test\n{line}\n"
    report = fault(tmp_path, text, root=str(root))
    assert "list.csv" in report
    assert "line 3: " in report
    assert message in report


def test_every_wrong_line_is_reported_at_once(tmp_path: Path):
    report = fault(tmp_path, "video,label\n" + "a.mp4,x\n" * 25)
    assert "25 line(s)" in report
    assert "line 2:" in report
    assert "line 21:" in report
    assert "line 22:" not in report
    assert "... and 5 more" in report


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column 'video'. It has: none"),
        ("video,label\n", "lists no video"),
        (
            "file,label\na.mp4,0\n",
            "It has: file, label. Name the one that holds it: dataset.columns.video=NAME.",
        ),
        ("file;label,x\na.mp4;0,1\n", "separated by semicolons: save it with commas alone."),
        ("sep=;\nvideo,label\na.mp4,0\n", "separated by commas"),
        ("video;label;event_time\na.mp4;1;5,187\n", "line 2: event_time '5,187' is not a number"),
        ("video,label,event_time\na.mp4,1,5,187\n", "line 2: 4 fields where the header has 3"),
        ("video,label,label\na.mp4,0,0\n", "two columns 'label'"),
        ('video,label\n"a.mp4,0\n', "line 2: unexpected end of data"),
    ],
)
def test_wrong_file(tmp_path: Path, text: str, message: str):
    assert message in fault(tmp_path, text)


def test_not_text(tmp_path: Path):
    with pytest.raises(AnnotationError, match="not UTF-8"):
        manifest(tmp_path, b"video,label\n\xff\xfe.mp4,0\n").records()


def test_mapped_column_must_be_there(tmp_path: Path):
    message = fault(tmp_path, "video,label\na.mp4,0\n", columns={"event_time": "evnt"})
    assert "no column 'evnt'" in message and "dataset.columns.event_time=NAME" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "dev"}, r"dataset\.split=dev"),
        ({"cut_horizon": -1}, r"dataset\.cut_horizon=-1"),
        ({"cut_horizon": "soon"}, r"dataset\.cut_horizon=soon"),
        ({"columns": {"labels": "label"}}, r"dataset\.columns\.labels"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        manifest(tmp_path, "video,label\n", **options)


def test_required_column_cannot_be_left_unread(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"columns\.label=null"):
        manifest(tmp_path, "video,label\na.mp4,0\n", columns={"label": None}).records()


def test_prepare_lists_missing_videos(tmp_path: Path):
    text = "video,label\nthere.mp4,0\ngone.mp4,0\n" + "x" * 300 + ".mp4,0\n"
    (tmp_path / "there.mp4").touch()
    with pytest.raises(DatasetNotFoundError, match=r"gone\.mp4") as caught:
        manifest(tmp_path, text).prepare()
    assert "there.mp4" not in caught.value.expected
    assert len(caught.value.expected) == 2
    for name in ("gone.mp4", "x" * 300 + ".mp4"):
        text = text.replace(f"{name},0\n", "")
    manifest(tmp_path, text).prepare()


def test_missing_videos_can_be_skipped_unless_all_are(tmp_path: Path):
    text = "video,label\nthere.mp4,0\ngone.mp4,0\n"
    (tmp_path / "there.mp4").touch()
    with pytest.raises(DatasetNotFoundError, match=r"skip_failures=true"):
        prepare(manifest(tmp_path, text), None)
    prepare(manifest(tmp_path, text), None, skip_missing=True)
    assert len(manifest(tmp_path, text).records()) == 2
    (tmp_path / "there.mp4").unlink()
    with pytest.raises(DatasetNotFoundError, match="2 of 2 listed videos"):
        prepare(manifest(tmp_path, text), None, skip_missing=True)


def test_only_the_videos_of_wanted_splits_must_be_there(tmp_path: Path):
    text = "video,label,split\nthere.mp4,0,test\ngone.mp4,0,train\n"
    (tmp_path / "there.mp4").touch()
    manifest(tmp_path, text).prepare(["test"])
    for splits in (["val"], ["test", "train"], None):
        with pytest.raises(DatasetNotFoundError, match=r"gone\.mp4"):
            manifest(tmp_path, text).prepare(splits)


def test_links_out_of_the_root_are_one_sentence_and_an_option(tmp_path: Path):
    """Footage often lies on another mount, with a link to it among one's own files."""
    own, mount = tmp_path / "own", tmp_path / "mount"
    own.mkdir()
    mount.mkdir()
    (own / "clips").symlink_to(mount)
    (own / "loop").symlink_to(own / "loop")
    rows = "".join(f"clips/{n}.mp4,0\n" for n in range(30))
    for number in range(30):
        (mount / f"{number}.mp4").touch()
    with pytest.raises(ConfigError) as caught:
        manifest(own, "video,label\n" + rows).records()
    assert str(caught.value).count("\n") == 0 and "dataset.allow_links=true" in str(caught.value)
    followed = manifest(own, "video,label\n" + rows, allow_links=True)
    followed.prepare()
    assert [r.path.exists() for r in followed.records()] == [True] * 30
    message = fault(own, "video,label\nclips/../../x.mp4,0\nloop,0\n", allow_links=True)
    assert "lies outside the root" in message and "loop" in message
    # The root itself may be a link: the user named it.
    (tmp_path / "named").symlink_to(mount)
    manifest(tmp_path, "video,label\n0.mp4,0\n", root=str(tmp_path / "named")).prepare()


def test_a_folder_is_no_list(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"that is a folder; give a CSV file.*write=clips\.csv"):
        Manifest(csv=str(tmp_path)).records()


def test_missing_file(tmp_path: Path):
    with pytest.raises(DatasetNotFoundError, match=r"nope\.csv"):
        Manifest(csv=str(tmp_path / "nope.csv")).prepare()


@given(text=st.text(alphabet='ab,"\n\r/.01é;\0', max_size=80))
def test_any_text_gives_records_or_an_error_for_users(
    text: str, tmp_path_factory: pytest.TempPathFactory
):
    folder = tmp_path_factory.getbasetemp()
    try:
        records = manifest(folder, "video,label\n" + text).records()
    except CollisionError:
        return
    assert all(record.path.is_relative_to(folder.resolve()) for record in records)
    assert len({record.id for record in records}) == len(records)


def test_config_names_every_argument(tmp_path: Path):
    (tmp_path / "list.csv").write_text("video,label\na.mp4,0\n")
    config = OmegaConf.load(CONFIG)
    config.csv = str(tmp_path / "list.csv")
    dataset = instantiate(config)
    assert isinstance(dataset, Manifest)
    assert [record.id for record in dataset.records()] == ["a"]


@pytest.mark.skipif(REAL is None, reason="the real clips are not here")
def test_real_clips():
    config = OmegaConf.load(CONFIG)
    config.csv = str(REAL / "clips.csv")  # type: ignore[operator]
    config.columns.event_time = "event_time_corrected"
    dataset = instantiate(config)
    dataset.prepare()
    records = dataset.records()
    assert len(records) == 30
    assert sum(record.label for record in records) == 22
    by_id = {record.id: record for record in records}
    assert by_id["000750"].event_time == 1.8  # the annotators said 3.4
    assert by_id["000478"].alert_time == 1.84
    assert by_id["udacity_test_small1"].group == by_id["udacity_test_small2"].group
    assert by_id["000001"].tags["note"] == "Day,Normal"


def test_the_list_that_comes_with_the_repository():
    examples = CONFIG.parents[2] / "examples"
    dataset = Manifest(csv=str(examples / "clips.csv"))
    dataset.prepare()
    index = index_records(dataset.name, dataset.records(), SamplingPolicy(), Selection(["test"]))
    assert [e.label for e in index.examples["test"]] == [1, 1, 1, 0, 0, 0]
    for record in dataset.records():
        assert index_video(record.path).duration > (record.event_time or 0)
        assert record.path.stat().st_size < 150_000
