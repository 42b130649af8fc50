"""The options of `train`: what cannot work, and what a resumed run may change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from collision.commands._entry import check_number
from collision.config import build, check_targets, plain
from collision.devices import precision_of
from collision.errors import ConfigError
from collision.runs.folder import read_config

# What a run has learned from and how: changed half-way, its folder would tell of another training.
_KEPT = (
    *("sampling", "head", "pooling", "loss", "optimizer", "init_from"),
    *("feature_dropout", "val_fraction", "limit", "folds", "seed"),
)


def check_options(config: DictConfig) -> None:
    """Refuse what cannot work before anything takes time or leaves a folder.

    Raises:
        ConfigError: With the option's name and value.
    """
    for name in ("seeds", "num_resamples", "trainer.max_epochs", "trainer.batch_size"):
        check_number(config, name, 1)
    for name in ("limit", "folds"):
        check_number(config, name, 1, optional=True)
    check_number(config, "audit_workers", 0, optional=True)
    for name in ("threshold.false_alarm_rate", "threshold.precision"):
        check_number(config, name, 0, whole=False, optional=True)
        value = OmegaConf.select(config, name)
        if value is not None and value > 1:
            raise ConfigError(f"{name}={value}: give a share, 0 to 1, such as 0.9.")
    check_number(config, "seed", 0)
    check_number(config, "trainer.patience", 0)
    check_number(config, "val_fraction", 0.01, whole=False)
    check_number(config, "optimizer.lr", 0, whole=False)
    if config.val_fraction > 0.9:
        raise ConfigError(f"val_fraction={config.val_fraction}: give a share, .01 to .9.")
    precision_of(config.trainer.accelerator, config.trainer.precision)
    build(config.loss)
    build(config.optimizer)


def resumed(config: DictConfig, run_folder: Path) -> DictConfig:
    """Take a run's configuration, with the plain options of this command line on top.

    Raises:
        ConfigError: The command line swaps a part or changes what is learned from or how, which
            would be another run.
    """
    saved = OmegaConf.create(read_config(run_folder))
    check_targets(plain(saved), repr(str(run_folder / "config.yaml")))
    overrides = [o for o in HydraConfig.get().overrides.task if not o.startswith("resume=")]
    swapped = [o for o in overrides if o.split("=")[0].lstrip("+") in config.parts]
    if swapped:
        raise ConfigError(
            f"A resumed run keeps its parts, but {swapped[0]!r} swaps one. "
            "Leave it out, or start a new run without resume."
        )
    OmegaConf.set_struct(saved, True)
    try:
        merged = OmegaConf.merge(saved, OmegaConf.from_dotlist(overrides))
    except OmegaConfBaseException as error:
        raise ConfigError(
            f"{str(run_folder)!r} has no such option: {str(error).splitlines()[0]}"
        ) from None
    assert isinstance(merged, DictConfig)
    changed = [name for name in _KEPT if merged.get(name) != saved.get(name)]
    if changed:
        raise ConfigError(
            f"A resumed run keeps what it learns from and how, but {changed[0]!r} would change "
            f"from {saved.get(changed[0])} to {merged.get(changed[0])}. "
            "Leave it out, or start a new run without resume."
        )
    return merged


def check_learned_from(run_folder: Path, learned_from: Mapping[str, str]) -> None:
    """Refuse to go on with other videos or features than those that a run began with.

    Its heads have learned from those: of another split, they may know what tests them.

    Args:
        run_folder: Of the run that is resumed.
        learned_from: The digest of the data and the fingerprint of the features, by name.

    Raises:
        ConfigError: One of them differs.
    """
    try:
        made = json.loads((run_folder / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        made = {}
    began_with = made.get("learned_from", {})  # runs of earlier versions do not say
    for name, found in learned_from.items():
        before = began_with.get(name, found)
        if found != before:
            raise ConfigError(
                f"{str(run_folder)!r} cannot be resumed: its {name} was {before} when it began, "
                f"and is {found} now. A resumed run keeps its videos, their times and splits, and "
                "its features. Put back what has changed, or start a new run without resume."
            )
