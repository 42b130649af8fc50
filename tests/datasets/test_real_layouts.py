"""Real clips laid out as CCD and as DAD, the whole way; skipped where there are none.

The normal clips come from other cameras than the crashes, as in those sets.
"""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from collision.errors import VideoDecodeError
from collision.video.frames import latest_visible, read_frames
from collision.video.index import index_video
from tests.datasets.test_layouts import newest_run, run
from tests.kit.real import REAL
from tests.kit.video import write_video

pytestmark = pytest.mark.skipif(REAL is None, reason="no real clips here")
FAST = (
    *("backbone=efficientnet_lite0", "backbone.height=32", "backbone.width=48"),
    *("extraction.num_workers=2", "num_resamples=100"),
)
NUM_CLIPS = 9  # of each class: three are tested on


@pytest.fixture(scope="module")
def clips():
    with (REAL / "clips.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    root = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        for name, folder in (("DATA", "data"), ("CACHE", "cache"), ("RUNS", "runs")):
            patch.setenv(f"COLLISION_{name}", str(root / folder))
        yield root


def write_normal(source: Path, target: Path, fps: int, num_frames: int) -> None:
    """Cut a drive as the set's owners did: so many frames at one rate, coded anew."""
    index = index_video(source)
    wanted = latest_visible(index.frame_times, index.frame_times[0] + np.arange(num_frames) / fps)
    frames = read_frames(index, wanted[wanted >= 0], 180, 320)
    write_video(target, frames, fps=fps, codec="h264")


def lay_out_as_ccd(clips, root: Path) -> None:
    crashes = [clip for clip in clips if "/ccd_crash/" in clip["video"]][:NUM_CLIPS]
    normals = [clip for clip in clips if clip["label"] == "0"][:NUM_CLIPS]
    stems = [Path(clip["video"]).stem for clip in crashes]
    lists = {"train": [], "test": []}
    (root / "videos" / "Crash-1500").mkdir(parents=True)
    (root / "videos" / "Normal").mkdir()
    annotations = (REAL / "annotations" / "ccd" / "Crash-1500.txt").read_text().splitlines()
    lines = [line for line in annotations if line.partition(",")[0] in stems]
    assert len(lines) == len(stems) == NUM_CLIPS
    for number, stem in enumerate(stems):
        shutil.copy(REAL / crashes[number]["video"], root / "videos" / "Crash-1500")
        lists["test" if number % 3 == 0 else "train"].append(f"positive/{stem}.npz 1")
    for number, clip in enumerate(normals, start=1):
        target = root / "videos" / "Normal" / f"{number:06d}.mp4"
        write_normal(REAL / clip["video"], target, 10, 50)
        lists["test" if number % 3 == 0 else "train"].append(f"negative/{number:06d}.npz 0")
    (root / "videos" / "Crash-1500.txt").write_text("\n".join(lines) + "\n")
    for split, entries in lists.items():
        (root / f"{split}.txt").write_text("\n".join(entries) + "\n")


def lay_out_as_dad(clips, root: Path) -> None:
    positives = [clip for clip in clips if "/dad_crash/" in clip["video"]][:NUM_CLIPS]
    normals = [clip for clip in clips if clip["label"] == "0"][:NUM_CLIPS]
    for label, members in (("positive", positives), ("negative", normals)):
        for number, clip in enumerate(members):
            split = "testing" if number % 3 == 0 else "training"
            folder = root / "videos" / split / label
            folder.mkdir(parents=True, exist_ok=True)
            if label == "positive":
                shutil.copy(REAL / clip["video"], folder / f"{Path(clip['video']).stem}.mp4")
            else:
                write_normal(REAL / clip["video"], folder / f"{number + 1:06d}.mp4", 25, 100)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "lay_out"), [("ccd", lay_out_as_ccd), ("dad", lay_out_as_dad)])
def test_the_whole_way_on_real_clips(name, lay_out, clips, bench, capsys):
    try:
        lay_out(clips, bench / "data" / name)
    except VideoDecodeError as error:
        pytest.fail(f"a real clip cannot be read: {error}")
    assert (
        run(
            "train",
            f"dataset={name}",
            *FAST,
            "head=linear",
            "trainer.max_steps=4",
            "trainer.validations=1",
            "audit=false",
        )
        == 0
    )
    trained = newest_run(bench, f"{name}_efficientnet_lite0")
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["failures"] == 0
    # Too short for every cut, some clips have no score at 1.5 s.
    assert metrics["ap"]["0.5"]["value"] is not None
    assert run("evaluate", trained, "num_resamples=100", "dense=1") == 0
    evaluated = json.loads((newest_run(bench, "evaluate") / "metrics.json").read_text())
    assert evaluated["datasets"][name]["anticipation"]["anticipation_ap"]["value"] is not None
    assert run("data", f"dataset={name}", "check=full", "num_permutations=19") == 0
    output = capsys.readouterr().out
    assert "first frame" in output  # the audit's sentences
