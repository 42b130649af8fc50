"""The head is chosen on groups that no candidate saw, and another only where it is shown better."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from benchmarks.made_features import Sizes, make
from collision.config import names_of, part
from collision.errors import ConfigError, Interrupted
from collision.learning import choice as module
from collision.learning.choice import (
    CHOICE_FILE,
    Choice,
    Tried,
    candidate_setups,
    choose_head,
    group_folds,
    remembered_choice,
    with_head,
)
from collision.learning.fit import Place
from collision.learning.head import HeadOptions, build_model, is_chosen
from collision.learning.task import CollisionTask
from tests.kit.features import SETUP, planted

AUTO = replace(
    SETUP,
    head=part("head", "auto", candidates=["logistic", "gru"], folds=2),
    prior=part("head", "logistic"),
    options=HeadOptions(change=True),
)


def place(folder: Path) -> Place:
    return Place(folder, 0, Console(quiet=True, force_terminal=False))


def setup_for(candidates, folds=2, **changes):
    return replace(AUTO, head=part("head", "auto", candidates=candidates, folds=folds), **changes)


def test_an_order_is_given_to_a_head_that_can_read_it(tmp_path):
    count = 400
    data, _ = make("order", count, Sizes(feature_dim=16), seed=0, split=0)
    trainer = replace(SETUP.trainer, max_steps=80, batch_size=64)
    choice = choose_head(replace(AUTO, trainer=trainer), data, place(tmp_path))
    logistic, gru = choice.candidates
    assert choice.chosen == gru.head == "gru" and choice.head == part("head", "gru")
    assert gru.over_first > 0.09 and 0 < gru.low < gru.over_first < gru.high
    assert gru.map - logistic.map == pytest.approx(gru.over_first)
    assert logistic.map < 0.65 and (logistic.low, logistic.high) == (None, None)
    assert (choice.folds, choice.groups, choice.examples) == (2, count, count)
    assert not list(tmp_path.iterdir())  # checkpoints were temporary


def test_a_linear_rule_stays_with_the_first_head(tmp_path):
    data, _ = make("change", 200, Sizes(feature_dim=16), seed=0, split=0)
    choice = choose_head(replace(AUTO, optimizer=part("optimizer", "adamw")), data, place(tmp_path))
    gru = choice.candidates[1]
    assert choice.chosen == "logistic" and choice.candidates[0].map > 0.75
    assert gru.low is not None and not gru.is_shown_better and abs(gru.over_first) < 0.02
    # With too few groups for an interval, whatever the values.
    few = choose_head(AUTO, planted(12, seed=0), place(tmp_path))
    assert few.chosen == "logistic" and few.candidates[1].low is None


def test_better_is_more_than_a_standard_error():
    assert Tried("a", 0.6, 0.011, low=0.001, high=0.0402).is_shown_better  # of .01
    assert not Tried("a", 0.6, 0.009, low=-0.011, high=0.0282).is_shown_better
    assert not Tried("a", 0.6, 0.5).is_shown_better
    assert not Tried("a", 0.6, -0.011, low=-0.03, high=0.0092).is_shown_better


def test_no_score_is_of_a_head_that_saw_the_group(tmp_path, monkeypatch):
    """Two cuts a video: also the prior is of other groups, and solved once a fold."""
    data, seen, fitted, scored = planted(24, seed=0), {}, [], []
    real_fit, real_scores = module.fit_head, module.probabilities

    def fit(setup, parts, where, *rest, prior=None):
        groups = {record.group for record in parts["train"].records}
        assert groups.isdisjoint(record.group for record in parts["val"].records)
        assert setup.trainer.selection == "last" and setup.trainer.patience is None
        assert prior is None or seen[id(prior)] == groups
        found = real_fit(setup, parts, where, *rest, prior=prior)
        seen[id(found.best)] = groups
        fitted.append((setup.head.name, prior is not None, found.best))
        return found

    def scores(model, left, device):
        assert seen[id(model)].isdisjoint(record.group for record in left.records)
        scored.append([(example.video, example.end_time) for example in left.examples])
        return real_scores(model, left, device)

    monkeypatch.setattr(module, "fit_head", fit)
    monkeypatch.setattr(module, "probabilities", scores)
    choose_head(setup_for(["logistic", "gru", "linear"], folds=3), data, place(tmp_path))
    priors = 3 * [("logistic", False)]
    assert [one[:2] for one in fitted] == priors + 3 * [("gru", True), ("linear", True)]
    everything = sorted((example.video, example.end_time) for example in data.examples)
    for number in range(3):  # each candidate scores every example once
        assert sorted(one for part in scored[number::3] for one in part) == everything


@pytest.fixture
def in_training(monkeypatch):
    """Do something, in whichever process it is, as a training in some folder begins."""
    step = CollisionTask.training_step

    def plan(folder, what):
        def doing(task, *arguments):
            if folder in str(task.trainer.default_root_dir) and not task.trainer.global_step:
                what()
            return step(task, *arguments)

        monkeypatch.setattr(CollisionTask, "training_step", doing)

    return plan


THREE = setup_for(["logistic", "gru", "linear"])


def chosen(folder, parallel):
    """Choose, and give what was written."""
    remembered_choice(THREE, planted(24, seed=0), place(folder), parallel)
    assert [path.name for path in folder.iterdir()] == [CHOICE_FILE]
    return (folder / CHOICE_FILE).read_bytes()


def test_side_by_side_the_choice_is_the_same_also_where_a_process_dies(tmp_path, in_training):
    parent, marks = os.getpid(), tmp_path / "pids"

    def die():
        if os.getpid() != parent:
            marks.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)

    alone = chosen(tmp_path / "alone", 1)
    assert chosen(tmp_path / "beside", 2) == alone
    in_training("fold_1/gru", die)
    assert chosen(tmp_path / "killed", 2) == alone
    assert marks.is_file()


def test_a_choice_that_a_signal_ends_goes_on(tmp_path, in_training):
    parent, folder = os.getpid(), tmp_path / "stopped"
    in_training("fold_1/gru", lambda: os.kill(parent, signal.SIGTERM))
    with pytest.raises(Interrupted) as caught:
        chosen(folder, 2)
    assert caught.value.exit_code == 143 and not (folder / CHOICE_FILE).exists()
    finished = [path.parent.relative_to(folder) for path in folder.rglob("finished.json")]
    assert finished  # of four, two at once: the third begins when one is done

    def again():
        raise AssertionError("it was trained already")

    in_training(str(folder / finished[0]), again)
    assert chosen(folder, 1) == chosen(tmp_path / "alone", 2)


def test_trainings_of_another_choice_are_not_gone_on_with(tmp_path):
    old = tmp_path / ".choice_0123456789abcdef" / "fold_0"
    old.mkdir(parents=True)
    assert chosen(tmp_path, 1)
    slow, fast = (replace(THREE, optimizer=part("optimizer", "adamw", lr=lr)) for lr in (1, 2))
    data, here = planted(24, seed=0), place(tmp_path)
    other = replace(data, examples=[replace(one, weight=2.0) for one in data.examples])
    folders = [
        module._folder_of(slow, data, here),
        module._folder_of(fast, data, here),
        module._folder_of(fast, other, here),
        module._folder_of(fast, other, replace(here, seed=1)),
    ]
    assert len(set(folders)) == 4
    assert [path for path in folders if path.exists()] == folders[-1:]


@pytest.mark.parametrize("parallel", [1, 2])
def test_a_candidate_that_diverges_is_told_and_leaves_nothing(tmp_path, parallel):
    wild = replace(THREE, optimizer=part("optimizer", "adamw", lr=1e30))
    with pytest.raises(ConfigError, match="diverged"):
        choose_head(wild, planted(24, seed=0), place(tmp_path), parallel)
    assert not list(tmp_path.iterdir())


def test_more_at_once_than_can_be_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("collision.learning.side_by_side.device_of", lambda _: torch.device("cuda"))
    with pytest.raises(ConfigError, match=r"parallel=2: on a GPU"):
        choose_head(THREE, planted(24, seed=0), place(tmp_path), 2)
    assert not list(tmp_path.iterdir())


def test_folds_share_no_group_and_hold_both_classes():
    data = planted(40, seed=0)
    groups = np.array([record.group for record in data.records])
    folds = group_folds(data, 4)
    assert len(folds) == 4 and np.sum(folds, axis=0).tolist() == [1] * len(data.examples)
    for left in folds:
        assert not set(groups[left]) & set(groups[~left])
        assert set(data.labels[torch.from_numpy(left)].tolist()) == {0.0, 1.0}
    assert len(group_folds(planted(6, seed=0), 4)) == 3
    with pytest.raises(ConfigError, match=r"1 groups with positives and 1 with negatives"):
        group_folds(planted(2, seed=0), 4)


def test_some_examples_of_a_data_set_keep_their_rows():
    data = planted(6, seed=0)
    data = replace(  # a second view of every example
        data,
        window_index=torch.cat([data.window_index, data.window_index.flip(1)]),
        times=data.times.repeat(2, 1),
        example_of=data.example_of.repeat(2),
    )
    kept = torch.arange(12) % 3 == 1
    part_of_it = data.of_examples(kept)
    assert part_of_it.examples == [data.examples[number] for number in (1, 4, 7, 10)]
    assert part_of_it.example_of.tolist() == [0, 1, 2, 3] * 2
    assert part_of_it.labels.equal(data.labels[kept])
    rows = kept.repeat(2).nonzero().flatten().tolist()
    for own, row in enumerate(rows):
        assert part_of_it[own]["features"].equal(data[row]["features"])


@pytest.mark.parametrize(("num_videos", "judged"), [(80, ["0.5", "1.0"]), (40, ["0.0"])])
def test_horizons_with_few_of_a_class_are_not_judged(num_videos, judged, tmp_path):
    """Hard negatives alone at theirs are trained on; where no horizon is left, all are judged."""
    data = planted(num_videos, seed=0)
    examples = [
        replace(one, horizon=3.0 + number / 4, hard_negative=True) if number % 8 == 0 else one
        for number, one in enumerate(data.examples)
    ]
    data = replace(data, examples=examples)
    scores = {name: data.labels.numpy() / 2 for name in ("logistic", "linear")}
    compared = module._compared(data, scores)
    assert compared.horizons == judged
    left_out = num_videos // 4 if judged != ["0.0"] else 0
    assert compared.examples == 2 * num_videos - left_out
    choice = choose_head(setup_for(["logistic", "linear"]), data, place(tmp_path))
    assert 0.5 < choice.candidates[0].map <= 1 and choice.candidates[1].low is not None


def test_a_choice_is_read_again(tmp_path, monkeypatch):
    data = planted(12, seed=0)
    choice = remembered_choice(AUTO, data, place(tmp_path))
    path = tmp_path / CHOICE_FILE
    saved = json.loads(path.read_text())
    assert saved["chosen"] == choice.chosen and saved["groups"] == 12 and saved["version"] == 1
    assert [one["head"] for one in saved["candidates"]] == ["logistic", "gru"]
    again = Choice("gru", choice.candidates, 2, 12, 24)
    monkeypatch.setattr(module, "choose_head", lambda *_: again)
    assert remembered_choice(AUTO, data, place(tmp_path)) == choice
    foreign = [
        "{", "[]", "3", "{}",
        json.dumps(saved | {"version": 2}),
        json.dumps(saved | {"chosen": "zipformer"}),
        json.dumps(saved | {"groups": 13}),
        json.dumps(saved | {"folds": 3}),
        json.dumps(saved | {"candidates": saved["candidates"][::-1]}),
        json.dumps(saved | {"more": 1}),
    ]  # fmt: skip
    for text in foreign:
        path.write_text(text)
        assert remembered_choice(AUTO, data, place(tmp_path)) == again, text
        assert json.loads(path.read_text())["chosen"] == "gru"
    assert remembered_choice(AUTO, data, place(tmp_path)) == again


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidates": ["gru"]}, r"^head.candidates=\[gru\]: give two heads or more"),
        ({"candidates": ["gru", "gru"]}, r"\[gru,gru\]: give each head once"),
        ({"candidates": ["gru", "grue"]}, r"No head is called 'grue'. Did you mean gru\?"),
        ({"candidates": ["gru", "auto"]}, r"auto is itself a choice"),
        ({"folds": 1}, r"^head.folds=1: give 2 or more"),
    ],
)
def test_wrong_candidates_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        part("head", "auto", **options).build()


def test_auto_is_no_head_itself():
    assert [name for name in names_of("head") if is_chosen(part("head", name))] == ["auto"]
    with pytest.raises(ConfigError, match="head=auto is no head"):
        build_model(AUTO.head, AUTO.pooling, 6)
    logistic, gru = candidate_setups(AUTO)
    assert logistic.pooling.name == "last" and logistic.prior is None
    assert gru == replace(AUTO, head=part("head", "gru")) == with_head(AUTO, gru.head)
    assert candidate_setups(gru) == [gru]
