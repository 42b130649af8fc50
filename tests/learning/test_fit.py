import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from collision.config import Part, names_of, part
from collision.errors import CheckpointError, ConfigError, Interrupted
from collision.learning.datamodule import FeatureDataset, feature_loader
from collision.learning.feature_datamodule import FeatureDataModule
from collision.learning.fit import Place, check_classes, class_weights, fit_head, read_log
from collision.learning.head import HeadModel, HeadOptions
from collision.learning.scoring import MONITOR, probabilities
from collision.learning.solve import solve
from collision.learning.task import SMOOTHED, CollisionTask
from collision.sampling.policy import SamplingPolicy
from collision.types import UNLABELLED, VideoRecord
from tests.kit.features import FEATURE_DIM, SETUP, planted, planted_splits, setup_with


def fit(folder, setup=SETUP, data=None, seed=0):
    return fit_head(setup, data or planted_splits(), Place(folder, seed, Console(quiet=True)))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished training and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    return fit(folder), folder


@pytest.fixture
def finished(tmp_path, whole):
    """A copy of its folder, to go on from."""
    return shutil.copytree(whole[1], tmp_path / "run")


def length(validations):
    """Train for so many validations, 5 steps apart."""
    return {"max_steps": 5 * validations, "validations": validations}


def same_weights(model, other):
    ours, theirs = model.state_dict(), other.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def interrupt(monkeypatch, epoch, batch=0):
    """Press Ctrl+C when an epoch reaches a batch; gives a function that mends the keyboard."""
    step = CollisionTask.training_step

    def stopping(task, *arguments):
        if task.current_epoch == epoch and arguments[1] == batch:
            raise KeyboardInterrupt
        return step(task, *arguments)

    monkeypatch.setattr(CollisionTask, "training_step", stopping)
    return lambda: monkeypatch.setattr(CollisionTask, "training_step", step)


def test_sigterm_keeps_the_finished_epochs_and_exits_with_143(tmp_path, monkeypatch):
    step = CollisionTask.training_step

    def killed(task, *arguments):
        if task.current_epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(task, *arguments)

    monkeypatch.setattr(CollisionTask, "training_step", killed)
    with pytest.raises(Interrupted) as stopped:
        fit(tmp_path)
    assert stopped.value.exit_code == 143
    assert [int(row["step"]) for row in read_log(tmp_path / "log.csv")] == [5]
    monkeypatch.setattr(CollisionTask, "training_step", step)
    assert fit(tmp_path).last_step > 0


@pytest.mark.parametrize("folder", ["seed_0", "fold_1/seed_0"])
def test_an_interrupted_training_says_how_to_go_on(tmp_path, monkeypatch, folder):
    (tmp_path / "run/fold_1").mkdir(parents=True)
    (tmp_path / "run/config.yaml").touch()
    interrupt(monkeypatch, epoch=1)
    with pytest.raises(Interrupted, match=rf"python train.py resume={tmp_path}/run$") as stopped:
        fit(tmp_path / "run" / folder)
    assert stopped.value.exit_code == 130


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*_):
        raise AssertionError("it was trained again")

    monkeypatch.setattr(CollisionTask, "training_step", refuse)


def only(dataset, keep):
    """Take the examples for which ``keep`` is true."""
    chosen = [number for number, example in enumerate(dataset.examples) if keep(example)]
    return FeatureDataset(
        dataset.bank,
        dataset.window_index[chosen],
        dataset.times[chosen],
        torch.arange(len(chosen)),
        [dataset.examples[number] for number in chosen],
        [dataset.records[number] for number in chosen],
    )


def test_a_planted_signal_is_learned_and_noise_is_not(tmp_path):
    trained = fit(tmp_path / "signal", setup_with(trainer=length(6)))
    assert trained.best_value > 0.97
    noise = {"train": planted(40, seed=0, signal=0.0), "val": planted(20, seed=1, signal=0.0)}
    assert fit(tmp_path / "noise", data=noise).best_value < 0.9


def test_the_seed_decides(tmp_path):
    short = setup_with(trainer=length(2))
    first, again, other = (
        fit(tmp_path / name, short, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert same_weights(first.last, again.last) and first.best_value == again.best_value
    assert not same_weights(first.last, other.last)


def test_the_order_of_batches_changes_with_seed_and_interval(tmp_path, monkeypatch):
    orders = {}
    step = CollisionTask.training_step

    def watching(task, batch, batch_index):
        orders.setdefault((len(runs), task.current_epoch), []).append(batch["features"].clone())
        return step(task, batch, batch_index)

    monkeypatch.setattr(CollisionTask, "training_step", watching)
    runs = []
    for seed in (0, 1):
        fit(tmp_path / str(seed), setup_with(trainer=length(2)), seed=seed)
        runs.append(seed)
    seen = [torch.cat(batches) for batches in orders.values()]
    assert len(seen) == 4
    for first in range(4):
        for second in range(first):
            assert not torch.equal(seen[first], seen[second])


@pytest.mark.parametrize("batch", [0, 2])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch, whole, batch):
    whole, whole_folder = whole
    mend = interrupt(monkeypatch, epoch=2, batch=batch)
    with pytest.raises(Interrupted):
        fit(tmp_path / "broken")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert [row["step"] for row in read_log(tmp_path / "broken/log.csv")] == ["5", "10"]
    mend()
    resumed = fit(tmp_path / "broken")
    assert same_weights(whole.last, resumed.last)
    assert same_weights(whole.best, resumed.best)
    assert (whole.best_step, whole.best_value) == (resumed.best_step, resumed.best_value)
    assert read_log(whole_folder / "log.csv") == read_log(tmp_path / "broken/log.csv")


def test_a_run_that_was_moved_keeps_its_best_step(tmp_path, monkeypatch):
    mend = interrupt(monkeypatch, epoch=2)
    with pytest.raises(Interrupted):
        fit(tmp_path / "old")
    mend()
    best = max(float(row[MONITOR]) for row in read_log(tmp_path / "old/log.csv"))
    shutil.move(tmp_path / "old", tmp_path / "new")
    # From here on nothing is learned: the best step stays the one before the move.
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda _, closure: closure())
    trained = fit(tmp_path / "new")
    assert trained.best_value == pytest.approx(best)
    assert trained.best_step <= 10 and trained.last_step == 20
    assert not (tmp_path / "old").exists()


def test_a_finished_run_is_not_trained_again(whole, finished, no_training):
    trained, again = whole[0], fit(finished)
    assert same_weights(trained.best, again.best) and same_weights(trained.last, again.last)
    assert replace(trained, best=again.best, last=again.last) == again


def test_a_finished_run_goes_on_with_more_steps(finished):
    longer = fit(finished, setup_with(trainer=length(6)))
    assert longer.last_step == 30
    assert [int(row["step"]) for row in read_log(finished / "log.csv")] == list(range(5, 31, 5))


def test_fewer_steps_than_were_trained_are_refused(finished):
    with pytest.raises(ConfigError, match=r"max_steps=10.*20 steps"):
        fit(finished, setup_with(trainer=length(2)))


def test_the_log_has_a_row_a_validation(whole):
    rows = read_log(whole[1] / "log.csv")
    assert [int(row["step"]) for row in rows] == [5, 10, 15, 20]
    wanted = {"train/loss", "val/loss", MONITOR, "val/ap_0.5", "val/ap_1.0", "lr"}
    assert wanted <= set(rows[0])
    losses = [float(row["train/loss"]) for row in rows]
    assert losses[-1] < losses[0]
    means = [(float(row["val/ap_0.5"]) + float(row["val/ap_1.0"])) / 2 for row in rows]
    assert [float(row[MONITOR]) for row in rows] == pytest.approx(means)


def test_training_stops_when_nothing_improves(tmp_path):
    trained = fit(tmp_path, setup_with(trainer=length(40) | {"patience": 2}))
    assert trained.last_step == trained.best_step + 10 < 200


STOPS = length(40) | {"patience": 1}


def test_a_run_that_had_stopped_early_stays_stopped(tmp_path, request):
    trained = fit(tmp_path, setup_with(trainer=STOPS))
    log = read_log(tmp_path / "log.csv")
    (tmp_path / "finished.json").unlink()  # it ended before that was written
    request.getfixturevalue("no_training")
    for number in (40, 50):  # an unbroken run of more steps would have stopped there, too
        again = fit(tmp_path, setup_with(trainer=STOPS | length(number)))
        assert same_weights(trained.best, again.best) and same_weights(trained.last, again.last)
        assert (trained.last_step, trained.best_value) == (again.last_step, again.best_value)
    assert read_log(tmp_path / "log.csv") == log


def test_a_run_that_had_stopped_early_goes_on_with_more_patience(tmp_path):
    whole = fit(tmp_path / "whole", setup_with(trainer=STOPS | {"patience": 3}))
    stopped = fit(tmp_path / "stopped", setup_with(trainer=STOPS))
    resumed = fit(tmp_path / "stopped", setup_with(trainer=STOPS | {"patience": 3}))
    assert stopped.last_step < resumed.last_step == whole.last_step
    assert same_weights(whole.last, resumed.last) and same_weights(whole.best, resumed.best)
    assert read_log(tmp_path / "whole/log.csv") == read_log(tmp_path / "stopped/log.csv")


def test_checkpoints_are_plain_data_and_hold_the_reported_heads(whole):
    trained, folder = whole
    for name, model, step in (
        ("best", trained.best, trained.best_step),
        ("last", trained.last, trained.last_step),
    ):
        saved = torch.load(folder / f"{name}.ckpt", weights_only=True)
        assert saved["global_step"] == step
        for key, value in model.state_dict().items():
            assert torch.equal(saved["state_dict"][f"model.{key}"], value)


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("label", [0, 1])
def test_a_split_of_one_class_is_refused(tmp_path, split, label):
    data = planted_splits()
    data[split] = only(data[split], lambda example: example.label == label)
    with pytest.raises(ConfigError, match=f"{split} split has .*both classes"):
        fit(tmp_path, data=data)


def test_a_validation_horizon_of_one_class_is_refused_before_training(tmp_path, no_training):
    data = planted_splits()
    data["val"] = only(data["val"], lambda example: example.label == 1 or example.horizon == 0.5)
    with pytest.raises(ConfigError, match=r"10 positive and 0 negative.* 1 s before"):
        fit(tmp_path, data=data)
    examples = data["val"].examples
    hidden = [replace(e, label=e.label if e.horizon == 0.5 else UNLABELLED) for e in examples]
    data["val"].examples = hidden  # a secret label is of neither class
    with pytest.raises(ConfigError, match=r"0 positive and 0 negative.* 1 s before"):
        fit(tmp_path, data=data)


def test_features_that_are_not_finite_are_refused(tmp_path):
    data = planted_splits()
    data["train"].bank[4, 0, 2] = float("nan")
    with pytest.raises(ConfigError, match="1 of 6 features"):
        fit(tmp_path, data=data)


@pytest.mark.parametrize("epochs_before", [0, 2])
def test_a_loss_that_diverges_is_told(tmp_path, monkeypatch, epochs_before):
    step = CollisionTask.training_step

    def diverging(task, *arguments):
        loss = step(task, *arguments)
        return loss if task.current_epoch < epochs_before else loss * float("inf")

    monkeypatch.setattr(CollisionTask, "training_step", diverging)
    with pytest.raises(ConfigError, match=r"diverged.*optimizer.lr \(now 0.01\)"):
        fit(tmp_path)
    assert len(read_log(tmp_path / "log.csv")) == epochs_before + 1


def test_an_absurd_learning_rate_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"diverged.*now 1000000000.0"):
        fit(tmp_path, setup_with(optimizer={"lr": 1e9}))


@pytest.mark.parametrize("ended", [False, True])
def test_a_checkpoint_of_another_head_is_refused(finished, ended):
    options = length(4 if ended else 6)
    with pytest.raises(CheckpointError, match=r"ckpt.*does not fit the configured head"):
        fit(finished, setup_with(head={"dim": 16}, trainer=options))


@pytest.mark.parametrize("content", [b"", b"PK nonsense", None])
def test_a_damaged_checkpoint_is_refused(finished, content):
    last = finished / "last.ckpt"
    last.write_bytes(last.read_bytes()[:2000] if content is None else content)
    with pytest.raises(CheckpointError, match=r"last.ckpt.*damaged"):
        fit(finished, setup_with(trainer=length(6)))


def test_training_says_nothing_that_nobody_can_act_on(tmp_path, recwarn, caplog):
    fit(tmp_path, replace(SETUP, prior=part("head", "logistic")))
    assert [str(warning.message) for warning in recwarn] == []
    assert caplog.messages == []


def test_crashes_alone_are_refused_before_extraction():
    crash = VideoRecord(id="a", path=Path("a"), label=1, split="train", group="a", event_time=3.0)
    within = SamplingPolicy(within=(0.5, 2.0))
    with pytest.raises(ConfigError, match="sampling=within_clip"):
        check_classes([crash], SamplingPolicy())
    check_classes([crash], within)
    check_classes([crash, replace(crash, id="b", label=0)], SamplingPolicy())


def weighted(weight):
    """Positives of the earlier cut count ``weight``, as under fade or alert_weight."""
    data = planted(40, seed=0)
    examples = [
        replace(example, weight=weight if example.label and example.horizon == 1.0 else 1.0)
        for example in data.examples
    ]
    return replace(
        data,
        examples=examples[:-10],
        window_index=data.window_index[:-10],
        times=data.times[:-10],
        example_of=data.example_of[:-10],
        records=data.records[:-10],
    )


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("weight", [0.1, 1.0, 3.0])
def test_both_classes_weigh_the_same_in_the_loss_of_a_pass(weight, balanced):
    data = weighted(weight)
    loss = SETUP.loss.build()
    loss.fit(*class_weights(data, balanced=balanced))
    interval = len(data) // 10 + (3 if balanced else 0)
    module = FeatureDataModule(data, data, 10, interval, seed=0, balanced=balanced)
    sums = torch.zeros(2, dtype=torch.float64)
    for epoch in range(20 if balanced else 1):  # which rows come again is drawn
        loader = module.train_dataloader()
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            for label, factor in ((0, 1.0), (1, float(loss.pos_weight))):
                sums[label] += factor * batch["weight"][batch["label"] == label].double().sum()
    assert sums[0] == pytest.approx(sums[1].item(), rel=0.02 if balanced else 1e-6)


def test_close_scores_stay_apart_in_half_precision():
    """bf16 holds some 80 values of a typical head's logits: epochs were chosen on ties."""
    data = planted(200, seed=0)
    model = SETUP.model(FEATURE_DIM).eval()
    how = SETUP.optimizer.build(), SETUP.scheduler.build()
    task = CollisionTask(model, SETUP.loss.build(), *how)
    task.log = lambda *_, **__: None
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        task.validation_step(next(iter(feature_loader(data, 400))), 0)
        scores = probabilities(model, data, torch.device("cpu"))
    full = probabilities(model, data, torch.device("cpu"))
    for found in (torch.cat(task.metric.probabilities), scores):
        assert found.dtype == torch.float32
        assert len(found.unique()) > 0.95 * len(full.unique())
        assert (found - full).abs().max() < 0.01
    loss = torch.nn.functional.binary_cross_entropy(scores, data.labels)
    assert loss.isfinite()


class SGD:
    """An optimizer of someone's own, without a learning rate to set."""

    def build(self, model, total_steps):
        return torch.optim.SGD(model.parameters(), lr=0.05)


class Steady:
    """A scheduler of someone's own: one of torch's."""

    def build(self, optimizer, total_steps, steps_per_pass):
        assert (total_steps, steps_per_pass) == (20, 5.0)  # 80 rows, 16 a batch
        return torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0, 1)


class Pair:
    """An optimizer as it was before there was a scheduler beside it."""

    def build(self, model, total_steps):
        return SGD().build(model, total_steps), None


def own_part(group, made):
    return Part(group, "", f"{__name__}.{made.__name__}", {})


def test_any_optimizer_and_scheduler_can_be_used(tmp_path):
    own = {"optimizer": own_part("optimizer", SGD), "scheduler": own_part("scheduler", Steady)}
    trained = fit(tmp_path, replace(SETUP, **own))
    assert trained.best_value > 0.6
    assert {row["lr"] for row in read_log(tmp_path / "log.csv")} == {"0.05"}


def test_an_optimizer_that_brings_its_schedule_is_told_what_to_give(tmp_path):
    with pytest.raises(ConfigError, match=r"Pair builds a tuple.*optimizer alone: .*scheduler="):
        fit(tmp_path, replace(SETUP, optimizer=own_part("optimizer", Pair)))


@pytest.mark.parametrize("scheduler", names_of("scheduler"))
@pytest.mark.parametrize("optimizer", names_of("optimizer"))
def test_every_optimizer_learns_by_every_schedule_and_goes_on(
    tmp_path, monkeypatch, optimizer, scheduler
):
    """Beside a prior, whose classifier begins at zero."""
    setup = replace(
        setup_with(trainer=length(8) | {"selection": "last"}),
        optimizer=part("optimizer", optimizer),
        scheduler=part("scheduler", scheduler),
        prior=part("head", "logistic"),
    )
    data = planted_splits()
    whole = fit(tmp_path / "whole", setup, data)
    assert whole.last.classifier.weight.norm() > 1e-3
    losses = [float(row["train/loss"]) for row in read_log(tmp_path / "whole/log.csv")]
    assert losses[-1] < losses[0]
    mend = interrupt(monkeypatch, epoch=5)
    with pytest.raises(Interrupted):
        fit(tmp_path / "broken", setup, data)
    mend()
    assert same_weights(fit(tmp_path / "broken", setup, data).last, whole.last)


def test_a_head_starts_as_its_prior_and_learns_the_rest(tmp_path):
    setup = replace(SETUP, prior=part("head", "logistic"), options=HeadOptions(change=True))
    data = planted_splits()
    prior = solve(setup.model(FEATURE_DIM).prior, data["train"])
    model = setup.model(FEATURE_DIM).eval()
    model.prior.load_state_dict(prior.state_dict())
    batch = data["val"].__getitems__(range(len(data["val"])))
    tensors = batch["features"], batch["times"], batch["mask"]
    assert torch.equal(model(*tensors), prior(*tensors))
    trained = fit(tmp_path, setup, data)
    assert same_weights(trained.last.prior, prior)
    assert not torch.equal(trained.last(*tensors), prior(*tensors))
    given = fit(tmp_path / "given", setup, data)
    assert same_weights(given.last, trained.last)


@pytest.mark.parametrize("kind", ["ema", "swa"])
def test_averaged_weights_are_the_mean_over_steps(tmp_path, kind, monkeypatch):
    """With an optimizer that adds 1 to the bias a step, the mean is known."""
    steps = iter(range(1, 1000))

    def count(self, closure):
        value = closure()
        with torch.no_grad():
            self.param_groups[1]["params"][-1].fill_(float(next(steps)))
        return value

    monkeypatch.setattr(torch.optim.AdamW, "step", count)
    setup = setup_with(trainer={"averaging": kind, "selection": "last"})
    bias = fit(tmp_path, setup).last.classifier.bias.item()
    if kind == "swa":
        assert bias == pytest.approx(sum(range(16, 21)) / 5)
    else:
        assert 18 < bias < 19.5  # over a tenth of the steps


@pytest.mark.parametrize(
    ("selection", "column", "best"),
    [("map", MONITOR, max), ("loss", "val/loss", min), ("smoothed_map", SMOOTHED, max)],
)
def test_weights_are_selected_by_what_was_asked(tmp_path, selection, column, best):
    trained = fit(tmp_path, setup_with(trainer={"selection": selection, **length(8)}))
    rows = read_log(tmp_path / "log.csv")
    wanted = best(float(row[column]) for row in rows)
    chosen = next(row for row in rows if int(row["step"]) == trained.best_step)
    assert float(chosen[column]) == wanted
    assert trained.best_value == pytest.approx(float(chosen[MONITOR]))


def test_without_selection_the_last_weights_are_kept_and_nothing_stops_early(tmp_path):
    options = {"selection": "last", "patience": None, **length(8)}
    trained = fit(tmp_path, setup_with(trainer=options))
    assert trained.best_step == trained.last_step == 40
    assert same_weights(trained.best, trained.last)


def test_a_prior_of_one_output_serves_a_loss_of_several(tmp_path):
    setup = replace(SETUP, prior=part("head", "logistic"), loss=part("loss", "occurrence"))
    prior = solve(setup.model(FEATURE_DIM).prior, planted_splits()["train"])
    data = planted_splits()
    trained = fit_head(setup, data, Place(tmp_path, 0, Console(quiet=True)), prior=prior)
    assert trained.best.classifier.out_features == setup.loss.build().num_outputs > 1
    assert same_weights(trained.best.prior, prior) and trained.best_value > 0.9
    solved = replace(setup, head=part("head", "logistic"))
    assert fit_head(solved, data, Place(tmp_path / "s", 0, Console(quiet=True))).best_value > 0.9


@pytest.mark.parametrize(("mixup", "calls_in_training"), [(0.0, 0), (0.4, 20)])
def test_a_prior_scores_each_row_once(tmp_path, monkeypatch, mixup, calls_in_training):
    """Its logits never change; those of mixed examples are others than their parts' have."""
    seen, outputs = [], CollisionTask.training_step

    def watching(task, *arguments):
        before = len(calls)
        loss = outputs(task, *arguments)
        seen.extend(calls[before:])
        return loss

    calls, pooled = [], HeadModel.pooled

    def counting(model, *arguments):
        if model.prior is None:
            calls.append(model)
        return pooled(model, *arguments)

    monkeypatch.setattr(CollisionTask, "training_step", watching)
    monkeypatch.setattr(HeadModel, "pooled", counting)
    fit(tmp_path, replace(SETUP, prior=part("head", "logistic"), mixup=mixup))
    assert len(seen) == calls_in_training


def test_a_prior_that_is_known_trains_the_head_that_one_computed_anew_does(tmp_path, monkeypatch):
    setup = replace(SETUP, prior=part("head", "logistic"))
    once = fit(tmp_path / "once", setup)
    monkeypatch.setattr(FeatureDataset, "before", property(lambda _: None, lambda *_: None))
    anew = fit(tmp_path / "anew", setup)
    for name, value in once.last.state_dict().items():
        torch.testing.assert_close(value, anew.last.state_dict()[name], rtol=0, atol=1e-5)
    assert once.best_value == pytest.approx(anew.best_value, abs=1e-6)


def test_the_loss_of_training_is_the_mean_over_the_examples_of_an_interval(tmp_path, monkeypatch):
    step, seen = CollisionTask.training_step, []

    def watching(task, batch, batch_index):
        loss = step(task, batch, batch_index)
        seen.append((loss.item(), len(batch["label"])))
        return loss

    monkeypatch.setattr(CollisionTask, "training_step", watching)
    fit(tmp_path)
    for number, row in enumerate(read_log(tmp_path / "log.csv")):
        losses = seen[5 * number : 5 * number + 5]
        mean = sum(loss * size for loss, size in losses) / sum(size for _, size in losses)
        assert float(row["train/loss"]) == pytest.approx(mean, rel=1e-5)
