"""Compose configurations as the command line does."""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from collision.config import config_dir


def compose(verb: str, *overrides: str) -> DictConfig:
    with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = hydra.compose(verb, list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    return config
