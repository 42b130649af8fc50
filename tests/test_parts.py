"""docs/parts.md says what the parts are."""

import pytest

from benchmarks.parts import GROUPS, PAGE, SPEED, columns_of, has_options, row_of, rows_in
from collision.config import names_of

ROWS = list(rows_in(PAGE.read_text()))


@pytest.mark.parametrize("group", GROUPS)
def test_every_part_is_in_the_table(group):
    named = [cells[0].strip("`") for where, cells in ROWS if where == group]
    assert named == [name for name in names_of(group) if has_options(group, name)]


@pytest.mark.parametrize(
    ("group", "cells"), ROWS, ids=[f"{group}-{cells[0].strip('`')}" for group, cells in ROWS]
)
def test_what_the_table_says_is_so(group, cells):
    row = row_of(group, cells[0].strip("`"))
    assert cells[1 : 1 + len(columns_of(group))] == row
    if group in SPEED and cells[-1]:
        assert float(cells[-1]) > 0
