"""How fast V-JEPA 2 embeds windows: python -m benchmarks.vjepa2

Random weights; windows of 16 frames at the size's own input. The bare model is transformers' own
on pixels that are ready, with its predictor skipped; the ratio is what preprocessing and pooling
cost. On a GPU in bf16 with ``--size l``, else in float32 with ``--size tiny``.
"""

import argparse
import time
from collections.abc import Callable

import torch
from transformers import VJEPA2Config, VJEPA2Model

from collision.backbones.vjepa2 import SIZES, VJEPA2
from collision.devices import device_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, help="default: l on a GPU, tiny on a CPU")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4, 16, 32])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each measurement")
    parser.add_argument("--accelerator", default="auto")
    options = parser.parse_args()
    device = device_of(options.accelerator)
    on_gpu = device.type == "cuda"
    size = options.size or ("l" if on_gpu else "tiny")
    ours = VJEPA2(size, pretrained=False).to(device)
    theirs = VJEPA2Model(VJEPA2Config(**SIZES[size].shape)).eval().to(device)
    print_header(ours, size, device)
    for batch_size in options.batch_sizes:
        shape = (batch_size, ours.spec.num_frames, ours.spec.height, ours.spec.width, 3)
        frames = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
        pixels = frames.permute(0, 1, 4, 2, 3) / 255
        work = (
            lambda frames=frames: ours(frames),
            lambda pixels=pixels: theirs(pixel_values_videos=pixels, skip_predictor=True),
        )
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=on_gpu):
            own, bare = (rate(forward, options.seconds, on_gpu) * batch_size for forward in work)
        memory = f"{torch.cuda.max_memory_allocated() / 2**30:>10.1f}" if on_gpu else ""
        print(f"{batch_size:>10} {own:>10.1f} {bare:>10.1f} {own / bare:>6.2f}{memory}", flush=True)


def print_header(backbone: VJEPA2, size: str, device: torch.device) -> None:
    parameters = sum(parameter.numel() for parameter in backbone.parameters()) / 1e6
    spec = backbone.spec
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(
        f"{size}: {parameters:.1f} M parameters, {spec.num_frames}x{spec.height}x{spec.width}, "
        f"{name}, {'bf16' if device.type == 'cuda' else f'{torch.get_num_threads()} threads'}"
    )
    memory = "   peak GiB" if device.type == "cuda" else ""
    print(f"{'batch size':>10} {'windows/s':>10} {'bare':>10} {'ratio':>6}{memory}")


def rate(forward: Callable[[], object], seconds: float, on_gpu: bool) -> float:
    """How often ``forward`` runs in a second, after two warm-up calls."""

    def finish() -> None:
        if on_gpu:
            torch.cuda.synchronize()

    for _ in range(2):
        forward()
    finish()
    count, begin = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds:
        forward()
        finish()
        count += 1
    return count / elapsed


if __name__ == "__main__":
    main()
