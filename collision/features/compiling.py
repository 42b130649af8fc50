"""A backbone compiled, or its convolutions laid out by channels last, held to what it was.

Neither is in the fingerprint: features must be the same up to rounding. The first batch of a run
goes through the backbone before and after, and decides.

Shapes: B windows, T frames a window, S steps a window, D feature dim, H W image.
"""

from __future__ import annotations

from typing import Any, cast

import torch

from collision.errors import ConfigError
from collision.types import Backbone

_BACKEND = "inductor"

# By how much of the largest feature others may differ. Products of bf16 are rounded at 4e-3.
_IN_BF16 = 2e-2
TOLERANCE = {"32-true": 1e-4, "16-mixed": 2e-3, "bf16-mixed": _IN_BF16}

_LAYOUTS: dict[int, torch.memory_format] = {
    4: torch.channels_last,
    5: torch.channels_last_3d,
}


def faster(backbone: Backbone, precision: str, *, compile: bool, channels_last: bool) -> Backbone:
    """Give a backbone that does the same in less time; asked again, the same one.

    ConfigError: It has no convolutions to lay out.
    """
    if not compile and not channels_last:
        return backbone
    asked = precision, compile, channels_last
    if channels_last and not _convolutions(backbone):
        raise ConfigError(
            f"extraction.channels_last=true: the backbone {backbone.spec.name!r} has no "
            "convolutions, which alone gain by it. Leave the option out."
        )
    kept = vars(backbone)  # compiled once for all extractions of a process
    if "faster" not in kept or kept["faster"].asked != asked:
        kept["faster"] = FasterBackbone(backbone, *asked)
    found: FasterBackbone = kept["faster"]
    return found


class FasterBackbone:
    """The backbone; what it was is compared with what it becomes on the first batch.

    Windows that are cut short go through it as it is: each length would be compiled anew.
    """

    def __init__(self, backbone: Backbone, precision: str, compile: bool, channels_last: bool):
        self.backbone, self.spec = backbone, backbone.spec
        self.asked = precision, compile, channels_last
        self._tolerance = TOLERANCE.get(precision, _IN_BF16)
        self._run: Backbone | None = None

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        """Turn ``uint8 [B, T, H, W, 3]`` into ``float [B, S, D]``.

        ConfigError: It cannot be compiled, or gives other features then.
        """
        if frames.shape[1] < self.spec.num_frames:
            return self.backbone(frames)
        if self._run is None:
            return self._begin(frames)
        return self._told(self._run, frames)

    def _begin(self, frames: torch.Tensor) -> torch.Tensor:
        before = self.backbone(frames)
        _, is_compiled, is_last = self.asked
        if is_last:
            lay_out(self.backbone)
        run = compiled(self.backbone, _BACKEND) if is_compiled else self.backbone
        found = self._told(run, frames)
        off = difference(found, before)
        if not off <= self._tolerance:
            raise ConfigError(
                f"{self._options}: features of the backbone {self.spec.name!r} then differ by "
                f"{off:.1e} of the largest one from what they are without, and may by "
                f"{self._tolerance:g}. Leave the option out."
            )
        self._run = run
        return found

    def _told(self, run: Backbone, frames: torch.Tensor) -> torch.Tensor:
        """Run it; what a compiler says against it is a ConfigError."""
        if run is self.backbone:
            return run(frames)
        try:
            return run(frames)
        except torch.OutOfMemoryError:
            raise  # a smaller batch may do
        except Exception as error:  # a compiler has many
            why = str(error).strip().partition("\n")[0]
            raise ConfigError(
                f"extraction.compile=true: the backbone {self.spec.name!r} cannot be compiled here "
                f"({type(error).__name__}: {why}). Leave the option out."
            ) from error

    @property
    def _options(self) -> str:
        _, is_compiled, is_last = self.asked
        names = ["extraction.compile=true"] * is_compiled
        return " ".join(names + ["extraction.channels_last=true"] * is_last)


def compiled(backbone: Any, backend: str) -> Backbone:
    """Compile it when it is first called: all of it, for the shape of each batch."""
    run: object = torch.compile(backbone, backend=backend, fullgraph=True, dynamic=False)
    return cast("Backbone", run)


def lay_out(backbone: Any) -> None:
    """Let the weights of convolutions lie by channels last: what these give then lies so, too."""
    for weight in _convolutions(backbone):
        weight.data = weight.data.contiguous(memory_format=_LAYOUTS[weight.ndim])


def difference(features: torch.Tensor, before: torch.Tensor) -> float:
    """By how much of the largest one features differ at most, where they were finite before."""
    features, before = features.float(), before.float()
    if features.shape != before.shape:
        return float("inf")
    is_known = before.isfinite()
    if not is_known.any():
        return 0.0
    off = (features - before)[is_known].abs().max()
    return float(off / before[is_known].abs().max().clamp(min=torch.finfo(torch.float32).tiny))


def _convolutions(backbone: Any) -> list[torch.Tensor]:
    kinds = torch.nn.Conv2d, torch.nn.Conv3d
    return [module.weight for module in backbone.modules() if isinstance(module, kinds)]
