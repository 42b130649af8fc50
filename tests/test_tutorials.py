"""The commands of the tutorials, as they stand, one after the other: on fewer and smaller clips."""

import csv
import json
import shutil

import pytest

from tests.kit.checkout import copy_tree, run
from tests.kit.synthetic import small_set
from tests.test_docs import code_blocks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the tree, in which the demo has run."""
    folder = copy_tree(tmp_path_factory.mktemp("checkout"))
    run(folder, *code_blocks("docs/tutorial_demo.md", "sh"))
    return folder


def test_the_demo_leaves_what_the_page_shows(checkout):
    text = " ".join(code_blocks("docs/tutorial_demo.md", "sh"))
    assert "make demo" in text and "head=gru" in text and "compare" in text
    runs = [path.name for path in (checkout / "runs").iterdir()]
    assert (checkout / "runs/latest/results.html").is_file()
    assert (checkout / "runs/latest").resolve().name.endswith("_synthetic_efficientnet_lite0_gru")
    assert any(name.endswith("_evaluate_synthetic_night") for name in runs)
    assert {path.name for path in (checkout / "predictions").glob("*.*")} >= {
        "predictions.html",
        "summary.csv",
    }
    (compared,) = (checkout / "runs").glob("*_compare")
    assert (compared / "compare.html").is_file()


def test_a_second_data_set(checkout):
    said = run(checkout, *code_blocks("docs/tutorial_second_data_set.md", "sh"))
    assert "Near-duplicates" in said
    evaluated = sorted((checkout / "runs").glob("*_evaluate_synthetic_synthetic_night"))
    assert len(evaluated) == 2
    for folder in evaluated:
        metrics = json.loads((folder / "metrics.json").read_text())
        assert set(metrics["datasets"]) == {"synthetic", "synthetic_night"}
    compared = json.loads((max((checkout / "runs").glob("*_compare")) / "compare.json").read_text())
    assert set(compared["datasets"].values()) == {"synthetic_night"}
    assert len(compared["differences"]) == 1


def test_own_clips(checkout, tmp_path):
    """With a folder of painted clips for one's own, and event times as a person fills them in."""
    painted = small_set(tmp_path, num_scenes=10)
    painted.prepare()
    records = {record.path.stem: record for record in painted.records()}
    for record in records.values():
        folder = checkout / "my_clips" / ("crash" if record.label else "normal")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(record.path, folder)
    listing, *others = code_blocks("docs/tutorial_your_clips.md", "sh")
    said = run(checkout, listing)
    assert "20 videos: clips.csv" in said and "Fill in event_time of 10" in said
    with (checkout / "clips.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        record = records[row["video"].rpartition("/")[2].removesuffix(".mp4")]
        assert row["label"] == str(record.label)
        row["event_time"], row["group"] = record.event_time or "", record.group
    with (checkout / "clips.csv").open("w") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    run(checkout, *others)
    (report,) = (checkout / "runs").glob("*_data_manifest")
    assert "Shortcuts" in (report / "data.html").read_text()
    metrics = json.loads((checkout / "runs/latest/metrics.json").read_text())
    assert set(metrics["steps"]) == {f"0 fold_{fold}" for fold in range(5)}
    with (checkout / "predictions/summary.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 10
