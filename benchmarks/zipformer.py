"""How fast our Zipformer is beside the published implementation, from the same weights.

    pip install --no-deps --target ORACLE zipformer==0.1.3
    python -m benchmarks.zipformer ORACLE [--runs 7]

Features ``[64, 32, 768]`` through ``head=zipformer_study`` (arXiv 2603.15916). Forward and
backward, without dropout, in turn in one process; a ratio is our time by the reference's, both of
processor time and by the clock. Outputs and gradients are compared before anything is measured.
The reference runs its activations through torch's compiler, as published, where there is one (a
C++ compiler is needed). The last lines say what part of our time lies in matrix products and
convolutions.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.kit import Target, print_targets
from collision.config import part
from collision.temporal.zipformer import Zipformer
from tests.golden.make_zipformer_golden import build_reference, load_reference, our_parameters

# Without its projection before the first stack's, which the published one lacks, and dropout.
STUDY = {**part("head", "zipformer_study").options, "projection_dim": None, "dropout": 0.0}
LAYOUT: dict[str, Any] = {"input_dim": 768, **STUDY}
STEPS = 32
INSTALL = "pip install --no-deps --target ORACLE zipformer==0.1.3"
# Words in the names of operators that do what cannot be left out.
PRODUCTS = ("mm", "linear", "conv", "mkldnn", "einsum", "matmul")


class Reference(nn.Module):
    """The published implementation behind the projection that ours has inside."""

    def __init__(self, module: Any):
        super().__init__()
        self.projection = nn.Linear(LAYOUT["input_dim"], LAYOUT["dims"][0])
        # More noise on so many channels, and rounding alone decides the gradients.
        self.encoder = build_reference(module, LAYOUT, noise=0.01)

    def forward(self, features: Tensor) -> Tensor:
        """``[L, B, D]`` to ``[L, B, E]``."""
        lengths = torch.full((features.shape[1],), features.shape[0])
        return self.encoder(self.projection(features), lengths)[0]

    def without_regularisers(self) -> None:
        """Take out what shapes training alone: balancers, whitening, position dropout."""
        scaling = sys.modules["zipformer.modules.scaling"]
        for parent in list(self.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, scaling.Balancer | scaling.Whiten):
                    setattr(parent, name, nn.Identity())
        zipformer = sys.modules["zipformer.modules.zipformer"]
        for child in self.modules():
            if isinstance(child, zipformer.CompactRelPositionalEncoding):
                child.dropout.p = 0.0
        for name in ("zipformer.modules.scaling", "zipformer.modules.zipformer"):
            module = sys.modules[name]
            module.limit_param_value = lambda values, **_: values  # type: ignore[attr-defined]
            module.penalize_abs_values_gt = lambda values, **_: values  # type: ignore[attr-defined]


def same_weights(ours: Zipformer, reference: Reference) -> dict[str, nn.Parameter]:
    """Give ours the reference's weights; say which of its parameters is which of ours."""
    named = our_parameters(reference.encoder)
    named |= {
        f"projection.{name}": value for name, value in reference.projection.named_parameters()
    }
    ours.load_state_dict({name: value.detach() for name, value in named.items()})
    return named


def trained(model: nn.Module, *inputs: Tensor) -> Callable[[], None]:
    """Forward and backward."""

    def step() -> None:
        model.zero_grad()
        model(*inputs).square().mean().backward()

    return step


def scored(model: nn.Module, *inputs: Tensor) -> Callable[[], None]:
    """Forward alone."""

    def step() -> None:
        with torch.inference_mode():
            model(*inputs)

    return step


def seconds(work: Callable[[], None]) -> tuple[float, float]:
    """Processor time of all threads, and time by the clock."""
    begin = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - begin[0], time.perf_counter() - begin[1]


def in_turn(ours: Callable[[], None], theirs: Callable[[], None], runs: int) -> np.ndarray:
    """Ratios ``[runs, 2]`` of processor time and time by the clock, after a warm-up."""
    ours(), theirs()
    ratios = []
    for run in range(runs):
        # Whoever comes second finds the other's data in the caches: each in turn.
        order = (ours, theirs) if run % 2 else (theirs, ours)
        taken = {work: np.array(seconds(work)) for work in order}
        ratios.append(taken[ours] / taken[theirs])
    return np.array(ratios)


def share_of_products(work: Callable[[], None], rows: int) -> tuple[float, str]:
    """The part of its processor time in products and convolutions, and the dearest operators."""
    work()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        work()
    averages = profiled.key_averages()
    total = sum(event.self_cpu_time_total for event in averages)
    inside = sum(
        event.self_cpu_time_total
        for event in averages
        if any(word in event.key.lower() for word in PRODUCTS)
    )
    dearest = sorted(averages, key=lambda event: -event.self_cpu_time_total)[:rows]
    table = "\n".join(
        f"  {event.self_cpu_time_total / total:6.3f}  {event.count:5d}  {event.key}"
        for event in dearest
    )
    return inside / total, table


def check_equal(ours: Zipformer, reference: Reference, inputs: tuple[Tensor, ...]) -> None:
    """Outputs and gradients, to 1e-4 of the largest."""
    named = same_weights(ours, reference)
    ours.zero_grad()
    reference.zero_grad()
    features, times, mask = inputs
    output, expected = ours(features, times, mask), reference(features.transpose(0, 1))
    factors = torch.randn_like(output)
    (output * factors).sum().backward()
    (expected * factors.transpose(0, 1)).sum().backward()
    worst = _difference(output, expected.transpose(0, 1))
    for name, parameter in ours.named_parameters():
        worst = max(worst, _difference(parameter.grad, named[name].grad))
    print(f"largest difference of an output or gradient, of the largest value: {worst:.1e}")
    if not worst < 1e-4:
        raise SystemExit("The two do not compute the same.")


def _difference(found: Tensor | None, wanted: Tensor | None) -> float:
    assert found is not None
    assert wanted is not None
    return float(((found - wanted).abs().max() / wanted.abs().max()).detach())


def batch_of(num_examples: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features, times and mask of examples without a gap."""
    shape = num_examples, STEPS
    mask = torch.ones(shape, dtype=torch.bool)
    return torch.randn(*shape, LAYOUT["input_dim"]), torch.zeros(shape), mask


def measure(
    name: str, reference: Reference, ours: Zipformer, inputs: tuple[Tensor, ...], runs: int
) -> list[Target]:
    """Ratios at one thread and at two."""
    theirs = (inputs[0].transpose(0, 1).contiguous(),)
    targets = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for mode, work in (("training", trained), ("scoring", scored)):
            ours.train(mode == "training")
            reference.train(mode == "training")
            ratios = in_turn(work(ours, *inputs), work(reference, *theirs), runs)
            for column, clock in enumerate(("processor time", "clock")):
                title = f"{mode}, {threads} threads, {name}, {clock}"
                targets.append(Target(title, ratios[:, column], most=1.0))
                print(targets[-1].row, flush=True)
    return targets


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("oracle", type=Path, nargs="?", help="folder of the package")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--rows", type=int, default=12, help="of the profile")
    options = parser.parse_args(arguments)
    torch.manual_seed(0)
    ours, inputs = Zipformer(**LAYOUT), batch_of(options.batch)
    targets: list[Target] = []
    if options.oracle is None:
        print(f"Without the published implementation, a profile alone. To compare: {INSTALL}")
    else:
        reference = Reference(load_reference(options.oracle)).train()
        same_weights(ours, reference)
        targets += measure("with its regularisers", reference, ours, inputs, options.runs)
        reference.without_regularisers()
        check_equal(ours.train(), reference.train(), batch_of(4))
        targets += measure("without them", reference, ours, inputs, options.runs)
    for threads in (1, 2):
        torch.set_num_threads(threads)
        share, table = share_of_products(trained(ours.train(), *inputs), options.rows)
        targets.append(Target(f"part in products, {threads} threads", np.array([share]), least=0.9))
        print(f"{threads} threads: {share:.3f} in products and convolutions\n{table}")
    print_targets(targets)
    return 0


if __name__ == "__main__":
    sys.exit(main())
