"""What is remembered of a proposed part, by its bytes; and how it comes into a tree."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import collision
from collision.config import Part, names_of, no_such_part, part
from collision.errors import ConfigError
from collision.files import load_json, write_json, write_whole
from collision.search.proposed import Kind, Proposed

SUITE = 2  # a part that passed an earlier suite of conformance is checked again
FOLDER = "parts"  # of the folder of runs
# The first is what others are set against.
_SIBLINGS: dict[Kind, tuple[str, ...]] = {
    "head": ("gru", "transformer", "linear"),
    "pooling": ("last", "mean", "attention"),
    "loss": ("bce", "focal", "ranking"),
    "backbone": ("efficientnet_lite0", "optical_flow"),
}


def siblings_of(kind: Kind, names: Sequence[str] | None) -> list[Part]:
    """Find the parts that a proposed one is tried beside; ConfigError: there is no such part."""
    wanted = _SIBLINGS[kind] if names is None else names
    there = names_of(kind)
    if wrong := [name for name in wanted if name not in there]:
        raise ConfigError(f"siblings: {no_such_part(kind, wrong[0])}")
    if not wanted or len(set(wanted)) < len(wanted):
        raise ConfigError(f"siblings=[{','.join(wanted)}]: name one or more, each once.")
    return [part(kind, name) for name in wanted]


def check_passed(runs_root: Path, proposed: Proposed) -> dict[str, Any]:
    """Give what is remembered of a part that passed; ConfigError: these bytes did not."""
    found = remembered(runs_root, proposed)
    if not has_passed(found):
        name = proposed.name
        state = "did not pass its check" if "check" in found else "have not been checked"
        raise ConfigError(
            f"{name}.py and {name}.yaml {state}, as they are now: collision part check FOLDER"
            + ("" if proposed.kind == "head" else f" kind={proposed.kind}")
        )
    return found


def remember(runs_root: Path, proposed: Proposed, **facts: Any) -> Path:
    """Note what was found about these very bytes, beside what was noted before."""
    path = _file_of(runs_root, proposed)
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"digest": proposed.digest, "kind": proposed.kind, "name": proposed.name}
    write_json(path, {**remembered(runs_root, proposed), **about, **facts})
    return path


def remembered(runs_root: Path, proposed: Proposed) -> dict[str, Any]:
    """Give what was noted of these very bytes; nothing where they are new."""
    try:
        found = load_json(_file_of(runs_root, proposed))
    except (OSError, ValueError):
        return {}
    same = isinstance(found, dict) and found.get("digest") == proposed.digest
    return found if same else {}


def _file_of(runs_root: Path, proposed: Proposed) -> Path:
    return runs_root / FOLDER / f"{proposed.name}_{proposed.digest[:16]}.json"


def has_passed(found: dict[str, Any]) -> bool:
    """Whether what is remembered says that the part passed the suite of today."""
    check = found.get("check")
    return isinstance(check, dict) and check.get("passed") is True and check.get("suite") == SUITE


def tree_for(proposed: Proposed, into: Path | None) -> Path:
    """Find the folder that a part is written into; ConfigError: it cannot be.

    This project's own parts go into a checkout, this one by default; those of a package of the
    user's own into any folder.
    """
    name = proposed.name
    if not proposed.is_ours:
        if into is None:
            raise ConfigError(f"{name}.yaml names a package of your own: say where, into=FOLDER.")
        return into
    root = Path(collision.__file__).resolve().parents[1] if into is None else into
    if not (root / "configs" / "train.yaml").is_file() or not (root / "temporal").is_dir():
        raise ConfigError(
            f"{str(root)!r} is no checkout of this project: give one, into=FOLDER, or let "
            f"_target_ name a package of your own, PACKAGE.{name}.CLASS."
        )
    return root


def write_into(root: Path, proposed: Proposed) -> list[Path]:
    """Write both files; give their paths."""
    written = []
    for name, text in proposed.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
        written.append(path)
    return written


def difference(proposed: Proposed, root: Path) -> str:
    """Show both files against those of a tree, all of them where there are none."""
    return "\n".join(_differences(proposed, root))


def _differences(proposed: Proposed, root: Path) -> Iterator[str]:
    for name, text in proposed.files.items():
        old = root / name
        before = old.read_text(encoding="utf-8", errors="replace") if old.is_file() else ""
        title = f"a/{name}" if before else "/dev/null"
        lines = difflib.unified_diff(
            before.splitlines(), text.splitlines(), title, f"b/{name}", lineterm=""
        )
        yield from lines


def nearest(proposed: Proposed) -> tuple[str, float]:
    """Name the part of its kind whose file is most alike, and how much, from 0 to 1."""
    best = ("none", 0.0)
    words = proposed.code.split()
    for name in names_of(proposed.kind):
        with suppress(ConfigError):  # one that must be told what it is
            file = _file_of_module(part(proposed.kind, name).target.rpartition(".")[0])
            if file is None or name == proposed.name:
                continue
            match = difflib.SequenceMatcher(None, file.read_text().split(), words, autojunk=False)
            best = max(best, (name, match.ratio()), key=lambda one: one[1])
    return best


def _file_of_module(module: str) -> Path | None:
    """Find a module of this project in a checkout or in an installed package."""
    inside = f"{module.removeprefix('collision.').replace('.', '/')}.py"
    places = (Path(root) / inside for root in collision.__path__)
    return next((place for place in places if place.is_file()), None)
