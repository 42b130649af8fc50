"""``train head=auto`` as a person calls it."""

import json
import re
import shutil

from collision.config import names_of
from collision.learning.choice import CHOICE_FILE
from collision.learning.predictor import load_predictor
from collision.learning.predictor_files import BASELINE_FOLDER, FILE_NAME
from tests.conftest import ROOT, SMALL, runs_in

QUICK = (*SMALL, "audit=false", "head=auto", "head.folds=2")


def trained(workshop, *options):
    """Train; give the run's folder, its metrics, and what was said."""
    before = runs_in(workshop.root)
    output = workshop.command("train", *QUICK, *options)
    (run,) = [run for run in runs_in(workshop.root) if run not in before]
    return run, json.loads((run / "metrics.json").read_text()), output


def test_the_chosen_head_is_trained_saved_and_judged_again(workshop):
    run, metrics, output = trained(workshop, "head.candidates=[gru,logistic]")
    assert "head auto (one of gru, logistic, by 2 folds of the training groups)" in output
    said = (
        r"head=auto: gru \(\.\d+; logistic [+-]\.\d+ \[too few groups\], by 2 folds of \d+ groups"
    )
    assert re.search(said, output)
    choice = json.loads((run / CHOICE_FILE).read_text())
    assert metrics["choice"] == {"all": {k: v for k, v in choice.items() if k != "version"}}
    assert metrics["parts"]["head"] == "auto" and "baseline" in metrics
    predictor = load_predictor(run / "seed_0" / FILE_NAME)
    assert predictor.parts["head"].name == predictor.origin.parts["head"] == "gru"
    assert not list(run.glob(".choice_*"))
    output = workshop.command("evaluate", run, "num_resamples=50")
    folder = re.search(r"Results: (.*)", output).group(1).strip()
    again = json.loads((ROOT / folder / "metrics.json").read_text())["datasets"]["synthetic"]
    assert again["ap"]["mean"]["value"] == metrics["ap"]["mean"]["value"]

    # Gone on with, it does not choose again.
    choice["chosen"] = "logistic"
    (run / CHOICE_FILE).write_text(json.dumps(choice))
    workshop.command("train", f"resume={run}", "num_resamples=50")
    assert load_predictor(run / "seed_0" / FILE_NAME).parts["head"].name == "logistic"
    output = workshop.command("train", f"resume={run}", "head.folds=3", code=2)
    assert "changes 'head'" in output
    shutil.rmtree(run)


def test_each_fold_chooses_and_the_plainest_is_as_if_named(workshop):
    candidates = ("head.candidates=[logistic,linear]", "pooling=mean", "folds=2")
    run, metrics, output = trained(workshop, *candidates)
    assert set(metrics["choice"]) == {"fold_0", "fold_1"} and "fold_1: head=auto: log" in output
    assert "baseline" not in metrics and not (run / BASELINE_FOLDER).exists()
    predictor = load_predictor(run / "fold_0" / "seed_0" / FILE_NAME)
    assert predictor.origin.parts["head"] == "logistic"
    assert predictor.origin.parts["pooling"] == predictor.parts["pooling"].name == "last"
    shutil.rmtree(run)


def test_what_can_not_be_chosen_is_told_at_once(workshop):
    output = workshop.command("train", *QUICK, f"init_from={workshop.run}", code=2)
    assert "the head to start from is already chosen" in output
    output = workshop.command("train", *QUICK, "head.candidates=[gru,auto]", code=2)
    assert "auto is itself a choice" in output
    assert "auto" in names_of("head")
