"""A picture of the domains: a row for each family, seconds before a collision from left to right.

python -m collision.datasets.synthetic.contact_sheet OUT.jpg [NUMBER_OF_SCENE]
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from collision.config import config_dir
from collision.datasets.synthetic import families
from collision.datasets.synthetic.paint.painter import Painter
from collision.datasets.synthetic.plan import Planned
from collision.datasets.synthetic.scene import draw_scene
from collision.datasets.synthetic.setting import Domain

_MOMENTS = (2.0, 1.0, 0.4)  # seconds before the event
_TILE = (208, 117)


def main() -> None:
    """Write the picture to the path on the command line."""
    number = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    names = sorted(module.name for module in pkgutil.iter_modules(families.__path__))
    rows = [np.hstack(list(_tiles(name, number))) for name in names]
    cv2.imwrite(sys.argv[1], np.vstack(rows), (cv2.IMWRITE_JPEG_QUALITY, 82))


def _tiles(family: str, number: int) -> Iterator[NDArray[np.uint8]]:
    """Frames of one collision in every domain, each in the light that it has most of."""
    for path in sorted((config_dir() / "dataset").glob("synthetic*.yaml")):
        domain = _typical(yaml.safe_load(path.read_text())["domain"])
        planned = Planned(number, "test", family, ("collision", "harmless"))
        scene = draw_scene(planned, 0, domain)
        painter, play = Painter(scene, domain), scene.conflict.plays["collision"]
        for moment in _MOMENTS:
            frame = painter.paint(play, round((scene.event_time - moment) * scene.fps))
            cv2.putText(
                frame, f"{family} -{moment} s", (6, domain.height - 8),
                cv2.FONT_HERSHEY_SIMPLEX, domain.width / 640, (255, 255, 255), 1, cv2.LINE_AA,
            )  # fmt: skip
            yield cv2.resize(frame, _TILE, interpolation=cv2.INTER_AREA)


def _typical(values: Mapping[str, Any]) -> Domain:
    light = max(values["light"], key=values["light"].get)
    return Domain.parse({**values, "light": {light: 1.0}, "weather": {"Clear": 1.0}})


if __name__ == "__main__":
    main()
