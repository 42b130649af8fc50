"""Make ``optimizer.safetensors``: what the published ScaledAdam and Eden do, step by step.

    pip install --no-deps --target ORACLE zipformer==0.1.3
    python -m tests.golden.make_optimizer_golden ORACLE

For each case of ``CASES`` the file holds tensors at the start, their gradients, and the tensors
after every step; for each of ``RATES`` the rates of Eden. The package's ``modules/optim.py`` is
icefall's (Apache-2.0).
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

GOLDEN = Path(__file__).with_name("optimizer.safetensors")
# Number of steps, and options by our names; what is left out is as published.
CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "plain": (30, {"clipping": None}),
    "clipped": (125, {"clipping": 2.0}),
    "large": (30, {"clipping": None, "lr": 0.6, "max_rms": 0.7}),
    "small": (30, {"clipping": 1.5, "lr": 0.2, "min_rms": 0.3, "scalar_rate": 0.5, "period": 3}),
}
PUBLISHED = {"lr": 0.03, "min_rms": 1e-5}
THEIR_NAMES = {
    "clipping": "clipping_scale",
    "scalar_rate": "scalar_lr_scale",
    "min_rms": "param_min_rms",
    "max_rms": "param_max_rms",
    "period": "size_update_period",
}
NO_GRADIENT, NOT_FINITE = "unused", (15, 62)  # a tensor; steps of the case with clipping
# Eden's options by our names, steps, and steps a pass.
RATES: dict[str, tuple[dict[str, float], int, float]] = {
    "eden": ({"steps": 40, "passes": 2, "warmup": 0.1, "warmup_start": 0.5}, 120, 15),
    "eden_uneven": ({"steps": 7500, "passes": 3.5, "warmup": 0.5, "warmup_start": 0.1}, 90, 7.25),
}


def start() -> dict[str, Tensor]:
    """Tensors of several shapes, two of which are alike."""
    return {
        "scalar": torch.tensor(0.4),
        "one": torch.tensor([-9.9]),  # close to the largest
        "vector": torch.randn(5),
        "matrix": torch.randn(4, 3) * 0.1,
        "twin": torch.randn(4, 3),
        "kernel": torch.randn(2, 3, 2),
        "zeros": torch.zeros(3),
        "silent": torch.randn(3),  # its gradient is zeros
        NO_GRADIENT: torch.randn(2),
    }


def gradients(tensors: dict[str, Tensor], num_steps: int, *, rough: bool) -> dict[str, Tensor]:
    """Noise about a constant, ``[steps, ...]``; ``rough``, with outliers and infinite numbers."""
    made = {}
    for name, tensor in tensors.items():
        if name == NO_GRADIENT:
            continue
        constant = 0.5 * torch.randn(tensor.shape)
        made[name] = constant + torch.randn(num_steps, *tensor.shape) * 0.3
    made["silent"].zero_()
    if rough:
        for step, factor in ((5, 40.0), (18, 30.0), (50, 9.0), (110, 25.0)):
            for gradient in made.values():
                gradient[step] *= factor
        made["vector"][NOT_FINITE[0], 2] = float("-inf")
        made["matrix"][NOT_FINITE[1], 0, 1] = float("inf")
    return made


def load_reference(folder: Path) -> Any:
    """Import the reference's module without its package, which pulls in much more."""
    for name in ("zipformer", "zipformer.modules"):
        package = ModuleType(name)
        package.__path__ = [str(folder.joinpath(*name.split(".")))]
        sys.modules[name] = package
    helper: Any = ModuleType("zipformer.utils")
    helper.fix_random_seed = lambda _: None
    sys.modules["zipformer.utils"] = helper
    return importlib.import_module("zipformer.modules.optim")


def run_case(module: Any, name: str) -> dict[str, Tensor]:
    num_steps, options = CASES[name]
    tensors = start()
    grads = gradients(tensors, num_steps, rough=name == "clipped")
    saved = {f"start.{key}": value.clone() for key, value in tensors.items()}
    saved |= {f"grads.{key}": value for key, value in grads.items()}
    parameters = {key: torch.nn.Parameter(value) for key, value in tensors.items()}
    theirs = {THEIR_NAMES.get(key, key): value for key, value in (PUBLISHED | options).items()}
    optimizer = module.ScaledAdam(list(parameters.values()), **theirs)
    after: dict[str, list[Tensor]] = {key: [] for key in parameters}
    for step in range(num_steps):
        for key, gradient in grads.items():
            parameters[key].grad = gradient[step].clone()
        optimizer.step()
        for key, parameter in parameters.items():
            after[key].append(parameter.detach().clone())
    saved |= {f"after.{key}": torch.stack(values) for key, values in after.items()}
    return {f"{name}.{key}": value for key, value in saved.items()}


def rates(module: Any, name: str) -> Tensor:
    """Eden's rates of every step, of a highest rate of 1; ``step_epoch`` is told whole passes."""
    options, num_steps, steps_per_pass = RATES[name]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    lengths = options["steps"], options["passes"], round(options["warmup"] * num_steps)
    scheduler = module.Eden(optimizer, *lengths, warmup_start=options["warmup_start"])
    found = []
    for step in range(num_steps):
        scheduler.step_epoch(int(step // steps_per_pass))
        scheduler.step_batch(step)
        found.append(optimizer.param_groups[0]["lr"])
    return torch.tensor(found, dtype=torch.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("oracle", type=Path, help="folder into which the package was installed")
    module = load_reference(parser.parse_args().oracle)
    logging.disable(logging.WARNING)
    torch.manual_seed(0)
    tensors: dict[str, Tensor] = {}
    for name in CASES:
        tensors |= run_case(module, name)
    tensors |= {name: rates(module, name) for name in RATES}
    save_file(tensors, GOLDEN)


if __name__ == "__main__":
    main()
