"""Where real clips and annotation files lie, if they are on this machine.

``DASHCAM_REAL_DATA=FOLDER`` names them; else ``shared/data`` beside the checkout is tried. Tests
that use them skip where there are none: each has a small form on ``ANNOTATIONS`` or on painted
clips that runs in any clone.
"""

import os
from pathlib import Path

ANNOTATIONS = Path(__file__).parent / "annotations"  # made up, in the owners' spelling

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
_FOLDER = Path(os.environ.get("DASHCAM_REAL_DATA", _BESIDE)).expanduser()

REAL: Path | None = _FOLDER if (_FOLDER / "clips.csv").is_file() else None
