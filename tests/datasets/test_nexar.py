"""Nexar's tables in both layouts: what is read, what each wrong line is told, what is submitted."""

import csv
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from collision.datasets.nexar import (
    Nexar,
    read_ids,
    read_metadata,
    read_solution,
    read_sources,
    read_train,
)
from collision.errors import AnnotationError, ConfigError, DatasetNotFoundError, MetricError
from collision.evaluation.evaluation import _told_of
from collision.evaluation.numbers import judge
from collision.records.files import prepare
from collision.types import UNLABELLED, VideoRecord
from collision.video.index import index_video
from tests.kit.layouts import nexar
from tests.kit.real import REAL
from tests.kit.scores import made_up_scores

CONFIG = Path(__file__).parents[2] / "configs" / "dataset" / "nexar.yaml"
LAYOUTS = ("huggingface", "kaggle")
METADATA = "file_name,time_of_event,time_of_alert,light_conditions,weather,scene,time_to_accident\n"
TRAIN = "id,time_of_event,time_of_alert,target\n"
SOLUTION = "id,target,group,Usage\n"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The default data in each layout; tests that change it copy it first."""
    folders = {layout: tmp_path_factory.mktemp(layout) / "nexar" for layout in LAYOUTS}
    for layout, folder in folders.items():
        nexar.write(folder, layout)
    return folders


@pytest.fixture
def hub(written: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(written["huggingface"], tmp_path / "hub"))


@pytest.fixture
def kaggle(written: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(written["kaggle"], tmp_path / "kaggle"))


def records_of(root: Path, **options: Any) -> dict[str, VideoRecord]:
    records = Nexar(str(root), **options).records()
    assert len({record.id for record in records}) == len(records)
    return {record.id: record for record in records}


def fault(root: Path) -> AnnotationError:
    with pytest.raises(AnnotationError) as caught:
        Nexar(str(root)).records()
    return caught.value


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {path}"
    path.write_text(text.replace(old, new))


# What is read


@pytest.mark.parametrize("layout", LAYOUTS)
def test_both_layouts_give_the_same(written: dict[str, Path], layout: str):
    dataset = Nexar(str(written[layout]))
    dataset.prepare()
    records = {record.id: record for record in dataset.records()}
    assert len(records) == 16 + 12
    positive = records["00001"]
    assert (positive.label, positive.split, positive.group) == (1, "train", "00001")
    assert (positive.event_time, positive.alert_time) == (3.8, 2.6)
    assert (positive.cut_horizon, positive.mock_event_time) == (None, None)
    assert records["00000"].label == 0 and records["00000"].event_time is None
    counts = Counter((r.label, r.cut_horizon) for r in records.values() if r.split == "test")
    assert counts == {(label, cut): 2 for label in (0, 1) for cut in (0.5, 1.0, 1.5)}
    clip = records["01003"]  # its table says 23.8 s, in the uncut video
    assert (clip.label, clip.event_time, clip.alert_time) == (1, None, None)
    assert clip.tags["usage"] == "Public" and records["01009"].tags["usage"] == "Private"


def test_tags_come_from_the_metadata(written: dict[str, Path]):
    records = records_of(written["huggingface"])
    assert records["00002"].tags == {"light": "Dark", "weather": "Clear", "scene": "Urban"}
    assert records["00000"].tags == {"light": "Normal", "scene": "Urban"}
    assert set(records["01003"].tags) == {"light", "weather", "scene", "usage"}
    assert records_of(written["kaggle"])["00002"].tags == {}


def test_the_test_clips_end_where_they_are_said_to(written: dict[str, Path]):
    """The anchor of a cut clip is its end: that is `cut_horizon` before the event."""
    records = records_of(written["huggingface"])
    durations = {r.id: index_video(r.path).frame_times[-1] for r in records.values()}
    event = 3.8  # of the first positive source
    for name in ("01003", "01004", "01005"):
        cut = records[name].cut_horizon
        assert cut is not None and durations[name] == pytest.approx(event - cut, abs=0.01)


def test_one_table_above_the_classes(hub: Path):
    expected = records_of(hub)
    for split in ("train", "test-public"):
        lines = [METADATA]
        for name in ("positive", "negative"):
            table = hub / split / name / "metadata.csv"
            lines += [f"{name}/{line}\n" for line in table.read_text().splitlines()[1:]]
            table.unlink()
        (hub / split / "metadata.csv").write_text("".join(lines))
    assert records_of(hub) == expected


def test_the_earlier_revision_has_no_cuts(hub: Path):
    for folder in ("test-public", "test-private"):
        shutil.rmtree(hub / folder)
    for table in (hub / "train").rglob("metadata.csv"):
        lines = [line.rpartition(",")[0] for line in table.read_text().splitlines()]
        table.write_text("\n".join(lines))
    assert sum(record.label for record in records_of(hub).values()) == 8


def test_without_a_column_of_cuts_the_solution_says_them(hub: Path):
    expected = records_of(hub)
    for table in hub.rglob("metadata.csv"):
        lines = [line.rpartition(",")[0] for line in table.read_text().splitlines()]
        table.write_text("\n".join(lines))
    assert records_of(hub) == expected
    (hub / "solution.csv").unlink()
    error = fault(hub)
    assert "time_to_accident is empty, and there is no solution.csv" in str(error)
    tables = {one.file for one in error.rejected}  # all of them, each with its three clips
    assert len(tables) == 4
    assert [one.line for one in error.rejected] == [2, 3, 4] * 4


def test_without_a_solution_kaggles_clips_have_no_label(kaggle: Path):
    (kaggle / "solution.csv").unlink()
    test = [record for record in records_of(kaggle).values() if record.split == "test"]
    assert len(test) == 12
    assert {(r.label, r.cut_horizon, r.event_time) for r in test} == {(UNLABELLED, 0.0, None)}
    assert all("usage" not in record.tags for record in test)


def test_an_empty_solution_is_not_the_same_as_none(kaggle: Path):
    (kaggle / "solution.csv").write_text(SOLUTION)
    assert "id '01000' is not in solution.csv" in str(fault(kaggle))


def test_unpadded_ids_are_padded(kaggle: Path):
    assert "\n7," in (kaggle / "train.csv").read_text()
    assert records_of(kaggle)["00007"].path == (kaggle / "train/00007.mp4").resolve()


def test_stems_that_repeat_are_qualified(kaggle: Path):
    replace_in(kaggle / "test.csv", "\n1011\n", "\n3\n")
    replace_in(kaggle / "solution.csv", "\n1011,", "\n3,")
    records = records_of(kaggle)
    assert {"train/00003", "test/00003", "00001"} <= set(records)
    assert records["train/00003"].group == "train/00003"
    scores = {"test/00003": 0.25}
    Nexar(str(kaggle)).write_submission(kaggle / "out.csv", scores)
    assert "\n3,0.25\n" in (kaggle / "out.csv").read_text()


# Groups


def test_groups_are_those_of_the_owners_list(written: dict[str, Path]):
    records = records_of(written["huggingface"])
    groups = Counter(r.group for r in records.values() if r.split == "test")
    assert set(groups.values()) == {3} and len(groups) == 4
    assert records["01000"].group == records["01002"].group != records["01003"].group


def test_groups_from_equal_times_and_tags(hub: Path):
    (hub / "time_to_accident_test_map.csv").unlink()
    for split in ("test-public", "test-private"):
        for table in (hub / split).rglob("metadata.csv"):
            table.write_text(table.read_text().replace("Dark", "Normal"))
    records = records_of(hub)
    groups = Counter(r.group for r in records.values() if r.split == "test" and r.label)
    assert sorted(groups.values()) == [3, 3]
    assert all(r.group == r.id for r in records.values() if r.label == 0)
    table = hub / "test-public/positive/metadata.csv"
    replace_in(table, "01004.mp4,23.800,22.600,Normal", "01004.mp4,23.800,22.600,Dark")
    assert records_of(hub)["01004"].group != records_of(hub)["01003"].group


def test_kaggle_takes_the_list_too(kaggle: Path, written: dict[str, Path]):
    assert records_of(kaggle)["01000"].group == "01000"
    shutil.copy(written["huggingface"] / "time_to_accident_test_map.csv", kaggle)
    assert records_of(kaggle)["01000"].group == records_of(kaggle)["01001"].group


def test_sources_with_gaps(tmp_path: Path):
    """pandas writes a column that has gaps as floats."""
    file = tmp_path / "map.csv"
    file.write_text("0.5,1.0,1.5\n7,2000.0,\n8,,\n")
    assert read_sources(file) == {"00007": "source_2", "02000": "source_2", "00008": "source_3"}
    file.write_text("0.5,1.0,1.5\n7,8,\n9,7,\n")
    with pytest.raises(AnnotationError, match="line 3: '00007' is in line 2 already"):
        read_sources(file)


# Splits


def test_held_out_where_the_test_clips_are_not_there(written: dict[str, Path], tmp_path: Path):
    root = tmp_path / "nexar"
    nexar.write(root, "kaggle", num_train=40, num_sources=0)
    records = records_of(root)
    held_out = {name for name, record in records.items() if record.split == "test"}
    assert 2 <= len(held_out) <= 16
    assert all(records[name].tags == {"usage": "Held-out"} for name in held_out)
    assert all(records[name].cut_horizon is None for name in held_out)
    assert {r.split for r in records_of(root, test_fraction=0).values()} == {"train"}
    assert held_out < {
        n for n, r in records_of(root, test_fraction=0.7).items() if r.split == "test"
    }
    assert sum(r.split == "train" for r in records_of(written["kaggle"]).values()) == 16


@pytest.mark.parametrize("value", [1, -0.1, float("nan")])
def test_wrong_fraction(tmp_path: Path, value: float):
    with pytest.raises(ConfigError, match="test_fraction"):
        Nexar(str(tmp_path), test_fraction=value)


# What is not there


def test_nothing_there_names_both_layouts(tmp_path: Path):
    for root in (tmp_path, tmp_path / "nope"):
        with pytest.raises(DatasetNotFoundError) as caught:
            Nexar(str(root)).prepare()
        message = str(caught.value)
        assert "Hugging Face: train/positive" in message and "or Kaggle:    train/*.mp4" in message
        assert "huggingface.co/datasets/nexar-ai" in message and "dataset.root=FOLDER" in message


@pytest.mark.parametrize(
    ("layout", "gone", "missing"),
    [
        ("huggingface", "train/negative", ["train/negative", "train/negative/metadata.csv"]),
        ("huggingface", "train/positive/metadata.csv", ["train/positive/metadata.csv"]),
        ("huggingface", "test-private/positive/metadata.csv", None),
        ("kaggle", "train.csv", ["train.csv"]),
        ("kaggle", "train", ["train"]),
        ("kaggle", "test.csv", ["test.csv"]),
        ("kaggle", "test", ["test"]),
    ],
)
def test_incomplete(
    written: dict[str, Path], tmp_path: Path, layout: str, gone: str, missing: list[str] | None
):
    root = Path(shutil.copytree(written[layout], tmp_path / "nexar"))
    path = root / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DatasetNotFoundError, match="The download is incomplete") as caught:
        Nexar(str(root)).prepare()
    assert caught.value.expected == (missing or [gone])


def test_both_layouts_at_once(hub: Path, kaggle: Path):
    shutil.copy(kaggle / "train.csv", hub)
    with pytest.raises(ConfigError, match="holds both layouts: train/negative is from Hugging"):
        Nexar(str(hub)).records()


def test_a_table_that_is_a_folder(kaggle: Path):
    (kaggle / "solution.csv").unlink()
    (kaggle / "solution.csv").mkdir()
    with pytest.raises(AnnotationError, match=r"solution\.csv': Is a directory"):
        Nexar(str(kaggle)).records()


def test_missing_videos_are_listed(kaggle: Path):
    for number in range(2, 16):
        (kaggle / f"train/{number:05d}.mp4").unlink()
    for path in (kaggle / "test").glob("*.mp4"):
        path.unlink()
    assert len(records_of(kaggle)) == 28
    with pytest.raises(DatasetNotFoundError, match="skip_failures=true") as caught:
        Nexar(str(kaggle)).prepare()
    expected = caught.value.expected
    assert expected[0] == "train/00002.mp4" and len(expected) == 26
    assert "... and 6 more" in str(caught.value)
    prepare(Nexar(str(kaggle)), None, skip_missing=True)


# Wrong lines


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3,9,8,2", "target '2' is neither 0 nor 1"),
        ("3,9,8,", "target '' is neither"),
        ("3,9,8,1.5", "target '1.5' is neither"),
        ("x,9,8,1", "id 'x' is no number"),
        ("-3,9,8,1", "id '-3' is no number"),
        ("123456,9,8,1", "id '123456' is no number of up to 5 digits"),
        ("../3,9,8,1", "is no number"),
        ("\N{ARABIC-INDIC DIGIT THREE},9,8,1", "is no number"),
        ("3,8,9,1", "time_of_alert 9 is after time_of_event 8"),
        ("3,,8,1", "time_of_alert 8 without a time_of_event"),
        ("3,,,1", "a positive needs a time_of_event"),
        ("3,9,8,0", "a negative has no time_of_event"),
        ("3,,8,0", "a negative has no time_of_event"),
        ("3,19500,8,1", "time_of_event 19500 is beyond any video"),
        ("3,soon,8,1", "time_of_event 'soon' is not a number"),
        ("3,1_9,8,1", "time_of_event '1_9' is not a number"),
        ("3,inf,8,1", "time_of_event 'inf' is not a time"),
        ("3,-9,8,1", "time_of_event '-9' is not a time"),
        ("3,9,8", "3 fields where the header has 4"),
        ("3,9,8,1,x", "5 fields where the header has 4"),
        ("1,9,8,1", "'00001' is in line 2 already"),
        ("00001,9,8,1", "'00001' is in line 2 already"),
    ],
)
def test_wrong_line_of_train(tmp_path: Path, line: str, message: str):
    (tmp_path / "train").mkdir()
    (tmp_path / "train.csv").write_text(f"{TRAIN}1,9,8,1\n{line}\n", encoding="utf-8")
    error = fault(tmp_path)
    (rejected,) = error.rejected
    assert (rejected.file, rejected.line) == (tmp_path / "train.csv", 3)
    assert message in rejected.reason and "train.csv, line 3: " in str(error)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("00003.txt,9,8,,,,", "is no .mp4 in a folder positive or negative"),
        ("else/00003.mp4,9,8,,,,", "is no .mp4 in a folder positive or negative"),
        (",9,8,,,,", "is no .mp4"),
        ("crash.mp4,9,8,,,,", "id 'crash' is no number"),
        ("../../../positive/00003.mp4,9,8,,,,", "lies outside the root"),
        ("00003.mp4,9,8,,,,0.7", "time_to_accident 0.7 is none of 0.5, 1, 1.5"),
        ("00003.mp4,9,8,,,", "6 fields where the header has 7"),
        ("00001.mp4,9,8,,,,", "00001.mp4' is in line 2 already"),
        ("00003.mp4,,,,,,", "a positive needs a time_of_event"),
    ],
)
def test_wrong_line_of_metadata(tmp_path: Path, line: str, message: str):
    root = tmp_path / "nexar"
    for name in ("positive", "negative"):
        (root / "train" / name).mkdir(parents=True)
        (root / "train" / name / "metadata.csv").write_text(METADATA)
    table = root / "train/positive/metadata.csv"
    table.write_text(f"{METADATA}00001.mp4,9,8,,,,\n{line}\n")
    (rejected,) = fault(root).rejected
    assert (rejected.file, rejected.line) == (table, 3)
    assert message in rejected.reason


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3,1,3,Public", "group '3' is none of 0, 1, 2"),
        ("3,1,,Public", "group '' is none"),
        ("3,2,0,Public", "target '2'"),
        ("3,1,0,public", "Usage 'public' is neither Public nor Private"),
        ("1,1,0,Public", "'00001' is in line 2 already"),
    ],
)
def test_wrong_line_of_a_solution(tmp_path: Path, line: str, message: str):
    file = tmp_path / "solution.csv"
    file.write_text(f"{SOLUTION}1,1,0,Public\n{line}\n")
    with pytest.raises(AnnotationError) as caught:
        read_solution(file)
    (rejected,) = caught.value.rejected
    assert rejected.line == 3 and message in rejected.reason


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1003,1,", "1003,0,", "label 1 here, but 0 in solution.csv"),
        ("1003,1,0", "1003,1,2", "horizon 0.5 here, but 1.5 in solution.csv"),
        ("1003,1,0,Public", "1003,1,0,Private", "usage Public here, but Private"),
        ("1003,", "2003,", "id '01003' is not in solution.csv"),
    ],
)
def test_tables_that_disagree(hub: Path, old: str, new: str, message: str):
    replace_in(hub / "solution.csv", old, new)
    (rejected,) = fault(hub).rejected
    assert (rejected.file, rejected.line) == (hub / "test-public/positive/metadata.csv", 2)
    assert message in rejected.reason


def test_a_missing_column_is_named(kaggle: Path):
    replace_in(kaggle / "train.csv", "time_of_alert", "alert")
    assert "no column 'time_of_alert'. It has: id, time_of_event, alert" in str(fault(kaggle))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tables_without_a_line(tmp_path: Path, layout: str):
    if layout == "kaggle":
        (tmp_path / "train").mkdir()
        (tmp_path / "train.csv").write_text(TRAIN)
    else:
        for name in ("positive", "negative"):
            (tmp_path / "train" / name).mkdir(parents=True)
            (tmp_path / "train" / name / "metadata.csv").write_text(METADATA)
    assert "list no video" in str(fault(tmp_path))


# Any line at all

TABLES = {
    read_train: (TRAIN, ["7,9.5,8.25,1", "8,,,0"]),
    read_metadata: (METADATA, ["00007.mp4,9.5,8.25,Dark,Rain,Urban,0.500", "00008.mp4,9,,,,,"]),
    read_solution: (SOLUTION, ["7,1,2,Private", "8,0,0,Public"]),
    read_ids: ("id,score\n", ["7,0.5", "00008,0"]),
    read_sources: ("0.5,1.0,1.5\n", ["7,9,10", "8,,"]),
}


@pytest.mark.parametrize("read", TABLES, ids=lambda read: read.__name__)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_line_is_read_or_rejected(tmp_path: Path, read: Any, data: st.DataObject):
    """A character put into, taken from or changed in one line touches that line alone."""
    header, lines = TABLES[read]
    number = data.draw(st.integers(0, len(lines) - 1))
    line = lines[number]
    begin = data.draw(st.integers(0, len(line)))
    end = data.draw(st.integers(begin, min(len(line), begin + 2)))
    # A quote may join lines, and a line break adds one: the test of annotations has those.
    characters = st.characters(exclude_characters='"\r\n', exclude_categories=("Cs",))
    text = data.draw(st.text("0123456789.,-/ e", max_size=2) | st.text(characters, max_size=2))
    mutated = line[:begin] + text + line[end:]
    folder = tmp_path / "positive"
    folder.mkdir(exist_ok=True)
    file = folder / "table.csv"
    good = [other for other in lines if other != line]
    file.write_text(header + "\n".join([*good, mutated]) + "\n", encoding="utf-8")
    try:
        values = read(file)
    except AnnotationError as error:
        assert [(one.file, one.line) for one in error.rejected] == [(file, 2 + len(good))]
        return
    file.write_text(header + "\n".join(good) + "\n")
    assert read(file).items() <= values.items()  # the other line is as it was


# The submission


def rows_of(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="") as file:
        header, *rows = [tuple(row) for row in csv.reader(file)]
    assert header == ("id", "score")
    return rows  # type: ignore[return-value]


@pytest.mark.parametrize(("layout", "first"), [("huggingface", "01000"), ("kaggle", "1000")])
def test_submission(written: dict[str, Path], tmp_path: Path, layout: str, first: str):
    path = tmp_path / "submission.csv"
    Nexar(str(written[layout])).write_submission(path, {"01000": 1 / 3, "01002": 1})
    rows = rows_of(path)
    assert len(rows) == 12 and rows[0][0] == first
    assert [float(score) for _, score in rows[:4]] == [1 / 3, 0, 1, 0]  # no digit is lost


def test_submission_without_labels_and_with_ids_of_the_owners(kaggle: Path):
    (kaggle / "solution.csv").unlink()
    (kaggle / "sample_submission.csv").write_text("id,score\n01001,0\n01000,0\n09999,0\n")
    Nexar(str(kaggle)).write_submission(kaggle / "out.csv", {"01001": 0.5})
    rows = dict(rows_of(kaggle / "out.csv"))
    assert rows["01001"] == "0.5" and rows["09999"] == "0.0" and len(rows) == 13


def test_scores_of_train_videos_are_not_submitted(written: dict[str, Path], tmp_path: Path):
    """Folds and held-out videos are scored as test splits are."""
    dataset = Nexar(str(written["kaggle"]))
    dataset.write_submission(tmp_path / "none.csv", {"00001": 0.5})
    assert not (tmp_path / "none.csv").exists()
    dataset.write_submission(tmp_path / "some.csv", {"00001": 0.5, "01001": 0.25})
    rows = dict(rows_of(tmp_path / "some.csv"))
    assert rows["1001"] == "0.25" and len(rows) == 12


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"nope": 0.5}, "not in the data set, such as .'nope'"),
        ({"1000": 0.5}, "Test clips are called like .'01000'"),
        ({"01000": 1.5}, "score of '01000' is 1.5"),
        ({"01000": float("nan")}, "score of '01000' is nan"),
    ],
)
def test_wrong_scores(
    written: dict[str, Path], tmp_path: Path, scores: dict[str, float], message: str
):
    with pytest.raises(MetricError, match=message):
        Nexar(str(written["kaggle"])).write_submission(tmp_path / "out.csv", scores)
    assert not (tmp_path / "out.csv").exists()


# The configuration, and the real files


def test_pages_name_its_near_collisions():
    """No tag tells which of its positives they are."""
    scored = replace(made_up_scores(20), tags={})
    numbers = judge([scored], num_resamples=5, thresholds=[0.5])
    told = _told_of(Nexar(Path("nowhere")), numbers)
    assert [one.near_collisions for one in told.warned] == [True]
    assert [one.near_collisions for one in _told_of(object(), numbers).warned] == [False]


def test_unknown_groups_are_said(hub: Path, kaggle: Path, tmp_path: Path):
    """Kaggle has no list of source events: its test clips count as independent, wrongly."""
    assert Nexar(hub).unknown_groups == ""
    assert "time_to_accident_test_map.csv is not in" in Nexar(kaggle).unknown_groups
    test = [r for r in Nexar(kaggle).records() if r.split == "test"]
    assert len({r.group for r in test}) == len(test)
    shutil.copy(hub / "time_to_accident_test_map.csv", kaggle)
    assert Nexar(kaggle).unknown_groups == ""
    assert len({r.group for r in Nexar(kaggle).records() if r.split == "test"}) == 4
    nexar.write(tmp_path / "train", "kaggle", num_sources=0)
    assert Nexar(tmp_path / "train").unknown_groups == ""


def test_config_names_every_argument(written: dict[str, Path]):
    config = OmegaConf.load(CONFIG)
    config.root = str(written["kaggle"])
    dataset = instantiate(config)
    assert isinstance(dataset, Nexar) and len(dataset.records()) == 28
    assert set(config) == {
        "_target_", "name", "root", "test_fraction", "allow_links",
    }  # fmt: skip


@pytest.mark.skipif(REAL is None, reason="the real annotation files are not here")
def test_real_files(tmp_path: Path):
    folder = REAL / "annotations" / "nexar"  # type: ignore[operator]
    train = read_train(folder / "train.csv")
    assert len(train) == 1477
    assert Counter(row.label for row in train.values()) == {1: 750, 0: 727}
    assert all((row.event_time is not None) == (row.label == 1) for row in train.values())
    solution = read_solution(folder / "test_public.csv")
    assert len(solution) == 667
    assert Counter((row.label, row.horizon) for row in solution.values()) == {
        (1, 0.5): 142, (0, 0.5): 142, (1, 1.0): 115, (0, 1.0): 116, (1, 1.5): 77, (0, 1.5): 75,
    }  # fmt: skip
    for name in ("train", "test"):
        (tmp_path / name).mkdir()
    shutil.copy(folder / "train.csv", tmp_path)
    shutil.copy(folder / "test_public.csv", tmp_path / "test.csv")
    shutil.copy(folder / "test_public.csv", tmp_path / "solution.csv")
    assert len(records_of(tmp_path)) == 1477 + 667
