"""A search as it goes on: a table that is drawn anew, or, where there is no terminal, lines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from collision.search.overview import About, overview, progress
from collision.search.reading import Reading
from collision.search.trials import Trial
from collision.types import Seconds

_REFRESH: Seconds = 2.0
_LINE_EVERY: Seconds = 60.0


class Shown:
    """Shows trials whenever it is called, though not too often."""

    def __init__(self, console: Console, about: About):
        self._console, self._about = console, about
        self._live = Live(console=console, transient=True, auto_refresh=False)
        self._last = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def __call__(self, trials: Sequence[Trial]) -> None:
        """Show them."""
        now = time.monotonic()
        if now - self._last < (_REFRESH if self._console.is_terminal else _LINE_EVERY):
            return
        self._last = now
        if self._console.is_terminal:
            self._live.update(overview(trials, self._about), refresh=True)
        else:
            line = "; ".join(progress(trials, self._about, time.time()))
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def follow(console: Console, reading: Reading, about: About, *, once: bool) -> None:
    """Show a search until Ctrl-C; once, where that is wanted or there is no terminal."""
    if once or not console.is_terminal:
        console.print(overview(reading.trials(), about))
        return
    with Shown(console, about) as shown:
        try:
            while True:
                shown(reading.trials())
                time.sleep(_REFRESH)
        except KeyboardInterrupt:
            pass
    console.print(overview(reading.trials(), about))
