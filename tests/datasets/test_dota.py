"""DoTA: metadata entry by entry, folders of images, and what a wrong entry is told."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collision.datasets.dota import Dota
from collision.errors import AnnotationError, CollisionError, ConfigError, DatasetNotFoundError
from collision.types import VideoRecord
from collision.video.index import index_video
from tests.kit.experiments import compose
from tests.kit.layouts.dota import write
from tests.kit.real import REAL

ENTRY = {
    "video_start": 199,
    "video_end": 305,
    "anomaly_start": 40,
    "anomaly_end": 70,
    "anomaly_class": "ego: leave_to_right",
    "num_frames": 107,
    "subset": "train",
}
CLIP = "0RJPQ_97dcs_000199"


def metadata(root: Path, entries: object, name: str = "metadata_train.json") -> Path:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(entries if isinstance(entries, str) else json.dumps(entries, indent=2))
    return root


def read(root: Path, **options: Any) -> list[VideoRecord]:
    return Dota(str(root), **options).records()


def faults(root: Path, **options: Any) -> list[tuple[str, int, str]]:
    with pytest.raises(AnnotationError) as caught:
        read(root, **options)
    return [(r.file.name, r.line, r.reason) for r in caught.value.rejected]


def test_the_layout_and_its_config(tmp_path: Path):
    dataset = compose("train", *write(tmp_path, train=2, test=1)).dataset.build()
    assert isinstance(dataset, Dota)
    dataset.prepare()
    first, _, last = dataset.records()
    assert (first.id, first.group, first.split) == ("source_0000_000000", "source_0000", "train")
    assert (last.split, last.label, last.event_time) == ("test", 1, 4.8)
    assert first.tags == {"ego": "yes", "anomaly": "turning", "event_from": "anomaly_start"}
    index = index_video(first.path, first.frame_rate)
    assert len(index.frame_times) == 66
    assert index.frame_times[36] == first.event_time


def test_other_places(tmp_path: Path):
    """As in the owners' repository: lists in dataset/, images right in the clip's folder."""
    metadata(tmp_path, {CLIP: ENTRY}, "dataset/metadata_train.json")
    (tmp_path / "frames" / CLIP).mkdir(parents=True)
    (record,) = read(tmp_path)
    assert record.path == tmp_path.resolve() / "frames" / CLIP
    Dota(str(tmp_path)).prepare()


@pytest.mark.parametrize(
    ("subset", "split"), [("train", "train"), ("val", "test"), ("test", "test")]
)
def test_subsets(tmp_path: Path, subset: str, split: str):
    (record,) = read(metadata(tmp_path, {CLIP: ENTRY | {"subset": subset}}))
    assert record.split == split


def test_ego_only(tmp_path: Path):
    other = ENTRY | {"anomaly_class": "other: turning"}
    root = metadata(tmp_path, {"a_1": ENTRY, "b_2": other})
    assert [record.id for record in read(root, ego_only=True)] == ["a_1"]


def test_the_consensus(tmp_path: Path):
    root = metadata(tmp_path, {"a_1": ENTRY, "b_2": ENTRY})
    (root / "badas.csv").write_text(
        "id,batch,Event-type,Nexar-vehicle-involved,min_support,Time-of-alert,Time-of-collision\n"
        "a_1.mp4,n/a,Near-collision,no,6,2.3,5.7\n"
    )
    first, second = read(root, badas=str(root / "badas.csv"))
    assert (first.event_time, first.alert_time, first.tags["ego"]) == (5.7, 2.3, "no")
    assert (second.event_time, second.tags["ego"]) == (4.0, "yes")


def test_an_anomaly_that_is_there_from_the_start(tmp_path: Path):
    (record,) = read(metadata(tmp_path, {CLIP: ENTRY | {"anomaly_start": 0}}))
    assert record.event_time == 0


@pytest.mark.parametrize(
    ("clip", "change", "message"),
    [
        ("noname", {}, "'noname' is not named <YouTube id>_<number>"),
        ("../../etc_1", {}, "is not named"),
        ("a/b_1", {}, "is not named"),
        ("a_1\n", {}, "is not named"),
        ("b_1", {"anomaly_start": -1}, "anomaly_start -1 is no count"),
        ("b_1", {"anomaly_start": 4.5}, "anomaly_start 4.5 is no count"),
        ("b_1", {"anomaly_start": True}, "anomaly_start True is no count"),
        ("b_1", {"anomaly_start": "40"}, "anomaly_start '40' is no count"),
        ("b_1", {"anomaly_start": 107}, "anomaly_start 107 lies behind the clip's 107 frames"),
        ("b_1", {"num_frames": None}, "num_frames None is no count"),
        ("b_1", {"anomaly_class": "turning"}, "anomaly_class 'turning'"),
        ("b_1", {"anomaly_class": "ego: "}, "anomaly_class 'ego: '"),
        ("b_1", {"anomaly_class": 3}, "anomaly_class 3"),
        ("b_1", {"subset": "dev"}, "subset 'dev'"),
        ("b_1", {"subset": ["train"]}, "subset ['train']"),
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_wrong_entry(tmp_path: Path, clip: str, change: dict[str, Any], message: str, indent: Any):
    entries = {"a_1": ENTRY, clip: ENTRY | change, "c_1": ENTRY}
    text = json.dumps(entries, indent=indent)
    ((file, line, reason),) = faults(metadata(tmp_path, text))
    assert file == "metadata_train.json"
    assert line == (1 if indent is None else 11)
    assert json.dumps(clip) in text.splitlines()[line - 1]
    assert message in reason


def test_every_wrong_entry_is_reported(tmp_path: Path):
    entries = {f"a_{n}": None for n in range(30)}
    found = faults(metadata(tmp_path, json.dumps(entries)))
    assert len(found) == 30


def test_a_clip_that_comes_twice(tmp_path: Path):
    text = f'{{"a_1": {json.dumps(ENTRY)},\n"a_1": {json.dumps(ENTRY)}}}'
    assert faults(metadata(tmp_path, text)) == [
        ("metadata_train.json", 2, "'a_1' is in line 1 already")
    ]
    metadata(tmp_path, {"a_1": ENTRY})
    metadata(tmp_path, {"a_1": ENTRY}, "metadata_val.json")
    assert faults(tmp_path) == [
        ("metadata_val.json", 2, "clip 'a_1' is in metadata_train.json, too")
    ]


def test_one_line_files_name_a_repeated_clip(tmp_path: Path):
    text = f'{{"a_1": {json.dumps(ENTRY)}, "a_1": {json.dumps(ENTRY)}}}'
    assert len(faults(metadata(tmp_path, text))) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[]", "holds no JSON object"),
        ('"a"', "holds no JSON object"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_wrong_file(tmp_path: Path, text: str, message: str):
    with pytest.raises(AnnotationError, match=message):
        read(metadata(tmp_path, text))


def test_wrong_root(tmp_path: Path):
    with pytest.raises(DatasetNotFoundError, match=r"docs/dota\.md") as caught:
        Dota(str(tmp_path)).prepare()
    assert "metadata_train.json" in caught.value.expected


def test_missing_folders(tmp_path: Path):
    root = metadata(tmp_path, {f"a_{n}": ENTRY for n in range(25)})
    (root / "frames" / "a_0" / "images").mkdir(parents=True)
    with pytest.raises(DatasetNotFoundError, match="24 of 25 listed videos are not in") as caught:
        Dota(str(root)).prepare()
    assert caught.value.expected[0] == "frames/a_1/images"
    assert len(caught.value.expected) == 24 and "... and 4 more" in str(caught.value)


def test_wrong_options(tmp_path: Path):
    with pytest.raises(ConfigError, match="frame_rate=-10"):
        Dota(str(tmp_path), frame_rate=-10)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
entries = st.one_of(json_values, st.dictionaries(st.sampled_from(list(ENTRY)), json_values)).map(
    lambda value: ENTRY | value if isinstance(value, dict) else value
)
names = st.one_of(st.just("a_1"), st.from_regex(r"[a-z/._0-9]{1,6}_[0-9]"), st.text(max_size=6))


@given(entries=st.dictionaries(names, entries, max_size=5), indent=st.sampled_from([None, 1]))
def test_any_entry_is_read_or_rejected_in_its_place(
    entries: dict[str, Any], indent: int | None, tmp_path_factory: pytest.TempPathFactory
):
    root = tmp_path_factory.getbasetemp() / "dota"
    text = json.dumps(entries, indent=indent)
    try:
        found = read(metadata(root, text))
    except CollisionError as error:
        assert isinstance(error, AnnotationError)
        lines = text.splitlines()
        places = {
            next(n for n, line in enumerate(lines, 1) if line.startswith(f" {json.dumps(clip)}:"))
            if indent
            else 1
            for clip in entries
        }
        assert error.rejected
        assert {r.line for r in error.rejected} <= places
        return
    assert [record.id for record in found] == list(entries)
    assert all(record.path.is_relative_to(root.resolve()) for record in found)


@pytest.mark.skipif(REAL is None, reason="the real annotations are not here")
def test_real_file():
    root = REAL / "annotations" / "dota"  # type: ignore[operator]
    found = read(root)
    assert len(found) == 3275
    assert {record.id for record in found} == set((root / "train_split.txt").read_text().split())
    assert sum(record.tags["ego"] == "yes" for record in found) == 1919
    assert len({record.group for record in found}) == 188
    by_id = {record.id: record for record in found}
    assert by_id[CLIP].event_time == 4.0
    assert "gXezhrOijmQ_004598" in by_id  # its anomaly_end lies behind its frames
