"""Where the YAML files are, and how a part is built from one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

import collision
from collision.errors import CheckpointError, CollisionError, ConfigError


def config_dir() -> Path:
    """Find the folder of Hydra groups, in a checkout or in an installed package."""
    for root in collision.__path__:
        if (Path(root) / "configs" / "train.yaml").is_file():
            return Path(root) / "configs"
    raise ConfigError(f"No configs folder beside {list(collision.__path__)}: install again.")


def plain(config: Any) -> Any:
    """Resolve a config into dicts, lists and scalars."""
    if OmegaConf.is_config(config):
        return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    return config


def build(config: Mapping[str, Any], **extra: Any) -> Any:
    """Instantiate the part that a config's ``_target_`` names.

    Raises:
        CollisionError: The part's own complaint, or a ConfigError for a wrong option.
    """
    options = plain(config)
    if not isinstance(options, Mapping) or "_target_" not in options:
        raise ConfigError(
            f"There is no '_target_' in {options!r}: choose one of the YAML files in configs/."
        )
    try:
        return hydra.utils.instantiate(options, _convert_="all", **extra)
    except InstantiationException as error:
        cause = error.__cause__
        while cause is not None and not isinstance(cause, CollisionError):
            cause = cause.__cause__
        if cause is not None:
            raise cause from None
        raise ConfigError(
            f"Cannot build {options['_target_']!r}: {error.__cause__ or error}. Its YAML file in "
            "configs/ lists the options that exist."
        ) from error


def check_targets(config: Any, where: str) -> None:
    """Refuse a config from a file that would run anything but a class of this package.

    The prefix alone would let ``collision.learning.head.torch.hub.load`` through.

    Raises:
        CheckpointError: A ``_target_``, however deep, is something else.
    """
    for target in _targets(config):
        if target.startswith("collision."):
            try:
                found = hydra.utils.get_object(target)
            except Exception as error:
                raise CheckpointError(
                    f"{where} names {target!r}, which this version does not have. "
                    "Use the version that wrote it, or train again."
                ) from error
            if isinstance(found, type) and found.__module__.startswith("collision."):
                continue
        raise CheckpointError(
            f"{where} names {target!r}, which is not a class of this package, so it was not run. "
            "Only use files that this software wrote; own parts go into backbones/, temporal/ or "
            "datasets/."
        )


def _targets(config: Any) -> Iterator[str]:
    if isinstance(config, Mapping):
        if "_target_" in config:
            yield str(config["_target_"])
        for value in config.values():
            yield from _targets(value)
    elif isinstance(config, Sequence) and not isinstance(config, str):
        for value in config:
            yield from _targets(value)


def named_part(group: str, name: str, config: DictConfig) -> DictConfig:
    """Compose one part by its plain name, with the roots of ``config``.

    This is how ``datasets=[a,b]`` and ``backbones=[a,b]`` are read.

    Raises:
        ConfigError: There is no such YAML file; the message lists those there are.
    """
    if not isinstance(name, str):
        raise ConfigError(f"{group}s={name!r}: give plain names, such as {group}s=[a,b].")
    if group in config and config[group] is not None and config[group].get("name") == name:
        return config[group]  # already composed, with what was overridden on the command line
    folder = config_dir() / group
    path = folder / f"{name}.yaml"
    if Path(name).name != name or not path.is_file():
        choices = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise ConfigError(f"No {group} is called {name!r}. There are: {choices}.")
    roots = {key: config[key] for key in ("data_root", "cache_root") if key in config}
    return OmegaConf.create({**roots, group: OmegaConf.load(path)})[group]
