"""Caches of earlier versions made those of today, and caches of others taken in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from collision.errors import ConfigError, VideoDecodeError
from collision.features.digest import KnownFile, VideoDigests
from collision.features.failures import FILE_NAME as FAILURES
from collision.features.folders import FannedFolder
from collision.features.hashing import LENGTH, WHOLE_UP_TO, stamp
from collision.features.packed import stored_keys
from collision.features.saved import not_written, unpack
from collision.features.store import FeatureStore
from collision.features.upkeep import OnFile, index_of, stores_of
from collision.files import load_json, locked, write_json, write_whole

Folder: TypeAlias = FeatureStore | FannedFolder

_DIGEST = re.compile(rf"(?<![0-9a-f])[0-9a-f]{{{LENGTH}}}(?![0-9a-f])")


@dataclass
class Moved:
    """What was done to a cache."""

    features: int = 0  # files that were moved, renamed or added to
    others: int = 0  # looks and facts
    left: int = 0  # of videos that are gone, whose new names nobody can tell
    entries: int = 0  # of the index
    damaged: list[tuple[Path, str]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)  # of folders that cannot be read


def _folders_of(root: Path) -> tuple[list[Folder], list[str]]:
    """List the folders of features, looks and facts; and say which cannot be read."""
    stores, complaints = stores_of(root)
    others = [
        FannedFolder(folder, suffix)
        for name, suffix in (("looks", ".safetensors"), ("facts", ".json"))
        for folder in sorted(root.glob(f"{name}/v*"))
    ]
    return [*stores, *others], complaints


def _files_of(folder: Folder) -> FannedFolder:
    return folder.files if isinstance(folder, FeatureStore) else folder


def upgrade(root: Path, on_file: OnFile) -> Moved:
    """Move what earlier versions left to its place and name; nothing is computed.

    Done twice it does nothing; stopped in between, it goes on. Nothing else may write meanwhile.

    CollisionError: the disk is full or not writable; what was moved stays so.
    """
    digests = index_of(root)
    try:
        left = _take_old_index(digests)
        digests.save()  # with what was found out: whoever goes on knows it
        new_names = renames(digests)
        moved = _move_all(root, new_names, _known_names(digests), on_file)
        for file in (*root.glob(f"*/{FAILURES}"), root / "checks.csv", root / "durations.json"):
            _rename_in(file, new_names)
        for name, known in list(digests.files.items()):
            if known.is_old:
                digests.files.put(name, replace(known, is_old=False))
                moved.entries += 1
        digests.save()
        if left:
            write_json(digests.index_file, {"version": 3, "files": left})
        else:
            digests.index_file.unlink(missing_ok=True)
    except OSError as error:
        raise not_written(Path(error.filename or root), error) from error
    return moved


def renames(digests: VideoDigests) -> dict[str, str]:
    """Give today's name of each content that the cache has under the hash of the whole file."""
    files = (known for _, known in digests.files.items())
    return {known.whole: known.parts for known in files if known.is_old and known.whole}


def _take_old_index(digests: VideoDigests) -> dict[str, list[int | str | None]]:
    """Take over what the index of earlier versions says; give what has to stay there.

    Of a large file that is gone or has changed, nobody can tell today's name.
    """
    left = {}
    for name, before in digests.old_files.items():
        try:
            if before.is_of(stamp(Path(name))):
                digests.digest(Path(name))
                continue
        except (OSError, VideoDecodeError):
            pass
        if digests.files.get(name) is not None:
            continue
        if before.size <= WHOLE_UP_TO:
            digests.files.put(name, before)
        else:
            left[name] = [before.size, before.modified, before.changed, before.whole]
    return left


def _known_names(digests: VideoDigests) -> set[str]:
    return {name for _, one in digests.files.items() for name in (one.parts, one.whole) if name}


def _move_all(root: Path, new_names: Mapping[str, str], known: set[str], on_file: OnFile) -> Moved:
    folders, complaints = _folders_of(root)
    moved = Moved(complaints=complaints)
    todo: list[tuple[Folder, str, str]] = []
    for folder in folders:
        files = _files_of(folder)
        flat = set(files.flat_keys())
        for key in set(files.all_keys()):
            new = new_names.get(key[:LENGTH], key[:LENGTH]) + key[LENGTH:]
            if new == key and key not in flat:
                continue
            if new == key and key[:LENGTH] not in known:
                moved.left += 1
            else:
                todo.append((folder, key, new))
    for number, (folder, key, new) in enumerate(todo, 1):
        if isinstance(folder, FannedFolder):
            _move(folder, key, new)
            moved.others += 1
        elif reason := folder.rename(key, new):
            moved.damaged.append((folder.files.find(key), reason))
        else:
            moved.features += 1
        on_file(number, len(todo))
    return moved


def _move(files: FannedFolder, key: str, new: str) -> None:
    place = files.place(new)
    place.parent.mkdir(parents=True, exist_ok=True)
    files.find(key).replace(place)
    files.flat(key).unlink(missing_ok=True)


def _rename_in(file: Path, new_names: Mapping[str, str]) -> None:
    """Put today's names into a file of text that names videos."""
    if not new_names or not file.exists():
        return
    text = file.read_bytes().decode(errors="surrogateescape")
    renamed = _DIGEST.sub(lambda found: new_names.get(found[0], found[0]), text)
    if renamed != text:
        write_whole(file, renamed)


def merge(root: Path, other: Path, on_file: OnFile) -> Moved:
    """Bring features, looks, facts, checks and index of another cache into this one.

    Windows are united; what is here stays. Done twice it changes nothing. The other cache is only
    read.

    Raises:
        ConfigError: There is no cache in the other folder.
        CollisionError: The disk is full or not writable; what was brought stays.
    """
    theirs, ours = index_of(other), index_of(root)
    folders, complaints = _folders_of(other)
    if not folders and not complaints and not theirs.files.folder.is_dir():
        raise ConfigError(
            f"There is no cache in {str(other)!r}: no folder in it has a manifest.json. Give a "
            "folder that was a cache_root."
        )
    if other.resolve() == root.resolve():
        raise ConfigError(f"{str(other)!r} is this cache itself. Give another one.")
    gone = _take_old_index(theirs)
    new_names, left_out = _names_here(theirs, ours), {str(entry[3]) for entry in gone.values()}
    moved = Moved(complaints=complaints)
    left_out -= new_names.keys()  # of which there are copies
    tasks: list[tuple[Folder, str]] = []
    for folder in folders:
        keys = _keys_of(folder)
        tasks += [(folder, key) for key in sorted(keys) if key[:LENGTH] not in left_out]
        moved.left += sum(key[:LENGTH] in left_out for key in keys)
    targets: dict[Path, FeatureStore] = {}
    try:
        for number, (source, key) in enumerate(tasks, 1):
            new = new_names.get(key[:LENGTH], key[:LENGTH]) + key[LENGTH:]
            if isinstance(source, FannedFolder):
                into = FannedFolder(root / source.folder.relative_to(other), source.suffix)
                _bring(source, key, into, new, moved)
            else:
                if source.folder not in targets:
                    targets[source.folder] = _target(root, source)
                _unite(source, key, targets[source.folder], new, moved)
            on_file(number, len(tasks))
        for their_folder, target in targets.items():
            with target.changing():
                _add_lines(their_folder / FAILURES, target.folder / FAILURES, new_names)
        if (checks := other / "checks.csv").exists():
            with locked(root / "checks.lock"):
                _add_lines(checks, root / "checks.csv", new_names)
        _take_index(ours, theirs, moved)
    except OSError as error:
        raise not_written(Path(error.filename or root), error) from error
    return moved


def _keys_of(folder: Folder) -> set[str]:
    """List what a folder holds; of a store also what is packed."""
    packed = stored_keys(folder) if isinstance(folder, FeatureStore) else ()
    return {*_files_of(folder).all_keys(), *packed}


def _target(root: Path, source: FeatureStore) -> FeatureStore:
    """Open or begin the store of a fingerprint here, with all that is known to make it."""
    target = FeatureStore(root, source.fingerprint)
    for maker in source.made_by:
        target.claim(maker)
    return target


def _unite(source: FeatureStore, key: str, target: FeatureStore, new: str, moved: Moved) -> None:
    file = source.files.find(key)
    if file.exists() and (reason := source.damage(file)):
        moved.damaged.append((file, reason))
    else:
        moved.features += target.unite(new, source.stored(key))


def _bring(source: FannedFolder, key: str, into: FannedFolder, new: str, moved: Moved) -> None:
    if into.find(new).exists():
        return
    file = source.find(key)
    try:
        unpack(file) if file.suffix == ".safetensors" else load_json(file)
    except (OSError, ValueError) as error:
        moved.damaged.append((file, str(error)))
        return
    into.place(new).parent.mkdir(parents=True, exist_ok=True)
    write_whole(into.place(new), file.read_bytes())
    moved.others += 1


def _add_lines(file: Path, into: Path, new_names: Mapping[str, str]) -> None:
    """Add the lines of a table that are not there; the first names the columns."""
    try:
        text = file.read_bytes().decode(errors="surrogateescape")
    except OSError:
        return
    lines = _DIGEST.sub(lambda found: new_names.get(found[0], found[0]), text).splitlines()
    there: list[str] = []
    if into.exists():
        there = into.read_bytes().decode(errors="surrogateescape").splitlines()
    known = set(there)
    if new := [line for line in lines if line not in known]:
        write_whole(into, "\n".join([*there, *new]) + "\n")


def _names_here(theirs: VideoDigests, ours: VideoDigests) -> dict[str, str]:
    """Give the name here of each content that the other cache knows, where it is another one."""
    names = {}
    for _, known in theirs.files.items():
        here = _as_here(known, ours)
        if here.name != known.name:
            names[known.name] = here.name
    return names


def _take_index(ours: VideoDigests, theirs: VideoDigests, moved: Moved) -> None:
    for name, known in theirs.files.items():
        if ours.files.get(name) is None and name not in ours.old_files:
            ours.files.put(name, _as_here(known, ours))
            moved.entries += 1
    ours.save()


def _as_here(known: KnownFile, ours: VideoDigests) -> KnownFile:
    is_old = known.parts != known.whole and known.whole in ours.old_names
    return replace(known, is_old=is_old)
