"""Tables that lose no text, however narrow the console is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

_LEAST = 5  # characters of a column
_FOLDED = 20  # characters of a word, beyond which it may be broken


@dataclass(frozen=True)
class Fitted:
    """A table of text cells that wraps between words; where they do not fit, in several parts.

    Each part begins with the first column. Text from files is not taken for markup.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def natural_width(self) -> int:
        """How wide it is where nothing has to wrap."""
        return _total([_natural(one) for one in self._columns()])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        columns = self._columns()
        parts = _parts([_least(one, options.max_width) for one in columns], options.max_width)
        for number, places in enumerate(parts):
            part = [columns[place] for place in places]
            title = self.title if number == 0 else f"{self.title}, further columns".lstrip(", ")
            yield self._table(title, places, _widths(part, options.max_width))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = min(self.natural_width, options.max_width)
        return Measurement(width, width)

    def _columns(self) -> list[list[str]]:
        return [[name, *(row[i] for row in self.rows)] for i, name in enumerate(self.header)]

    def _table(self, title: str, places: Sequence[int], widths: Sequence[int]) -> Table:
        table = Table(title=escape(title), box=box.SIMPLE_HEAD, title_justify="left", padding=0)
        for place, width in zip(places, widths, strict=True):
            justify = "left" if place == 0 else "right"
            name = escape(self.header[place])
            table.add_column(name, justify=justify, width=width, overflow="fold")  # type: ignore[arg-type]
        for row in self.rows:
            cells: list[RenderableType] = [escape(row[place]) for place in places]
            table.add_row(*cells)
        return table


def _natural(column: Sequence[str]) -> int:
    return max(_LEAST, *(cell_len(line) for text in column for line in text.splitlines() or [""]))


def _least(column: Sequence[str], width: int) -> int:
    """Give the width of its longest word, as far as that is not broken."""
    longest = max((cell_len(word) for text in column for word in text.split()), default=0)
    return max(min(longest, _FOLDED, width // 3), _LEAST)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(widths) + 1  # with what stands between and around them


def _parts(least: Sequence[int], width: int) -> list[list[int]]:
    """Put columns together that fit into the width, each time with the first."""
    parts: list[list[int]] = [[0]]
    for place in range(1, len(least)):
        here = [*parts[-1], place]
        if len(parts[-1]) > 1 and _total([least[one] for one in here]) > width:
            here = [0, place]
            parts.append(here)
        parts[-1] = here
    return parts


def _widths(columns: Sequence[Sequence[str]], width: int) -> list[int]:
    """Narrow the widest columns, none below its longest word, until they fit."""
    widths = [_natural(one) for one in columns]
    least = [_least(one, width) for one in columns]
    while _total(widths) > width:
        wide = [place for place, own in enumerate(widths) if own > least[place]]
        if not wide:
            break
        widths[max(wide, key=lambda place: widths[place])] -= 1
    return widths
