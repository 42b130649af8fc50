"""Dashcam clips in, average precision out.

The folders ``backbones/``, ``temporal/``, ``datasets/`` and ``configs/`` lie at the top of the
repository and are modules of this package (``collision.backbones.vjepa2``). The wheel maps them
with setuptools' ``package-dir``; a checkout does the same here.
"""

import importlib
import os
from pathlib import Path
from types import ModuleType
from typing import Any

# Before torch is imported: threads that spin while they wait starve each other as soon as anything
# else runs. The demo's training took 80 s beside two busy processes on 2 cores, 37 s with this.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")  # numpy's and SciPy's threads: the same

if __name__ != "collision":
    raise ImportError(f"import 'collision', not {__name__!r}")

__version__ = "0.1.0"

_CHECKOUT = Path(__file__).resolve().parent.parent
if (_CHECKOUT / "pyproject.toml").is_file() and (_CHECKOUT / "backbones").is_dir():
    __path__.append(str(_CHECKOUT))


# The library (docs/library.md). Loaded when first used: it takes torch, and `import collision`
# must not.
_LIBRARY = (
    *("Alarm", "AlarmRule", "FeatureStore", "Model", "Moments", "Part", "Prediction"),
    "Request",
    *("evaluate", "list_backbones", "list_datasets", "list_heads", "load", "part"),
)
__all__ = ["Evaluation", "features", *_LIBRARY]


def __getattr__(name: str) -> Any:
    if name in _LIBRARY:
        return getattr(importlib.import_module("collision.api"), name)
    if name == "Evaluation":  # not of ``collision.api``: a prediction does not need it
        return importlib.import_module("collision.evaluation.evaluation").Evaluation
    raise AttributeError(f"module 'collision' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Features(ModuleType):
    """``collision.features`` is a station of the engine; called, it is the library's function."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return importlib.import_module("collision.api").features(*arguments, **options)


features = importlib.import_module("collision.features")
features.__class__ = _Features
