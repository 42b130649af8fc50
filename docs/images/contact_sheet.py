"""Draw synthetic.jpg: a row for each family, seconds before a collision from left to right.

python docs/images/contact_sheet.py [NUMBER_OF_SCENE]
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from collision.config import names_of, part
from collision.datasets.synthetic.paint.painter import Painter
from collision.datasets.synthetic.scene import Planned, draw_scene

HERE = Path(__file__).parent
FAMILIES = sorted(p.stem for p in (HERE.parents[1] / "datasets/synthetic/families").glob("*.py"))
MOMENTS = (2.0, 1.0, 0.4)  # seconds before the event
TILE = (208, 117)


def tiles(family, number):
    """Give frames of one collision in every domain, each in the light that it has most of."""
    for name in names_of("dataset"):
        if not name.startswith("synthetic"):
            continue
        chosen = part("dataset", name, root="unused")
        light = max(chosen.options["domain"]["light"].items(), key=lambda item: item[1])[0]
        domain = {**chosen.options["domain"], "light": {light: 1.0}, "weather": {"Clear": 1.0}}
        domain = part("dataset", name, root="unused", domain=domain).build().domain
        scene = draw_scene(Planned(number, "test", family, ("collision", "harmless")), 0, domain)
        painter, play = Painter(scene, domain), scene.conflict.plays["collision"]
        for moment in MOMENTS:
            frame = painter.paint(play, round((scene.event_time - moment) * scene.fps))
            place, size = (6, domain.height - 8), domain.width / 640
            font, white = cv2.FONT_HERSHEY_SIMPLEX, (255, 255, 255)
            cv2.putText(frame, f"{family} -{moment} s", place, font, size, white, 1, cv2.LINE_AA)
            yield cv2.resize(frame, TILE, interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    scene_number = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    rows = [np.hstack(list(tiles(family, scene_number))) for family in FAMILIES]
    path = str(HERE / "synthetic.jpg")
    cv2.imwrite(path, np.vstack(rows), (cv2.IMWRITE_JPEG_QUALITY, 82))
