"""Runs the ONNX files beside it on a video, without dashcam-collision.

    pip install av numpy onnxruntime
    python run_onnx.py clip.mp4

Prints seconds and the probability of a collision, once all that the head looks at has been seen.
Videos that carry a rotation are not turned.
"""

import json
import sys
from pathlib import Path

import av
import numpy as np
import onnxruntime

FOLDER = Path(__file__).resolve().parent


def decoded(path: str, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Give when each frame is shown, seconds [N], and the frames, uint8 RGB [N, H, W, 3]."""
    times, pictures = [], []
    with av.open(path) as container:
        for frame in container.decode(video=0):
            shrunk = frame.reformat(width, height, "rgb24", interpolation="BILINEAR")
            times.append(frame.time)
            pictures.append(shrunk.to_ndarray())
    return np.array(times), np.stack(pictures)


def session(name: str) -> onnxruntime.InferenceSession:
    """Open one of the files."""
    return onnxruntime.InferenceSession(str(FOLDER / name), providers=["CPUExecutionProvider"])


def main(path: str) -> None:
    """Print the curve of a video."""
    config = json.loads((FOLDER / "config.json").read_text())
    spec, steps = config["backbones"][0], config["steps"]
    backbone, head = session("backbone.onnx"), session("head.onnx")
    try:
        shown, pictures = decoded(path, spec["height"], spec["width"])
    except (OSError, av.FFmpegError, IndexError, ValueError) as error:  # no stream, no frame
        sys.exit(f"error: cannot read {path}: {error}")
    # A window's frames: at its end, and so many times 1 / fps before it.
    back = np.arange(spec["num_frames"] - 1, -1, -1) / spec["fps"]
    features: dict[float, np.ndarray] = {}
    num_scored = 0
    for moment in np.arange(shown[0], shown[-1] + 1e-6, steps["stride"]):
        # The frame that is visible at a time: the last one that was shown by then.
        visible = np.searchsorted(shown, moment - back + 1e-6, side="right") - 1
        if visible.min() < 0:
            continue
        (found,) = backbone.run(None, {"frames": pictures[visible][None]})
        features[moment] = found[0].astype(spec["dtype"]).astype(np.float32)
        if len(features) < steps["windows"]:
            continue
        seen = np.concatenate(list(features.values())[-steps["windows"] :])[None]
        given = {
            "features": seen,
            "times": np.array([steps["times"]], np.float32),
            "mask": np.ones(seen.shape[:2], bool),
        }
        wanted = {one.name: given[one.name] for one in head.get_inputs()}
        (logit,) = head.run(None, wanted)
        num_scored += 1
        print(f"{moment:.2f} {1 / (1 + np.exp(-logit[0] / config['temperature'])):.4f}")
    if not num_scored:
        sys.exit(f"error: {path} is too short: the head looks at more than it shows.")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
