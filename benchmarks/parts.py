"""Write docs/parts.md: every part by group, with its paper, size, licence and speed.

    python -m benchmarks.parts [--no-speed]

Speeds are of this machine's cores: training steps a second of 64 examples of 16 steps of 1280
features, windows a second of backbones with random weights. With --no-speed those in the file stay.
What else is in the tables follows from the YAML files and classes: tests/test_parts.py holds it.

Shapes: D features.
"""

from __future__ import annotations

import argparse
import inspect
import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from timm.models import get_pretrained_cfg

from benchmarks.heads import rate, training_rate
from collision.api import list_backbones
from collision.backbones.vjepa2 import SIZES
from collision.config import Part, described, names_of, part
from collision.devices import num_cores
from collision.errors import ConfigError
from collision.learning.head import build_model, is_chosen, is_solved
from collision.runs.provenance import git_state

PAGE = Path(__file__).parents[1] / "docs" / "parts.md"
FEATURE_DIM, NUM_STEPS, BATCH = 1280, 16, 64
SECONDS = 2.0
GROUPS = ("backbone", "head", "pooling", "loss", "optimizer", "scheduler", "fusion")
SPEED = {"backbone": "windows/s", "head": "steps/s"}
_COLUMNS = {
    "backbone": ["about", "paper", "licence of the weights", "parameters", "features"],
    "head": ["about", "paper", "parameters"],
}
_PLAIN = ["about", "paper"]
_ARXIV = re.compile(r"(?:arXiv |arxiv\.org/abs/)(\d{4}\.\d{4,5})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-speed", action="store_true")
    given = parser.parse_args()
    before = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    PAGE.write_text(page(speeds_in(before) if given.no_speed else None), encoding="utf-8")
    print(f"Written: {PAGE}")


def page(known: dict[tuple[str, str], str] | None) -> str:
    """Give the page, with the speeds that are ``known``, or measured where that is None."""
    state = git_state()
    commit = str(state["commit"])[:7] + (" and changes" if state["dirty"] else "")
    lines = [
        "# Parts",
        "",
        "Every part, by the name that it has on the command line (`head=gru`). The tables are "
        "written by `python -m benchmarks.parts`.",
        "",
        f"Heads: parameters and training steps a second at {FEATURE_DIM} features, {NUM_STEPS} "
        f"steps, batches of {BATCH}, pooling `last`. Backbones: windows a second of the network "
        "alone, with random weights. "
        f"Measured on {num_cores()} cores ({platform.machine()}), torch {torch.__version__}, "
        f"commit {commit}.",
    ]
    if known is not None:  # they were measured when the page says
        lines[-1] = measured_line(PAGE) or lines[-1]
    for group in GROUPS:
        names = [name for name in names_of(group) if has_options(group, name)]
        columns = [group, *columns_of(group), *([SPEED[group]] if group in SPEED else [])]
        rows = []
        for name in names:
            row = [f"`{name}`", *row_of(group, name)]
            if group in SPEED:
                row.append(speed_of(group, name) if known is None else known.get((group, name), ""))
            rows.append(row)
            print(" | ".join(row), file=sys.stderr, flush=True)
        table = [columns, ["---"] * len(columns), *rows]
        lines += ["", f"## {group}", "", *(f"| {' | '.join(cells)} |" for cells in table)]
    return "\n".join(lines) + "\n"


def columns_of(group: str) -> list[str]:
    """Name the columns of a group's table, but the first and the speed."""
    return _COLUMNS.get(group, _PLAIN)


def row_of(group: str, name: str) -> list[str]:
    """Give what is known of a part without measuring."""
    chosen, (about, _) = part(group, name), described(group, name)
    row = [re.sub(r" \((?:of )?arXiv [\d.]+\)", "", about), paper_of(chosen, about)]
    if group == "head":
        row.append(num_parameters(chosen))
    if group == "backbone":
        row += backbone_facts(chosen)
    return row


def has_options(group: str, name: str) -> bool:
    """Whether a part can be made with nothing given: ``timm_image`` needs a model."""
    try:
        part(group, name)
    except ConfigError:
        return False
    return True


def paper_of(chosen: Part, about: str) -> str:
    """Find the paper: in the YAML's first comment, the class's docstring, or its module's."""
    made = chosen.imported()
    texts = (about, inspect.getdoc(made) or "", inspect.getdoc(inspect.getmodule(made)) or "")
    sources = texts if chosen.group in ("backbone", "head") else texts[:2]
    found = next((some for text in sources if (some := _ARXIV.findall(text))), [])
    return ", ".join(f"[{one}](https://arxiv.org/abs/{one})" for one in dict.fromkeys(found))


def num_parameters(head: Part) -> str:
    """Count what is trained; nothing of a head that is chosen from others."""
    if is_chosen(head):
        return ""
    with torch.device("meta"):
        return f"{build_model(head, part('pooling', 'last'), FEATURE_DIM).num_parameters:,}"


def backbone_facts(chosen: Part) -> list[str]:
    """Give the weights' licence, their number, and what a window gives."""
    if chosen.name == "fusion":
        return ["its parts'", "", "its parts', aligned in time"]
    (listed,) = (one for one in list_backbones() if one.name == chosen.name)
    spec = listed.spec()
    with torch.device("meta"):
        count = sum(one.numel() for one in random_weights(chosen).build().parameters())
    features = f"{spec['num_steps']} x {spec['feature_dim']}"
    return [licence_of(chosen), f"{count / 1e6:.1f} M" if count else "", features]


def licence_of(chosen: Part) -> str:
    """Give the licence of the weights, as timm has it or the hub."""
    if model := chosen.options.get("model"):
        found = get_pretrained_cfg(str(model))
        return (found.license if found else "") or ""
    return SIZES[str(size)].licence if (size := chosen.options.get("size")) else ""


def random_weights(chosen: Part) -> Part:
    """Take a backbone without its weights."""
    unweighted = {"pretrained": False, "weights": None, "package": None}
    known = inspect.signature(chosen.imported()).parameters
    return chosen.changed({name: one for name, one in unweighted.items() if name in known})


def speed_of(group: str, name: str) -> str:
    """Measure a part's speed; empty for one that has none."""
    torch.manual_seed(0)
    chosen = part(group, name)
    if group == "head":
        if is_chosen(chosen) or is_solved(chosen):
            return ""
        model = build_model(chosen, part("pooling", "last"), FEATURE_DIM)
        times = torch.linspace(-4, 0, NUM_STEPS).repeat(BATCH, 1)
        features = torch.randn(BATCH, NUM_STEPS, FEATURE_DIM)
        batch = features, times, torch.ones_like(times, dtype=torch.bool)
        return f"{training_rate(model, batch, SECONDS):.3g}"
    if name == "fusion":
        return ""
    backbone: Any = random_weights(chosen).build()
    spec = backbone.spec
    shape = 1, spec.num_frames, spec.height, spec.width, 3
    frames = torch.randint(0, 256, shape, dtype=torch.uint8)
    with torch.inference_mode():
        return f"{rate(lambda: backbone(frames), SECONDS):.3g}"


def speeds_in(text: str) -> dict[tuple[str, str], str]:
    """Read the speeds of a page by group and name."""
    return {
        (group, cells[0].strip("`")): cells[-1] for group, cells in rows_in(text) if group in SPEED
    }


def rows_in(text: str) -> Iterator[tuple[str, list[str]]]:
    """Read the rows of a page's tables, with the group of each."""
    group = ""
    for line in text.splitlines():
        if line.startswith("## "):
            group = line.removeprefix("## ")
        elif line.startswith("| `"):
            yield group, [cell.strip() for cell in line.strip("|").split(" | ")]


def measured_line(page: Path) -> str:
    """Give the line of a page that says where it was measured."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    found = re.search(r"^Heads: .*$", text, re.MULTILINE)
    return found[0] if found else ""


if __name__ == "__main__":
    main()
