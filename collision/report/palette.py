"""The colours of all pages and plots; ``assets/look.css`` is the one place where they stand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from collision.report.html import asset


def _colours(block: int) -> Mapping[str, str]:
    """Read the colours of a block of ``:root``: 0 of light pages, 1 of dark ones."""
    text = re.findall(r":root \{(.*?)\}", asset("look.css"), re.DOTALL)[block]
    return MappingProxyType(dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", text)))


LIGHT, DARK = _colours(0), _colours(1)
# Of lines and marks, in the order in which they are given out.
SERIES = ("blue", "orange", "green", "purple", "red", "sky")
