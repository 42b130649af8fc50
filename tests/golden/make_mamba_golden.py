"""Make ``mamba.safetensors``: what the mixer of transformers computes from known weights.

    python -m tests.golden.make_mamba_golden

The file holds weights under our names and cases (``tests/kit/golden.py``). Norms and sums around
the mixers are torch's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import MambaConfig
from transformers.models.mamba.modeling_mamba import MambaMixer

from tests.kit.golden import cases, identity_projection

GOLDEN = Path(__file__).with_name("mamba.safetensors")
LAYOUT: dict[str, Any] = {
    "input_dim": 32,
    "dim": 32,
    "layers": 2,
    "expansion": 2,
    "state_dim": 6,
    "kernel": 4,
    "bidirectional": False,
}
NAMES = {
    "in_proj": "in_projection",
    "out_proj": "out_projection",
    "conv1d": "forwards.convolution",
    "x_proj": "forwards.selection",
    "dt_proj": "forwards.pace",
    "A_log": "forwards.log_rates",
    "D": "forwards.skip",
}


class Reference(nn.Module):
    """Mixers that read a normalised copy and add to the sum, as in the reference's own block."""

    def __init__(self) -> None:
        super().__init__()
        dim, layers = LAYOUT["dim"], LAYOUT["layers"]
        config = MambaConfig(
            hidden_size=dim,
            state_size=LAYOUT["state_dim"],
            expand=LAYOUT["expansion"],
            conv_kernel=LAYOUT["kernel"],
            num_hidden_layers=layers,
        )
        self.mixers = nn.ModuleList(MambaMixer(config, layer) for layer in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(layers + 1))

    def forward(self, hidden: Tensor) -> Tensor:
        for mixer, norm in zip(self.mixers, self.norms, strict=False):
            hidden = hidden + mixer(norm(hidden))
        return self.norms[-1](hidden)


def our_weights(reference: Reference) -> dict[str, Tensor]:
    """Copies of the reference's weights under our names, and a projection that changes nothing."""
    weights = identity_projection(LAYOUT["dim"])
    for layer, mixer in enumerate(reference.mixers):
        for name, value in mixer.state_dict().items():
            module, _, rest = name.partition(".")
            weights[f"blocks.{layer}.{NAMES[module]}{'.' * bool(rest)}{rest}"] = value
    for place, norm in enumerate(reference.norms):
        home = f"blocks.{place}.norm" if place < LAYOUT["layers"] else "norm"
        weights |= {f"{home}.{name}": value for name, value in norm.state_dict().items()}
    return {name: value.detach().clone() for name, value in weights.items()}


@torch.no_grad()
def main() -> None:
    torch.manual_seed(0)
    reference = Reference().eval()
    for parameter in reference.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))  # each must matter
    tensors = {f"weights.{name}": value for name, value in our_weights(reference).items()}
    tensors |= cases(reference, LAYOUT["dim"])
    save_file(tensors, GOLDEN, metadata={"layout": json.dumps(LAYOUT)})


if __name__ == "__main__":
    main()
