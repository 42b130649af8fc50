"""``collision search`` as a person types it: real videos, real trainings."""

import csv
import json
import shlex
import shutil

import pytest
import yaml

from collision.__main__ import main
from collision.search.folder import CONFIG, SPACE
from tests.conftest import ROOT
from tests.kit.layouts import nexar

QUICK = ("backbone=optical_flow", "trainer.max_steps=4", "trainer.validations=1")
CELLS = {"head": ["gru", "linear"], "loss": ["bce", "focal"]}
WITHIN = {
    "optimizer.lr": {"low": 1e-4, "high": 1e-2, "log": True},
    "loss.gamma": {"low": 0.5, "high": 5, "when": {"loss": "focal"}},
}


class Home:
    """A folder with data, whose features are extracted once, and what is typed there."""

    def __init__(self, root):
        self.root, self.data, self.capfd = root, root / "nexar", None
        self.given = (*nexar.write(self.data, "kaggle"), *QUICK)
        (root / "mine.yaml").write_text(yaml.safe_dump({"cells": CELLS, "within": WITHIN}))

    def types(self, *arguments, code=0):
        self.capfd.readouterr()
        found = main(list(arguments))
        said = "".join(self.capfd.readouterr())
        assert found == code, said
        return said

    def trials(self, name):
        self.types("search", "export", name, f"output={name}.csv")
        with (self.root / f"{name}.csv").open() as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture
def home(made, monkeypatch, capfd):
    for name in ("DATA", "CACHE", "RUNS"):
        monkeypatch.setenv(f"COLLISION_{name}", str(made.root / name.lower()))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(made.root)
    made.capfd = capfd
    return made


def test_a_search_from_its_beginning_to_its_analysis(home):
    budget = ("space=mine.yaml", "policy=random", "budget=3", "confirm=1", "confirm_seeds=2")
    said = home.types("search", *budget, "name=night1", *home.given)
    assert "Search night1: 4 cells of mine" in said and "3 of 3 trials" in said
    assert "Best by fresh seeds: trial" in said and "by luck alone" in said
    begun = ("Loading", "Looking up the backbones of mine", "Features 1 of 1: optical_flow")
    begun += ("Reading the features", "Starting ", "night1: 0 of 3", "Best so far by cell")
    places = [said.index(word) for word in begun]
    assert places == sorted(places)
    folder = home.root / "runs" / "searches" / "night1"
    assert (folder / CONFIG).is_file() and (folder / SPACE).is_file()
    assert not list(folder.glob("trial-*"))

    rows = home.trials("night1")
    assert [row["stage"] for row in rows] == 3 * ["search"] + 2 * ["confirm"]
    assert {row["state"] for row in rows} == {"done"}
    for row in rows:
        assert 0 < float(row["map"]) <= 1 and int(row["num_parameters"]) > 0
        assert float(row["windows_per_second"]) > 0
        assert float(row["seconds"]) > 0 and float(row["overhead"]) > 0
        assert (row["loss.gamma"] != "") == (row["loss"] == "focal")

    # It is one training of train.py: the same score comes of the command that is named.
    chosen = rows[0]
    program, script, *overrides = shlex.split(chosen["command"])
    assert (program, script) == ("python", "train.py")
    home.types("train", *overrides, "audit=false", "num_resamples=20", "prior=logistic")
    (log,) = (home.root / "runs").glob("2*/seed_*/log.csv")
    with log.open() as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["val/nexar_map"]) == pytest.approx(float(chosen["map"]), abs=2e-3)

    # It goes on by its name, and only as the same search.
    said = home.types("search", "name=night1", "budget=5", "confirm=0")
    assert "5 of 5 trials" in said and len(home.trials("night1")) == 7
    said = home.types("search", "name=night1", "budget=5", "limit=3", code=2)
    assert "was begun with limit=None" in said
    said = home.types("search", "status", "night1")
    assert "Best so far" in said and "Confirmed by fresh seeds" in said
    home.types("search", "export", "night1", "output=runs.csv", "done=true")
    said = home.types(  # on so few clips all may have the same mAP
        "study", "analyse", "runs.csv", "factors=[stage]", "score=seconds", "num_resamples=100"
    )
    assert "What explains seconds" in said


def test_the_test_split_changes_nothing(home):
    """Its labels turned round, then gone, its videos damaged: the trials are the same."""
    seen, data = [], home.root / "other"
    shutil.copytree(home.data, data)
    given = [one.replace(str(home.data), str(data)) for one in home.given]
    for number in range(3):
        solution = data / "solution.csv"
        if number == 1:
            rows = list(csv.DictReader(solution.open()))
            text = ["id,target,group,Usage"]
            text += [f"{r['id']},{1 - int(r['target'])},{r['group']},{r['Usage']}" for r in rows]
            solution.write_text("\n".join(text) + "\n")
        if number == 2:
            solution.unlink()
            for file in (data / "test").iterdir():
                file.write_bytes(b"no video")
        name = f"s{number}"
        budget = ("space=mine.yaml", "policy=tpe", "budget=2", "confirm=0", "workers=1")
        home.types("search", *budget, f"name={name}", *given)
        seen.append([(row["experiment"], row["seed"], row["map"]) for row in home.trials(name)])
    assert seen[0] == seen[1] == seen[2] and len(seen[0]) == 2


def test_a_trial_that_cannot_be_built_ends_nothing(home):
    """A choice between heads is no head; a rate at which training diverges gives no score."""
    cells = {"head": ["linear", "auto"], "optimizer.lr": [0.001, 1e30]}
    (home.root / "bad.yaml").write_text(yaml.safe_dump({"cells": cells}))
    begin = ("space=bad.yaml", "policy=random", "budget=8", "name=bad", "confirm=0")
    home.types("search", *begin, *home.given, "prior=null")
    rows = home.trials("bad")
    causes = {row["cause"] for row in rows if row["head"] == "auto"}
    assert len(causes) == 1 and "is a choice between heads" in causes.pop()
    assert any(row["state"] == "done" for row in rows) and len(rows) == 8
    wild = [row for row in rows if row["head"] == "linear" and float(row["optimizer.lr"]) > 1]
    assert all(row["state"] == "failed" and "diverged" in row["cause"] for row in wild)


REFUSED = {
    ("search", "space=offline", "policy=cmaes", "policy.converged=x", "budget=2"): (
        "policy.converged=x: give a number"
    ),
    ("search",): "space must be given: space=NAME. There are: core",
    ("search", "name=nn"): "There is no search 'nn' to go on with. space must be given",
    ("search", "space=offline"): "Say how long: budget=N trials, hours=H, or both",
    ("search", "space=ofline", "budget=3"): "No space is called 'ofline'. Did you mean offline?",
    ("search", "space=offline", "budget=3", "policy=tpee"): "Did you mean tpe?",
    ("search", "space=offline", "budget=3", "name=a/b"): "give letters, digits",
    ("search", "space=offline", "budget=0"): "budget=0: give 1 or more",
    ("search", "space=offline", "budget=3", "objectives=[parameters]"): "the first is map",
    ("search", "space=offline", "budget=3", "storage=sqlite:///x"): "give storage=postgresql://",
    ("search", "space=offline", "budget=3", "storage=postgresql://a:b@c/d"): "holds a password",
    ("search", "space=offline", "budget=3", "dataset=nexar", "data_root=no"): "no/nexar",
    ("search", "show", "night1"): "the actions are status, report, export",
    ("search", "status"): "the actions are status, report, export",
    ("search", "status", "night9"): "There is no search 'night9'",
    ("search", "space=offline", "budget=3", "seeds=2"): "seeds=2: a trial of a search is one",
}


@pytest.mark.parametrize("typed", REFUSED, ids=" ".join)
def test_a_mistake_is_a_sentence(typed, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("collision.commands.search.collect", None)  # nothing is computed for it
    monkeypatch.setenv("COLLISION_RUNS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(list(typed)) == 2
    said = "".join(capfd.readouterr())
    assert REFUSED[typed] in said and "Traceback" not in said and not list(tmp_path.iterdir())


def test_backbones_that_cannot_be_had_are_told_before_anything_is_trained(home, monkeypatch):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    cells = {"backbone": ["optical_flow", "vjepa2"], "head": ["linear"]}
    (home.root / "far.yaml").write_text(yaml.safe_dump({"cells": cells}))
    begin = (
        "space=far.yaml",
        "policy=random",
        "budget=1",
        "confirm=0",
        *home.given[:-3],
        *QUICK[1:],
    )
    said = home.types("search", *begin, "name=far", code=2)
    assert "1 of 2 backbones of far can be neither" in said and "vjepa2:" in said
    assert "skip_unbuildable=true" in said and not (home.root / "runs/searches/far").exists()
    said = home.types("search", *begin, "name=far", "skip_unbuildable=true")
    assert "left out, vjepa2" in said and "1 of 1 trials" in said
    assert {row["backbone"] for row in home.trials("far")} == {"optical_flow"}
    saved = yaml.safe_load((home.root / "runs/searches/far/config.yaml").read_text())
    assert json.dumps(saved) and saved["skip_unbuildable"] is True
    assert (ROOT / "configs" / "search.yaml").is_file()


def test_the_page_of_a_search_and_its_archive(home):
    given = ("space=mine.yaml", "policy=map_elites", "policy.axes=[loss,head]", "budget=2")
    said = home.types("search", *given, "confirm=0", "name=archive", *home.given)
    folder = home.root / "runs" / "searches" / "archive"
    assert "search.html" in said and (folder / "archive.png").is_file()
    (folder / "search.html").unlink()
    assert str(folder / "search.html") in home.types("search", "report", "archive")
    page = (folder / "search.html").read_text()
    assert "mine, 4 cells" in page and "map_elites" in page and "python train.py" in page


def test_a_design_is_scored_on_test_splits_and_analysed(home):
    given = ("design=factorial", "space=mine.yaml", "seeds=2", "name=plan", *home.given)
    said = home.types("study", *given)
    assert "4 cells of mine, 8 trainings" in said and "A design calls nothing best" in said
    rows = home.trials("plan")
    assert len(rows) == 8 and {row["stage"] for row in rows} == {"design"}
    assert all(0 < float(row["test/nexar"]) <= 1 for row in rows)
    assert {row["optimizer.lr"] for row in rows} == {rows[0]["optimizer.lr"]}
    assert "8 of 8 trials" in home.types("study", *given, code=0)
    quick = ("score=seconds", "num_resamples=100", "importance=false")
    said = home.types("study", "analyse", "plan", *quick)
    assert "8 runs in 4 of 4 combinations of head, loss" in said
    assert "no search 'plam'" in home.types("study", "analyse", "plam", code=2)
    home.types("search", "status", "plan", "once=true")


def test_a_design_with_several_draws_and_without_a_prior(home):
    """A prior is a dimension like others; each draw of what is within cells meets both."""
    cells = {"head": ["linear"], "prior": ["logistic", None]}
    within = {"optimizer.lr": WITHIN["optimizer.lr"]}
    (home.root / "prior.yaml").write_text(yaml.safe_dump({"cells": cells, "within": within}))
    given = ("design=factorial", "space=prior.yaml", "seeds=1", "draws=3", "name=draws")
    assert "2 cells of prior, 6 trainings" in home.types("study", *given, *home.given)
    rows = home.trials("draws")
    rates = {}
    for row in rows:
        assert row["state"] == "done" and 0 < float(row["test/nexar"]) <= 1
        rates.setdefault(row["prior"], []).append(row["optimizer.lr"])
        assert f"prior={row['prior']}" in shlex.split(row["command"])
    assert set(rates) == {"logistic", "null"}
    assert sorted(rates["logistic"]) == sorted(rates["null"]) and len(set(rates["null"])) == 3
    quick = ("score=seconds", "num_resamples=100", "importance=false", "bins=2")
    said = home.types("study", "analyse", "draws", *quick)
    assert "6 runs in" in said and "optimizer.lr" in said
    (home.root / "one.yaml").write_text(
        yaml.safe_dump({"cells": {"head": ["gru", "linear"]}, "within": within})
    )
    given = ("design=factorial", "space=one.yaml", "seeds=1", "draws=2", "name=off", "prior=null")
    home.types("study", *given, *home.given)
    rows = home.trials("off")
    assert len(rows) == 4 and {row["state"] for row in rows} == {"done"}
    assert all("prior=null" in shlex.split(row["command"]) for row in rows)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("search", "space=mine.yaml", "budget=2", "draws=2"), "only a design has them"),
        (("search", "space=mine.yaml", "budget=2", "confirm_seeds=1"), "Give confirm_seeds=2"),
        (("study", "design=factorial", "space=mine.yaml", "budget=9"), "the trials that it lists"),
        (("search", "space=mine.yaml", "budget=2", "evaluate_on=[synthetic]"), "Leave it out"),
        (("study", "design=latin", "space=mine.yaml"), "factorial"),
    ],
)
def test_what_no_design_has_is_refused(home, given, sentence):
    assert sentence in home.types(*given, *home.given, code=2)
