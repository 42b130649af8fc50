"""One page over many runs: what each found, and what continues those that have not ended."""

from __future__ import annotations

import json
import os
import re
import shlex
import time

import pytest

from collision.errors import CheckpointError
from collision.report.runs_page import QUIET, found_runs, write_runs_page
from tests.kit.pages import Tags
from tests.kit.report import evaluated_run, trained_run
from tests.kit.scores import made_up_scores

CONFIG = "format: 1\nseeds: 3\nparts: {head: tcn}\ndataset: {name: synthetic, options: {}}\n"
LOG = "step,train/loss,val/nexar_map\n10,0.7,\n10,,0.61234\n20,0.6,\n"


def begun(folder, age=0.0):
    """What a run leaves before it has ended; its last sign is so many seconds old."""
    (folder / "seed_0").mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG)
    made = {"command": "python train.py head=tcn", "started": "2026-02-01T10:00:00+00:00"}
    (folder / "provenance.json").write_text(json.dumps(made))
    (folder / "seed_0" / "log.csv").write_text(LOG)
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - age,) * 2)
    return folder


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "runs"
    trained_run(root / "a", made_up_scores(30), made_up_scores(30, seed=1))
    evaluated_run(root / "sweep" / "b", day=[made_up_scores(30)], night=[made_up_scores(30)])
    begun(root / "now")
    begun(root / "it's old", age=QUIET + 60)
    (root / "latest").symlink_to("a")
    (root / "empty").mkdir()
    (root / "broken").mkdir()
    (root / "broken" / "metrics.json").write_text("{")
    (root / "odd").mkdir()
    (root / "odd" / "provenance.json").write_text("[]")
    return root


def test_runs_are_found_with_what_they_say(root):
    runs = {}
    for run in found_runs([root]):
        runs.setdefault(run.folder.name, []).append(run)
    assert set(runs) == {"a", "b", "now", "it's old", "broken", "odd"}
    (a,), b = runs["a"], runs["b"]
    metrics = json.loads((root / "a" / "metrics.json").read_text())
    assert (a.state, a.seeds, a.parts["head"], a.dataset) == ("done", 2, "gru", "made_up, test")
    assert a.ap.as_json() == metrics["ap"]["mean"] and a.command == "python train.py head=gru"
    assert {one.dataset for one in b} == {"day, test", "night, test"}
    (now,), (old,) = runs["now"], runs["it's old"]
    assert (now.state, old.state) == ("running", "unfinished")
    assert {runs[name][0].state for name in ("broken", "odd")} == {"damaged"}
    assert now.progress == "seed_0: step 20, validation mAP 0.612"
    words = shlex.split(old.continues)
    assert words == ["python", "train.py", f"resume={old.folder}"]


def test_a_run_given_twice_is_listed_once_and_a_single_one_is_found(root):
    assert len(found_runs([root, root / "a"])) == len(found_runs([root]))
    assert [run.folder.name for run in found_runs([root / "a"])] == ["a"]
    with pytest.raises(CheckpointError, match="no folder"):
        found_runs([root / "nowhere"])


def test_the_page_lists_links_and_commands(root):
    (root / "a" / "results.html").write_text("")
    page = root / "runs.html"
    write_runs_page(page, found_runs([root]), [root])
    html = page.read_text()
    tags = Tags()
    tags.feed(html)
    assert tags.open == [] and "refresh" not in html.split("</head>")[0]
    assert re.findall(r'href="([^#"]*)"', html) == ["a/results.html"]
    metrics = json.loads((root / "a" / "metrics.json").read_text())
    value = f"{metrics['ap']['mean']['value']:.3f}".removeprefix("0")
    assert f'data-value="{value}"' in html
    assert "resume=" in html and "Not ended" in html
    assert re.search(r"Made \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", html)
    write_runs_page(page, found_runs([root]), [root], refresh=30)
    assert '<meta http-equiv="refresh" content="30">' in page.read_text()


def test_no_run_is_a_page_too(tmp_path):
    write_runs_page(tmp_path / "runs.html", found_runs([tmp_path]), [tmp_path])
    assert "No run yet" in (tmp_path / "runs.html").read_text()


def test_a_thousand_runs_are_one_small_page(tmp_path):
    trained_run(tmp_path / "first", made_up_scores(24))
    (run,) = found_runs([tmp_path])
    write_runs_page(tmp_path / "runs.html", [run] * 1000, [tmp_path])
    assert (tmp_path / "runs.html").stat().st_size < 3_000_000
