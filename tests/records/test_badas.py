"""The BADAS overlay: what it changes, what it leaves, and what a wrong row is told."""

import logging
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collision.errors import AnnotationError, CollisionError, ConfigError, DatasetNotFoundError
from collision.records import annotations
from collision.records.badas import ego_clips, read_consensus, with_consensus
from collision.types import VideoRecord
from tests.kit.real import REAL

HEADER = (
    "id,batch,Event-type,Nexar-vehicle-involved,min_support,Time-of-alert,Time-of-collision,Diff"
)
GOOD = "000456.mp4,,Collision,no,9,2.12,2.92,0.8"


def write(folder: Path, *rows: str, header: str = HEADER) -> Path:
    file = folder / "consensus.csv"
    file.write_text("\n".join((header, *rows)) + "\n")
    return file


def clip(name: str, **fields: object) -> VideoRecord:
    values = {"id": name, "path": Path(name), "label": 1, "split": "test", "group": name}
    return VideoRecord(**(values | fields))  # type: ignore[arg-type]


def by_id(record: VideoRecord) -> str:
    return record.id


@pytest.fixture(autouse=True)
def _tells_anew():
    annotations.warn_once.cache_clear()


def test_times_and_tags_replace_those_of_the_clip(tmp_path: Path):
    file = write(tmp_path, GOOD + ",pos-not-ego", header=HEADER + ",article_category")
    before = clip("000456", event_time=3.6, alert_time=3.5, tags={"event_from": "x", "rain": "1"})
    other = clip("000457", event_time=3.6)
    first, second = with_consensus([before, other], file, by_id)
    assert (first.event_time, first.alert_time) == (2.92, 2.12)
    assert first.tags == {
        "ego": "no",
        "event_type": "Collision",
        "support": "9",
        "category": "pos-not-ego",
        "event_from": "consensus",
        "rain": "1",
    }
    assert second is other
    assert before.event_time == 3.6


def test_a_file_without_the_last_column(tmp_path: Path):
    (record,) = with_consensus([clip("000456")], write(tmp_path, GOOD), by_id)
    assert "category" not in record.tags


def test_the_two_times_belong_together(tmp_path: Path):
    rows = ("a.mp4,,Collision,yes,9,1.5,,", "b.mp4,,Collision,yes,9,,2.5,")
    records = [clip(name, event_time=1.0, alert_time=0.5) for name in "ab"]
    first, second = with_consensus(records, write(tmp_path, *rows), by_id)
    assert (first.event_time, first.alert_time, first.tags["ego"]) == (1.0, 0.5, "yes")
    assert "event_from" not in first.tags
    assert (second.event_time, second.alert_time) == (2.5, None)


def test_clips_that_are_not_there_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    file = write(tmp_path, GOOD, "nobody.mp4,,Collision,no,9,1,2,1")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with_consensus([clip("000456"), clip("-")], file, lambda r: r.id if r.id else None)
    assert [record.getMessage() for record in caplog.records] == [
        f"{file}: 1 of its 2 clips are not in this data set, such as nobody."
    ]


def test_a_clip_that_cannot_be_in_the_file_is_left_alone(tmp_path: Path):
    record = clip("000456", label=0)

    def name(one: VideoRecord) -> str | None:
        return one.id if one.label else None

    kept, _ = with_consensus([record, clip("000456")], write(tmp_path, GOOD), name)
    assert kept == record


def test_the_file_of_another_set_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"none of its 1 clips, such as 000456, is in this"):
        with_consensus([clip("10_068")], write(tmp_path, GOOD), by_id)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (",,Collision,no,9,1,2,1", "id '' is no name of a clip"),
        ("a/b.mp4,,Collision,no,9,1,2,1", "id 'a/b.mp4' is no name of a clip"),
        ("a.mp4,,Crash,no,9,1,2,1", "Event-type 'Crash'"),
        ("a.mp4,,Collision,maybe,9,1,2,1", "'maybe' is neither yes nor no"),
        ("a.mp4,,Collision,no,many,1,2,1", "min_support 'many'"),
        ("a.mp4,,Collision,no,\u0663,1,2,1", "min_support '\u0663'"),
        ("a.mp4,,Collision,no,9,soon,2,1", "Time-of-alert 'soon'"),
        ("a.mp4,,Collision,no,9,1,-nan,1", "Time-of-collision '-nan'"),
        ("a.mp4,,Collision,no,9,3,2,-1", "Time-of-alert 3 is after Time-of-collision 2"),
        ("a.mp4,,Collision,no,9,1,2", "7 fields where the header has 8"),
        (GOOD, "'000456' is in line 2 already"),
        (GOOD.replace(".mp4", ".avi"), "'000456' is in line 2 already"),
    ],
)
def test_wrong_row(tmp_path: Path, row: str, message: str):
    file = write(tmp_path, GOOD, row)
    with pytest.raises(AnnotationError) as caught:
        read_consensus(file)
    ((where, line, reason),) = [(r.file, r.line, r.reason) for r in caught.value.rejected]
    assert (where, line) == (file, 3)
    assert message in reason


def test_wrong_file(tmp_path: Path):
    with pytest.raises(DatasetNotFoundError, match=r"nope\.csv(.|\n)*BADAS-Open"):
        read_consensus(tmp_path / "nope.csv")
    with pytest.raises(AnnotationError, match="no column 'min_support'"):
        read_consensus(write(tmp_path, header="id,Event-type,Nexar-vehicle-involved"))


def test_ego_clips():
    records = [
        clip("a", tags={"ego": "yes"}),
        clip("b", tags={"ego": "no"}),
        clip("c"),
        clip("d", label=0),
    ]
    assert [record.id for record in ego_clips(records)] == ["a", "d"]
    with pytest.raises(ConfigError, match="badas=FILE"):
        ego_clips(records[1:])


fields = st.sampled_from(["", "a.mp4", "yes", "no", "Collision", "9", "1.5", "-1", "nan", '"', ","])


@settings(max_examples=50)
@given(rows=st.lists(st.lists(fields, min_size=7, max_size=9).map(",".join), max_size=4))
def test_any_row_is_read_or_rejected_in_its_place(
    rows: list[str], tmp_path_factory: pytest.TempPathFactory
):
    file = write(tmp_path_factory.getbasetemp(), *rows)
    try:
        found = read_consensus(file)
    except CollisionError as error:
        assert isinstance(error, AnnotationError)
        assert all(r.file == file and 1 <= r.line <= len(rows) + 1 for r in error.rejected)
        return
    for line, row in found.items():
        text = rows[line - 2].split(",")
        assert (row.event_type, row.ego, str(row.support)) == (text[2], text[3], text[4])


@pytest.mark.skipif(REAL is None, reason="the real annotations are not here")
def test_real_files():
    folder = REAL / "annotations" / "badas"  # type: ignore[operator]
    dad = read_consensus(folder / "dad_test_concensus.csv")
    dada = read_consensus(folder / "dada2000_small_test_concensus.csv")
    assert (len(dad), len(dada)) == (165, 221)
    assert sum(row.ego == "yes" for row in dad.values()) == 13  # 8 %
    assert sum(row.ego == "yes" for row in dada.values()) == 112
    for row in (*dad.values(), *dada.values()):
        assert row.alert_time is not None and row.event_time is not None
        assert row.alert_time < row.event_time
    assert sum("not in test split" in row.category for row in dada.values()) == 53
    # DAD's convention, frame 90 of 25 a second, is late for nearly all of them.
    assert sum(row.event_time <= 90 / 25 - 0.5 for row in dad.values()) == 137  # type: ignore
