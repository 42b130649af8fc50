"""Paint the two clips of this folder and write their list: ``python examples/make_clips.py``.

They come from the synthetic data set's painter, with a seed that no data set uses. No footage.
"""

import csv
import shutil
import tempfile
from pathlib import Path

from collision.config import part

HERE = Path(__file__).parent
NAMES = {1: "drive.mp4", 0: "calm.mp4"}


def main() -> None:
    """Paint one scene: a collision, and the same road without one."""
    with tempfile.TemporaryDirectory() as folder:
        few = {"num_scenes": 3, "seed": 12, "families": {"lead_brakes": 1}}
        chosen = part("dataset", "synthetic", root=f"{folder}/set", num_workers=1, **few)
        small = {"domain.crf": [33, 34], "domain.fps": {10: 1.0}}
        dataset = chosen.changed(small).build()
        dataset.prepare(("test",))
        records = [record for record in dataset.records() if record.split == "test"]
        rows = []
        for record in sorted(records, key=lambda record: -record.label):
            shutil.copy(record.path, HERE / NAMES[record.label])
            time = record.event_time or record.mock_event_time
            rows.append([NAMES[record.label], record.label, round(time, 3), record.id])
    with (HERE / "clips.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["video", "label", "event_time", "group"])
        writer.writerows(rows)


if __name__ == "__main__":
    main()
