"""Train one head with one seed: fit, keep the best and the last weights, score both."""

from __future__ import annotations

import csv
import io
import math
import shlex
import shutil
import signal
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch import callbacks
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from rich.console import Console

from collision.config import Part
from collision.devices import device_of, memory_kept, precision_of, threads_at_most
from collision.errors import CheckpointError, ConfigError, Interrupted
from collision.files import write_whole
from collision.learning import checkpoints
from collision.learning.around import averaging, quiet
from collision.learning.components import num_above_noise
from collision.learning.datamodule import FeatureDataset, epoch_seed
from collision.learning.feature_datamodule import FeatureDataModule
from collision.learning.head import (
    PLAIN_HEAD,
    Fused,
    HeadModel,
    HeadOptions,
    build_model,
    is_solved,
)
from collision.learning.losses import build_loss
from collision.learning.schedule import Schedule, schedule_of
from collision.learning.scoring import MONITOR, logits_by_row, probabilities
from collision.learning.solve import solve
from collision.learning.task import SMOOTHED, CollisionTask
from collision.metrics.torch_metric import NexarMAP
from collision.option_groups import TrainerOptions
from collision.sampling.policy import SamplingPolicy
from collision.types import VideoRecord

# Multiply-adds of a batch that are worth a thread on a CPU: the demo's head (1e8) took 75 ms of
# processor time a step with one thread, 107 ms with two, and was no faster.
_WORK_OF_A_THREAD = 200_000_000
BEST, LAST = "best.ckpt", "last.ckpt"
# What Lightning watches, and which way is better; nothing for the last weights.
SELECTED_BY = {
    "map": (MONITOR, "max"),
    "loss": ("val/loss", "min"),
    "smoothed_map": (SMOOTHED, "max"),
    "last": (None, ""),
}


@dataclass(frozen=True)
class TrainingSetup:
    """How a head is made and trained.

    Attributes:
        options: What the head sees, and through which noise.
        find_components: How many components it sees follows from the training set.
        prior: A solved head that it starts from.
        mixup: Alpha of the Beta distribution by which training examples are mixed; 0: not at all.
        balanced: Every pass sees as many positives as negatives.
        fused: Of several backbones: how the head sees their features.
    """

    head: Part
    pooling: Part
    loss: Part
    optimizer: Part
    scheduler: Part
    trainer: TrainerOptions
    options: HeadOptions = PLAIN_HEAD
    find_components: bool = False
    prior: Part | None = None
    balanced: bool = False
    mixup: float = 0.0
    fused: Fused | None = None

    def settled(self, train: FeatureDataset) -> TrainingSetup:
        """Fill in what follows from the training set."""
        if not self.find_components:
            return self
        count = num_above_noise(train.steps)
        return replace(self, options=replace(self.options, components=count), find_components=False)

    def model(self, feature_dim: int) -> HeadModel:
        """Build the head for features of size D, with random weights."""
        num_outputs = build_loss(self.loss).num_outputs
        what = self.head, self.pooling, feature_dim, self.options
        return build_model(*what, num_outputs=num_outputs, prior=self.prior, fused=self.fused)


@dataclass(frozen=True)
class Place:
    """Where a head is trained, with which seed, and who is told.

    Attributes:
        folder: For checkpoints, ``log.csv`` and the predictor.
        seed: Of initial weights and the order of batches.
    """

    folder: Path
    seed: int
    console: Console
    loggers: Sequence[Logger] = ()


@dataclass
class TrainedHead:
    """The selected head and the last one, after so many optimizer steps.

    ``best_value`` is the validation mAP of the selected one.
    """

    best: HeadModel
    last: HeadModel
    best_step: int
    last_step: int
    best_value: float


def read_log(path: Path) -> list[dict[str, str]]:
    """Read the rows of a ``log.csv``; none where it does not exist."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def fit_head(
    setup: TrainingSetup,
    data: Mapping[str, FeatureDataset],
    place: Place,
    initial: HeadModel | None = None,
    prior: HeadModel | None = None,
) -> TrainedHead:
    """Train a head on ``train`` and ``val``, going on from ``last.ckpt`` if there is one.

    With an ``initial`` head of the same make, training starts from its weights, and keeps its
    standardisation. A ``prior``, solved on ``train``, saves solving it here.

    Raises:
        ConfigError: a split is empty or has one class; training diverged.
        CheckpointError: ``last.ckpt`` does not fit.
        Interrupted: By a signal; the same call goes on.
    """
    check_trainable(data)
    folder = place.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    setup = setup.settled(data["train"])
    if is_solved(setup.head):
        return _solved(setup.model(data["train"].bank.shape[-1]), data)
    value = checkpoints.finished_value(folder, setup.trainer)
    if value is None:
        value = _train(setup, data, replace(place, folder=folder), initial, prior)
        checkpoints.mark_finished(folder, setup.trainer, value)
    feature_dim = data["train"].bank.shape[-1]
    best, best_step = checkpoints.restore(setup.model(feature_dim), folder / BEST)
    last, last_step = checkpoints.restore(setup.model(feature_dim), folder / LAST)
    return TrainedHead(best, last, best_step, last_step, value)


def _solved(model: HeadModel, data: Mapping[str, FeatureDataset]) -> TrainedHead:
    """Solve a head that needs no training; there is but one outcome, the selected and the last."""
    solve(model, data["train"])
    val = data["val"]
    scores = probabilities(model, val, torch.device("cpu"))
    metric = NexarMAP()
    metric.update(scores, val.labels.long(), val.horizons, torch.arange(len(scores)))
    return TrainedHead(model, model, 0, 0, float(metric.compute()["nexar_map"]))


def _train(
    setup: TrainingSetup,
    data: Mapping[str, FeatureDataset],
    place: Place,
    initial: HeadModel | None,
    prior: HeadModel | None,
) -> float:
    options, last = setup.trainer, place.folder / LAST
    lightning.seed_everything(place.seed, verbose=False)
    task = _task(setup, data["train"], initial, prior)
    schedule, is_over = schedule_of(options, len(data["train"])), False
    if last.is_file():
        schedule, is_over = checkpoints.prepare_resume(last, schedule, options.patience)
    if not is_over:
        train, val = _with_prior(task, data, options)
        sizes = schedule.batch_size, schedule.interval
        how = setup.balanced, task.loss.by_video
        module = FeatureDataModule(train, val, *sizes, place.seed, *how)
        _let_train(task, module, options, place, schedule)
    log = read_log(place.folder / "log.csv")
    values = [float(row[name]) for row in log for name in (MONITOR, "val/loss")]
    if not all(map(math.isfinite, values)):
        rate = setup.optimizer.options.get("lr")
        raise ConfigError(
            "Training diverged: the loss on the validation split is not a finite number. Start "
            f"again with a lower optimizer.lr{f' (now {rate})' if rate is not None else ''}."
        )
    if options.selection == "last":
        shutil.copyfile(last, place.folder / BEST)
    best_step = int(checkpoints.load_checkpoint(place.folder / BEST)["global_step"])
    return next(float(row[MONITOR]) for row in log if int(row["step"]) == best_step)


def _let_train(
    task: CollisionTask,
    module: FeatureDataModule,
    options: TrainerOptions,
    place: Place,
    schedule: Schedule,
) -> None:
    folder, is_shown = place.folder, place.console.is_terminal
    naming: dict[str, Any] = {"auto_insert_metric_name": False, "enable_version_counter": False}
    monitor, mode = SELECTED_BY[options.selection]
    chosen = [
        callbacks.LambdaCallback(
            # Dropout is seeded anew, so that a resumed run draws what an unbroken one would.
            on_train_epoch_start=lambda trainer, _: torch.manual_seed(
                epoch_seed(place.seed, trainer.current_epoch)
            ),
            on_train_epoch_end=lambda trainer, _: _log_interval(trainer, folder / "log.csv"),
        ),
        *averaging(options.averaging, schedule),
        *([callbacks.RichProgressBar(leave=False)] if is_shown else []),
        *([callbacks.LearningRateMonitor("epoch")] if place.loggers else []),
    ]
    if monitor:
        best = Path(BEST).stem
        chosen.append(callbacks.ModelCheckpoint(folder, best, monitor=monitor, mode=mode, **naming))
        if options.patience is not None:
            chosen.append(callbacks.EarlyStopping(monitor, mode=mode, patience=options.patience))
    # After the best, whose state it holds.
    chosen.append(callbacks.ModelCheckpoint(folder, Path(LAST).stem, **naming))
    with quiet():
        trainer = lightning.Trainer(
            max_epochs=schedule.num_intervals,
            accelerator=options.accelerator,
            devices=1,
            precision=precision_of(options.accelerator, options.precision),
            gradient_clip_val=options.gradient_clip,
            callbacks=chosen,
            logger=list(place.loggers) or False,
            enable_progress_bar=is_shown,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            default_root_dir=folder,
        )
        threads = num_threads(task.model, schedule.batch_size, module.train)
        with threads_at_most(threads), memory_kept():
            _fit(trainer, task, module, folder / LAST)


def num_threads(model: HeadModel, batch_size: int, train: FeatureDataset) -> int:
    """Say how many threads a head's batches are worth on a CPU."""
    work = model.num_parameters * batch_size * train.times.shape[1]
    return max(1, work // _WORK_OF_A_THREAD)


def _log_interval(trainer: lightning.Trainer, path: Path) -> None:
    """Append a row to ``log.csv``; a resumed run goes on in the same file."""
    step = trainer.global_step
    metrics = sorted(trainer.callback_metrics.items())
    values = {n: float(value) for n, value in metrics if "/" in n and "_step" not in n}
    row = {"step": step, **values, "lr": trainer.optimizers[0].param_groups[0]["lr"]}
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(row), extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows([*(old for old in read_log(path) if int(old["step"]) < step), row])
    write_whole(path, text.getvalue())


def _task(
    setup: TrainingSetup,
    train: FeatureDataset,
    initial: HeadModel | None,
    prior: HeadModel | None,
) -> CollisionTask:
    model = setup.model(train.bank.shape[-1])
    if initial is None:
        model.fit_standardiser(train.steps)
        if model.prior is not None and prior is not None:
            model.prior.load_state_dict(prior.state_dict())
        elif model.prior is not None:
            solve(model.prior, train)
    else:
        try:
            model.load_state_dict(initial.state_dict())
        except RuntimeError as error:
            raise CheckpointError(
                "init_from holds another head than the configured one. Give the same head, pooling "
                "and their options as it was trained with, and a loss with as many outputs. "
                f"{error}"
            ) from None
    model.train()  # solving leaves a prior in eval mode, of which Lightning warns
    loss = build_loss(setup.loss)
    loss.fit(*class_weights(train, balanced=setup.balanced))
    how = setup.optimizer.build(), setup.scheduler.build()
    return CollisionTask(model, loss, *how, setup.mixup)


def _with_prior(
    task: CollisionTask, data: Mapping[str, FeatureDataset], options: TrainerOptions
) -> tuple[FeatureDataset, FeatureDataset]:
    """Let rows of ``train`` and ``val`` carry the prior's logits: they never change.

    Mixed examples have others than those that they are made of.
    """
    device, splits = device_of(options.accelerator), []
    for name in ("train", "val"):
        split, prior = data[name], task.model.prior
        if prior is not None and not (task.mixup and name == "train"):
            split = replace(split, before=logits_by_row(prior, split, device))
            prior.cpu().train()  # Lightning warns of modules in eval mode
        splits.append(split)
    return splits[0], splits[1]


def class_weights(data: FeatureDataset, *, balanced: bool) -> tuple[float, float]:
    """Sum the weights of each class, negatives first, in a pass, as expected if balanced."""
    labels, weights = data.labels[data.example_of], data.weights[data.example_of].double()
    of_class = [weights[labels == label] for label in (0, 1)]
    most = max(len(one) for one in of_class)
    sums = [float(one.mean()) * most if balanced else float(one.sum()) for one in of_class]
    return sums[0], sums[1]


def _fit(
    trainer: lightning.Trainer, task: CollisionTask, module: FeatureDataModule, last: Path
) -> None:
    on_interrupt = signal.getsignal(signal.SIGINT)
    checkpoint = str(last) if last.is_file() else None
    go_on = how_to_go_on(last.parent)
    try:
        trainer.fit(task, module, ckpt_path=checkpoint, weights_only=True)
    except RuntimeError as error:
        if checkpoint and "state_dict" in str(error):
            raise checkpoints.misfit(last, error) from None
        raise
    except SIGTERMException:  # the batch in flight is done; last.ckpt is of the last validation
        raise Interrupted(signal.SIGTERM, go_on) from None
    except SystemExit as error:
        # Lightning turns Ctrl+C into an exit and goes deaf to the next one.
        if isinstance(error.__context__, KeyboardInterrupt):
            signal.signal(signal.SIGINT, on_interrupt)
            raise Interrupted(signal.SIGINT, go_on) from None
        raise


def how_to_go_on(folder: Path) -> str:
    """Say how a run is continued in which heads are trained, by the folder of one of them."""
    run = next((p for p in folder.parents if (p / "config.yaml").is_file()), folder.parent)
    return f"Go on with: python train.py {shlex.quote(f'resume={run}')}"


def check_classes(records: Iterable[VideoRecord], policy: SamplingPolicy) -> None:
    """Refuse (ConfigError) crashes alone, unless negatives are cut from them, before extraction."""
    if {record.label for record in records} == {1} and policy.within is None:
        raise ConfigError(
            f"All videos are crashes: under sampling={policy.name} validation has no negative. "
            "Train on cuts near the event against far ones, sampling=within_clip, or add normal "
            "drives of the same cameras."
        )


def check_trainable(data: Mapping[str, FeatureDataset]) -> None:
    """Refuse (ConfigError) splits, or horizons of validation, that lack a class."""
    for split in ("train", "val"):
        labels = data[split].labels
        positive, negative = int((labels == 1).sum()), int((labels == 0).sum())
        if not positive or not negative:
            raise ConfigError(
                f"The {split} split has {positive} positive and {negative} negative examples: "
                "both classes are needed. Add videos of the other class, or raise limit."
            )
    counts = Counter((f"{e.horizon:g}", e.label) for e in data["val"].examples)
    for horizon in dict(counts.keys()):
        positive, negative = counts[horizon, 1], counts[horizon, 0]
        if not positive or not negative:
            raise ConfigError(
                f"The val split has {positive} positive and {negative} negative examples "
                f"{horizon} s before the event: {MONITOR} needs both classes at every horizon. "
                "Add longer videos, or leave this one out of sampling.horizons."
            )
