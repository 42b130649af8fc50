"""Train one head with one seed: fit, keep the best and the last epoch, score both."""

from __future__ import annotations

import csv
import json
import logging
import math
import pickle
import signal
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
)
from lightning.pytorch.utilities.exceptions import SIGTERMException
from rich.console import Console

from collision.config import build
from collision.devices import precision_of
from collision.errors import CheckpointError, ConfigError, Interrupted
from collision.learning.datamodule import FeatureDataModule, FeatureDataset, epoch_seed
from collision.learning.head import HeadModel, build_model
from collision.learning.task import CollisionTask
from collision.sampling.policy import SamplingPolicy
from collision.types import VideoRecord

MONITOR = "val/nexar_map"
_DONE = "finished.json"


@dataclass
class TrainedHead:
    """What training leaves.

    Attributes:
        best: The head of the best validation epoch.
        last: The head of the last epoch.
        best_epoch: Counted from 0.
        last_epoch: Counted from 0.
        best_value: Validation mAP of the best epoch.
    """

    best: HeadModel
    last: HeadModel
    best_epoch: int
    last_epoch: int
    best_value: float


class EpochSeed(Callback):
    """Seed dropout anew each epoch, so that a resumed run draws what an unbroken one would."""

    def __init__(self, seed: int):
        self.seed = seed

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Seed by the run's seed and the epoch."""
        torch.manual_seed(epoch_seed(self.seed, trainer.current_epoch))


class EpochLog(Callback):
    """Append a row to ``log.csv`` after each epoch; a resumed run goes on in the same file."""

    def __init__(self, path: Path):
        self.path = path

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Write what was logged in this epoch."""
        values = {
            name: float(value)
            for name, value in sorted(trainer.callback_metrics.items())
            if "/" in name and "_step" not in name
        }
        row = {"epoch": trainer.current_epoch, **values}
        row["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        rows = [r for r in read_log(self.path) if int(r["epoch"]) < trainer.current_epoch]
        temporary = self.path.with_suffix(".partial")
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(row), extrasaction="ignore", restval="")
            writer.writeheader()
            writer.writerows([*rows, row])
        temporary.replace(self.path)


def read_log(path: Path) -> list[dict[str, str]]:
    """Read the rows of a ``log.csv``; none where it does not exist."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def fit_head(
    config: Mapping[str, Any],
    data: Mapping[str, FeatureDataset],
    feature_dim: int,
    seed: int,
    folder: Path,
    loggers: list[Any],
    console: Console,
    initial: HeadModel | None = None,
) -> TrainedHead:
    """Train a head, going on from ``folder/last.ckpt`` if there is one.

    Args:
        config: The resolved configuration: head, pooling, sampling, loss, optimizer, trainer.
        data: ``train`` and ``val``.
        feature_dim: D.
        seed: Of initial weights and order of batches.
        folder: For checkpoints and ``log.csv``.
        loggers: Lightning loggers beside the CSV.
        console: Where the progress goes.
        initial: A trained head of the same make; training starts from its weights, and keeps its
            standardisation.

    Raises:
        ConfigError: A split is empty or has one class; training diverged.
        CheckpointError: ``last.ckpt`` does not fit.
    """
    check_trainable(data)
    options = config["trainer"]
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / _DONE).is_file():
        done = json.loads((folder / _DONE).read_text())
        if done["trainer"] == dict(options):
            return _finished(config, feature_dim, folder, done[MONITOR])
    lightning.seed_everything(seed, verbose=False)
    model = new_model(config, feature_dim)
    if initial is None:
        model.fit_standardiser(data["train"].valid_features())
    else:
        _start_from(model, initial)
    loss = build(config["loss"])
    balanced = bool(config["sampling"]["balanced"])
    labels = data["train"].labels
    counts = [float((labels == label).sum()) for label in (0, 1)]
    loss.fit(*([max(counts)] * 2 if balanced else counts))
    task = CollisionTask(model, loss, build(config["optimizer"]))
    naming: dict[str, Any] = {"auto_insert_metric_name": False, "enable_version_counter": False}
    checkpoint = ModelCheckpoint(folder, "best", monitor=MONITOR, mode="max", **naming)
    callbacks: list[Callback] = [
        checkpoint,
        ModelCheckpoint(folder, "last", **naming),
        EarlyStopping(MONITOR, mode="max", patience=options["patience"]),
        EpochSeed(seed),
        EpochLog(folder / "log.csv"),
    ]
    if console.is_terminal:
        callbacks.append(RichProgressBar(leave=False))
    if loggers:
        callbacks.append(LearningRateMonitor("epoch"))
    module = FeatureDataModule(data["train"], data["val"], options["batch_size"], seed, balanced)
    last = folder / "last.ckpt"
    if last.is_file():
        _check_epochs(last, options["max_epochs"])
        _relocate(last, folder)
    with _quiet():
        trainer = lightning.Trainer(
            max_epochs=options["max_epochs"],
            accelerator=options["accelerator"],
            devices=1,
            precision=precision_of(options["accelerator"], options["precision"]),
            gradient_clip_val=options["gradient_clip"],
            callbacks=callbacks,
            logger=loggers or False,
            enable_progress_bar=console.is_terminal,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            default_root_dir=folder,
        )
        _fit(trainer, task, module, last)
    value = checkpoint.best_model_score
    if value is None or not math.isfinite(float(value)) or _diverged(folder / "log.csv"):
        raise ConfigError(
            "Training diverged: the loss on the validation split is not a finite number. "
            f"Start again with a lower optimizer.lr (now {config['optimizer']['lr']})."
        )
    done = folder / _DONE
    partial = done.with_suffix(".partial")
    partial.write_text(json.dumps({MONITOR: float(value), "trainer": dict(options)}))
    partial.replace(done)
    return _finished(config, feature_dim, folder, float(value))


def _fit(
    trainer: lightning.Trainer, task: CollisionTask, module: FeatureDataModule, last: Path
) -> None:
    """Fit, going on from ``last`` if it is there."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    checkpoint = str(last) if last.is_file() else None
    try:
        trainer.fit(task, module, ckpt_path=checkpoint, weights_only=True)
    except RuntimeError as error:
        if checkpoint and "state_dict" in str(error):
            raise _misfit(last, error) from None
        raise
    except SIGTERMException:  # the batch in flight is done; last.ckpt is of the last epoch
        run = last.parent.parent
        raise Interrupted(signal.SIGTERM, f"Go on with: python train.py resume={run}") from None
    except SystemExit as error:
        # Lightning turns Ctrl+C into an exit and goes deaf to the next one.
        if isinstance(error.__context__, KeyboardInterrupt):
            signal.signal(signal.SIGINT, on_interrupt)
            raise KeyboardInterrupt from None
        raise


def _diverged(log: Path) -> bool:
    """Say whether the last epoch ended without numbers."""
    last = read_log(log)[-1:]
    return any(
        not math.isfinite(float(row[name])) for row in last for name in (MONITOR, "val/loss")
    )


def _finished(
    config: Mapping[str, Any], feature_dim: int, folder: Path, value: float
) -> TrainedHead:
    best, best_epoch = _restore(config, feature_dim, folder / "best.ckpt")
    last, last_epoch = _restore(config, feature_dim, folder / "last.ckpt")
    return TrainedHead(best, last, best_epoch, last_epoch, value)


def _check_epochs(path: Path, max_epochs: int) -> None:
    trained = int(_load(path)["epoch"]) + 1
    if trained > max_epochs:
        raise ConfigError(
            f"trainer.max_epochs={max_epochs}, but this run has already trained {trained} epochs. "
            f"Give {trained} or more, or start a new run."
        )


def _relocate(path: Path, folder: Path) -> None:
    """Let a run folder be moved: ModelCheckpoint remembers absolute paths and forgets the best
    score when they differ.
    """
    saved = _load(path)
    for state in saved["callbacks"].values():
        if "best_model_path" in state and state["dirpath"] != str(folder):
            state["dirpath"] = str(folder)
            for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
                if state[key]:
                    state[key] = str(folder / Path(state[key]).name)
            state["best_k_models"] = {
                str(folder / Path(name).name): score
                for name, score in state["best_k_models"].items()
            }
    partial = path.with_suffix(".partial")
    torch.save(saved, partial)
    partial.replace(path)


def _start_from(model: HeadModel, initial: HeadModel) -> None:
    try:
        model.load_state_dict(initial.state_dict())
    except RuntimeError as error:
        raise CheckpointError(
            "init_from holds another head than the configured one. Give the same head, pooling "
            f"and their options as it was trained with. {error}"
        ) from None


def new_model(config: Mapping[str, Any], feature_dim: int) -> HeadModel:
    """Build the configured head."""
    return build_model(config["head"], config["pooling"], feature_dim, config["feature_dropout"])


def check_classes(records: Iterable[VideoRecord], policy: SamplingPolicy) -> None:
    """Refuse sets of crashes alone before their features are extracted.

    Raises:
        ConfigError: No video is a negative, and negatives are not cut from crash videos either.
    """
    labels = {record.label for record in records}
    if labels == {1} and policy.within is None:
        raise ConfigError(
            f"All videos are crashes: under sampling={policy.name} validation has no negative. "
            "Train on cuts near the event against far ones, sampling=within_clip, or add normal "
            "drives of the same cameras."
        )


def check_trainable(data: Mapping[str, FeatureDataset]) -> None:
    """Refuse splits that nothing can be learned from or selected on.

    Raises:
        ConfigError: A split, or one horizon of the validation split, holds one class alone or
            nothing.
    """
    for split in ("train", "val"):
        labels = data[split].labels
        positive, negative = int((labels == 1).sum()), int((labels == 0).sum())
        if not positive or not negative:
            raise ConfigError(
                f"The {split} split has {positive} positive and {negative} negative examples: "
                "both classes are needed. Add videos of the other class, or raise limit."
            )
    for horizon, classes in data["val"].count().items():
        if not all(classes.values()):
            raise ConfigError(
                f"The val split has {classes['positive']} positive and {classes['negative']} "
                f"negative examples {horizon} s before the event: {MONITOR} needs both classes at "
                "every horizon. Add longer videos, or leave this one out of sampling.horizons."
            )


def _restore(config: Mapping[str, Any], feature_dim: int, path: Path) -> tuple[HeadModel, int]:
    saved = _load(path)
    model = new_model(config, feature_dim)
    prefix = "model."
    state = {
        name.removeprefix(prefix): value
        for name, value in saved["state_dict"].items()
        if name.startswith(prefix)
    }
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise _misfit(path, error) from None
    return model.eval(), int(saved["epoch"])


def _load(path: Path) -> dict[str, Any]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{str(path)!r} is missing or damaged ({reason}). "
            f"Delete the folder {str(path.parent)!r} to train this seed again."
        ) from None


def _misfit(path: Path, error: RuntimeError) -> CheckpointError:
    return CheckpointError(f"{str(path)!r} does not fit the configured head: {error}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what Lightning says that a reader can do nothing about."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in (".*many workers.*", ".*Checkpoint directory.*", ".*LeafSpec.*"):
            warnings.filterwarnings("ignore", message)
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
