"""Dashcam clips in, average precision out.

The folders ``backbones/``, ``temporal/``, ``datasets/`` and ``configs/`` lie at the top of the
repository and are modules of this package (``collision.backbones.vjepa2``). The wheel maps them
with setuptools' ``package-dir``; a checkout does the same here.
"""

import os
from pathlib import Path

# Before torch is imported: threads that spin while they wait starve each other as soon as anything
# else runs. The demo's training took 80 s beside two busy processes on 2 cores, 37 s with this.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if __name__ != "collision":
    raise ImportError(f"import 'collision', not {__name__!r}")

__version__ = "0.1.0"

_CHECKOUT = Path(__file__).resolve().parent.parent
if (_CHECKOUT / "pyproject.toml").is_file() and (_CHECKOUT / "backbones").is_dir():
    __path__.append(str(_CHECKOUT))
