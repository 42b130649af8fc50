"""Where the YAML files are, and how a part is built from one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    try:
        return hydra.utils.instantiate(plain(config), _convert_="all", **extra)
    except InstantiationException as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, CollisionError):
                raise cause from None
            cause = cause.__cause__
        if isinstance(error.__cause__, TypeError):
            target = plain(config).get("_target_")
            raise ConfigError(f"{target} does not take these options: {error.__cause__}") from None
        raise


def check_targets(config: Any, where: str) -> None:
    """Refuse a config from a file that would run code from outside this package.

    Raises:
        CheckpointError: A ``_target_`` lies elsewhere.
    """
    if isinstance(config, Mapping):
        target = config.get("_target_")
        if target is not None and not str(target).startswith("collision."):
            raise CheckpointError(
                f"{where} names {target!r} as code to run. Only parts under 'collision.' are "
                "built from files: put yours into backbones/, temporal/ or datasets/."
            )
        for value in config.values():
            check_targets(value, where)
    elif isinstance(config, Sequence) and not isinstance(config, str):
        for value in config:
            check_targets(value, where)


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
