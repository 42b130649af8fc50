"""Run the benchmarks that make their own input, one after the other: `python -m benchmarks.run`.

Left out is what takes far longer than the others.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NEEDS_A_RUN = {"logistic_baseline"}
TAKES_LONG = {"first_batch", "learning_curves", "made_features", "trainer"}


def main() -> int:
    """Give 0 if all that began succeeded."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py"))
    failed = []
    for name in names:
        if name == Path(__file__).stem or name in NEEDS_A_RUN | TAKES_LONG:
            continue
        print(f"\n# python -m benchmarks.{name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
