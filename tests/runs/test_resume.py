"""A run is gone on with by its own options; what it learns from and how stays as it was."""

import copy
import dataclasses
import json
from pathlib import Path

import pytest
import yaml

from collision.errors import CheckpointError, ConfigError
from collision.learning.optim import AdamW
from collision.learning.schedulers import Cosine
from collision.options import as_config
from collision.runs.resume import check_learned_from
from tests.kit.experiments import compose

PARTS = ("dataset", "backbone", "head", "pooling", "sampling", "loss")
CHOSEN = ("dataset=manifest", "dataset.csv=b.csv", "head=gru", "logger=wandb", "head.dim=32")


@pytest.fixture
def run(tmp_path):
    config = as_config(compose("train", *CHOSEN, "limit=7"))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def test_a_run_is_read_back_as_it_was(run):
    options = compose("train", f"resume={run}")
    assert options.resume == run
    assert dataclasses.replace(options, resume=None) == compose("train", *CHOSEN, "limit=7")


def test_plain_options_may_change(run):
    changes = ("trainer.max_steps=5", "seeds=3", "dataset.root=/x", "+seed=0", "head=gru")
    options = compose("train", f"resume={run}", *changes)
    assert options.trainer.max_steps == 5 and options.seeds == 3
    assert options.dataset.options["root"] == "/x" and options.dataset.options["csv"] == "b.csv"


REFUSED = {
    "head=zipformer": "keeps its parts, but head=zipformer swaps one",
    "experiment=nexar_vjepa2_zipformer": "keeps its parts",
    "~logger": "keeps its parts",
    "head.dim=64": "keeps what it learns from and how, but head.dim=64 changes 'head'",
    "sampling.balanced=true": "changes 'sampling'",
    "init_from=x": "changes 'init_from'",
    "limit=3": "changes 'limit'",
    "heat=3": "There is no option 'heat'",
    "trainer.steps=3": "Did you mean trainer.max_steps?",
    "seeds=0": "seeds=0: give 1 or more.",
    "seeds=1,2": "a sweep, with -m",
}


@pytest.mark.parametrize("change", REFUSED)
def test_what_would_be_another_run_is_refused(change, run):
    with pytest.raises(ConfigError) as error:
        compose("train", f"resume={run}", change)
    assert REFUSED[change] in str(error.value)


def test_runs_of_the_last_version_name_classes(run):
    old = yaml.safe_load((run / "config.yaml").read_text())
    for name in (*PARTS, "optimizer"):
        options = old[name]["options"]
        old[name] = {"_target_": compose("train", *CHOSEN).__dict__[name].target, **options}
    old["logger"] = {}
    del old["trust"]
    (run / "config.yaml").write_text(yaml.safe_dump(old))
    options = compose("train", f"resume={run}", "seeds=2")
    assert options.head.build(input_dim=4).output_dim == 32 and options.logger is None


OF_BEFORE = {
    "by name": {"name": "adamw", "options": {"lr": 0.1, "weight_decay": 0.5}},
    "by class": {"target": "collision.learning.optim.AdamWCosine", "options": {"lr": 0.1}},
    "as Hydra has it": {"_target_": "collision.optim.AdamWCosine", "lr": 0.1},
}


@pytest.mark.parametrize("form", OF_BEFORE)
@pytest.mark.parametrize("schedule", [{}, {"warmup": 0.3, "final_fraction": 0.5}])
def test_a_run_whose_optimizer_brought_the_schedule_goes_on_by_it(run, form, schedule):
    """Versions before there was `scheduler=`."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    optimizer = copy.deepcopy(OF_BEFORE[form])
    optimizer.get("options", optimizer).update(schedule)
    del config["scheduler"], config["parts"]["scheduler"]
    (run / "config.yaml").write_text(yaml.safe_dump(config | {"optimizer": optimizer}))
    options = compose("train", f"resume={run}", "seeds=2")
    assert options.parts["scheduler"] == "cosine" and options.parts["head"] == "gru"
    assert isinstance(options.optimizer.build(), AdamW) and options.optimizer.build().lr == 0.1
    assert options.scheduler.build() == Cosine(**schedule)
    again = as_config(options)  # what is written into the folder, and read the next time
    (run / "config.yaml").write_text(yaml.safe_dump(again))
    assert compose("train", f"resume={run}", "seeds=2").scheduler.build() == Cosine(**schedule)
    for change, words in {
        "scheduler=eden": "keeps its parts, but scheduler=eden swaps one",
        "scheduler.warmup=0.9": "but scheduler.warmup=0.9 changes 'scheduler'",
        "optimizer.warmup=0.9": "Give scheduler.warmup instead.",
    }.items():
        with pytest.raises(ConfigError) as error:
            compose("train", f"resume={run}", change)
        assert words in str(error.value)


def test_no_run_and_no_trust(run):
    with pytest.raises(CheckpointError, match="There is no folder"):
        compose("train", f"resume={run / 'nothing'}")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["head"] = {"target": "os.path.Head", "options": {}}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(CheckpointError, match=r"trust=\[os\]"):
        compose("train", f"resume={run}")


def test_other_videos_or_features_are_refused(tmp_path: Path):
    check_learned_from(tmp_path, {"data_digest": "b"}, str)  # an old run does not say
    made = {"learned_from": {"data_digest": "a", "feature_fingerprint": "x"}}
    (tmp_path / "provenance.json").write_text(json.dumps(made))
    check_learned_from(tmp_path, {"data_digest": "a", "feature_fingerprint": "x"}, lambda: "c")
    with pytest.raises(ConfigError, match="its data_digest was a when it began, and is b now"):
        check_learned_from(tmp_path, {"data_digest": "b"}, lambda: "c")
    check_learned_from(tmp_path, {"data_digest": "b"}, lambda: "a")  # of whole files, as it was
    with pytest.raises(ConfigError, match="its feature_fingerprint was x"):
        check_learned_from(tmp_path, {"feature_fingerprint": "y"}, lambda: "x")


def test_a_run_that_was_counted_in_epochs_is_not_continued(run):
    saved = yaml.safe_load((run / "config.yaml").read_text())
    saved["trainer"] = {"max_epochs": 20, "patience": 8}
    (run / "config.yaml").write_text(yaml.safe_dump(saved))
    with pytest.raises(ConfigError, match=r"counted training in epochs.*not continued"):
        compose("train", f"resume={run}")
