"""Features on disk: one folder a fingerprint, one safetensors file a video.

    <root>/<backbone's name>-<key>/manifest.json          how they were made
                                   <2 digits>/<digest>.safetensors   one video

A file holds ``features [N, S, D]``, ``end_times [N]`` and ``unavailable [K]``: the end times whose
window does not exist, so that nobody tries them again. Times are float64 seconds, ascending. Of a
backbone with ``min_frames`` it also holds ``num_steps [N]``: so many of the S steps, the newest,
are real; the others are zero, for the beginning of its video cuts the window short. A file's layout
is the fingerprint's ``schema``, whose key stands in each file. It is replaced whole and by
one writer at a time: a reader sees the old or the new one, and any process may be killed. Writers
of different videos wait for each other only within one of the 256 subfolders.

Shapes: N windows, S steps a window, D feature dim, K windows that do not exist.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from collision.errors import CacheMismatchError, CollisionError, ConfigError
from collision.features.fingerprint import Fingerprint, check_same
from collision.features.folders import FannedFolder
from collision.features.manifest import VERSION, Maker, Manifest, read_manifest, write_manifest
from collision.features.pack_file import Pack, PackedVideo, Packs, Stamp, stamp_of
from collision.features.saved import not_written, pack, unpack
from collision.features.stored import (
    STEPS,
    StoredTimes,
    StoredVideo,
    merged,
    positions_of,
    rounded,
)
from collision.files import locked, write_whole
from collision.types import BackboneSpec

logger = logging.getLogger(__name__)

_TENSORS = ("features", "end_times", "unavailable")


class NotFiniteError(ValueError):
    """Features that hold NaN, or values too large for the dtype that they are stored in."""


class FeatureStore:
    """The features that one fingerprint gave, by (video's digest, end time of the window)."""

    def __init__(self, root: Path, fingerprint: Fingerprint):
        """Take the folder of this fingerprint below a root; it is made with the first write."""
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", fingerprint.spec.name).strip("-.") or "backbone"
        folder = Path(root) / f"{name}-{fingerprint.key}"
        manifest = read_manifest(folder)
        if manifest is not None:
            check_same(fingerprint, Fingerprint(manifest.fingerprint), repr(str(folder)))
        self._take(folder, manifest or Manifest(dict(fingerprint.fields), version=0))

    @classmethod
    def open(cls, folder: Path | str) -> FeatureStore:
        """Use the features of a folder, whatever its name; CacheMismatchError if it has none."""
        folder = Path(folder)
        manifest = read_manifest(folder)
        if manifest is None:
            raise CacheMismatchError(
                f"No features in {str(folder)!r}: it has no manifest.json. Give a folder that "
                "`collision extract` names at its end."
            )
        store = cls.__new__(cls)
        store._take(folder, manifest)
        return store

    def _take(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self._manifest = folder, manifest
        self.files = FannedFolder(folder, ".safetensors")
        self._is_saved = manifest.version == VERSION
        self.fingerprint = Fingerprint(manifest.fingerprint)
        self._key = self.fingerprint.key  # it is a hash
        if (dtype := self.spec.dtype) not in ("float16", "float32"):
            raise ConfigError(f"backbone.dtype={dtype}: features are stored as float16 or float32.")
        self.dtype = np.dtype(dtype)
        self._step_shape = (self.spec.num_steps, self.spec.feature_dim)
        self.packs = Packs(self.folder, (self._step_shape, self.dtype), self._key)
        self._known: dict[str, tuple[Stamp | None, StoredVideo]] = {}  # without features
        self._warned: set[str] = set()
        self._clean: set[Path] = set()

    @property
    def spec(self) -> BackboneSpec:
        """What the backbone behind the features wants and gives."""
        return self.fingerprint.spec

    @property
    def made_by(self) -> tuple[Maker, ...]:
        """What is known to give these features."""
        return self._manifest.made_by

    def claim(self, maker: Maker) -> None:
        """Note what gives these features, so that their folder is found by it."""
        if maker in self.made_by:
            return
        self._manifest = replace(self._manifest, made_by=(*self.made_by, maker))
        self._is_saved = False
        if self.folder.exists():
            with suppress(CollisionError), self.changing():  # it only spares building a backbone
                pass

    def disclaim(self, maker: Maker) -> None:
        """Strike out what turned out to give other features."""
        with suppress(CollisionError), self.changing():
            self._save_manifest(wrong=maker)

    def reader(self, digest: str) -> int:
        """Give the version that read a video's frames; the present one where nothing is stored."""
        return self._times(digest).reader

    def missing(self, digest: str, end_times: ArrayLike, revision: int = 1) -> NDArray[np.float64]:
        """Give those of the end times that were never attempted, ascending, each once.

        What was read before ``revision`` (of ``VideoIndex``) counts for nothing.
        """
        return self.times(digest).missing(end_times, revision)

    def times(self, digest: str) -> StoredTimes:
        """Give what is stored of a video but its features, for several questions at one reading.

        The file is read whole: only so is damage found before its windows are relied on.
        """
        stored = self._times(digest)
        return StoredTimes(stored.end_times, stored.unavailable, stored.reader)

    def read(
        self, digest: str, end_times: ArrayLike
    ) -> tuple[NDArray[np.floating], NDArray[np.bool_]]:
        """Read windows of a video: ``features [N, S, D]``, ``available [N]``; zeros where none is.

        CacheMismatchError: some of the windows were never extracted.
        """
        stored, positions = self.take(digest, end_times)
        available = positions >= 0
        features = np.zeros((len(positions), *self._step_shape), self.dtype)
        features[available] = stored.features[positions[available]]
        return features, available

    def take(self, digest: str, end_times: ArrayLike) -> tuple[StoredVideo, NDArray[np.int64]]:
        """Give what is stored of a video, and where in it windows are ``[N]``; -1 for no window.

        CacheMismatchError: some of the windows were never extracted.
        """
        wanted = np.asarray(end_times, np.float64)
        stored = self._load(digest)
        positions = positions_of(stored.end_times, wanted)
        absent = wanted[positions < 0]
        if len(absent):
            absent = absent[positions_of(stored.unavailable, absent) < 0]
        if len(absent):
            raise CacheMismatchError(
                f"{len(absent)} of {len(wanted)} windows of video {digest} are not in "
                f"{str(self.folder)!r} (the first ends at {absent[0]:.3f} s; "
                f"{len(stored.end_times)} windows of it are there). "
                "Run extract with the same backbone and sampling."
            )
        return stored, positions

    def num_steps(self, digest: str, end_times: ArrayLike) -> NDArray[np.int64]:
        """Say how many steps of each window are real, its newest: ``[N]``; 0 where there is none.

        As many as the spec says, unless that allows windows that are cut short.
        """
        stored = self._times(digest)
        positions = positions_of(stored.end_times, np.asarray(end_times, np.float64))
        assert stored.num_steps is not None
        return np.where(positions >= 0, np.append(stored.num_steps, 0)[positions], 0)

    def write(
        self,
        digest: str,
        end_times: ArrayLike,
        features: NDArray[np.floating],
        unavailable_times: ArrayLike = (),
        video: str = "",
        revision: int = 1,
        num_steps: NDArray[np.int64] | None = None,
    ) -> None:
        """Add windows of one video to what is there; the new ones win where both have one.

        ``end_times [N]`` are seconds in any order, ``features [N, S, D]``; ``unavailable_times``
        end windows that do not exist. ``video`` is not stored: copies of a file under other names
        give the same bytes. What was read before ``revision`` (of ``VideoIndex``) is thrown away.
        ``num_steps [N]`` of each window are real, its newest; None: all.

        Raises:
            NotFiniteError: NaN, or values beyond the stored dtype; nothing is written.
            CollisionError: The disk is full or not writable; what was stored stays.
        """
        cast = self._cast(features)
        times, never = (rounded(times) for times in (end_times, unavailable_times))
        new = StoredVideo(cast, times, never, num_steps=num_steps)
        assert new.features.shape == (len(new.end_times), *self._step_shape), new.features.shape
        with self.changing(digest):
            stored = self._load(digest)
            kept = new if stored.reader < revision else stored
            self._replace(digest, merged(kept, new))

    @contextmanager
    def changing(self, digest: str | None = None) -> Iterator[None]:
        """Hold the lock of a video's subfolder, or the store's, for whoever changes a file there.

        Makes folder and manifest first.
        """
        folder = self.folder if digest is None else self.files.place(digest).parent
        if digest is not None and not self._is_saved:
            with self.changing():
                pass
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder / ".lock"):
                for half in () if folder in self._clean else folder.glob(".*.partial"):
                    half.unlink(missing_ok=True)  # of a writer that was killed
                self._clean.add(folder)
                if not self._is_saved:
                    self._save_manifest()
                yield
        except OSError as error:
            raise not_written(Path(error.filename or folder), error) from error

    def _save_manifest(self, wrong: Maker | None = None) -> None:
        """Write the manifest with what others noted meanwhile; the caller holds the lock."""
        there = read_manifest(self.folder)
        makers = list(there.made_by) if there else []
        makers += [maker for maker in self.made_by if maker not in makers]
        kept = tuple(maker for maker in makers if maker != wrong)
        self._manifest = replace(self._manifest, made_by=kept)
        write_manifest(self.folder, self._manifest)
        self._is_saved = True

    def stamp(self, digest: str) -> Stamp | None:
        """Give what tells whether a video's own file has changed; None where there is none."""
        return stamp_of(self.files.find(digest))

    def packed(self, digest: str) -> tuple[Pack, PackedVideo] | None:
        """Give the pack that a video is read from; None: it has a file of its own, or none."""
        return self.packs.find(digest, self.stamp(digest))

    def stored(self, digest: str) -> StoredVideo:
        """Give all that is stored of a video; nothing where there is none, or it is damaged."""
        return self._load(digest)

    def unite(self, digest: str, other: StoredVideo) -> bool:
        """Add windows of another store; those that are here win. Says whether any were new.

        Of two readers' windows those of the later one are kept alone: they saw other frames.
        """
        with self.changing(digest):
            here = self._load(digest)
            both = _united(here, other)
            is_new = not both.equals(here)
            if is_new:
                self._replace(digest, both)
        return is_new

    def rename(self, digest: str, new: str) -> str:
        """Move a video's files to the place of another name; say what is damaged, if so."""
        there = [self.files.place(digest), self.files.flat(digest), self.files.place(new)]
        there = [file for file in dict.fromkeys(there) if file.exists()]
        with self.changing(new):
            if new == digest and there == [self.files.flat(digest)]:
                there[0].replace(self.files.place(digest))
                return ""
            video = self._nothing()
            for file in there:
                try:
                    own = self._decode(file, file.name.removesuffix(self.files.suffix))
                except (OSError, ValueError) as error:
                    return str(error)
                video = _united(video, own)
            self._replace(new, video)
            for file in there:
                if file != self.files.place(new):
                    file.unlink(missing_ok=True)
        return ""

    def damage(self, file: Path) -> str:
        """Say what is wrong with one of the files; nothing if it is whole and of its name."""
        try:
            self._decode(file, file.name.removesuffix(self.files.suffix))
        except (OSError, ValueError) as error:
            return str(error)
        return ""

    def _replace(self, digest: str, video: StoredVideo) -> None:
        """Write a video's file in its place; the caller holds the lock."""
        write_whole(self.files.place(digest), self._encode(digest, video))
        self.files.settle(digest)

    @property
    def _tensors(self) -> tuple[str, ...]:
        """What a file holds; windows that are all whole are stored as they always were."""
        return _TENSORS if self.spec.min_frames is None else (*_TENSORS, STEPS)

    def _cast(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        with np.errstate(over="ignore"):  # an overflow becomes inf, which the next line refuses
            cast = np.ascontiguousarray(features, self.dtype)
        if not np.isfinite(cast).all():
            largest = np.abs(features[np.isfinite(features)]).max(initial=0)
            raise NotFiniteError(
                f"the backbone gave features that are not finite as {self.dtype} "
                f"(largest finite value {largest:.4g})"
            )
        return cast

    def _encode(self, digest: str, video: StoredVideo) -> bytes:
        tensors = {name: getattr(video, name) for name in self._tensors}
        metadata = {"fingerprint": self.fingerprint.key, "digest": digest}
        return pack(tensors, {**metadata, "reader": str(video.reader)})

    def _times(self, digest: str) -> StoredVideo:
        """Give what is stored without its features; a file is read again only if it has changed."""
        known = self._known.get(digest)
        if known is None or known[0] != self.stamp(digest):
            self._load(digest)
            known = self._known[digest]
        return known[1]

    def _load(self, digest: str) -> StoredVideo:
        """Read what is stored of a video; a damaged file is as good as none."""
        path = self.files.find(digest)
        stamp = stamp_of(path)
        known = self._known.get(digest)
        is_same = known is not None and known[0] == stamp
        is_sound = known is not None and is_same and len(known[1].end_times) > 0
        video = self._read(digest, path, stamp, is_sound)
        if not is_same:
            self._known[digest] = stamp, video.without_features()
        return video

    def _read(self, digest: str, path: Path, stamp: Stamp | None, is_sound: bool) -> StoredVideo:
        if (found := self.packs.find(digest, stamp)) is not None:
            video = found[1]
            times = video.end_times, video.unavailable, video.reader, video.num_steps
            return StoredVideo(video.features, *times)
        if stamp is None:
            return self._nothing()
        try:
            return self._decode(path, digest, is_sound)
        except (OSError, ValueError) as error:
            if digest not in self._warned:
                self._warned.add(digest)
                text = "Damaged feature file %s (%s): it will be computed again."
                logger.warning(text, path, error)
            return self._nothing()

    def _nothing(self) -> StoredVideo:
        features = np.zeros((0, *self._step_shape), self.dtype)
        return StoredVideo(features, np.zeros(0), np.zeros(0))

    def _decode(self, path: Path, digest: str, is_sound: bool = False) -> StoredVideo:
        """Read a file and check that it is whole and ours; ValueError says what is not.

        If it ``is_sound``, as it was when it was read before, its checksum was right then.
        """
        tensors, metadata = unpack(path, is_sound)
        if sorted(tensors) != sorted(self._tensors):
            raise ValueError(f"it holds {sorted(tensors)}")
        if (metadata.get("digest"), metadata.get("fingerprint")) != (digest, self._key):
            raise ValueError("it is of another video or backbone")
        shape = tensors["features"].shape
        if shape != (len(tensors["end_times"]), *self._step_shape):
            raise ValueError(f"its features have shape {shape}")
        video = StoredVideo(**tensors, reader=int(metadata.get("reader", 1)))
        most, steps = self._step_shape[0], video.num_steps
        assert steps is not None
        if steps.dtype.kind not in "iu" or steps.shape != video.end_times.shape:
            raise ValueError(f"{STEPS} is {steps.dtype} of shape {steps.shape}")
        if ((steps < 1) | (steps > most)).any():
            raise ValueError(f"{STEPS} lies outside 1 to {most}")
        return video


def _united(here: StoredVideo, other: StoredVideo) -> StoredVideo:
    """Unite windows, of which those here win; of two readers the later one's alone are kept."""
    if other.is_empty or here.is_empty:
        return here if other.is_empty else other
    if here.reader != other.reader:
        return max((here, other), key=lambda one: one.reader)
    return replace(merged(other, here), reader=here.reader)
