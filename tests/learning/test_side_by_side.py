import os
import signal
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from collision.config import part
from collision.devices import num_cores
from collision.errors import ConfigError, Interrupted
from collision.learning.fit import Place, fit_head, read_log
from collision.learning.side_by_side import Training, num_at_once, train_ahead
from collision.learning.task import CollisionTask
from tests.kit.features import SETUP, planted_splits, setup_with

QUIET = Console(quiet=True)


def trainings(folder, setup=SETUP, seeds=(0, 1, 2)):
    data = planted_splits()
    return [Training(setup, data, Place(folder / f"seed_{seed}", seed, QUIET)) for seed in seeds]


def fit(training):
    torch.set_num_threads(1)  # as a process beside others has
    return fit_head(training.setup, training.data, training.place).best.state_dict()


def same(ours, theirs):
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def at_step(monkeypatch, seed, what):
    """Do something in the process that trains with this seed, after its first validation."""
    step = CollisionTask.training_step

    def doing(task, *arguments):
        if (
            task.current_epoch == 1
            and not arguments[1]
            and f"seed_{seed}" in str(task.trainer.default_root_dir)
        ):
            what()
        return step(task, *arguments)

    monkeypatch.setattr(CollisionTask, "training_step", doing)
    return lambda: monkeypatch.setattr(CollisionTask, "training_step", step)


def test_weights_are_those_of_one_after_the_other(tmp_path):
    beside = trainings(tmp_path / "beside")
    train_ahead(beside, 2, QUIET)
    assert all((one.place.folder / "finished.json").is_file() for one in beside)
    for one, alone in zip(beside, trainings(tmp_path / "alone"), strict=True):
        assert same(fit(one), fit(alone))


def test_a_killed_process_loses_nothing(tmp_path, monkeypatch):
    killed = trainings(tmp_path / "killed", seeds=(0, 1))
    mend = at_step(monkeypatch, 1, lambda: os.kill(os.getpid(), signal.SIGKILL))
    train_ahead(killed, 2, QUIET)
    mend()
    assert (killed[0].place.folder / "finished.json").is_file()
    assert len(read_log(killed[1].place.folder / "log.csv")) == 1
    alone = trainings(tmp_path / "alone", seeds=(1,))[0]
    assert same(fit(killed[1]), fit(alone))


def test_a_signal_ends_all_and_the_same_call_goes_on(tmp_path, monkeypatch):
    stopped, parent = trainings(tmp_path / "stopped"), os.getpid()
    mend = at_step(monkeypatch, 0, lambda: os.kill(parent, signal.SIGTERM))
    with pytest.raises(Interrupted, match="resume=") as caught:
        train_ahead(stopped, 2, QUIET)
    mend()
    assert caught.value.exit_code == 143
    assert not (stopped[2].place.folder / "finished.json").is_file()  # it had not begun
    train_ahead(stopped, 3, QUIET)
    for one, alone in zip(stopped, trainings(tmp_path / "alone"), strict=True):
        assert same(fit(one), fit(alone))


def test_what_cannot_be_trained_is_told_by_fit_head(tmp_path):
    diverging = setup_with(optimizer={"lr": 1e30})
    beside = trainings(tmp_path, diverging, seeds=(0, 1))
    train_ahead(beside, 2, QUIET)
    with pytest.raises(ConfigError, match="diverged"):
        fit(beside[0])


def test_so_many_at_once(tmp_path):
    three = trainings(tmp_path)
    assert num_at_once(three, None, is_logged=False) == min(3, num_cores())
    assert num_at_once(three, 2, is_logged=False) == 2
    assert num_at_once(three, 8, is_logged=False) == 3
    assert num_at_once(three[:1], None, is_logged=False) == 1
    assert num_at_once(three, None, is_logged=True) == 1
    solved = replace(SETUP, head=part("head", "logistic"))
    assert num_at_once(trainings(tmp_path, solved), None, is_logged=False) == 1
    wide = setup_with(head={"dim": 512, "layers": 8})  # worth more threads than one
    assert num_at_once(trainings(tmp_path, wide), None, is_logged=False) == 1
    with pytest.raises(ConfigError, match=r"parallel=2: with a logger"):
        num_at_once(three, 2, is_logged=True)
