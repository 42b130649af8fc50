"""What the check of a promise gives, whatever kind of part made the promise."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor
from torch.testing import assert_close

from collision.errors import CollisionError

_Subject = TypeVar("_Subject")


class NotConformant(CollisionError):
    """A part that does not keep a promise; the message says which and how."""


@dataclass(frozen=True)
class Finding:
    """What one check found: why the part failed it, or nothing; in so many seconds."""

    check: str
    why: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the promise was kept."""
        return not self.why


def named(*checks: Callable[[_Subject], None]) -> dict[str, Callable[[_Subject], None]]:
    """Give checks by their names, in their order."""
    return {check.__name__: check for check in checks}


def found_by(
    checks: Mapping[str, Callable[[_Subject], None]], subject: _Subject
) -> Iterator[Finding]:
    """Make every check, each finding as it comes."""
    for name, check in checks.items():
        began, why = time.monotonic(), ""
        try:
            check(subject)
        except NotConformant as error:
            why = str(error)
        yield Finding(name.replace("_", " "), why, time.monotonic() - began)


def check_close(found: Tensor, wanted: Tensor, tolerance: float | None, where: str) -> None:
    """Refuse what differs by more; NotConformant: says ``where``, and by how much."""
    try:
        assert_close(found, wanted, atol=tolerance, rtol=tolerance)
    except AssertionError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise NotConformant(f"{where}: {' '.join(lines[:3])}") from None
