"""What makes a backbone faster on this device: python -m benchmarks.backbones

Random weights. Windows a second in 32-true, bf16 and fp16 (autocast), with convolutions laid out by
channels first and last (``extraction.channels_last``), compiled (``extraction.compile``), and both;
each as a ratio to the plain backbone in the same precision, measured in turn, with how far its
features are from those in 32-true (of their largest value).

    --accelerator gpu, --batch-size 32, --seconds 2 (a measurement), --runs 5, --small
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from statistics import median

import torch

from collision.backbones.timm_image import TimmImage
from collision.backbones.vjepa2 import VJEPA2
from collision.devices import device_of
from collision.features.compiling import compiled, lay_out
from collision.types import Backbone

PRECISIONS = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
MODELS: dict[str, Callable[[], Backbone]] = {
    "vjepa2 l": lambda: VJEPA2("l", pretrained=False),
    "dinov2_b": lambda: TimmImage("vit_base_patch14_dinov2", pretrained=False),
    "siglip2_b": lambda: TimmImage("vit_base_patch16_siglip_224", pretrained=False),
    "efficientnet_lite0": lambda: TimmImage("tf_efficientnet_lite0", pretrained=False),
}
SMALL: dict[str, Callable[[], Backbone]] = {
    "vjepa2 tiny": lambda: VJEPA2("tiny", pretrained=False),
    "resnet10t": lambda: TimmImage("resnet10t", pretrained=False, height=64, width=64),
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args(arguments)
    device = device_of(given.accelerator)
    size = given.batch_size or (32 if device.type == "cuda" else 2)
    print("| backbone | precision | variant | windows/s | to plain | spread | difference |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, build in (SMALL if given.small else MODELS).items():
        measure(name, build().to(device), device, size, given)


def measure(
    name: str, backbone: Backbone, device: torch.device, size: int, given: argparse.Namespace
) -> None:
    """Print a row for each precision and variant of a backbone."""
    spec = backbone.spec
    shape = size, spec.num_frames, spec.height, spec.width, 3
    frames = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    exact = forward(backbone, frames, None)
    for precision, dtype in PRECISIONS.items():
        if dtype == torch.float16 and device.type == "cpu":
            continue  # slower than anything that is used
        variants = {"plain": backbone, **others(backbone, given.small)}
        rates: dict[str, list[float]] = {variant: [] for variant in variants}
        far = {v: difference(forward(model, frames, dtype), exact) for v, model in variants.items()}
        for _ in range(1 if given.small else given.runs):
            for variant, model in variants.items():
                rates[variant].append(rate(model, frames, dtype, given.seconds))
        for variant, found in rates.items():
            ratios = [a / b for a, b in zip(found, rates["plain"], strict=True)]
            print(
                f"| {name} | {precision} | {variant} | {median(found):.1f} | {median(ratios):.2f} "
                f"| {min(ratios):.2f} to {max(ratios):.2f} | {far[variant]:.0e} |",
                flush=True,
            )


def others(backbone: Backbone, small: bool) -> dict[str, Backbone]:
    """Give the same backbone otherwise laid out, or compiled (small: only as far as a graph)."""
    backend = "aot_eager" if small else "inductor"
    first, last = copy.deepcopy(backbone), copy.deepcopy(backbone)
    first.to(memory_format=torch.contiguous_format)  # type: ignore[attr-defined]
    lay_out(last)
    return {
        "channels first": first,
        "channels last": last,
        "compiled": compiled(backbone, backend),
        "compiled, channels last": compiled(last, backend),
    }


@torch.inference_mode()
def forward(backbone: Backbone, frames: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    """Embed one batch."""
    with torch.autocast(frames.device.type, dtype, enabled=dtype is not None):
        return backbone(frames).float()


def difference(features: torch.Tensor, exact: torch.Tensor) -> float:
    """How far features are from others, as a part of the largest value of these."""
    return float((features - exact).abs().max() / exact.abs().max())


def rate(
    backbone: Backbone, frames: torch.Tensor, dtype: torch.dtype | None, seconds: float
) -> float:
    """Windows a second."""
    forward(backbone, frames, dtype)
    count, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds or not count:
        forward(backbone, frames, dtype).cpu()
        count += len(frames)
    return count / elapsed


if __name__ == "__main__":
    main()
