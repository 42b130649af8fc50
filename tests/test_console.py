"""How wide what is said may be: a pipe has no width of its own."""

import io

import pytest

from collision.console import progress_console, wide_console
from collision.report.tables import Grid, as_rich

LONG = " ".join(f"word{number}" for number in range(60))


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for name in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("make", [wide_console, progress_console])
def test_without_a_terminal_nothing_is_narrowed(make):
    console = make(file=io.StringIO())
    console.print(LONG)
    console.print(as_rich(Grid("", ["name", "of"], [["x" * 150, LONG]])))
    text = console.file.getvalue()
    assert text.splitlines()[0] == LONG and f"{'x' * 150} {LONG}" in text


def test_columns_say_how_wide_it_is(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    console = wide_console(file=io.StringIO())
    console.print(LONG)
    assert console.width == 60
    assert max(map(len, console.file.getvalue().splitlines())) <= 60


def test_a_terminal_has_its_own_width():
    assert wide_console(file=io.StringIO(), force_terminal=True).width < 1000
