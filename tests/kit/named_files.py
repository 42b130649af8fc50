"""The files that examples of the help name: clips, lists, runs, tables and proposals."""

import csv
import shutil
from pathlib import Path

from tests.conftest import ROOT
from tests.kit.checkout import run
from tests.kit.layouts import ccd, dad, nexar
from tests.kit.proposals import cheating_backbone, cheating_loss

RUNS = {  # trained for the names of runs in examples
    "runs/2026-01-31_12-00-00_a": "head=gru",
    "runs/2026-01-31_12-30-00_b": "head=gru backbone=optical_flow",
}
SPACE = """\
cells: {head: [linear, gru]}
within:
  optimizer.lr: {low: 1.0e-4, high: 1.0e-2, log: true}
"""


def make_named_files(folder: Path) -> None:
    """Train and score in a copy of the tree, and put what examples name beside it."""
    evaluated = "collision evaluate -q {run} dataset=synthetic_night clips=none"
    for options in ("head=linear", "head=linear backbone=optical_flow"):
        run(folder, f"python train.py -q extraction.num_workers=0 clips=none {options}")
    for name, options in RUNS.items():
        run(folder, f"python train.py -q extraction.num_workers=0 seeds=2 {options}")
        shutil.copytree((folder / "runs/latest").resolve(), folder / name)
        run(folder, evaluated.format(run=name))
    shutil.copytree(folder / next(iter(RUNS)), folder / "RUN")
    first, second = sorted((folder / "runs").glob("*_evaluate_*"))
    for name, source in {"A": first, "B": second, "C": first}.items():
        shutil.copytree(source, folder / f"EVALUATION_{name}")
    make_clips(folder)
    make_tables(folder)
    make_proposals(folder / "proposals")
    for layout in (nexar, ccd, dad):
        layout.write(folder / "data" / layout.__name__.rpartition(".")[2])


def make_clips(folder: Path) -> None:
    """Put painted clips where examples look for the reader's own."""
    (data,) = (path for path in (folder / "data").glob("synthetic-*"))
    with (data / "index.csv").open() as file:
        rows = list(csv.DictReader(file))
    listed = []
    for place in ("FOLDER/crash", "FOLDER/normal", "clips", "cams/front/today"):
        (folder / place).mkdir(parents=True)
    for number, row in enumerate(rows):
        label, path = row["label"], data / row["file"]
        name = f"{'crash' if label == '1' else 'normal'}/{path.name}"
        shutil.copy(path, folder / "FOLDER" / name)
        listed.append({**_listed(row), "video": f"FOLDER/{name}", "file": f"FOLDER/{name}"})
        for place in ("clips", "cams/front/today") if number < 2 else ():
            shutil.copy(path, folder / place)
    shutil.copy(data / rows[0]["file"], folder / "drive.mp4")
    write(folder / "clips.csv", listed)
    known = [row for row in rows[:2] if row["event_time"]]
    times = [{"video": Path(row["file"]).name, "event_time": row["event_time"]} for row in known]
    write(folder / "events.csv", times)


def _listed(row: dict[str, str]) -> dict[str, str]:
    event = row["event_time"] if row["label"] == "1" else ""
    return {
        "label": row["label"],
        "event_time": event,
        "group": row["group"],
        "split": row["split"],
    }


def make_tables(folder: Path) -> None:
    """Write tables of runs, as a reader has them from elsewhere."""
    runs = [
        {"backbone": b, "head": h, "dataset": d, "size": s, "seed": n, "map": _score(b, h, d, s, n)}
        for b in ("a", "b")
        for h in ("gru", "tcn")
        for d in ("one", "two")
        for s in ("100", "200")
        for n in range(3)
    ]
    write(folder / "runs.csv", runs)
    own = [row for row in runs if row["backbone"] == "a"]
    log = [{**row, "trial": n, "optimizer.lr": 10 ** -(2 + n % 4)} for n, row in enumerate(own)]
    write(folder / "log.csv", log)
    studies = [
        {"policy": p, "repeat": r, "trial": t, "map": 0.5 + 0.01 * ((7 * t + 3 * r) % (9 + 4 * n))}
        for n, p in enumerate(("random", "tpe"))
        for r in range(4)
        for t in range(12)
    ]
    write(folder / "studies.csv", studies)
    (folder / "mine.yaml").write_text(SPACE)


def _score(*chosen: object) -> float:
    """Give each choice its own share, and a little that nobody explains."""
    return 0.6 + sum((n + 1) * (hash_of(str(one)) % 7) for n, one in enumerate(chosen)) / 1000


def hash_of(text: str) -> int:
    """Give a number that is the same in every process."""
    return sum((n + 1) * ord(letter) for n, letter in enumerate(text))


def make_proposals(folder: Path) -> None:
    """Write a head, a loss and a backbone that keep their promises."""
    example = ROOT / "examples/new_head"
    config = (example / "forgetting.yaml").read_text().replace("forgetting.F", "my_head.F")
    parts = {"my_head": ((example / "forgetting.py").read_text(), config)}
    for made in (cheating_loss("my_loss"), cheating_backbone("my_net")):
        parts[made.name] = (made.code, made.config)
    for name, (code, config) in parts.items():
        (folder / name).mkdir(parents=True)
        (folder / name / f"{name}.py").write_text(code)
        (folder / name / f"{name}.yaml").write_text(config)


def write(path: Path, rows: list[dict]) -> None:
    """Write a CSV."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
