"""All features of a store in one file, for disks on which many small files are slow.

The files of single videos stay as they are; a store finds its packs by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from collision.errors import CacheMismatchError
from collision.features.pack_file import FOLDER, PackedVideo, Window, damage, write_pack
from collision.features.saved import not_written
from collision.features.store import FeatureStore

NAME = "features.safetensors"


def pack_store(
    store: FeatureStore,
    keys: Iterable[str] | None = None,
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Pack all videos of a store, or those of some keys; give the file.

    It takes the place of what was packed so before, whose videos are packed again. ``on_file`` is
    called after each video with how many are done, and how many there are.

    Raises:
        CacheMismatchError: There is nothing to pack, or a key has no features.
        CollisionError: The disk is full or not writable; an earlier pack stays.
    """
    wanted = stored_keys(store) if keys is None else list(dict.fromkeys(keys))
    if not wanted:
        raise CacheMismatchError(
            f"No features to pack in {str(store.folder)!r}: it holds no file of a video. Run "
            "`collision extract` first."
        )
    file = store.folder / FOLDER / NAME
    pack(store, wanted, file, on_file)
    store.packs.forget()
    return file


def pack(
    store: FeatureStore,
    keys: Sequence[str],
    file: Path,
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write the features of some videos into one file; see ``pack_store``."""
    step_shape = store.spec.num_steps, store.spec.feature_dim
    window: Window = step_shape, store.dtype

    def videos() -> Iterator[tuple[str, PackedVideo]]:
        for done, key in enumerate(keys, start=1):
            yield key, _video(store, key)
            on_file(done, len(keys))

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        for half in file.parent.glob(f".{file.name}.*.partial"):
            half.unlink(missing_ok=True)  # of a packing that was killed
        write_pack(file, videos(), window, store.fingerprint.key)
    except OSError as error:
        raise not_written(file, error) from error


def drop_packed(store: FeatureStore) -> int:
    """Delete the files of single videos that a sound pack holds; gives how many.

    CollisionError: The folder is not writable.
    """
    count = 0
    for key in dict.fromkeys(store.packs.keys()):
        with store.changing(key):
            if store.stamp(key) is not None and store.packed(key) is not None:
                store.files.find(key).unlink()
                count += 1
    return count


def damaged_packs(store: FeatureStore) -> list[tuple[Path, str]]:
    """Read every pack of a store; give the damaged ones with what is wrong."""
    window: Window = (store.spec.num_steps, store.spec.feature_dim), store.dtype
    files = sorted((store.folder / FOLDER).glob("[!.]*.safetensors"))
    found = [(file, damage(file, window, store.fingerprint.key)) for file in files]
    return [(file, reason) for file, reason in found if reason]


def stored_keys(store: FeatureStore) -> list[str]:
    """List the videos of which a store has features, in files of their own or packed."""
    files = (path for path in store.folder.rglob("[!.]*.safetensors") if path.parent.name != FOLDER)
    return sorted({path.stem for path in files} | set(store.packs.keys()))


def _video(store: FeatureStore, key: str) -> PackedVideo:
    found, stamp = store.packed(key), store.stamp(key)
    stored, _ = store.take(key, [])
    if found is None and (stamp is None or not len(stored.end_times) + len(stored.unavailable)):
        raise CacheMismatchError(
            f"No features of {key!r} in {str(store.folder)!r}, or their file is damaged. Run "
            "`collision extract` with the options of the run that needs them, then pack again."
        )
    assert stored.num_steps is not None
    times = stored.end_times, stored.unavailable, stored.num_steps
    read_from = found[1].stamp if found else (stamp or (0, 0, 0))[:2]
    return PackedVideo(stored.features, *times, stored.reader, range(0), read_from)
