"""What stands beside features: how they were made, and from which parts (``manifest.json``).

A manifest without a version is a bare fingerprint, as first written; it is read as version 1. Until
version 3 all features lay in one folder: software that looks there must not fill it again.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collision.checks import STRICT, typed
from collision.errors import CacheMismatchError
from collision.features.hashing import stamp
from collision.features.saved import check_version
from collision.files import load_json, write_json

if TYPE_CHECKING:
    from collision.config import Part

FILE_NAME = "manifest.json"
VERSION = 3


@dataclass(frozen=True)
class Maker:
    """What made features: enough to find their folder again without building the backbone.

    Attributes:
        part: The backbone's, as ``Part.as_saved`` gives it.
        versions: Of the libraries behind it, and a hash of the module that defines it.
        weights: Size and modification time of each local file or folder that an option names.
    """

    __pydantic_config__ = STRICT

    part: dict[str, Any]
    precision: str
    versions: dict[str, str]
    weights: dict[str, list[int]]

    @classmethod
    def here(cls, part: Part, precision: str, implementation: str) -> Maker:
        """Describe a backbone as it would be built here; ``implementation`` as in its spec."""
        named = {key: value for key, value in part.options.items() if isinstance(value, str)}
        module = part.target.rpartition(".")[0]
        versions = {module: _source_hash(module)}
        packages = {implementation.split(" ")[0], module.partition(".")[0], *named.values()}
        for name in packages - {"collision"}:
            # OpenCV's distribution has another name than its library.
            for distribution in (name, f"{name}-python-headless"):
                if found := installed_version(distribution):
                    versions[distribution] = found
        paths = {key: Path(value).expanduser() for key, value in named.items()}
        weights = {key: stamp(path)[:2] for key, path in paths.items() if path.exists()}
        return cls(json.loads(json.dumps(part.as_saved())), precision, versions, weights)

    def is_now(self, here: Maker) -> bool:
        """Whether a backbone built here is the same; local weights may be missing, not changed."""
        return self == replace(here, weights={**self.weights, **here.weights})


@dataclass(frozen=True)
class Manifest:
    """What stands in a folder of features: a ``Fingerprint``'s fields, and all that gave them."""

    __pydantic_config__ = STRICT

    fingerprint: dict[str, Any]
    made_by: tuple[Maker, ...] = field(default=())
    version: int = VERSION


def read_manifest(folder: Path) -> Manifest | None:
    """Read the manifest of a folder, or None; CacheMismatchError if it is damaged or too new."""
    file = folder / FILE_NAME
    try:
        content = load_json(file)
        if not isinstance(content, dict):
            raise ValueError("it is no JSON object")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CacheMismatchError(
            f"Cannot read {str(file)!r} ({error}), so nobody can tell how the features beside it "
            f"were made. Delete the folder {str(folder)!r} and extract again."
        ) from error
    check_version(file, content, VERSION)
    if "version" not in content:
        return Manifest(content, version=1)
    return typed(Manifest, content, where=str(file), error=CacheMismatchError)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest as of today's version."""
    write_json(folder / FILE_NAME, asdict(replace(manifest, version=VERSION)))


def _source_hash(module: str) -> str:
    """Hash the file of a module without importing it; empty where there is none."""
    try:
        found = importlib.util.find_spec(module)
        source = Path(found.origin).read_bytes() if found and found.origin else b""
    except (ImportError, ValueError, OSError):
        return ""
    return hashlib.sha256(source).hexdigest()[:16] if source else ""


def installed_version(distribution: str) -> str | None:
    """Give a distribution's version; None where it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None
