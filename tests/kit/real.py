"""Where the real clips lie, if they are on this machine: tests that use them skip otherwise."""

import os
from pathlib import Path

_DEFAULT = Path(__file__).resolve().parents[3] / "shared" / "data"
_FOLDER = Path(os.environ.get("COLLISION_REAL_CLIPS", _DEFAULT))

REAL: Path | None = _FOLDER if (_FOLDER / "clips.csv").is_file() else None
