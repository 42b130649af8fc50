"""``collision data`` as a person calls it, on a few real files."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from collision.__main__ import main
from collision.audit import facts as facts_module
from tests.conftest import ROOT, environment
from tests.kit.audit import scene_frames
from tests.kit.real import REAL
from tests.kit.video import write_video

QUICK = ("num_permutations=19", "num_resamples=100", "num_workers=0")
INVENTORY = ("shortcuts=false", "duplicates=false")  # where the audit is not what is tested


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Twelve clips in two splits; clip 9 is a poor copy of clip 0, cut at both ends."""
    folder = tmp_path_factory.mktemp("clips")
    rows = ["video,label,event_time,alert_time,group,split,weather"]
    for number in range(12):
        frames = scene_frames(number)
        options = {}
        if number == 9:
            frames, options = scene_frames(0)[5:55], {"crf": "35"}
        write_video(folder / f"{number}.mp4", frames, fps=10, encoder_options=options)
        split = "train" if number < 8 else "test"
        times = "4.5,3.0" if number % 2 else ","
        weather = "Rain" if number % 3 else ""
        rows.append(f"{number}.mp4,{number % 2},{times},{number // 2},{split},{weather}")
    rows[10] = rows[10].replace(",4,test", ",9,test")
    (folder / "clips.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture
def collision_data(tmp_path, monkeypatch, capfd):
    """Run the verb in this process; give the exit code, the output and the folders it made."""
    for variable, value in environment(tmp_path).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(ROOT)

    def run(folder, *options):
        before = set(reports())
        listed = f"dataset.csv={folder / 'clips.csv'}"
        code = main(["data", "dataset=manifest", listed, *QUICK, *options])
        output = "".join(capfd.readouterr())
        assert "Traceback" not in output
        return code, output, [path for path in reports() if path not in before]

    def reports():
        return sorted((tmp_path / "runs").glob("*")) if (tmp_path / "runs").exists() else []

    return run


def copied(clips, tmp_path):
    return shutil.copytree(clips, tmp_path / "copied")


def test_a_sound_set(clips, collision_data, tmp_path):
    examples = tmp_path / "lists" / "examples.csv"
    code, output, (folder,) = collision_data(clips, "check=full", f"examples={examples}")
    assert code == 0, output
    report = json.loads((folder / "data.json").read_text())
    assert report["counts"]["train"] == {
        "positive": 4, "negative": 4, "unlabelled": 0, "videos": 8, "groups": 4,
    }  # fmt: skip
    assert report["tags"] == {"weather": {"Rain": {"positive": 4, "negative": 4}}}
    assert report["measures"]["alert to event [s]"]["positive"]["median"] == pytest.approx(1.5)
    assert report["measures"]["anchor [s]"]["negative"]["median"] == pytest.approx(4.5, abs=0.8)
    assert report["check"]["videos"] == report["check"]["decoded_now"] == 12
    assert report["failures"] == report["check"]["damaged"] == []
    (pair,) = report["duplicates"]["pairs"]
    assert (pair["first"], pair["second"]) == ("0", "9")
    assert report["duplicates"]["crossing"] == 1
    assert set(report["shortcuts"]["label"]["probes"]) == {
        "file", "position", "first_frame", "whole_file",
    }  # fmt: skip
    assert report["provenance"]["command"]
    for word in ("Near-duplicates", "tested on its twin", "chance is", "groups; an interval"):
        assert word in " ".join(output.split()), word
    for page in ("data.md", "data.html"):
        assert "Shortcuts" in (folder / page).read_text()
    for picture in ("distributions.png", "shortcuts.png"):
        assert np.asarray(Image.open(folder / picture)).std() > 1


def test_every_example_is_listed(clips, collision_data, tmp_path):
    file = tmp_path / "examples.csv"
    options = (f"examples={file}", "shortcuts=false", "duplicates=false", "val_fraction=0.3")
    code, _, (folder,) = collision_data(clips, *options)
    assert code == 0
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    test = [row for row in rows if row["split"] == "test"]
    assert len(test) == 4 * 3
    for row in rows:
        assert float(row["anchor"]) - float(row["end_time"]) == pytest.approx(float(row["horizon"]))
        assert row["path"].endswith(f"{row['video']}.mp4")
    assert {row["label"] for row in rows if row["hard_negative"] == "1"} <= {"0"}
    report = json.loads((folder / "data.json").read_text())
    assert not {"shortcuts", "duplicates", "check"} & set(report)
    assert set(report["counts"]) == {"train", "test"}  # as the owners split it


def test_a_second_run_opens_no_file(clips, collision_data, monkeypatch):
    assert collision_data(clips, "check=full", *INVENTORY)[0] == 0
    monkeypatch.setattr(facts_module, "read_facts", lambda job: pytest.fail("read again"))
    code, output, (folder,) = collision_data(clips, "check=full")
    assert code == 0
    assert json.loads((folder / "data.json").read_text())["check"]["decoded_now"] == 0
    assert "0 files now" in output


def test_damaged_and_missing_files_are_reported(clips, collision_data, tmp_path):
    folder = copied(clips, tmp_path)
    (folder / "3.mp4").write_bytes((folder / "3.mp4").read_bytes()[:5000])
    (folder / "4.mp4").unlink()
    code, output, (made,) = collision_data(folder, *INVENTORY)
    assert code == 2
    assert "2 of the videos are missing or damaged" in output and "4.mp4" in output
    report = json.loads((made / "data.json").read_text())
    assert {one["video"] for one in report["failures"]} == {"3", "4"}
    assert report["counts"]["train"]["videos"] == 8
    assert collision_data(folder, "skip_failures=true", *INVENTORY)[0] == 0


def test_damage_that_only_decoding_shows(clips, collision_data, tmp_path):
    folder = copied(clips, tmp_path)
    data = bytearray((folder / "5.mp4").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 500] = np.random.default_rng(0).bytes(500)
    (folder / "5.mp4").write_bytes(data)
    code, output, (made,) = collision_data(folder, "check=full", *INVENTORY)
    assert code == 2 and "Full check" in output
    report = json.loads((made / "data.json").read_text())
    assert [one["video"] for one in report["check"]["damaged"]] == ["5"]


def test_rejected_lines_go_to_a_file(clips, collision_data, tmp_path):
    folder = copied(clips, tmp_path)
    text = (folder / "clips.csv").read_text().replace("1.mp4,1,", "1.mp4,7,")
    (folder / "clips.csv").write_text(text + "\n12.mp4,0,x,,,train,\n")
    code, output, made = collision_data(folder)
    assert code == 2
    with (made[0] / "rejected.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert {row["line"] for row in rows} == {"3", "13", "14"}
    assert all(row["file"].endswith("clips.csv") and row["reason"] for row in rows)
    assert str(made[0] / "rejected.csv") in output


def test_negatives_without_any_event_to_copy(clips, collision_data, tmp_path):
    folder = copied(clips, tmp_path)
    lines = (folder / "clips.csv").read_text().splitlines()
    kept = [line for line in lines if ",1,4.5" not in line]
    (folder / "clips.csv").write_text("\n".join(kept))
    code, output, _ = collision_data(folder)
    assert code == 0 and "No moment can be cut" in output
    code, output, _ = collision_data(folder, f"examples={tmp_path / 'e.csv'}")
    assert code == 2 and "No moment can be cut" in output


def test_the_list_of_a_folder_is_read_as_its_hint_says(clips, collision_data, tmp_path, capfd):
    """From a folder to a report: each command is the one that the last one named."""
    folder = tmp_path / "own"
    for number in range(4):
        (folder / ("normal", "crash")[number % 2]).mkdir(parents=True, exist_ok=True)
        shutil.copy(clips / f"{number}.mp4", folder / ("normal", "crash")[number % 2])
    file = tmp_path / "clips.csv"
    assert main(["data", str(folder), f"write={file}"]) == 0
    said = capfd.readouterr().out
    assert "4 videos" in said and "event_time of 2 positives" in said
    then = said.splitlines()[-1].removeprefix("Then: collision ").split()
    assert main([*then, *QUICK]) == 2
    assert "a positive needs an event_time" in capfd.readouterr().err
    file.write_text(file.read_text().replace(",1,,", ",1,4.5,"))
    assert main([*then, *QUICK]) == 0
    capfd.readouterr()
    assert main(["data", str(folder), f"write={file}"]) == 2
    assert "it is there already" in capfd.readouterr().err
    assert main(["data", f"write={tmp_path / 'x.csv'}"]) == 2
    assert "write=" in capfd.readouterr().err


def test_a_folder_without_labels_is_reported_on(clips, collision_data, tmp_path, capfd):
    """``collision_data`` stands for its environment alone."""
    folder = tmp_path / "own"
    (folder / "day").mkdir(parents=True)
    for number in (0, 1, 9):
        shutil.copy(clips / f"{number}.mp4", folder / "day")
    assert main(["data", str(folder), "check=full", *QUICK]) == 0
    said = capfd.readouterr().out
    assert "Every frame of 3 videos was decoded" in said
    (made,) = (tmp_path / "runs").glob("*_data_own")
    report = json.loads((made / "data.json").read_text())
    assert report["counts"]["test"]["unlabelled"] == 3 and not report["failures"]
    assert report["measures"]["duration [s]"]["unlabelled"]["number"] == 3
    assert report["kinds"]["frames/s"] == {"10": {"unlabelled": 3}}
    assert [pair["first"] for pair in report["duplicates"]["pairs"]] == ["day/0.mp4"]
    assert "shortcuts" not in report and "no_cuts" not in report and "anchor" not in said
    assert "Examples without frames" not in said

    (folder / "day" / "1.mp4").write_bytes((clips / "1.mp4").read_bytes()[:600])
    assert main(["data", str(folder), *QUICK]) == 2
    output = "".join(capfd.readouterr())
    assert "1 of the videos is missing or damaged" in output and "day/1.mp4" in output
    assert main(["data", str(folder), "skip_failures=true", *QUICK]) == 0


def test_the_list_of_a_folder_says_which_groups_it_took(tmp_path, capfd):
    for number in range(7):
        (tmp_path / f"drive_{number}").mkdir()
        (tmp_path / f"drive_{number}" / "a.mp4").touch()
    (tmp_path / "drive_3" / "b.mp4").touch()
    assert main(["data", str(tmp_path), f"write={tmp_path / 'clips.csv'}"]) == 0
    said = capfd.readouterr().out
    assert "Groups from folders: drive_3 (2), drive_0 (1)" in said and "2 more; check them" in said


def test_examples_are_those_that_train_learns_from(clips, collision_data, tmp_path):
    """Near-and-far cuts have no curve: none is listed, whatever `dense` says."""
    file = tmp_path / "examples.csv"
    options = ("shortcuts=false", "duplicates=false", "sampling=within_clip", "sampling.dense=0.5")
    assert collision_data(clips, f"examples={file}", *options)[0] == 0
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    assert rows and {row["dense"] for row in rows} == {"0"}


def test_missing_videos_of_a_list_may_be_skipped(clips, collision_data, tmp_path):
    folder = copied(clips, tmp_path)
    (folder / "4.mp4").unlink()
    code, output, _ = collision_data(folder, *INVENTORY)
    assert code == 2 and "skip_failures=true" in output and "No data set" not in output
    code, output, (made,) = collision_data(folder, "skip_failures=true", *INVENTORY)
    assert code == 0 and "1 videos (1 negative)" in output
    assert json.loads((made / "data.json").read_text())["failures_by_class"] == {"negative": 1}


WRONG = {
    "check": (["check=all"], ["check=all", "full"]),
    "permutations": (["num_permutations=3"], ["num_permutations=3", "19"]),
    "shortcuts": (["shortcuts=maybe"], ["shortcuts=maybe", "true or false"]),
    "limit": (["limit=0"], ["limit=0"]),
    "no list": (["dataset.csv=none.csv"], ["none.csv"]),
    "a folder": (["examples=tests"], ["examples=tests"]),
    "below a file": (["examples=README.md/e.csv"], ["examples=README.md/e.csv"]),
    "a name too long": ([f"dataset.csv={'a' * 300}.csv"], ["too long"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_person_can_mend_is_a_sentence(name, clips, collision_data):
    options, words = WRONG[name]
    code, output, made = collision_data(clips, *options)
    assert code == 2 and not made
    for word in words:
        assert word in output


@pytest.mark.skipif(REAL is None, reason="the real clips are not here")
def test_the_real_clips(collision_data):
    """Normal drives come from other cameras than collisions, and the audit says so."""
    code, _, (folder,) = collision_data(
        REAL, "dataset.columns.event_time=event_time_corrected", "num_permutations=40"
    )
    assert code == 0
    report = json.loads((folder / "data.json").read_text())
    assert report["counts"]["test"]["positive"] == 22
    assert report["counts"]["test"]["negative"] == 8
    assert report["shortcuts"]["label"]["probes"]["file"]["grade"] == "likely"
    assert report["duplicates"]["unrelated"] == 0
    assert sum("hidden by an edit list" in one["note"] for one in report["notes"]) == 2
