"""A backbone and its cache as one thing: what there is, and what is missing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collision.checks import arguments_of
from collision.errors import CacheMismatchError, CollisionError, VideoDecodeError
from collision.features.clips import WindowRequest
from collision.features.digest import VideoDigests
from collision.features.failures import read_failures
from collision.features.fingerprint import Fingerprint, check_same, fingerprint
from collision.features.looks import VideoLooks
from collision.features.manifest import FILE_NAME, Maker
from collision.features.missing import revision, store_key
from collision.features.planning import Plan, plan
from collision.features.store import FeatureStore
from collision.sampling.index import DataIndex
from collision.sampling.policy import SamplingPolicy
from collision.sampling.windows import needed_windows
from collision.types import Backbone, BackboneSpec, Failure
from collision.video.readers import load_reader

if TYPE_CHECKING:
    from collision.config import Part
    from collision.features.elsewhere import Elsewhere
    from collision.features.extract import ExtractionReport
    from collision.option_groups import ExtractionOptions


@dataclass
class FeatureSource:
    """The features of a backbone, which is built only when some are missing.

    ``whose`` names them in a message; by ``maker`` the store's folder was found, if it was. What is
    missing is decoded here and, if there is such, ``elsewhere``.
    """

    store: FeatureStore
    digests: VideoDigests
    part: Part
    whose: str = ""
    maker: Maker | None = None
    elsewhere: Elsewhere | None = None
    _backbone: Backbone | None = field(default=None, repr=False)

    @classmethod
    def of_part(
        cls, part: Part, cache_root: Path, precision: str, reader: str | None = None
    ) -> FeatureSource:
        """Find the folder that a backbone has filled before; build the backbone only to find it.

        ConfigError: The ``reader`` does not load.
        """
        reader = reader or "pyav"
        load_reader(reader)
        digests = VideoDigests(cache_root / "videos.json")
        for manifest in sorted(cache_root.glob(f"*/{FILE_NAME}")):
            with contextlib.suppress(CollisionError):  # what is not understood is not ours
                store = FeatureStore.open(manifest.parent)
                here = Maker.here(part, precision, store.spec.implementation)
                for maker in store.made_by:
                    if store.fingerprint.reader == reader and maker.is_now(here):
                        return cls(store, digests, part, maker=maker)
        backbone = part.build()
        store = FeatureStore(cache_root, fingerprint(backbone, precision, reader))
        store.claim(Maker.here(part, precision, backbone.spec.implementation))
        return cls(store, digests, part, _backbone=backbone)

    @classmethod
    def of_fingerprint(
        cls, fingerprint: Fingerprint, part: Part, cache_root: Path
    ) -> FeatureSource:
        """Take the folder of a fingerprint; ``part`` is built where features are missing."""
        digests = VideoDigests(cache_root / "videos.json")
        return cls(FeatureStore(cache_root, fingerprint), digests, part, whose="the predictor")

    @cached_property
    def looks(self) -> VideoLooks:
        """What is remembered of each file."""
        return VideoLooks(self.digests)

    @property
    def parts(self) -> tuple[FeatureSource, ...]:
        """It is the only one; see ``FusedSource``."""
        return (self,)

    @property
    def spec(self) -> BackboneSpec:
        """What the backbone wants and gives."""
        return self.store.spec

    @property
    def fingerprint(self) -> Fingerprint:
        """Of the features."""
        return self.store.fingerprint

    def backbone(self) -> Backbone:
        """Build the backbone, once, and refuse one that gives other features than the store's."""
        if self._backbone is None:
            part = _as_saved(self.part, self.spec) if self.whose else self.part
            backbone = part.build()
            found = fingerprint(backbone, self.fingerprint.precision, self.fingerprint.reader)
            try:
                check_same(found, self.fingerprint, self.whose or repr(str(self.store.folder)))
            except CacheMismatchError as error:
                if self.maker is None:
                    raise
                self.store.disclaim(self.maker)
                raise CacheMismatchError(
                    f"{error}\nWhat made them had the same options. The same command, run again, "
                    "uses another folder."
                ) from None
            self._backbone = backbone
        return self._backbone

    def requests(self, index: DataIndex, policy: SamplingPolicy) -> list[WindowRequest]:
        """List the windows that an index's examples need, video by video."""
        everything = [example for members in index.examples.values() for example in members]
        return [
            WindowRequest(
                record.id, record.path, times, record.frame_rate, view, record.video_stream
            )
            for (video, view), times in needed_windows(everything, policy, self.spec).items()
            for record in [index.records[video]]
        ]

    def digest_of(
        self, index: DataIndex, failures: Iterable[Failure], whole: bool = False
    ) -> dict[str, str]:
        """Give the digest of each readable video's content and clock by id.

        ``whole``: as earlier versions took it, of every byte of the files, which are read once.
        """
        failed = {failure.video for failure in failures}
        digest = self.digests.whole if whole else self.digests.content
        found = {}
        for video, record in index.records.items():
            # A video of which no moment is wanted may be missing: nothing has tried to read it.
            with contextlib.suppress(VideoDecodeError):
                if video not in failed:
                    found[video] = digest(record.path, record.frame_rate, record.video_stream)
        with contextlib.suppress(CollisionError):  # it only spares reading them again
            self.digests.save()
        return found

    def look(self, requests: Iterable[WindowRequest]) -> tuple[int, list[Failure]]:
        """Count windows never extracted; list videos that were tried in vain and are as then."""
        failed = {failure.path: failure for failure in read_failures(self.store.folder)}
        num_missing = 0
        failures: list[Failure] = []
        for request in requests:
            try:
                key = store_key(self.digests, request)
                content = self.digests.digest(request.path)
                stored = self.store.times(key)
                since = revision(stored, self.looks, request)
            except VideoDecodeError as error:
                failures.append(Failure(request.video, request.path, error.reason))
                continue
            missing = len(stored.missing(request.end_times, since))
            failure = failed.get(request.path)
            if missing and failure and failure.is_of(content):
                failures.append(replace(failure, video=request.video))
            else:
                num_missing += missing
        return num_missing, failures

    def extract(
        self, requests: Sequence[WindowRequest], options: ExtractionOptions, **where: Any
    ) -> ExtractionReport:
        """Compute and store what is missing; see ``collision.features.extract.extract``."""
        from collision.features.extract import extract  # needs torch, which a report does not

        return extract(self, requests, options, **where)

    def plan(self, requests: Sequence[WindowRequest], options: ExtractionOptions) -> Plan:
        """Count what ``extract`` would compute, and how long it would take."""
        return plan(self, requests, options)


def _as_saved(part: Part, spec: BackboneSpec) -> Part:
    """Give a part that was saved before it had ``min_frames`` the value that its features have."""
    is_older = "min_frames" not in part.options and "min_frames" in arguments_of(part.imported())
    return part.changed({"min_frames": spec.min_frames}) if is_older else part
