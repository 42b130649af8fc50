"""Examples without frames are counted by every verb, and times in other units are guessed."""

import json
import re
import shutil

import pytest

from collision.__main__ import main
from tests.conftest import ROOT, environment, runs_in
from tests.kit.video import numbered_frames, write_video
from tests.kit.zoo import Kind

BACKBONE = (
    *("backbone=optical_flow", "backbone.num_frames=6", "backbone.fps=10"),  # 0.5 s a window
    "backbone.min_frames=null",
    *("backbone.rows=2", "backbone.columns=3", "backbone.height=48", "backbone.width=66"),
)
FAST = (
    *(
        *BACKBONE,
        "head=linear",
        "trainer.max_steps=4",
        "trainer.validations=1",
        "trainer.accelerator=cpu",
    ),
    *("audit=false", "num_resamples=20"),
)
EXTRACT = ("extraction.num_workers=0", "sampling.hard_negatives=0")
AUDIT = ("shortcuts=false", "duplicates=false", "num_workers=0")
# Videos of 6 s at 10 frames/s; of "hole" (25 frames/s) nothing is shown from 1 to 3 s.
MIXED = {"good": 4.5, "late": 9.0, "hole": 3.4, "early": 1.2, "bad": 4.5}
MISSING = {
    "wanted": 15,
    "left": 4,
    "reasons": {
        "unreadable": 3,
        "event beyond the end": 3,
        "before the first frame": 1,  # 1.5 s before the event of "early"
        "before the first whole window": 1,
        "in a hole": 3,
    },
}


class Bench:
    def __init__(self, root):
        self.root, self.videos = root, root / "videos"
        self.videos.mkdir()
        write_video(self.videos / "first.mp4", numbered_frames(60), fps=10)
        Kind("h264", "mp4", clock="hole").write(self.videos).rename(self.videos / "hole.mp4")
        (self.videos / "bad.mp4").write_bytes(b"no video")

    def table(self, name, positives, factor=1):
        """Write a list: these positives beside good negatives in the test split, and others."""
        rows = ["video,label,event_time,split"]
        rows += [f"{video}.mp4,1,{time * factor:g},test" for video, time in positives.items()]
        rows += [f"normal{n}.mp4,0,4.5,test" for n in range(4)]
        for split in ("train", "val"):
            rows += [f"{split}_crash{n}.mp4,1,{4.5 * factor:g},{split}" for n in range(3)]
            rows += [f"{split}_normal{n}.mp4,0,4.5,{split}" for n in range(3)]
        for row in rows[1:]:
            if not (file := self.videos / row.partition(",")[0]).exists():
                shutil.copy(self.videos / "first.mp4", file)
        (self.videos / f"{name}.csv").write_text("\n".join(rows))
        return ("dataset=manifest", f"dataset.csv={self.videos / name}.csv")

    def run(self, verb, *arguments):
        """Run a verb; give its exit code and the folder that it made."""
        before = runs_in(self.root) if (self.root / "runs").exists() else []
        code = main([verb, *map(str, arguments)])
        return code, next((run for run in runs_in(self.root) if run not in before), None)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    root = tmp_path_factory.mktemp("missing")
    (root / "runs").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for name, value in environment(root).items():
            patch.setenv(name, value)
        yield Bench(root)


@pytest.fixture(scope="module")
def trained(bench):
    """A run on a sound table, in whose test split some examples have no frames."""
    table = bench.table("mixed", MIXED)
    code, run = bench.run("train", *table, *FAST, *EXTRACT, "skip_failures=true")
    assert code == 0
    return run


def rows_of(output):
    """Give the rows of the printed table, without its lines."""
    table = output.partition("Examples without frames")[2]
    return [line.split() for line in table.splitlines() if re.match(r" *(train|val|test) ", line)]


def test_train_counts_them_on_its_page(trained):
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["missing"] == {"test": {"positive": MISSING}}
    assert metrics["dropped"] == {"test": 10}
    assert "odd_times" not in {warning["name"] for warning in metrics["warnings"]}
    counts = metrics["counts"].values()
    assert sum(count["missing_positive"] for count in counts) == 15 - 4
    row = "| test | positive | 15 | 4 | 3 | 3 | 1 | 1 | 3 |"
    assert row in (trained / "results.md").read_text()
    assert "before the first whole window" in (trained / "results.html").read_text()


def test_evaluate_and_extract_print_the_same_table(bench, trained, capfd):
    row = ["test", "positive", "15", "4", "3", "3", "1", "1", "3"]
    code, folder = bench.run("evaluate", trained, "num_resamples=20", "skip_failures=true")
    output = capfd.readouterr().out
    assert code == 0 and rows_of(output) == [row] and "they look like" not in output
    metrics = json.loads((folder / "metrics.json").read_text())["datasets"]["manifest"]
    assert metrics["missing"] == {"test": {"positive": MISSING}}
    assert " ".join(row[2:]) in (folder / "results.md").read_text().replace(" | ", " ")
    table = bench.table("mixed", MIXED)
    arguments = (*table, *BACKBONE, *EXTRACT, "skip_failures=true")
    assert bench.run("extract", *arguments)[0] == 0
    assert rows_of(capfd.readouterr().out) == [row]


def test_data_counts_what_no_backbone_can_see(bench, trained, capfd):
    table = bench.table("mixed", MIXED)
    code, folder = bench.run("data", *table, *AUDIT, "skip_failures=true")
    assert code == 0
    report = json.loads((folder / "data.json").read_text())
    # How long a window is, is not known here.
    reasons = {**MISSING["reasons"], "before the first whole window": 0}
    assert report["missing"] == {"test": {"positive": {**MISSING, "left": 5, "reasons": reasons}}}
    assert report["units"] == []
    assert rows_of(capfd.readouterr().out) == [["test", "positive", "15", "5", "3", "3", "1", "3"]]
    assert "| test | positive | 15 | 5 | 3 | 3 | 1 | 3 |" in (folder / "data.md").read_text()


UNITS = {
    "frames": (10, "they look like frame numbers (divide by the frame rate)"),
    "milliseconds": (1000, "they look like milliseconds (divide by 1000)"),
}


@pytest.mark.parametrize("unit", UNITS)
def test_other_units_are_guessed_and_end_train_and_evaluate(bench, trained, unit, capfd):
    factor, guess = UNITS[unit]
    table = bench.table(unit, {f"crash{n}": 4 + n / 10 for n in range(4)}, factor)
    said = f"positives' event times lie beyond their files' ends: {guess}."
    lost = "test split 0.5, 1, 1.5 s before the event: all 12 are"
    for count, where, verb in (
        (10, "train split: all 18 are", ("train", *FAST, *EXTRACT)),
        (4, lost, ("evaluate", trained, "num_resamples=20")),
    ):
        code, folder = bench.run(*verb, *table)
        error = " ".join(capfd.readouterr().err.split())
        assert code == 2 and folder is None
        assert f"No positive example is left in the {where} without frames (" in error
        assert f" event beyond the end). {count} of {count} {said} Give event times in" in error
    code, folder = bench.run("data", *table, *AUDIT)
    assert code == 0 and f"10 of 10 {said}" in " ".join(capfd.readouterr().out.split())
    assert f"10 of 10 {said}" in (folder / "data.md").read_text()
    assert bench.run("extract", *table, *BACKBONE, *EXTRACT)[0] == 0
    output = capfd.readouterr().out
    assert f"10 of 10 {said}" in " ".join(output.split())
    assert rows_of(output)[-1] == ["test", "positive", "12", "0", "12"]


def test_units_of_some_are_a_warning_where_others_are_left(bench, trained, capfd):
    times = {"crash0": 4.0, "crash1": 41, "crash2": 42, "crash3": 43}
    code, folder = bench.run("evaluate", trained, *bench.table("some", times), "num_resamples=20")
    assert code == 0 and "look like frame numbers" in " ".join(capfd.readouterr().out.split())
    metrics = json.loads((folder / "metrics.json").read_text())["datasets"]["manifest"]
    (warning,) = [one for one in metrics["warnings"] if one["name"] == "odd_times"]
    assert warning["message"].startswith("3 of 4 positives'")
    assert "odd_times" in (folder / "results.html").read_text()


def test_a_horizon_without_history_ends_both(bench, trained, capfd):
    """A cut 1.5 s before an event at 1.9 s ends at 0.4 s, and a window is 0.5 s long."""
    table = bench.table("short", {f"crash{n}": 1.9 for n in range(4)})
    for verb in (("train", *FAST, *EXTRACT), ("evaluate", trained, "num_resamples=20")):
        code, _ = bench.run(*verb, *table)
        said = " ".join(capfd.readouterr().err.split())
        assert code == 2 and "test split 1.5 s before the event: all 4 are without frames" in said
        assert "(4 before the first whole window). Give longer videos" in said


def test_what_is_too_short_is_told_before_extraction_with_what_keeps_it(bench, trained, capfd):
    """One in three test cuts of each positive ends at 0.4 s: five frames instead of six."""
    table = bench.table("brief", {"crash0": 1.9, "good": 4.5})
    arguments = (*table, *BACKBONE, *EXTRACT)
    lost = (
        "1 of 33 positive and 0 of 39 negative examples (of 1 videos) will have no window: it "
        "takes 6 frames at 10 a second, 0.5 s, up to the cut. "
    )
    for more in (["plan=true"], []):
        assert bench.run("extract", *arguments, *more)[0] == 0
        output = capfd.readouterr().out
        assert f"Too short: {lost}backbone.min_frames=4 would keep 1 of the 1." in output
    assert rows_of(output) == [["test", "positive", "6", "5", "1"]]
    assert bench.run("evaluate", trained, *table, "num_resamples=20")[0] == 0
    said = capfd.readouterr()
    assert "min_frames=4 would keep 1 of the 1. For that it has to be trained anew." in said.err
    assert bench.run("extract", *arguments, "backbone.min_frames=4")[0] == 0
    output = capfd.readouterr().out
    assert "Too short" not in output and rows_of(output) == []


def test_where_nothing_else_was_wanted_nothing_is_refused(bench, trained, capfd):
    """One class alone has its warning, and clips already cut have no event to lie beyond."""
    table = bench.table("normal", {})
    code, folder = bench.run("evaluate", trained, *table, "num_resamples=20")
    assert code == 0
    metrics = json.loads((folder / "metrics.json").read_text())["datasets"]["manifest"]
    assert "class_missing" in {one["name"] for one in metrics["warnings"]}
    lines = [f"crash{n}.mp4,{n % 2},test" for n in range(4)]
    (bench.videos / "cut.csv").write_text("\n".join(["video,label,split", *lines]))
    cut = ("dataset=manifest", f"dataset.csv={bench.videos / 'cut.csv'}", "dataset.cut_horizon=1.0")
    assert bench.run("evaluate", trained, *cut, "num_resamples=20")[0] == 0
    times = {"good": 4.5, "early": 1.2}
    table = bench.table("within", times)
    assert bench.run("evaluate", trained, *table, "within=[0.5,2.0]", "num_resamples=20")[0] == 0
    assert rows_of(capfd.readouterr().out) == [
        ["test", "positive", "2", "1", "1"],
        ["test", "negative", "6", "5", "1"],
    ]
