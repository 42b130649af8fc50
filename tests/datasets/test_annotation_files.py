"""Annotation files in the spelling of their owners, from the file to records: a few rows of each.

The rows are made up (``tests/kit/annotations``); tests with the owners' own files are beside these.
"""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from collision.datasets.ccd import CCD, read_crashes
from collision.datasets.dad import Dad
from collision.datasets.dada2000 import Dada2000
from collision.datasets.dota import Dota
from collision.datasets.nexar import Nexar
from collision.types import UNLABELLED
from tests.kit.real import ANNOTATIONS


def by_id(dataset):
    return {record.id: record for record in dataset.records()}


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_ccd_with_and_without_brackets_is_the_same(tmp_path: Path):
    names = ("Crash-1500.txt", "Crash-1500_brackets.txt")
    plain, bracketed = (read_crashes(ANNOTATIONS / "ccd" / name) for name in names)
    assert plain == bracketed and len(plain) == 6
    normals = [f"videos/Normal/{number:06d}.mp4" for number in range(1, 6)]
    touched(tmp_path, *normals, "videos/Crash-1500/000001.mp4")
    shutil.copy(ANNOTATIONS / "ccd" / names[0], tmp_path / "videos")
    for name in ("train.txt", "test.txt"):
        shutil.copy(ANNOTATIONS / "ccd" / name, tmp_path)
    records = by_id(CCD(tmp_path))
    assert Counter((r.split, r.label) for r in records.values()) == {
        ("train", 1): 4, ("test", 1): 2, ("train", 0): 3, ("test", 0): 2,
    }  # fmt: skip
    crash = records["crash/000004"]
    assert (crash.event_time, crash.group) == (2.9, "youtube_0007")
    assert crash.tags == {"light": "Day", "weather": "Snowy", "ego": "no"}


def test_dad_with_both_overlays(tmp_path: Path):
    for split, numbers in (("training", range(1, 8)), ("testing", range(456, 461))):
        for label in ("positive", "negative"):
            touched(tmp_path, *(f"videos/{split}/{label}/{n:06d}.mp4" for n in numbers))
    crash_frames = ANNOTATIONS / "dad" / "positive_training_videos_crash_annotation.csv"
    badas = ANNOTATIONS / "badas" / "dad_test_concensus.csv"
    records = by_id(Dad(tmp_path, crash_frames=crash_frames, badas=badas))
    positives = [record for record in records.values() if record.label]
    assert Counter(record.tags["event_from"] for record in positives) == {
        "crash_frames": 5, "event_frame": 2, "consensus": 5,
    }  # fmt: skip
    assert records["positive/000001"].event_time == 71 / 25
    assert records["positive/000457"].alert_time == 1.52
    ego = Dad(tmp_path, badas=badas, ego_only=True).records()
    assert sum(record.label for record in ego) == 2


def test_dota(tmp_path: Path):
    records = by_id(Dota(ANNOTATIONS / "dota"))
    assert Counter(record.split for record in records.values()) == {"train": 5, "test": 3}
    assert len({record.group for record in records.values()}) == 4
    assert records["0aB_cD-eF1g_000199"].event_time == 4.0
    badas = ANNOTATIONS / "badas" / "dota_test_concensus.csv"
    overlaid = by_id(Dota(ANNOTATIONS / "dota", badas=badas))
    assert overlaid["Abc-_12345x_000410"].event_time == 5.25


def test_dada_lists_and_table(tmp_path: Path):
    for split in ("train", "val", "test"):
        shutil.copy(ANNOTATIONS / "dada2000" / f"{split}_file.json", tmp_path)
    badas = ANNOTATIONS / "badas" / "dada2000_small_test_concensus.csv"
    timed = Dada2000(tmp_path, badas=badas, leave_out_unannotated=True).records()
    assert {record.split for record in timed} == {"test"} and len(timed) == 4
    whole = by_id(Dada2000(tmp_path / "whole", ANNOTATIONS / "dada2000/dada_text_annotations.csv",
                           leave_out_unannotated=True))  # fmt: skip
    assert len(whole) == 4  # an accident that was avoided has no time
    assert whole["1_001"].event_time == 89 / 30 and whole["1_001"].alert_time == 2.0
    assert whole["34_007"].alert_time is None  # its start lies behind its accident
    assert whole["1_002"].tags["weather"] == "rainy" and whole["1_002"].tags["light"] == "night"


@pytest.mark.parametrize("layout", ["kaggle", "hub"])
def test_nexar_in_both_layouts(layout: str, tmp_path: Path):
    root = tmp_path / "nexar"
    if layout == "hub":
        shutil.copytree(ANNOTATIONS / "nexar_hub", root)
    else:
        touched(root, "train/00000.mp4", "test/00002.mp4")
        for name in ("train.csv", "test.csv"):
            shutil.copy(ANNOTATIONS / "nexar" / name, root)
        assert {r.label for r in Nexar(root).records() if r.split == "test"} == {UNLABELLED}
    for name in ("solution.csv", "time_to_accident_test_map.csv"):
        shutil.copy(ANNOTATIONS / "nexar" / name, root)
    records = by_id(Nexar(root))
    test = [record for record in records.values() if record.split == "test"]
    assert len(records) == 11 and len(test) == 6
    assert len({record.group for record in test}) == 3
    assert records["00000"].event_time == 20.76 and records["00011"].alert_time is None
    assert {r.id: r.cut_horizon for r in test}["00033"] == 1.5
