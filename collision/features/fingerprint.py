"""Everything that changes the features of a video, hashed into one key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from collision.checks import typed
from collision.errors import CacheMismatchError
from collision.types import Backbone, BackboneSpec

if TYPE_CHECKING:  # what is only compared needs no torch
    import torch

# Raise it when stored files change their layout, or frames are decoded or resized differently.
SCHEMA = 1

_KEY_LENGTH = 16  # hex digits: 64 bits, short enough for a folder's name
_ABSENT = "(nothing)"


@dataclass(frozen=True)
class Fingerprint:
    """What the features of a video depend on, besides the video, as plain JSON data.

    The backbone's spec, the digest of its weights, the precision that it computes in, and the
    schema of the stored files; not batch size, device, paths or sampling. Of readers, only one
    whose pixels differ from PyAV's. Of several backbones (``of_parts``) it is ``parts``, a list of
    the fields of each.
    """

    fields: Mapping[str, Any]

    @classmethod
    def of_parts(cls, parts: Sequence[Fingerprint]) -> Fingerprint:
        """Put those of several backbones into one, in their order."""
        return cls({"parts": [dict(one.fields) for one in parts]})

    @property
    def parts(self) -> tuple[Fingerprint, ...]:
        """Of each backbone, in the order of their features; of a single one it is alone."""
        own = self.fields.get("parts")
        if not isinstance(own, list) or not all(isinstance(one, Mapping) for one in own):
            return (self,)
        return tuple(Fingerprint(one) for one in own) if len(own) > 1 else (self,)

    @property
    def key(self) -> str:
        """The hash of ``fields``, as 16 hex digits."""
        canonical = json.dumps(self.fields, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:_KEY_LENGTH]

    @cached_property
    def spec(self) -> BackboneSpec:
        """The backbone's spec; CacheMismatchError where a field is missing or of another type.

        Of several it is the first's, with the names of all, and their features side by side.
        """
        if len(self.parts) > 1:
            specs = [one.spec for one in self.parts]
            texts = ("name", "implementation", "source", "licence")
            joined: dict[str, Any] = {
                text: " + ".join(getattr(one, text) for one in specs) for text in texts
            }
            return replace(specs[0], **joined, feature_dim=sum(one.feature_dim for one in specs))
        names = {field.name for field in fields(BackboneSpec)}
        known = {name: value for name, value in self.fields.items() if name in names}
        return typed(BackboneSpec, known, where="fingerprint", error=CacheMismatchError)

    @property
    def precision(self) -> str:
        """What the backbone computed in, in Lightning's words."""
        return str(self.parts[0].fields.get("precision", ""))

    @property
    def reader(self) -> str:
        """Who read the frames: ``pyav``, or what it was trusted with, ``decord`` or another."""
        return str(self.parts[0].fields.get("reader", "pyav"))

    def difference(self, other: Fingerprint) -> list[str]:
        """Say field by field what differs: ``height: 128 here, 224 there``."""
        if len(self.parts) != len(other.parts):
            here, there = (
                " + ".join(str(one.fields.get("name", _ABSENT)) for one in side.parts)
                for side in (self, other)
            )
            return [f"backbones: {here} here, {there} there"]
        if len(self.parts) > 1:
            return [
                f"{own.fields.get('name', _ABSENT)}, {line}"
                for own, their in zip(self.parts, other.parts, strict=True)
                for line in own.difference(their)
            ]
        lines = []
        for name in sorted({*self.fields, *other.fields}):
            here, there = (side.fields.get(name, _ABSENT) for side in (self, other))
            lines += [f"{name}: {here} here, {there} there"] if here != there else []
        return lines


def fingerprint(
    backbone: Backbone, precision: str = "32-true", reader: str = "pyav"
) -> Fingerprint:
    """Take the fingerprint of a backbone, a Module; ``precision`` in Lightning's words.

    ``reader`` as in the options of extraction.
    """
    weights = weights_digest(backbone)  # type: ignore[arg-type]  # a Module, by contract
    made = {"weights_digest": weights, "precision": precision, "schema": SCHEMA}
    read = {} if reader == "pyav" else {"reader": reader}  # as before there was a choice
    return Fingerprint({**backbone.spec.as_dict(), **made, **read})


def weights_digest(module: torch.nn.Module) -> str:
    """Hash names, dtypes, shapes and bytes of all that ``state_dict`` holds; 64 hex digits."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        # Viewed as bytes because numpy has no bfloat16; flattened because a scalar has no view.
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def check_same(wanted: Fingerprint, found: Fingerprint, where: str) -> None:
    """Refuse features of ``where`` that were made otherwise; the message has one line a field."""
    difference = wanted.difference(found)
    if difference:
        listing = "\n".join(f"  {line}" for line in difference)
        raise CacheMismatchError(
            f"The features of {where} were made differently from those of this run (here):\n"
            f"{listing}\n"
            "Give this run the same backbone options, or extract and train again with these."
        )
