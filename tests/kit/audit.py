"""Made-up file facts, and videos whose pictures differ from each other."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from collision.audit.facts import VideoFacts
from collision.audit.jobs import Job
from collision.types import VideoRecord


def made_up_facts(seed: int, num_frames: int = 60, fps: float = 10.0, **changes: Any) -> VideoFacts:
    """Facts of a video that is unlike those of other seeds in everything that varies by nature."""
    generator = np.random.default_rng(seed)
    fields: dict[str, Any] = {
        "native_fps": fps,
        "width": 320,
        "height": 180,
        "codec": "h264",
        "pixels": "yuv420p",
        "duration": num_frames / fps,
        "file_bytes": 60_000,
        "frame_times": np.arange(num_frames) / fps,
        "frame_bytes": generator.integers(800, 1200, num_frames),
        "thumbnail": generator.integers(0, 255, (9, 16, 3)).astype(np.uint8),
        "hash_times": np.arange(0, num_frames / fps, 0.5),
        "hashes": generator.integers(0, 2**63, int(num_frames / fps * 2)).astype(np.uint64),
        "notes": (),
    }
    return VideoFacts(**fields | changes)


def made_up_record(number: int, label: int, **changes: Any) -> VideoRecord:
    fields: dict[str, Any] = {
        "id": f"v{number}",
        "path": Path(f"v{number}.mp4"),
        "label": label,
        "split": "test",
        "group": f"g{number}",
        "event_time": 5.0 if label else None,
        "mock_event_time": None if label else 5.0,
    }
    return VideoRecord(**fields | changes)


def scene_frames(seed: int, num_frames: int = 60, height: int = 90, width: int = 160) -> np.ndarray:
    """Paint a drive past random blocks, 3 pixels a frame: ``uint8 [N, H, W, 3]``."""
    generator = np.random.default_rng(seed)
    wall = generator.integers(30, 225, (6, 24 + num_frames // 4, 3)).astype(np.uint8)
    size = (wall.shape[1] * 16, height)
    strip = cv2.resize(wall, size, interpolation=cv2.INTER_LINEAR)
    return np.stack([strip[:, 3 * n : 3 * n + width] for n in range(num_frames)])


def job_of(path: Path, digest: str = "0" * 32, frame_rate: float | None = None) -> Job:
    return Job(digest, path.stem, path, frame_rate)
