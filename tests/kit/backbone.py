"""A small clip backbone: several frames and steps a window, quick, and sensitive to every frame."""

import torch
from torch import nn

from collision.types import BackboneSpec


class TinyBackbone(nn.Module):
    """Projects the 4 x 6 blocks of each frame; two frames make a step."""

    def __init__(
        self,
        num_frames: int = 4,
        fps: float = 10.0,
        dtype: str = "float32",
        min_frames: int | None = None,
    ):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.projection = nn.Linear(2 * 4 * 6 * 3, 5).requires_grad_(False)
        self.num_forwards = 0
        self.spec = BackboneSpec(
            name="test/tiny",
            implementation="kit 1",
            num_frames=num_frames,
            fps=fps,
            height=32,
            width=48,
            mean=(0.0,) * 3,
            std=(1.0,) * 3,
            num_steps=num_frames // 2,
            feature_dim=5,
            dtype=dtype,
            min_frames=min_frames,
        )

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        self.num_forwards += 1
        frames = frames[:, frames.shape[1] % 2 :]
        blocks = frames.float().unflatten(2, (4, 8)).unflatten(4, (6, 8)).mean(dim=(3, 5)) / 255
        return self.projection(blocks.flatten(2).unflatten(1, (-1, 2)).flatten(2))
