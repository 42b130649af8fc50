"""A whole cache: what is in it, whether it is whole, and what of it nobody needs any more."""

from __future__ import annotations

import os
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import SafetensorError, safe_open

from collision.errors import CollisionError
from collision.features.digest import VideoDigests
from collision.features.folders import FannedFolder
from collision.features.hashing import LENGTH
from collision.features.looks import VERSION as LOOKS
from collision.features.manifest import FILE_NAME
from collision.features.pack_file import Pack, PackedVideo
from collision.features.packed import damaged_packs, stored_keys
from collision.features.saved import unpack
from collision.features.store import FeatureStore
from collision.types import Seconds

# Called after each file with its number, from 1, and how many there are.
OnFile = Callable[[int, int], None]

UNKNOWN = "(not in the index)"
_HALF_AGE: Seconds = 3600.0  # a partial file that is younger may be of a writer at work


def index_of(root: Path) -> VideoDigests:
    """Open the index of a cache."""
    return VideoDigests(root / "videos.json")


def stores_of(root: Path) -> tuple[list[FeatureStore], list[str]]:
    """Open every folder of features of a cache; say of which the manifest cannot be read."""
    stores, complaints = [], []
    for manifest in sorted(root.glob(f"*/{FILE_NAME}")):
        try:
            stores.append(FeatureStore.open(manifest.parent))
        except CollisionError as error:
            complaints.append(str(error))
    return stores, complaints


def paths_by_key(digests: VideoDigests) -> dict[str, list[Path]]:
    """Give the files that the index knows, by the cache's name of their content."""
    found: dict[str, list[Path]] = defaultdict(list)
    known = {**digests.old_files, **dict(digests.files.items())}
    for name, file in known.items():
        found[file.name].append(Path(name))
    return found


@dataclass
class Listed:
    """What there is of one backbone for the videos of one folder."""

    store: str
    folder: str
    videos: int = 0
    windows: int = 0
    bytes: int = 0
    newest: Seconds = 0.0  # since the epoch

    def count(self, file: Path) -> None:
        """Add a file; one that is damaged has no windows."""
        status = file.stat()
        self.videos += 1
        self.bytes += status.st_size
        self.newest = max(self.newest, status.st_mtime)
        try:
            with safe_open(file, "numpy") as opened:
                self.windows += opened.get_slice("end_times").get_shape()[0]
        except (SafetensorError, OSError):
            pass

    def count_packed(self, pack: Pack, video: PackedVideo) -> None:
        """Add a video that has no file of its own."""
        self.videos += 1
        self.bytes += video.features.nbytes
        self.windows += len(video.end_times)
        self.newest = max(self.newest, pack.file.stat().st_mtime)


def listing(root: Path, on_file: OnFile) -> tuple[list[Listed], list[str]]:
    """List videos, windows and bytes by backbone and folder; and folders that cannot be read."""
    folder_of = {key: str(paths[0].parent) for key, paths in paths_by_key(index_of(root)).items()}
    rows: dict[tuple[str, str], Listed] = {}
    stores, complaints = stores_of(root)
    files = [(store, key) for store in stores for key in stored_keys(store)]
    for number, (store, key) in enumerate(files, 1):
        name = store.folder.name, folder_of.get(key[:LENGTH], UNKNOWN)
        row, file = rows.setdefault(name, Listed(*name)), store.files.find(key)
        if file.exists():
            row.count(file)
        elif (found := store.packed(key)) is not None:
            row.count_packed(*found)
        on_file(number, len(files))
    return [rows[name] for name in sorted(rows)], complaints


@dataclass
class Used:
    """What a part of a cache takes of the disk."""

    part: str
    files: int = 0
    inodes: int = 0  # files and folders
    bytes: int = 0
    on_disk: int = 0


def disk_usage(root: Path) -> list[Used]:
    """Count files, inodes and bytes of each part of a cache; links are counted, not followed."""
    rows: dict[str, Used] = {}
    for folder, _, names in os.walk(root):
        within = Path(folder).relative_to(root).parts
        part = within[0] if within else "(beside the folders)"
        used = rows.setdefault(part, Used(part))
        used.inodes += len(names) + 1
        used.files += len(names)
        for name in names:
            status = (Path(folder) / name).lstat()
            used.bytes += status.st_size
            used.on_disk += status.st_blocks * 512
    return [rows[part] for part in sorted(rows)]


def looks_of(root: Path) -> FannedFolder:
    """Give the folder of today's looks."""
    return FannedFolder(root / "looks" / f"v{LOOKS}", ".safetensors")


def damaged(root: Path, on_file: OnFile) -> tuple[list[tuple[Path, str]], list[str]]:
    """Read every feature file and every look; give the damaged ones with what is wrong.

    Beside them, folders that cannot be read at all.
    """
    stores, complaints = stores_of(root)
    tasks: list[tuple[Path, FeatureStore | None]] = []
    for store in stores:
        tasks += [
            (file, store) for key in store.files.all_keys() for file in _both(store.files, key)
        ]
    looks = looks_of(root)
    tasks += [(file, None) for key in looks.all_keys() for file in _both(looks, key)]
    tasks = list(dict.fromkeys(tasks))
    found = []
    for number, (file, owner) in enumerate(tasks, 1):
        if reason := owner.damage(file) if owner else _damage(file):
            found.append((file, reason))
        on_file(number, len(tasks))
    found += [one for store in stores for one in damaged_packs(store)]
    return found, complaints


def _both(files: FannedFolder, key: str) -> Iterator[Path]:
    yield from (file for file in (files.place(key), files.flat(key)) if file.exists())


def _damage(file: Path) -> str:
    try:
        unpack(file)
    except (OSError, ValueError) as error:
        return str(error)
    return ""


@dataclass
class Superfluous:
    """What can go of a cache, by the reason; and what is kept because of a doubt."""

    paths: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    names: list[str] = field(default_factory=list)  # in the index, of files that are gone
    num_in_doubt: int = 0  # videos whose whole folder is gone, as where a disk is not mounted

    def remove(self, digests: VideoDigests) -> None:
        """Delete all of it."""
        for path in (path for paths in self.paths.values() for path in paths):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for name in self.names:
            digests.files.put(name, None)
        digests.save()


def superfluous(
    root: Path, digests: VideoDigests, older_than: float | None, missing_folders: bool
) -> Superfluous:
    """Find what nobody needs: of videos that are gone, half files, older looks, old stores.

    Args:
        root: Of the cache.
        digests: Its index.
        older_than: Days; stores in which nothing was written since are superfluous as a whole.
        missing_folders: Whether videos are gone, too, whose whole folder is.

    Raises:
        CollisionError: The index knows no file at all, so everything would be.
    """
    found = Superfluous()
    kept = _kept_keys(digests, found, missing_folders)
    stores, _ = stores_of(root)
    limit = None if older_than is None else time.time() - older_than * 24 * 3600
    for store in stores:
        if limit is not None and _newest(store) < limit:
            found.paths[f"stores without a change in {older_than:g} days"].append(store.folder)
            continue
        _orphans(store.files, kept, found.paths["features of videos that are gone"])
    for name in ("looks", "facts"):
        suffix = ".safetensors" if name == "looks" else ".json"
        versions = sorted(root.glob(f"{name}/v*"), key=lambda path: path.name[1:].zfill(9))
        found.paths["looks and facts of older versions"] += versions[:-1]
        for folder in versions[-1:]:
            _orphans(
                FannedFolder(folder, suffix), kept, found.paths["looks and facts of such videos"]
            )
    latest = time.time() - _HALF_AGE
    halves = [path for path in root.rglob(".*.partial") if path.stat().st_mtime < latest]
    found.paths["half files"] = halves
    return found


def _kept_keys(digests: VideoDigests, found: Superfluous, missing_folders: bool) -> set[str]:
    kept = set()
    is_there: dict[Path, bool] = {}
    by_key = paths_by_key(digests)
    if not by_key:
        raise CollisionError(
            f"The index of {str(digests.files.folder)!r} is empty, so nobody can tell which videos "
            "are gone. Run `collision extract` for the data sets to keep: it fills the index."
        )
    for key, paths in by_key.items():
        for path in paths:
            folder = path.parent
            if folder not in is_there:
                is_there[folder] = folder.is_dir()
            is_in_doubt = not is_there[folder] and not missing_folders
            found.num_in_doubt += is_in_doubt
            if is_in_doubt or path.exists():
                kept.add(key)
            else:
                found.names.append(str(path))
    return kept


def _orphans(files: FannedFolder, kept: set[str], orphans: list[Path]) -> None:
    for key in files.all_keys():
        if key[:LENGTH] not in kept:
            orphans += [path for path in _both(files, key) if path not in orphans[-1:]]


def _newest(store: FeatureStore) -> Seconds:
    folders = [store.folder, *store.files.subfolders()]  # a file that is replaced changes them
    return max(path.stat().st_mtime for path in (*folders, store.folder / FILE_NAME))
