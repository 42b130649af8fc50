"""Data that fool a reader, trained on for real: the run's own result says so."""

import itertools
import json
import re
import shutil

import numpy as np
import pytest

from tests.datasets.test_layouts import newest_run, run
from tests.kit.layouts import ccd
from tests.kit.video import write_video

FAST = (
    "backbone=efficientnet_lite0",
    "backbone.height=32",
    "backbone.width=48",
    "head=linear",
    "trainer.max_steps=4",
    "trainer.validations=1",
    "num_resamples=200",
    "extraction.num_workers=2",
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    root = tmp_path_factory.mktemp("guards")
    with pytest.MonkeyPatch.context() as patch:
        for name, folder in (("DATA", "data"), ("CACHE", "cache"), ("RUNS", "runs")):
            patch.setenv(f"COLLISION_{name}", str(root / folder))
        yield root


def trained(bench, part, *arguments):
    """Train; give the metrics, the page and the folder."""
    assert run("train", *arguments, *FAST) == 0
    folder = newest_run(bench, part)
    metrics = json.loads((folder / "metrics.json").read_text())
    return metrics, (folder / "results.html").read_text(), folder


def warnings_of(metrics):
    return {warning["name"]: warning for warning in metrics["warnings"]}


@pytest.fixture(scope="module")
def two_sources(bench):
    """Noise of two cameras: the positives' is wider. One test video is a training video's copy."""
    generator = np.random.default_rng(0)
    folder = bench / "noise"
    folder.mkdir()
    rows = ["video,label,event_time,split,group"]
    for number in range(60):
        label, split = number % 2, "train" if number % 5 < 2 else "test"
        shape = (42, 6, 10 if label else 8, 3)
        blocks = generator.integers(0, 256, shape, dtype=np.uint8)
        frames = blocks.repeat(8, axis=1).repeat(8, axis=2)
        write_video(folder / f"{number}.mp4", frames, fps=10)
        rows.append(f"{number}.mp4,{label},4.0,{split},{number}")
    shutil.copy(folder / "0.mp4", folder / "copy.mp4")
    rows.append("copy.mp4,0,4.0,test,copy")
    (folder / "clips.csv").write_text("\n".join(rows))
    return ("dataset=manifest", f"dataset.csv={folder / 'clips.csv'}")


def test_a_head_that_learned_nothing_and_a_copy_across_splits(bench, two_sources, capsys):
    # Started from the logistic regression it would learn the source.
    metrics, page, folder = trained(bench, "manifest_", *two_sources, "prior=null")
    found = warnings_of(metrics)
    assert metrics["distances"]["videos"] == 37 and "Distance from the training" in page
    assert len((folder / "distances.csv").read_text().splitlines()) == 38
    assert not {"unlike_training", "painted_meets_footage"} & set(found)
    shortcut = found["no_better_than_shortcut"]
    assert shortcut["numbers"]["second"] > 0.95 > shortcut["numbers"]["first"]
    copies = found["near_duplicates"]
    assert ["0", "copy"] in copies["numbers"]["examples"]
    output = re.sub(r"\s+", " ", capsys.readouterr().out)
    for warning in found.values():
        assert warning["message"].split(":")[0] in output
        assert warning["name"] in page


def test_whole_clips_need_the_flag_and_are_marked(bench, two_sources, capsys):
    assert run("train", *two_sources, "sampling=whole_clip", *FAST) == 2
    assert "allow_leak=true" in capsys.readouterr().err
    arguments = (*two_sources, "sampling=whole_clip", "sampling.allow_leak=true", "audit=false")
    metrics, page, folder = trained(bench, "manifest_", *arguments)
    assert "leaks" in warnings_of(metrics) and "LEAKS" in page
    assert not {"no_better_than_shortcut", "near_duplicates"} & set(warnings_of(metrics))
    assert run("evaluate", folder, "num_resamples=50") == 0
    assert "LEAKS" in capsys.readouterr().out
    assert run("predict", bench / "noise" / "1.mp4", f"checkpoint={folder}") == 2
    assert "whole clips" in capsys.readouterr().err


@pytest.mark.slow
def test_official_splits_that_part_a_source_are_told(bench):
    overrides = ccd.write(bench / "data" / "ccd")
    listing = bench / "data" / "ccd" / "videos" / "Crash-1500.txt"
    # Four YouTube videos for all crashes: the official lists then part them.
    sources = (f"{number % 4:04d}" for number in itertools.count())
    text = re.sub(
        r"(\]?,\s*\d+,)[^,]+(,(?:Day|Night))",
        lambda found: f"{found[1]}{next(sources)}{found[2]}",
        listing.read_text(),
    )
    listing.write_text(text)
    metrics, _, _ = trained(bench, "ccd_", *overrides, "audit=false")
    shared = warnings_of(metrics)["shared_groups"]
    assert shared["numbers"]["groups"] == 4
    assert "4 group(s)" in shared["message"]
