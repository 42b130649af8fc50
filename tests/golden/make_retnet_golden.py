"""Make ``retnet.safetensors``: what another implementation computes from known weights.

    pip install --no-deps --target ORACLE yet-another-retnet==0.5.1
    python -m tests.golden.make_retnet_golden ORACLE

The file holds weights under our names and cases (``tests/kit/golden.py``). Set apart from the
reference's defaults, to follow the paper: GELU in the feed-forward modules; the gate stays swish.
The norm behind the last layer is torch's.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from tests.kit.golden import cases, identity_projection

GOLDEN = Path(__file__).with_name("retnet.safetensors")
LAYOUT: dict[str, Any] = {
    "input_dim": 32,
    "dim": 32,
    "layers": 2,
    "heads": 2,
    "feedforward_factor": 1.5,
    "shortest_memory": 32.0,  # the paper's decays
    "longest_memory": 512.0,
}
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "g_proj")  # one matrix of ours
NAMES = {
    "retention.out_proj": "retention.out_projection",
    "norm1": "retention_norm",
    "norm2": "feedforward_norm",
    "linear1": "feedforward.0",
    "linear2": "feedforward.3",
}


def build_reference(folder: Path) -> nn.Sequential:
    sys.path.insert(0, str(folder))
    from yet_another_retnet.retnet import RetNetDecoderLayer

    dim = LAYOUT["dim"]
    layers = [
        RetNetDecoderLayer(
            dim,
            LAYOUT["heads"],
            int(LAYOUT["feedforward_factor"] * dim),
            layer_norm_eps=1e-5,
        )
        for _ in range(LAYOUT["layers"])
    ]
    for layer in layers:
        layer.activation = functional.gelu
    return nn.Sequential(*layers, nn.LayerNorm(dim)).eval()


def our_weights(reference: nn.Sequential) -> dict[str, Tensor]:
    """Copies of the reference's weights under our names, and a projection that changes nothing."""
    weights = identity_projection(LAYOUT["dim"])
    *layers, norm = reference
    for number, layer in enumerate(layers):
        theirs = layer.state_dict()
        for kind in ("weight", "bias"):
            joined = [theirs[f"retention.{name}.{kind}"] for name in PROJECTIONS]
            weights[f"blocks.{number}.retention.in_projection.{kind}"] = torch.cat(joined)
            for name, ours in NAMES.items():
                weights[f"blocks.{number}.{ours}.{kind}"] = theirs[f"{name}.{kind}"]
    weights |= {f"norm.{name}": value for name, value in norm.state_dict().items()}
    return {name: value.detach().clone() for name, value in weights.items()}


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("oracle", type=Path, help="folder into which the package was installed")
    torch.manual_seed(0)
    reference = build_reference(parser.parse_args().oracle)
    for parameter in reference.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))  # each must matter
    tensors = {f"weights.{name}": value for name, value in our_weights(reference).items()}
    tensors |= cases(reference, LAYOUT["dim"])
    save_file(tensors, GOLDEN, metadata={"layout": json.dumps(LAYOUT)})


if __name__ == "__main__":
    main()
