"""Where a run's predictors lie: found without loading torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from collision.errors import CheckpointError
from collision.untrusted import json_data, read_config

FILE_NAME = "predictor.safetensors"
BASELINE_FOLDER = "baseline"  # of a run; its predictor, or one for each fold


def find_predictors(path: Path) -> list[Path]:
    """Find the predictor files of a run folder (one a seed), or take a file as it is."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise CheckpointError(
            f"No trained predictor in {str(path)!r}: there is no such folder. "
            "Give a run folder, as `train` names it at its end."
        )
    seeds = [p for p in path.glob(f"seed_*/{FILE_NAME}") if _seed_of(p).isdecimal()]
    if (path / FILE_NAME).is_file():  # of one head, or of the ensemble of its seeds
        return [path / FILE_NAME]
    found = sorted(seeds, key=lambda p: int(_seed_of(p)))
    folds = sorted(path.glob(f"fold_*/seed_*/{FILE_NAME}"))
    is_run = (path / "config.yaml").is_file()
    wanted = read_config(path).get("seeds") if seeds and is_run else None
    if isinstance(wanted, int) and len(seeds) < wanted:
        raise CheckpointError(
            f"{str(path)!r} holds {len(seeds)} of {wanted} seeds. Continue it with `python "
            f"train.py resume={path}`, or give a seed's folder, such as {found[0].parent}."
        )
    if not found and folds:
        what = f"{str(path)!r} is a cross-validation: it has a predictor for each fold"
        raise CheckpointError(f"{what}. Give one of them, such as {folds[0]}.")
    if not found:
        there = ", ".join(sorted(p.name for p in path.iterdir())[:8])
        raise CheckpointError(
            f"No trained predictor in {str(path)!r} (found: {there or 'nothing'}). Give a run "
            f"whose training ended, or continue it with `python train.py resume={path}`."
        )
    return found


def _seed_of(path: Path) -> str:
    return path.parent.name.removeprefix("seed_")


def header_of(path: Path) -> dict[str, Any]:
    """Read what a predictor says of itself, as it is written there.

    CheckpointError: missing, damaged, or no predictor that this version reads.
    """
    if not path.is_file():
        raise CheckpointError(f"No checkpoint at {str(path)!r}. `train` writes {FILE_NAME}.")
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get("collision", "null")
    except (SafetensorError, OSError, ValueError) as error:
        raise damaged(path, error) from None
    header = json_data(text, repr(str(path)))
    if not isinstance(header, dict) or header.get("format") in (None, 1):
        raise CheckpointError(
            f"{str(path)!r} is a safetensors file, but not a predictor of this version. Train "
            "again."
        )
    return header


def damaged(path: Path, error: Exception) -> CheckpointError:
    """Say that a predictor cannot be read."""
    return CheckpointError(
        f"{str(path)!r} is damaged or not a predictor ({error}). Train again, or copy it again."
    )


def check_predictors(path: Path) -> None:
    """Refuse a run folder, or a file, without predictors: by their headers alone."""
    for file in find_predictors(path):
        header_of(file)
