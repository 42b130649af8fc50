"""Small synthetic sets: the shipped configuration with fewer, shorter, slower clips."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from collision.datasets.synthetic.dataset import Synthetic
from collision.datasets.synthetic.setting import Domain

_ROOT = Path(__file__).parents[2]
_CONFIGS = _ROOT / "configs/dataset"

FAMILIES = sorted(path.stem for path in (_ROOT / "datasets/synthetic/families").glob("*.py"))
_DOMAIN_VALUES = {item.name for item in fields(Domain)}
DOMAINS = sorted(path.stem for path in _CONFIGS.glob("synthetic*.yaml"))


def shipped_options(name: str = "synthetic") -> dict[str, Any]:
    """What a YAML file of ``configs/dataset`` passes to ``Synthetic``, but for the root."""
    options = yaml.safe_load((_CONFIGS / f"{name}.yaml").read_text())
    del options["_target_"], options["root"]
    return options


def small_set(root: Path, num_scenes: int = 6, **changes: Any) -> Synthetic:
    """Changes named like a domain's value go there, others to the data set."""
    options = shipped_options() | {"num_scenes": num_scenes, "num_workers": 1}
    options["domain"] |= {"fps": {8: 0.5, 10: 0.5}, "event_time": [4.2, 5.5]}
    for name, value in changes.items():
        (options["domain"] if name in _DOMAIN_VALUES else options)[name] = value
    return Synthetic(root=root, **options)
