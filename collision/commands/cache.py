"""Look after a cache of features: what is in it, is it whole, what can go; take another one in."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from collision.checks import user_path
from collision.console import progress_console, wide_console
from collision.errors import CollisionError, ConfigError
from collision.features.packed import drop_packed, pack_store, stored_keys
from collision.features.upgrade import Moved, merge, upgrade
from collision.features.upkeep import (
    OnFile,
    Used,
    damaged,
    disk_usage,
    index_of,
    listing,
    stores_of,
    superfluous,
)
from collision.options import CacheOptions
from collision.report.tables import Grid, as_rich

_LISTED = 20  # of many files


def run(options: CacheOptions, paths: list[str]) -> int:
    """Do one of the actions; give 2 where something is damaged."""
    action, *folders = paths
    if action not in ACTIONS:
        there = ", ".join(sorted(ACTIONS))
        raise ConfigError(f"cache {action}: there is no such action. There are: {there}.")
    if folders and action != "merge":
        raise ConfigError(f"cache {action} takes no folder, not {folders[0]!r}: cache_root=FOLDER.")
    if action == "merge" and not folders:
        raise ConfigError("cache merge needs folders that were a cache_root: cache merge FOLDER...")
    if not options.cache_root.is_dir() and action != "merge":
        raise ConfigError(
            f"There is no cache in {str(options.cache_root)!r}: there is no such folder. Give "
            "another one, cache_root=FOLDER, or fill it with collision extract."
        )
    console = wide_console()
    return ACTIONS[action](options, [user_path(folder) for folder in folders], console)


def _ls(options: CacheOptions, _: list[Path], console: Console) -> int:
    with _progress("Listing") as on_file:
        rows, complaints = listing(options.cache_root, on_file)
    columns = ["features", "videos in", "videos", "windows", "size", "last written"]
    cells = [
        (row.store, row.folder, row.videos, row.windows, _size(row.bytes), _date(row.newest))
        for row in rows
    ]
    _print_table(console, "Features", columns, cells)
    return _told(console, complaints)


def _du(options: CacheOptions, _: list[Path], console: Console) -> int:
    rows = disk_usage(options.cache_root)
    columns = ["part", "files", "inodes", "size", "on disk"]
    sums = [sum(getattr(r, name) for r in rows) for name in ("files", "inodes", "bytes", "on_disk")]
    cells = [
        (row.part, row.files, row.inodes, _size(row.bytes), _size(row.on_disk))
        for row in (*rows, Used("all", *sums))
    ]
    _print_table(console, f"Disk usage of {options.cache_root}", columns, cells)
    return 0


def _verify(options: CacheOptions, _: list[Path], console: Console) -> int:
    with _progress("Verifying") as on_file:
        found, complaints = damaged(options.cache_root, on_file)
    _list(console, [f"{path}: {reason}" for path, reason in found])
    if not found:
        _say(console, "Every file of features, and every look, is whole.")
    elif options.delete:
        for path, _reason in found:
            path.unlink(missing_ok=True)
        _say(console, f"{len(found)} damaged files deleted: they will be computed again.")
    else:
        raise CollisionError(
            f"{len(found)} files are damaged. Delete them, so that they are computed again: "
            "collision cache verify delete=true"
        )
    return _told(console, complaints)


def _prune(options: CacheOptions, _: list[Path], console: Console) -> int:
    digests = index_of(options.cache_root)
    what = options.older_than, options.missing_folders
    found = superfluous(options.cache_root, digests, *what)
    for reason, paths in found.paths.items():
        if paths:
            _say(console, f"{len(paths)} {reason}:")
            _list(console, [f"  {path}" for path in paths])
    _say(console, f"{len(found.names)} entries of the index, of files that are gone")
    if found.num_in_doubt:
        _say(
            console,
            f"{found.num_in_doubt} videos are kept although their whole folder is gone: is a disk "
            "not mounted? missing_folders=true takes them for gone.",
        )
    if options.yes:
        found.remove(digests)
        _say(console, "All of that was deleted.")
    elif any(found.paths.values()) or found.names:
        _say(console, "Nothing was deleted. To delete all of that: yes=true")
    return _told(console, stores_of(options.cache_root)[1])


def _merge(options: CacheOptions, folders: list[Path], console: Console) -> int:
    code = 0
    for folder in folders:
        with _progress(f"Merging {folder}") as on_file:
            moved = merge(options.cache_root, folder, on_file)
        code = max(code, _tell_moved(console, f"{folder}: added or added to", moved))
    return code


def _upgrade(options: CacheOptions, _: list[Path], console: Console) -> int:
    with _progress("Upgrading") as on_file:
        moved = upgrade(options.cache_root, on_file)
    return _tell_moved(console, "Moved to today's names and places", moved)


def _pack(options: CacheOptions, _: list[Path], console: Console) -> int:
    stores, complaints = stores_of(options.cache_root)
    stores = [store for store in stores if stored_keys(store)]
    if not stores and not complaints:
        raise ConfigError(
            f"There is nothing to pack in {str(options.cache_root)!r}: it holds no features. Give "
            "another folder, cache_root=FOLDER, or fill it with collision extract."
        )
    for store in stores:
        with _progress(f"Packing {store.folder.name}") as on_file:
            file = pack_store(store, on_file=on_file)
        dropped = drop_packed(store) if options.delete else 0
        _say(
            console,
            f"{len(store.packs.keys())} videos, {_size(file.stat().st_size)} -> {file}"
            + (f"; {dropped} files of single videos deleted" if options.delete else ""),
        )
    return _told(console, complaints)


ACTIONS: dict[str, Callable[[CacheOptions, list[Path], Console], int]] = {
    "du": _du,
    "ls": _ls,
    "merge": _merge,
    "pack": _pack,
    "prune": _prune,
    "upgrade": _upgrade,
    "verify": _verify,
}


def _tell_moved(console: Console, what: str, moved: Moved) -> int:
    _say(
        console,
        f"{what}: {moved.features} files of features, {moved.others} looks and facts, "
        f"{moved.entries} entries of the index.",
    )
    if moved.left:
        _say(
            console,
            f"{moved.left} files stay as they are: their videos are gone or have changed, so "
            "nobody can tell today's names. collision cache prune deletes what is not needed.",
        )
    if moved.damaged:
        _say(console, f"{len(moved.damaged)} damaged files were left out:")
        _list(console, [f"  {path}: {reason}" for path, reason in moved.damaged])
    return max(_told(console, moved.complaints), 2 if moved.damaged else 0)


@contextmanager
def _progress(description: str) -> Iterator[OnFile]:
    with Progress(console=progress_console(stderr=True)) as bar:
        task = bar.add_task(description, total=None)
        yield lambda number, total: bar.update(task, completed=number, total=total)


def _told(console: Console, complaints: list[str]) -> int:
    """Say which folders cannot be read; give the exit code."""
    for complaint in complaints:
        _say(console, complaint)
    return 2 if complaints else 0


def _print_table(
    console: Console, title: str, columns: list[str], cells: Iterable[tuple[object, ...]]
) -> None:
    console.print(as_rich(Grid(title, columns, [[str(cell) for cell in row] for row in cells])))


def _list(console: Console, lines: list[str]) -> None:
    for line in lines[:_LISTED]:
        _say(console, line)
    if len(lines) > _LISTED:
        _say(console, f"  and {len(lines) - _LISTED} more")


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _size(num_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if num_bytes < 1000:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000
    return f"{num_bytes:.4g} TB"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
