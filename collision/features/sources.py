"""The features of a backbone or of several, with one interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from collision.config import Part
from collision.errors import CheckpointError, ConfigError
from collision.features.digest import VideoDigests
from collision.features.fingerprint import Fingerprint
from collision.features.fusion import backbones_of
from collision.features.looks import VideoLooks
from collision.features.source import FeatureSource
from collision.sampling.index import DataIndex
from collision.types import BackboneSpec, Failure

if TYPE_CHECKING:
    from collision.features.extract import ExtractionReport


@dataclass
class FusedSource:
    """The features of several backbones: each one's own store, used as it is.

    Whoever extracts or reads asks ``parts``, which a ``FeatureSource`` has, too.
    """

    parts: tuple[FeatureSource, ...]

    @property
    def digests(self) -> VideoDigests:
        """What is known of files."""
        return self.parts[0].digests

    @property
    def looks(self) -> VideoLooks:
        """What is remembered of each file."""
        return self.parts[0].looks

    @property
    def spec(self) -> BackboneSpec:
        """Of the features side by side; see ``Fingerprint.spec``."""
        return self.fingerprint.spec

    @property
    def fingerprint(self) -> Fingerprint:
        """Of all of them."""
        return Fingerprint.of_parts([part.fingerprint for part in self.parts])

    def digest_of(
        self, index: DataIndex, failures: Iterable[Failure], whole: bool = False
    ) -> dict[str, str]:
        """Give digests as ``FeatureSource`` does: they are of videos, not of features."""
        return self.parts[0].digest_of(index, failures, whole)


Source: TypeAlias = FeatureSource | FusedSource


def source_of_part(
    part: Part, cache_root: Path, precision: str, reader: str | None = None
) -> Source:
    """Find the features of a backbone or of a fusion; see ``FeatureSource.of_part``."""
    found, several = [], backbones_of(part)
    for one in several:
        try:
            found.append(FeatureSource.of_part(one, cache_root, precision, reader))
        except ConfigError as error:
            whose = f"{one.name or one.target} of backbone.parts: " if len(several) > 1 else ""
            raise ConfigError(f"{whose}{error}") from None
    return _together(found)


def source_of_fingerprint(fingerprint: Fingerprint, part: Part, cache_root: Path) -> Source:
    """Take the folders of a fingerprint; see ``FeatureSource.of_fingerprint``."""
    parts = check_parts(fingerprint, part)
    own = [
        FeatureSource.of_fingerprint(of_part, one, cache_root)
        for of_part, one in zip(fingerprint.parts, parts, strict=True)
    ]
    if len(own) > 1:  # a message says which of them does not fit
        own = [replace(one, whose=f"{one.whose}, {one.spec.name},") for one in own]
    return _together(own)


def check_parts(fingerprint: Fingerprint, part: Part) -> tuple[Part, ...]:
    """Give the backbones behind a part; CheckpointError: the fingerprint is not of so many."""
    parts, count = backbones_of(part), len(fingerprint.parts)
    if len(parts) != count:
        raise CheckpointError(
            f"The fingerprint is of {count} backbone(s), and {len(parts)} are named: "
            "train again, or copy it again."
        )
    return parts


def _together(parts: Sequence[FeatureSource]) -> Source:
    if len(parts) == 1:
        return parts[0]
    digests = parts[0].digests  # one memory of the files
    return FusedSource(tuple(replace(part, digests=digests) for part in parts))


def in_turn(
    source: Source, extract: Callable[[FeatureSource], ExtractionReport]
) -> ExtractionReport:
    """Extract with one backbone after the other, until a signal ends it; one report of all.

    A video that fails with one of them has failed.
    """
    reports: list[ExtractionReport] = []
    for part in source.parts:
        reports.append(extract(part))
        if reports[-1].signal is not None:
            break
    if len(reports) == 1:
        return reports[0]
    whole = type(reports[0]).of_all(reports)
    whole.seconds = sum(report.seconds for report in reports)
    whole.num_workers = max(report.num_workers for report in reports)
    whole.signal, whole.rank = reports[-1].signal, reports[-1].rank
    return whole
