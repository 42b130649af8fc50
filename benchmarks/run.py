"""Run the benchmarks and keep what they print: python -m benchmarks.run [NAME ...]

Each runs in a process of its own, one after the other, on a machine that should do nothing else.
benchmarks/RESULTS.md then holds, for each, the command, its output (a table of ratios with their
targets where it has some), commit and machine. Those named are run again and the others' results
stay; without names all run that make their own input and take minutes.

    --gpu         those that tell what a GPU does, into benchmarks/RESULTS-gpu.md
    --small       small sizes, to see that everything runs: numbers mean nothing
    --output FILE instead of benchmarks/RESULTS.md
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import torch

from collision.runs.provenance import git_state

# Those with targets first; what each is run with, and with --small.
BENCHMARKS: dict[str, tuple[list[str], list[str]]] = {
    "extraction": ([], ["--runs", "1", "--seconds", "0.5", "--batch-size", "2"]),
    "first_batch": ([], ["--videos", "200"]),
    "trainer": (["--heads", "linear", "gru", "transformer", "zipformer"], ["--runs", "1"]),
    "search": ([], ["--budget", "3", "--steps", "2", "--scenes", "14", "--starts", "1"]),
    "startup": ([], ["--rounds", "1"]),
    "heads": ([], ["--seconds", "0.1", "--feature-dim", "32"]),
    "vjepa2": ([], ["--seconds", "0.1", "--batch-sizes", "1"]),
    "decode": ([], []),
    "bootstrap": ([], []),
    "coverage": ([], []),
    "data_sets": ([], []),
    "synthetic": ([], []),
    "zoo": ([], []),
}
ON_GPU: dict[str, list[list[str]]] = {
    "extraction": [
        ["--accelerator", "gpu", "--model", "vit_base_patch14_dinov2"],
        ["--accelerator", "gpu", "--model", "vit_base_patch16_siglip_224"],
        ["--accelerator", "gpu", "--vjepa2", "l"],
    ],
    "backbones": [["--accelerator", "gpu"]],
    "vjepa2": [["--accelerator", "gpu", "--size", size] for size in ("l", "h", "g")],
    "heads": [["--accelerator", "gpu"]],
}
SMALL_ON_GPU: dict[str, list[list[str]]] = {
    "extraction": [
        [*BENCHMARKS["extraction"][1], "--accelerator", "cpu", "--model", "resnet10t"],
        [*BENCHMARKS["extraction"][1], "--accelerator", "cpu", "--vjepa2", "tiny"],
    ],
    "backbones": [["--accelerator", "cpu", "--seconds", "0.1", "--small"]],
    "vjepa2": [["--accelerator", "cpu", "--size", "tiny", *BENCHMARKS["vjepa2"][1]]],
    "heads": [["--accelerator", "cpu", *BENCHMARKS["heads"][1]]],
}
_ROOT = Path(__file__).parent


def main(arguments: list[str] | None = None) -> int:
    """Give 0 if all that began succeeded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args(arguments)
    if given.gpu:
        jobs = SMALL_ON_GPU if given.small else ON_GPU
    else:
        jobs = {
            name: [small if given.small else usual] for name, (usual, small) in BENCHMARKS.items()
        }
    if strange := [name for name in given.names if name not in jobs]:
        parser.error(f"there is no benchmark {strange[0]!r}: choose of {', '.join(jobs)}")
    output = given.output or _ROOT / ("RESULTS-gpu.md" if given.gpu else "RESULTS.md")
    failed = []
    for name in given.names or jobs:
        sections = [run(name, options) for options in jobs[name]]
        failed += [name for code, _ in sections if code]
        keep(output, name, "\n".join(text for _, text in sections))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def run(name: str, options: list[str]) -> tuple[int, str]:
    """Run one benchmark, showing what it prints; give its exit code and its section."""
    command = ["-m", f"benchmarks.{name}", *options]
    print(f"\n# python {' '.join(command)}", flush=True)
    started, lines = time.monotonic(), []
    busy = os.getloadavg()[0]
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line.rstrip())
    code = process.wait()
    took = f"{time.monotonic() - started:.0f} s"
    about = f"`python {' '.join(command)}`, {took}, {machine(busy)}"
    if code:
        about += f"\n\n**It failed with exit code {code}.**"
    return code, f"{about}\n\n{as_markdown(lines)}\n"


def as_markdown(lines: list[str]) -> str:
    """Leave tables as they are; all else is shown as it was printed."""
    parts: list[str] = []
    for is_table, block in blocks(lines):
        text = "\n".join(block).strip("\n")
        parts += [text if is_table else f"```text\n{text}\n```"] if text else []
    return "\n\n".join(parts)


def blocks(lines: list[str]) -> list[tuple[bool, list[str]]]:
    """Part the lines of tables from the others."""
    found: list[tuple[bool, list[str]]] = []
    for line in lines:
        is_table = line.startswith("| ")
        if not found or found[-1][0] != is_table:
            found.append((is_table, []))
        found[-1][1].append(line)
    return found


def machine(busy: float) -> str:
    """Say where and of what this was measured."""
    state = git_state()
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    cores = len(os.sched_getaffinity(0))
    name = f"{cores} cores of {model[1] if model else platform.processor()}"
    if torch.cuda.is_available():
        name += f", {torch.cuda.get_device_name()}"
    day = time.strftime("%Y-%m-%d")
    commit, changes = str(state["commit"])[:7], " with changes" * bool(state["dirty"])
    where = f"commit {commit}{changes}"
    return f"{day}, {where}, {name}, torch {torch.__version__}, load before {busy:.1f}"


def keep(output: Path, name: str, section: str) -> None:
    """Replace a benchmark's section of a file of results, or add it."""
    head = (
        "# Benchmarks\n\nWritten by `make bench` (`make bench-gpu`). A ratio is of two things that "
        "were measured in turn in one run on one machine; *spread* is the least and the most.\n"
    )
    text = output.read_text() if output.exists() else head
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    kept = {part.split("\n", 1)[0].removeprefix("## "): part for part in parts[1:]}
    kept[name] = f"## {name}\n\n{section}\n"
    output.write_text(head + "\n" + "".join(part.rstrip("\n") + "\n\n" for part in kept.values()))


if __name__ == "__main__":
    sys.exit(main())
