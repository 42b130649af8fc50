"""The check of a proposed part: what its text shows, then the suite of its kind behind walls."""

from __future__ import annotations

import time
from collections.abc import Iterator

from collision.config import Part
from collision.option_groups import Limits
from collision.search import backbone_conformance, conformance, loss_conformance
from collision.search.proposed import Proposed
from collision.search.remotes import RemoteBackbone, RemoteLoss
from collision.search.sandbox import Wall
from collision.search.session import PartFailed, Session, opened
from collision.search.verdicts import Finding, found_by

_HEADS_OF_POOLINGS = ("linear", "gru")
# What networks are made of, loaded before the limits are: what it takes is not the part's.
FOR_FRAMES = ("cv2", "timm")


def check_part(proposed: Proposed, wall: Wall | None, limits: Limits) -> Iterator[Finding]:
    """Give each finding as it comes; the last one is why the check could not go on, if so.

    Without a ``wall`` the part does what it wants: see ``session.opened``.
    """
    began = time.monotonic()
    complaints = "; ".join(dict.fromkeys(proposed.complaints()))
    yield Finding("its text is plain", complaints, time.monotonic() - began)
    if complaints:
        return
    began = time.monotonic()
    load = FOR_FRAMES if proposed.kind == "backbone" else ("torch._dynamo",)
    try:
        with opened(proposed.files, wall, limits, load=load) as session:
            yield from _findings(session, proposed, limits)
    except PartFailed as error:  # of the process itself: it is over
        yield Finding("it keeps to its sandbox", str(error), time.monotonic() - began)


def _findings(session: Session, proposed: Proposed, limits: Limits) -> Iterator[Finding]:
    if proposed.kind == "loss":
        yield from loss_in(session, proposed.part)
    elif proposed.kind == "backbone":
        yield from backbone_in(session, proposed.part, limits)
    else:
        for head in ("gru",) if proposed.kind == "head" else _HEADS_OF_POOLINGS:
            yield from checked_in(session, *proposed.model(head), limits)


def loss_in(session: Session, part: Part) -> Iterator[Finding]:
    """Build a loss in a session, and let it meet the suite."""
    began, loss, why = time.monotonic(), None, ""
    try:
        loss = RemoteLoss(session, part)
    except PartFailed as error:
        why = str(error)
    yield Finding("it can be built", why, time.monotonic() - began)
    if loss is not None:
        yield from found_by(loss_conformance.CHECKS, loss)


def backbone_in(session: Session, part: Part, limits: Limits) -> Iterator[Finding]:
    """Build a backbone in a session, and let it meet the suite."""
    began, backbone, why = time.monotonic(), None, ""
    try:
        backbone = RemoteBackbone(session, part)
        why = _too_large(backbone.facts.num_parameters, limits)
    except PartFailed as error:
        why = str(error)
    yield Finding("it can be built", why, time.monotonic() - began)
    if backbone is not None and not why:
        yield from found_by(backbone_conformance.CHECKS, backbone)


def _too_large(num: int, limits: Limits) -> str:
    if num <= limits.parameters:
        return ""
    return f"It has {num:,} parameters; limits.parameters={limits.parameters}."


def checked_in(session: Session, head: Part, pooling: Part, limits: Limits) -> Iterator[Finding]:
    """Build a head with its pooling in a session, and let it meet the suite."""
    began = time.monotonic()
    try:
        subject = session.build(head, pooling)
        num = subject.facts.num_parameters
        why = _too_large(num, limits) if num else "It has no parameter to train."
    except PartFailed as error:
        why = str(error)
    yield Finding("it can be built", why, time.monotonic() - began)
    if not why:
        yield from found_by(conformance.CHECKS, subject)
