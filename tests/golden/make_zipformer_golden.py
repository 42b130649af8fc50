"""Make ``zipformer.safetensors``: what the published implementation computes from known weights.

    pip install --no-deps --target ORACLE zipformer==0.1.3
    python -m tests.golden.make_zipformer_golden ORACLE

The file holds weights under our names, features, mask and the expected output. The reference runs
on one example at a time without padding: with padding its downsampling would average it in.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from collision.temporal import zipformer as ours

GOLDEN = Path(__file__).with_name("zipformer.safetensors")
LAYOUT: dict[str, Any] = {
    "input_dim": 12,
    "dims": [12, 20, 16, 14],  # the output takes channels from three stacks
    "layers": [2, 1, 1, 1],
    "heads": [4, 2, 2, 3],
    "downsampling": [1, 2, 4, 2],
    "kernel": 5,
    "feedforward_factor": 1.5,
}
VALID = ["11111111111", "00011111111", "11111000000", "00000000010", "00001111100"]

BLOCK_NAMES = {
    "self_attn_weights": "attention_weights",
    "linear_pos": "position_projection",
    "self_attn1": "attention1",
    "self_attn2": "attention2",
    "nonlin_attention": "nonlinear_attention",
    "conv_module1": "convolution1",
    "conv_module2": "convolution2",
    "feed_forward1": "feedforward1",
    "feed_forward2": "feedforward2",
    "feed_forward3": "feedforward3",
    "depthwise_conv": "depthwise",
    "bypass_mid.bypass_scale": "bypass_middle.scale",
    "bypass.bypass_scale": "bypass_end.scale",
    "in_proj": "in_projection",
    "out_proj": "out_projection",
}
STACK_NAMES = {
    "encoder.layers.": "blocks.",
    "layers.": "blocks.",
    "downsample.bias": "downsample.logits",
    "out_combiner.bypass_scale": "bypass.scale",
}


def load_reference(folder: Path) -> Any:
    """Import the reference's two modules without its package, which pulls in much more."""
    for name in ("zipformer", "zipformer.modules"):
        package = ModuleType(name)
        package.__path__ = [str(folder.joinpath(*name.split(".")))]
        sys.modules[name] = package
    helper = ModuleType("zipformer.utils")
    helper.torch_autocast = lambda *_, **__: contextlib.nullcontext()
    sys.modules["zipformer.utils"] = helper
    return importlib.import_module("zipformer.modules.zipformer")


def build_reference(module: Any, layout: dict[str, Any], noise: float = 0.1) -> torch.nn.Module:
    """Make the reference without its own downsampling of the output, each module at work."""
    dims = layout["dims"]
    model = module.Zipformer(
        downsampling_factor=tuple(layout["downsampling"]),
        encoder_dim=tuple(dims),
        encoder_unmasked_dim=tuple(dims),
        num_encoder_layers=tuple(layout["layers"]),
        num_heads=tuple(layout["heads"]),
        feedforward_dim=tuple(int(layout["feedforward_factor"] * dim) for dim in dims),
        cnn_module_kernel=(layout["kernel"],),
        query_head_dim=(ours.QUERY_HEAD_DIM,),
        value_head_dim=(ours.VALUE_HEAD_DIM,),
        pos_head_dim=(ours.POSITION_HEAD_DIM,),
        pos_dim=ours.POSITION_DIM,
        dropout=0.0,
    )
    model.downsample_output = torch.nn.Identity()
    with torch.no_grad():
        for parameter in model.parameters():
            # Freshly made, most modules hardly change anything; here each must matter.
            parameter.add_(noise * torch.randn_like(parameter))
    return model.eval()


def our_name(reference_name: str) -> str:
    """``encoders.1.encoder.layers.0.norm.bias`` to ``stacks.1.blocks.0.norm.bias``."""
    _, stack, rest = reference_name.split(".", 2)
    for theirs, mine in STACK_NAMES.items():
        if rest.startswith(theirs):
            rest = mine + rest.removeprefix(theirs)
            break
    if rest.startswith("blocks."):
        for theirs, mine in BLOCK_NAMES.items():
            rest = rest.replace(f".{theirs}", f".{mine}")
    return f"stacks.{stack}.{rest}"


def our_parameters(reference: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """The reference's parameters under our names."""
    return {
        our_name(name): parameter
        for name, parameter in reference.named_parameters()
        # Declared by the reference's layer, but used nowhere in it.
        if not (name.endswith(".bypass_scale") and name.split(".")[-2].isdigit())
    }


def our_weights(reference: torch.nn.Module) -> dict[str, Tensor]:
    """Copies of them, and a projection that changes nothing."""
    weights = {
        name: parameter.detach().clone() for name, parameter in our_parameters(reference).items()
    }
    weights["projection.weight"] = torch.eye(LAYOUT["input_dim"])
    weights["projection.bias"] = torch.zeros(LAYOUT["input_dim"])
    return weights


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("oracle", type=Path, help="folder into which the package was installed")
    reference_module = load_reference(parser.parse_args().oracle)
    torch.manual_seed(0)
    reference = build_reference(reference_module, LAYOUT)
    mask = torch.tensor([[step == "1" for step in row] for row in VALID])
    features = torch.randn(*mask.shape, LAYOUT["input_dim"])
    expected = torch.zeros(*mask.shape, max(LAYOUT["dims"]))
    for row, valid in enumerate(mask):
        alone = features[row, valid].unsqueeze(1)  # the reference wants [L, B, D]
        output, _ = reference(alone, torch.tensor([len(alone)]))
        expected[row, valid] = output.squeeze(1)
    tensors = {f"weights.{name}": value for name, value in our_weights(reference).items()}
    tensors |= {"features": features, "mask": mask, "expected": expected}
    save_file(tensors, GOLDEN, metadata={"layout": json.dumps(LAYOUT)})


if __name__ == "__main__":
    main()
