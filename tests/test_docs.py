"""The code in docs/ does what its page says."""

import csv
import re
import textwrap
from pathlib import Path

import pytest

from collision.config import build
from tests.kit.experiments import compose

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENT = "nexar_vjepa2_zipformer"
TIMES = {1: ("19.5", "18.25"), 0: ("", "")}


def code_blocks(page, language):
    blocks = re.findall(
        rf"^ *```{language}\n(.*?)^ *```", (ROOT / "docs" / page).read_text(), re.DOTALL | re.M
    )
    return [textwrap.dedent(block) for block in blocks]


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def kaggle(root):
    """Unpadded ids, stems of 5 digits, the label in a column."""
    rows = []
    for number in range(20):
        touch(root / f"train/{number:05d}.mp4")
        event, alert = TIMES[number % 2]
        rows.append(
            {"id": number, "time_of_event": event, "time_of_alert": alert, "target": number % 2}
        )
    write_csv(root / "train.csv", rows)


def hub_rows(root, label, folder, prefix=""):
    rows = []
    for number in range(10):  # stems repeat in the two classes
        touch(root / f"train/{folder}/{number:05d}.mp4")
        event, alert = TIMES[label]
        rows.append(
            {
                "file_name": f"{prefix}{number:05d}.mp4",
                "time_of_event": event,
                "time_of_alert": alert,
                "light_conditions": "Dark",
                "weather": "Rain",
                "scene": "Urban",
                "time_to_accident": "",
            }
        )
    return rows


def hugging_face(root):
    """One table a folder, the label as folder."""
    for label, folder in enumerate(("negative", "positive")):
        rows = hub_rows(root, label, folder)
        write_csv(root / f"train/{folder}/metadata.csv", rows)


def hugging_face_one_table(root):
    rows = hub_rows(root, 0, "negative", "negative/") + hub_rows(root, 1, "positive", "positive/")
    write_csv(root / "train/metadata.csv", rows)


@pytest.mark.parametrize("layout", [kaggle, hugging_face, hugging_face_one_table])
def test_the_nexar_page_makes_a_list_that_the_experiment_reads(tmp_path, monkeypatch, layout):
    root = tmp_path / "data/nexar"
    root.mkdir(parents=True)
    layout(root)
    monkeypatch.chdir(tmp_path)
    (snippet,) = code_blocks("train_on_nexar.md", "python")
    exec(compile(snippet, "docs/train_on_nexar.md", "exec"), {})

    config = compose("train", f"experiment={EXPERIMENT}", f"data_root={tmp_path / 'data'}")
    dataset = build(config.dataset)
    dataset.prepare()
    records = dataset.records()
    assert len(records) == len({record.path for record in records}) == 20
    for record in records:
        assert record.path.is_file()
        if layout is kaggle:
            assert record.label == int(record.path.stem) % 2
        else:
            assert record.label == (record.path.parent.name == "positive")
            assert record.tags == {"light_conditions": "Dark", "weather": "Rain", "scene": "Urban"}
        assert record.event_time == (19.5 if record.label else None)
        assert record.alert_time == (18.25 if record.label else None)
    tested = [record.label for record in records if record.split == "test"]
    assert sorted(tested) == [0, 0, 1, 1]
    assert {record.split for record in records} == {"train", "test"}
