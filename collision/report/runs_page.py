"""``runs.html``: any number of runs on one page, unfinished ones with what continues them."""

from __future__ import annotations

import csv
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from os.path import relpath
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import quote

from collision.errors import CheckpointError, CollisionError
from collision.files import write_whole
from collision.metrics.estimate import Estimate
from collision.report.html import Child, Html, asset, document, tag
from collision.report.parts import Scale, section, table, tile, track
from collision.report.results_page import scale_of
from collision.report.saved import built, read_json
from collision.report.tables import ABSENT, Grid, number
from collision.untrusted import read_config, reading

State: TypeAlias = Literal["done", "running", "unfinished", "damaged"]
# A run writes into its folder with every validation; one that is silent for longer has stopped.
QUIET = 180.0  # seconds
PAGES = ("results.html", "compare.html", "data.html", "study.html", "search.html")
# Folders of runs may hold a folder of their own for each part; deeper there are heads.
_DEPTH = 3
_SHORT = 48  # letters of a command that is not folded


@dataclass(frozen=True)
class Run:
    """A run as the page lists it: one line for each data set that it was judged on.

    ``continues`` is the command that goes on with it; ``progress`` says how far it is.
    """

    folder: Path
    kind: str
    state: State
    dataset: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    ap: Estimate = field(default_factory=lambda: Estimate(None))
    chance: float | None = None
    seeds: int | None = None
    started: str = ""
    commit: str = ""
    command: str = ""
    warnings: int = 0
    continues: str = ""
    progress: str = ""


def found_runs(folders: Sequence[Path]) -> list[Run]:
    """List the runs in some folders, and those that the folders are; the latest first.

    CheckpointError: there is no such folder.
    """
    seen: dict[Path, list[Run]] = {}
    for folder in folders:
        if not folder.is_dir():
            raise CheckpointError(
                f"There is no folder {str(folder)!r}. Give folders of runs, or runs."
            )
        for one in _run_folders(folder.resolve(), _DEPTH):
            seen.setdefault(one, list(_read(one)))
    runs = [run for of_folder in seen.values() for run in of_folder]
    return sorted(runs, key=lambda run: (run.started, run.folder.name), reverse=True)


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    names = ("metrics.json", "compare.json", "config.yaml", "provenance.json")
    if any((folder / name).is_file() for name in names):
        yield folder
        return
    if depth:
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not path.is_symlink() and path.name[0] != ".":
                yield from _run_folders(path, depth - 1)


def _read(folder: Path) -> Iterator[Run]:
    try:
        if (folder / "metrics.json").is_file():
            with reading(repr(str(folder / "metrics.json"))):
                yield from _finished(folder, read_json(folder / "metrics.json"))
        elif (folder / "compare.json").is_file():
            with reading(repr(str(folder / "compare.json"))):
                yield _comparison(folder, read_json(folder / "compare.json"))
        else:
            with reading(repr(str(folder))):
                yield _unfinished(folder)
    except CollisionError as error:
        yield Run(folder, "?", "damaged", progress=str(error), started=_written(folder))


def _finished(folder: Path, metrics: Mapping[str, Any]) -> Iterator[Run]:
    is_evaluation = "datasets" in metrics
    own = metrics["datasets"] if is_evaluation else {metrics["dataset"]: metrics}
    given = metrics.get("parts") or {}
    if is_evaluation:
        given = _parts_of(Path(str(metrics["checkpoint"])))
    parts = {str(key): str(value) for key, value in given.items()}
    for name, one in own.items():
        made = one["provenance"]
        has_numbers = "ap" in one
        yield Run(
            folder,
            "evaluate" if is_evaluation else "train",
            "done",
            f"{name}, {one['split']}",
            parts,
            built(Estimate, one["ap"]["mean"]) if has_numbers else Estimate(None),
            one["chance"]["mean"] if has_numbers else None,
            len(one["seeds"]),
            *_origin(made),
            warnings=len(one["warnings"]),
        )


def _parts_of(run: Path) -> Mapping[str, Any]:
    """Give the parts of the run that was evaluated, where it is still there."""
    try:
        found = read_config(run).get("parts")
    except (CollisionError, OSError):
        found = None
    return found if isinstance(found, dict) else {}


def _comparison(folder: Path, found: Mapping[str, Any]) -> Run:
    names = sorted({str(name) for name in found["datasets"].values() if name})
    about = ", ".join(str(name) for name in found["runs"])
    return Run(
        folder,
        "compare",
        "done",
        ", ".join(names),
        {"runs": about},
        Estimate(None),
        found["chance"],
        None,
        *_origin(found["provenance"]),
    )


def _origin(made: Mapping[str, Any]) -> tuple[str, str, str]:
    commit = str(made.get("commit") or "")[:10] + (" +" if made.get("dirty") else "")
    return str(made.get("started") or ""), commit, str(made.get("command") or "")


def _unfinished(folder: Path) -> Run:
    """Of training alone a folder is there before its numbers are."""
    path = folder / "provenance.json"
    made: Mapping[str, Any] = read_json(path) if path.is_file() else {}
    config: Mapping[str, Any] = {}
    if (folder / "config.yaml").is_file():
        config = read_config(folder)
    dataset = config.get("dataset") or {}
    name = dataset.get("name", "") if isinstance(dataset, dict) else ""
    is_running = time.time() - _newest(folder) < QUIET
    seeds, (started, commit, command) = config.get("seeds"), _origin(made)
    return Run(
        folder,
        "train",
        "running" if is_running else "unfinished",
        str(name),
        {str(k): str(v) for k, v in (config.get("parts") or {}).items()},
        seeds=seeds if isinstance(seeds, int) else None,
        started=started,
        commit=commit,
        command=command,
        continues="" if not config else f"python train.py {_resume(folder)}",
        progress=_progress(folder),
    )


def _resume(folder: Path) -> str:
    return shlex.quote(f"resume={folder}")


def _newest(folder: Path) -> float:
    """When a file of the run was written last."""
    times = [path.stat().st_mtime for path in folder.rglob("*") if path.is_file()]
    return max(times, default=folder.stat().st_mtime)


def _written(folder: Path) -> str:
    return datetime.fromtimestamp(folder.stat().st_mtime).astimezone().isoformat(timespec="seconds")


def _progress(folder: Path) -> str:
    """Say how far the head is that was written last."""
    logs = sorted(folder.rglob("log.csv"), key=lambda path: path.stat().st_mtime)
    if not logs:
        return "no step yet"
    with logs[-1].open(newline="", encoding="utf-8", errors="replace") as file:
        rows = [row for row in csv.DictReader(file) if row.get("step")]
    if not rows:
        return "no step yet"
    judged = [row["val/nexar_map"] for row in rows if row.get("val/nexar_map")]
    text = f"{logs[-1].parent.name}: step {rows[-1]['step']}"
    return f"{text}, validation mAP {judged[-1][:5]}" if judged else text


def write_runs_page(
    path: Path, runs: Sequence[Run], folders: Sequence[Path], refresh: int | None = None
) -> None:
    """Write the page; with ``refresh`` a browser loads it again every so many seconds."""
    now = datetime.now().astimezone()
    made = f"In {', '.join(map(str, folders))}. Made {now:%Y-%m-%d %H:%M:%S %Z}"
    made += f"; loads itself again every {refresh} s." if refresh else "."
    states: list[str] = [run.state for run in runs]
    tiles = [
        tile(str(states.count(state)), words)
        for state, words in (("done", "lines of ended runs"), ("running", "running"))
    ]
    left = states.count("unfinished") + states.count("damaged")
    tiles.append(tile(str(left), "unfinished or damaged"))
    shown = (
        [section("runs", "Runs", _runs_table(path, runs))] if runs else [tag("p", "No run yet.")]
    )
    page = document(
        "Runs",
        tag("h1", "Runs"),
        tag("p", made, class_="measured"),
        tag("div", tiles, class_="tiles"),
        _going_on(runs),
        shown,
        styles=[asset("report.css")],
        scripts=[asset("page.js")],
        refresh=refresh,
    )
    write_whole(path, page)


def _going_on(runs: Sequence[Run]) -> Html | None:
    """List what has not ended, with what to do."""
    rest = [run for run in runs if run.state != "done"]
    if not rest:
        return None
    rows = [[run.folder.name, run.state, run.progress, run.continues] for run in rest]
    cells: list[list[Child]] = [
        [name, _state(run), progress, tag("code", command) if command else ""]
        for run, (name, _, progress, command) in zip(rest, rows, strict=True)
    ]
    grid = Grid("", ["run", "state", "how far", "go on with"], rows)
    return section("open", "Not ended", table(grid, cells))


def _state(run: Run) -> Html:
    return tag("span", run.state, class_=f"state {run.state}")


def _runs_table(path: Path, runs: Sequence[Run]) -> Html:
    names = [name for name in ("backbone", "head", "pooling", "sampling", "loss")
             if len({run.parts.get(name) for run in runs} - {None}) > 1]  # fmt: skip
    scale = scale_of([run.ap for run in runs], [run.chance for run in runs])
    columns: list[tuple[str, Callable[[Run], str], Callable[[Run], Child]]] = [
        ("run", lambda run: run.folder.name, partial(_link, path)),
        ("verb", lambda run: run.kind, lambda run: run.kind),
        ("state", lambda run: run.state, _state),
        ("data set", lambda run: run.dataset, lambda run: run.dataset),
        *((name, partial(_part, name), partial(_part, name)) for name in names),
        ("as a dot", lambda run: number(run.ap.value), partial(_dot, scale)),
        ("mAP\n[95 % interval]", _ap, _ap),
        ("chance", lambda run: number(run.chance), lambda run: number(run.chance)),
        ("seeds", lambda run: str(run.seeds or ""), lambda run: str(run.seeds or "")),
        ("warnings", lambda run: str(run.warnings), lambda run: str(run.warnings)),
        ("started", lambda run: run.started[:16].replace("T", " "), _date),
        ("commit", lambda run: run.commit, lambda run: tag("span", run.commit, class_="whole")),
        ("command", lambda run: run.command, _command),
    ]
    rows = [[key(run) for _, key, _ in columns] for run in runs]
    cells = [[cell(run) for _, _, cell in columns] for run in runs]
    return table(Grid("", [title for title, _, _ in columns], rows), cells)


def _command(run: Run) -> Child:
    """Show a short command; fold a long one."""
    if len(run.command) <= _SHORT:
        return tag("code", run.command)
    return tag("details", tag("summary", run.command[:_SHORT] + "…"), tag("code", run.command))


def _part(name: str, run: Run) -> str:
    return run.parts.get(name, "")


def _date(run: Run) -> Html:
    return tag("span", run.started[:16].replace("T", " "), class_="whole")


def _ap(run: Run) -> str:
    if run.ap.value is None:
        return ABSENT
    interval = "" if run.ap.interval is None else f" [{number(run.ap.low)}, {number(run.ap.high)}]"
    return number(run.ap.value) + interval


def _dot(scale: Scale, run: Run) -> Child:
    return "" if run.ap.value is None else track(run.ap, scale, run.chance)


def _link(path: Path, run: Run) -> Child:
    """Link to the run's own page, where it has one: by its place relative to this page."""
    page = next((run.folder / name for name in PAGES if (run.folder / name).is_file()), None)
    if page is None:
        return run.folder.name
    address = relpath(page, path.resolve().parent).encode(errors="surrogateescape")
    return tag("a", run.folder.name, href=quote(address))
