"""Many painted domains as one data set, so that a head cannot learn the look of a single one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Unpack

import numpy as np
from pydantic import Field

from collision.checks import call_typed
from collision.datasets.synthetic.dataset import Synthetic
from collision.datasets.synthetic.scene import PlanOptions
from collision.datasets.synthetic.setting import PALETTES, Domain, Range
from collision.types import Split, VideoRecord


class Domains:
    """Sets of the procedural dashcam side by side, each with a camera, car and region of its own.

    Attributes:
        sets: One a domain, below ``root``; their scenes differ, too.
    """

    is_painted = True

    def __init__(
        self,
        root: str | Path,
        name: str,
        domain: Mapping[str, Any],
        ranges: Mapping[str, Range[float]],
        num_domains: Annotated[int, Field(ge=1)],
        num_workers: Annotated[int, Field(ge=1)] | None = None,
        **plan: Unpack[PlanOptions],
    ):
        """Draw the domains and plan their scenes; nothing is written before ``prepare``.

        Args:
            root: The folder that holds a folder a domain.
            name: What the data set is called in reports.
            domain: Values that all domains share, as ``Domain`` names them, but for the palette:
                palettes take turns.
            ranges: Values that each draws for itself, evenly between two ends.
            num_domains: How many there are; fewer are the first of more.
            num_workers: Processes that paint; one per core if None.
            plan: Number, splits, families and seed of the scenes of each domain.

        Raises:
            ConfigError: A value that no domain can have, or too few scenes for the splits.
        """
        self.name = name
        self.sets = []
        for number in range(num_domains):
            generator = np.random.default_rng([plan["seed"], number])
            drawn = {key: round(generator.uniform(*ends), 3) for key, ends in ranges.items()}
            palette = list(PALETTES)[number % len(PALETTES)]
            values = {**domain, **drawn, "palette": palette}
            own = call_typed(Domain, values, {}, where="dataset.domain")
            given: PlanOptions = {**plan, "seed": plan["seed"] + number}
            place = Path(root) / f"{number:02d}"
            self.sets.append(Synthetic(place, f"{name} {number:02d}", own, num_workers, **given))

    def prepare(self, splits: Sequence[Split] | None = None) -> None:
        """Paint the videos that are missing, domain after domain; see ``Synthetic.prepare``."""
        for one in self.sets:
            one.prepare(splits, with_oracle=False)

    def records(self) -> list[VideoRecord]:
        """Give the index, domain after domain; ids and groups begin with the domain's number."""
        return [
            replace(
                record,
                id=f"{number:02d}_{record.id}",
                group=f"{number:02d}_{record.group}",
                tags={**record.tags, "domain": f"{number:02d}"},
            )
            for number, one in enumerate(self.sets)
            for record in one.records()
        ]
