"""The check of a proposed part: what its text shows, then the suite of its kind behind walls."""

from __future__ import annotations

import time
from collections.abc import Iterator

from collision.config import Part
from collision.option_groups import Limits
from collision.search.conformance import Finding, findings
from collision.search.proposed import Proposed
from collision.search.sandbox import Wall
from collision.search.session import PartFailed, Session, opened

_HEADS_OF_POOLINGS = ("linear", "gru")


def check_part(proposed: Proposed, wall: Wall | None, limits: Limits) -> Iterator[Finding]:
    """Give each finding as it comes; the last one is why the check could not go on, if so.

    Without a ``wall`` the part does what it wants: see ``session.opened``.
    """
    began = time.monotonic()
    complaints = "; ".join(dict.fromkeys(proposed.complaints()))
    yield Finding("its text is plain", complaints, time.monotonic() - began)
    if complaints:
        return
    heads = ("gru",) if proposed.kind == "head" else _HEADS_OF_POOLINGS
    began = time.monotonic()
    try:
        with opened(proposed.files, wall, limits) as session:
            for head in heads:
                yield from checked_in(session, *proposed.model(head), limits)
    except PartFailed as error:  # of the process itself: it is over
        yield Finding("it keeps to its sandbox", str(error), time.monotonic() - began)


def checked_in(session: Session, head: Part, pooling: Part, limits: Limits) -> Iterator[Finding]:
    """Build a head with its pooling in a session, and let it meet the suite."""
    began = time.monotonic()
    try:
        subject = session.build(head, pooling)
        num, why = subject.facts.num_parameters, ""
        if num > limits.parameters:
            why = f"It has {num:,} parameters; limits.parameters={limits.parameters}."
        elif not num:
            why = "It has no parameter to train."
    except PartFailed as error:
        why = str(error)
    yield Finding("it can be built", why, time.monotonic() - began)
    if not why:
        yield from findings(subject)
