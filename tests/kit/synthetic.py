"""Small synthetic sets: the shipped configuration with fewer, shorter, slower clips."""

from pathlib import Path
from typing import Any

import yaml

from collision.datasets.synthetic.dataset import Synthetic

_CONFIG = Path(__file__).parents[2] / "configs/dataset/synthetic.yaml"


def shipped_options() -> dict[str, Any]:
    options = yaml.safe_load(_CONFIG.read_text())
    del options["_target_"], options["root"]
    return options


def small_set(root: Path, num_scenes: int = 6, **changes: Any) -> Synthetic:
    """Changes named like a domain's value go there, others to the data set."""
    options = shipped_options() | {"num_scenes": num_scenes, "num_workers": 1}
    options["domain"] |= {"fps": {8: 0.5, 10: 0.5}, "event_time": [4.2, 5.5]}
    for name, value in changes.items():
        (options["domain"] if name in options["domain"] else options)[name] = value
    return Synthetic(root=root, **options)
