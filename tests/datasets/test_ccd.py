"""CCD's annotations and lists: what is read, and what each wrong line is told."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from collision.datasets.ccd import CCD, Crash, parse_crash, read_crashes, read_split_list
from collision.errors import AnnotationError, ConfigError, DatasetNotFoundError
from collision.records.files import prepare
from collision.types import VideoRecord
from tests.kit.layouts import ccd
from tests.kit.layouts.ccd import crash_line
from tests.kit.real import REAL

CONFIG = Path(__file__).parents[2] / "configs" / "dataset" / "ccd.yaml"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written") / "ccd"
    ccd.write(folder)
    return folder


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(written, tmp_path / "ccd"))


def records_of(root: Path, **options: Any) -> dict[str, VideoRecord]:
    records = CCD(str(root), **options).records()
    assert len({record.id for record in records}) == len(records)
    return {record.id: record for record in records}


def fault(root: Path) -> AnnotationError:
    with pytest.raises(AnnotationError) as caught:
        CCD(str(root)).records()
    return caught.value


# What is read


def test_records(written: Path):
    dataset = CCD(str(written))
    dataset.prepare()
    records = {record.id: record for record in dataset.records()}
    assert len(records) == 28
    crash, normal = records["crash/000002"], records["normal/000002"]
    assert (crash.label, crash.split, crash.group) == (1, "train", "youtube_0000")
    assert (crash.event_time, crash.frame_rate, crash.alert_time) == (4.3, 10, None)
    assert crash.tags == {"light": "Day", "weather": "Normal", "ego": "yes"}
    assert crash.path == (written / "videos/Crash-1500/000002.mp4").resolve()
    assert (normal.label, normal.split, normal.group) == (0, "train", "normal/000002")
    assert (normal.event_time, normal.mock_event_time, normal.frame_rate) == (None, None, 10)
    assert normal.tags == {}
    assert normal.path == (written / "videos/Normal/000002.mp4").resolve()


def test_both_spellings_of_the_labels():
    plain, bracketed = crash_line(1, 40, brackets=False), crash_line(1, 40)
    assert "[0, 0" in bracketed and "[" not in plain
    expected = Crash("000001", 40, "0000", {"light": "Night", "weather": "Normal", "ego": "yes"})
    assert parse_crash(plain) == parse_crash(bracketed) == expected
    assert parse_crash(bracketed.replace("[", "[ ").replace(" ", "  ")) == expected
    assert parse_crash(bracketed.replace(" ", "")) == expected


def test_both_spellings_in_one_file(root: Path):
    expected = records_of(root)
    lines = (root / "videos/Crash-1500.txt").read_text().splitlines()
    lines[::2] = [line.replace("[", "").replace("]", "") for line in lines[::2]]
    (root / "videos/Crash-1500.txt").write_bytes("\r\n".join(lines).encode())
    assert records_of(root) == expected


def test_ego_only(written: Path):
    counts = Counter((r.label, r.tags.get("ego")) for r in records_of(written).values())
    assert counts == {(1, "yes"): 10, (1, "no"): 4, (0, None): 14}
    counts = Counter(r.label for r in records_of(written, ego_only=True).values())
    assert counts == {1: 10, 0: 14}


# Splits


def test_official_lists(written: Path):
    records = records_of(written).values()
    counts = Counter((r.split, r.label) for r in records)
    assert counts == {("train", 1): 8, ("train", 0): 8, ("test", 1): 6, ("test", 0): 6}
    splits: dict[str, set[str]] = {}
    for record in records:
        splits.setdefault(record.group, set()).add(record.split)
    assert [group for group, found in splits.items() if len(found) == 2] == ["youtube_0002"]


@pytest.mark.parametrize("folder", ["res101_features", "videos", "."])
def test_other_places_of_the_lists(root: Path, folder: str):
    expected = records_of(root)
    (root / folder).mkdir(exist_ok=True)
    for name in ("train.txt", "test.txt"):
        shutil.move(root / "vgg16_features" / name, root / folder / name)
    assert records_of(root, split="official") == expected


def test_grouped(written: Path, root: Path):
    records = records_of(written, split="grouped")
    splits: dict[str, set[str]] = {}
    for record in records.values():
        splits.setdefault(record.group, set()).add(record.split)
    assert all(len(found) == 1 for found in splits.values())
    shutil.rmtree(root / "vgg16_features")
    assert {i: r.split for i, r in records_of(root).items()} == {
        i: r.split for i, r in records.items()
    }


def test_a_link_out_of_the_root(root: Path):
    elsewhere = root.parent / "elsewhere"
    (root / "videos/Normal").rename(elsewhere)
    (root / "videos/Normal").symlink_to(elsewhere)
    with pytest.raises(ConfigError, match=r"is a link .* dataset\.allow_links=true"):
        records_of(root)
    assert len(records_of(root, allow_links=True)) == 28


def test_a_normal_clip_that_only_a_list_names_is_missing(root: Path):
    (root / "videos/Normal/000003.mp4").unlink()
    assert "normal/000003" in records_of(root)
    with pytest.raises(DatasetNotFoundError, match=r"videos/Normal/000003\.mp4") as caught:
        CCD(str(root)).prepare()
    assert caught.value.expected == ["videos/Normal/000003.mp4"]
    prepare(CCD(str(root)), None, skip_missing=True)


def test_half_of_the_lists(root: Path):
    (root / "vgg16_features/test.txt").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"dataset\.split=grouped") as caught:
        CCD(str(root)).records()
    assert caught.value.expected == ["vgg16_features/test.txt"]
    shutil.rmtree(root / "vgg16_features")
    with pytest.raises(DatasetNotFoundError) as caught:
        CCD(str(root), split="official").records()
    assert caught.value.expected == ["vgg16_features/train.txt", "vgg16_features/test.txt"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("positive/000099.npz 1", "'crash/000099' is not in videos/Crash-1500.txt"),
        ("positive/000001.npz 1", "'crash/000001' is in train.txt as well"),
        ("positive/000009.npz 1", "'crash/000009' is in line 1 already"),
        ("positive/000014.npz 0", "has the label of the other class"),
        ("negative/000014.npz 1", "has the label of the other class"),
        ("positive/14.npz 1", "is not like 'positive/000713.npz 1'"),
        ("positive/000014.mp4 1", "is not like"),
        ("positive/../../14.npz 1", "is not like"),
        ("positive/000014.npz", "is not like"),
    ],
)
def test_wrong_line_of_a_list(root: Path, line: str, message: str):
    file = root / "vgg16_features/test.txt"
    lines = file.read_text().splitlines()
    lines = sorted(lines, key=lambda text: text.startswith("negative"))
    (root / "vgg16_features/test.txt").write_text("\n".join([*lines, "", line]))
    (rejected,) = fault(root).rejected
    assert (rejected.file, rejected.line) == (file, 14)
    assert message in rejected.reason


def test_videos_that_no_list_names(root: Path):
    file = root / "vgg16_features/test.txt"
    lines = [text for text in file.read_text().splitlines() if "000014" not in text]
    file.write_text("\n".join(lines))
    message = str(fault(root))
    assert "2 videos are in neither train.txt nor test.txt" in message
    assert "'crash/000014', 'normal/000014'" in message and "dataset.split=grouped" in message


# What is not there


def test_nothing_there(tmp_path: Path):
    with pytest.raises(DatasetNotFoundError, match="CarCrashDataset") as caught:
        CCD(str(tmp_path / "nope")).prepare()
    assert caught.value.expected == [
        "videos/Crash-1500.txt",
        "videos/Crash-1500/000001.mp4 ...",
        "videos/Normal/000001.mp4 ...",
    ]


def test_no_normal_clips(root: Path):
    shutil.rmtree(root / "videos/Normal")
    (root / "videos/Normal").mkdir()
    shutil.rmtree(root / "vgg16_features")
    with pytest.raises(DatasetNotFoundError) as caught:
        CCD(str(root)).prepare()
    assert caught.value.expected == ["videos/Normal/000001.mp4 ..."]


def test_wrong_split(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"dataset\.split='random'"):
        CCD(str(tmp_path), split="random")


# Wrong lines

LABELS = ", ".join("0" * 40 + "1" * 10)
ALL_ONE = ", ".join("1" * 50)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"000002,[{LABELS}],000285,0000,Day,Normal", "55 fields, not a video, 50 labels and 5"),
        (f"000002,[{LABELS}, 1],000285,0000,Day,Normal,Yes", "57 fields"),
        (f"000002,[{LABELS},000285,0000,Day,Normal,Yes", "only one of the brackets"),
        (f"000002,{LABELS}],000285,0000,Day,Normal,Yes", "only one of the brackets"),
        (f"000002,[[{LABELS}]],000285,0000,Day,Normal,Yes", "label '[0' of frame 0"),
        (f"2,[{LABELS}],000285,0000,Day,Normal,Yes", "video '2' is not called by 6 digits"),
        (f"../002,[{LABELS}],000285,0000,Day,Normal,Yes", "not called by 6 digits"),
        (f"000001,[{LABELS}],000285,0000,Day,Normal,Yes", "'000001' is in line 1 already"),
        (f"000002,[{LABELS}],x,0000,Day,Normal,Yes", "startframe 'x' is no number"),
        (f"000002,[{LABELS}],000285,,Day,Normal,Yes", "youtubeID '' is no number"),
        (f"000002,[{LABELS}],000285,0000,Dusk,Normal,Yes", "timing 'Dusk' is none of Day, Night"),
        (f"000002,[{LABELS}],000285,0000,Day,Fog,Yes", "weather 'Fog' is none of Normal, Snowy"),
        (f"000002,[{LABELS}],000285,0000,Day,Normal,1", "egoinvolve '1' is none of Yes, No"),
        (f"000002,[{ALL_ONE}],000285,0000,Day,Normal,Yes", "all labels are 1"),
        (f"000002,[{ALL_ONE.replace('1', '0')}],0,0,Day,Normal,Yes", "all labels are 0"),
        (f"000002,[{LABELS[:-1]}0],000285,0000,Day,Normal,Yes", "label 0 of frame 49 follows a 1"),
        (f"000002,[1{LABELS[1:]}],000285,0000,Day,Normal,Yes", "label 0 of frame 1 follows a 1"),
        (f"000002,[2{LABELS[1:]}],000285,0000,Day,Normal,Yes", "label '2' of frame 0 is neither"),
    ],
)
def test_wrong_line(root: Path, line: str, message: str):
    file = root / "videos/Crash-1500.txt"
    file.write_text(f"{crash_line(1, 40)}\n\n{line}\n")
    error = fault(root)
    (rejected,) = error.rejected
    assert (rejected.file, rejected.line) == (file, 3)
    assert message in rejected.reason and "Crash-1500.txt, line 3: " in str(error)


def test_all_wrong_lines_at_once(root: Path):
    file = root / "videos/Crash-1500.txt"
    file.write_text("\n".join(["nonsense", crash_line(1, 40), "1,2"]))
    assert [one.line for one in fault(root).rejected] == [1, 3]


def test_no_line_at_all(root: Path):
    (root / "videos/Crash-1500.txt").write_text("\n \n")
    assert "lists no video" in str(fault(root))


@given(data=st.data())
def test_any_line_is_read_or_rejected(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
):
    """A few characters of one line changed: it is read as it stands, or rejected by its number."""
    event = data.draw(st.integers(1, 49))
    line = crash_line(2, event, data.draw(st.booleans()))
    begin = data.draw(st.integers(0, len(line)))
    end = data.draw(st.integers(begin, min(len(line), begin + 3)))
    characters = st.characters(exclude_characters="\r\n", exclude_categories=("Cs",))
    text = data.draw(st.text("01,[] ", max_size=3) | st.text(characters, max_size=3))
    mutated = line[:begin] + text + line[end:]
    file = tmp_path_factory.getbasetemp() / "mutated.txt"
    file.write_text(f"{crash_line(1, 40)}\n{mutated}\n", encoding="utf-8")
    try:
        crashes = read_crashes(file)
    except AnnotationError as error:
        assert [(one.file, one.line) for one in error.rejected] == [(file, 2)]
        return
    assert crashes[1] == parse_crash(crash_line(1, 40))
    labels = [character for character in mutated.split(",", 1)[1] if character in "01"][:50]
    assert labels == ["0"] * crashes[2].event_frame + ["1"] * (50 - crashes[2].event_frame)


@given(line=st.text(max_size=40) | st.text("positvenga/0123.npz ", max_size=30))
def test_any_line_of_a_list_is_read_or_rejected(
    tmp_path_factory: pytest.TempPathFactory, line: str
):
    file = tmp_path_factory.getbasetemp() / "list.txt"
    text = f"positive/000001.npz 1\n{line}"
    file.write_bytes(text.encode(errors="surrogatepass"))
    try:
        names = read_split_list(file)
    except AnnotationError as error:
        assert error.rejected and all(one.line >= 2 for one in error.rejected)
        return
    assert names[1] == "crash/000001"


# The configuration, and the real file


def test_config_names_every_argument(written: Path):
    config = OmegaConf.load(CONFIG)
    config.root = str(written)
    dataset = instantiate(config)
    assert isinstance(dataset, CCD) and len(dataset.records()) == 28
    assert set(config) == {
        "_target_", "name", "root", "split", "ego_only", "allow_links",
    }  # fmt: skip


@pytest.mark.skipif(REAL is None, reason="the real annotation files are not here")
def test_the_real_file(tmp_path: Path):
    file = REAL / "annotations" / "ccd" / "Crash-1500.txt"  # type: ignore[operator]
    crashes = read_crashes(file)
    assert len(crashes) == len({crash.stem for crash in crashes.values()}) == 1500
    assert Counter(crash.tags["ego"] for crash in crashes.values()) == {"yes": 801, "no": 699}
    assert len({crash.source for crash in crashes.values()}) == 133
    assert {crash.event_frame for crash in crashes.values()} == set(range(30, 50))
    bracketed = tmp_path / "Crash-1500.txt"
    lines = [line.split(",") for line in file.read_text().splitlines()]
    bracketed.write_text(
        "\n".join(f"{f[0]},[{','.join(f[1:51])}],{','.join(f[51:])}" for f in lines)
    )
    assert read_crashes(bracketed) == crashes


def test_bad_lines_of_all_tables_are_told_at_once(root: Path):
    for name in ("videos/Crash-1500.txt", "vgg16_features/train.txt", "vgg16_features/test.txt"):
        file = root / name
        file.write_text("garbage\n" + file.read_text())
    with pytest.raises(AnnotationError) as caught:
        records_of(root)
    assert sorted((one.file.name, one.line) for one in caught.value.rejected) == [
        ("Crash-1500.txt", 1),
        ("test.txt", 1),
        ("train.txt", 1),
    ]
