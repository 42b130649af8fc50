"""Small synthetic sets: the shipped configuration with fewer, shorter, slower, smaller clips."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from collision.config import names_of, part
from collision.datasets.synthetic.dataset import Synthetic
from collision.datasets.synthetic.setting import Domain

_FAMILIES = Path(__file__).parents[2] / "datasets/synthetic/families"

FAMILIES = sorted(path.stem for path in _FAMILIES.glob("*.py"))
DOMAINS = sorted(name for name in names_of("dataset") if name.startswith("synthetic"))
_DOMAIN_VALUES = {item.name for item in fields(Domain)}


def shipped_set(name: str = "synthetic", **changes: Any) -> Synthetic:
    """The set of a YAML file of ``configs/dataset``; nothing is painted for it."""
    return part("dataset", name, **{"root": "unused", **changes}).build()


def small_set(root: Path, num_scenes: int = 6, **changes: Any) -> Synthetic:
    """Changes named like a domain's value go there, others to the data set."""
    shipped = part("dataset", "synthetic", root=str(root), num_scenes=num_scenes, num_workers=1)
    options = dict(shipped.options)
    options["domain"] |= {"width": 160, "height": 88, "event_time": [4.2, 5.5]}
    options["domain"]["fps"] = {8: 0.5, 10: 0.5}
    for name, value in changes.items():
        (options["domain"] if name in _DOMAIN_VALUES else options)[name] = value
    return replace(shipped, options=options).build()
