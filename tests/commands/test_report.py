"""``collision report``: a trained run's page anew, and one over all runs."""

import json
import shutil

from collision.__main__ import main
from tests.kit.report import trained_run
from tests.kit.scores import made_up_scores


def test_a_trained_run_has_its_page_and_report_makes_it_again(workshop, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(workshop.run, run)
    before = (run / "results.html").read_text()
    metrics = json.loads((run / "metrics.json").read_text())
    assert before.count("<video") == before.count('<article class="card') > 0
    assert f"mAP {metrics['ap']['mean']['value']:.3f}" in before
    assert metrics["warned"] and metrics["examples"]
    said = workshop.command("report", run, "clips=none")
    assert f"Results: {run / 'results.html'}" in said
    after = (run / "results.html").read_text()
    assert "<video" not in after
    assert after.count('<article class="card') == before.count('<article class="card')
    assert (run / "results.md").read_text() == (workshop.run / "results.md").read_text()


def test_all_runs_are_one_page(workshop, tmp_path):
    said = workshop.command("report", "runs", f"runs_root={workshop.root / 'runs'}")
    page = workshop.root / "runs" / "runs.html"
    assert str(page) in said and workshop.run.name in page.read_text()
    page.unlink()
    trained_run(tmp_path / "elsewhere" / "one", made_up_scores(24))
    command = ("report", "runs", tmp_path / "elsewhere", f"runs_root={tmp_path / 'out'}")
    assert "1 runs, 0 of them running" in workshop.command(*command, "refresh=5")
    assert "one" in (tmp_path / "out" / "runs.html").read_text()


def test_what_a_person_can_mend_is_a_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "begun").mkdir()
    for arguments, words in {
        ("nowhere",): "no metrics.json",
        ("begun",): "resume=begun",
        ("begun", "refresh=5"): "refresh=5",
        ("runs", "nowhere"): "There is no folder 'nowhere'",
        ("begun", "clips=all"): "clips=all",
        (): "report needs a run folder",
    }.items():
        assert main(["report", *arguments]) == 2
        assert words in capsys.readouterr().err
