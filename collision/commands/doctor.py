"""Say what works on this machine, what is missing, and the command that mends it."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterable, Iterator

import collision
from collision.commands._checkup import findings
from collision.commands._findings import Finding
from collision.errors import ConfigError
from collision.options import DoctorOptions

_NAME_WIDTH = 15
_WIDTH = 80


def run(options: DoctorOptions, paths: list[str]) -> int:
    """Print each finding as soon as it is made."""
    found: list[Finding] = []
    if options.json:
        found = list(findings(options))
        said = {"version": 1, "collision": collision.__version__, "ok": is_ready(found)}
        print(json.dumps({**said, "findings": [one.as_json() for one in found]}, indent=1))
    else:
        print(f"collision {collision.__version__}")
        for line in _lines(findings(options), found):
            print(line, flush=True)
    return 0 if is_ready(found) else ConfigError.exit_code


def is_ready(found: Iterable[Finding]) -> bool:
    """Say whether the demo can run."""
    return not any(one.state == "broken" for one in found)


def _lines(made: Iterable[Finding], found: list[Finding]) -> Iterator[str]:
    """Give the lines as findings come, and keep them; the last says what all that means."""
    section = ""
    for one in made:
        if one.section != section:
            section = one.section
            yield f"\n{section}"
        found.append(one)
        yield as_text(one)
    broken = [one for one in found if one.state == "broken"]
    missing = sum(one.state == "missing" for one in found)
    if broken:
        names = ", ".join(dict.fromkeys(one.name for one in broken))
        yield f"\nThe demo cannot run here: {names}. What to do stands beside each."
    else:
        said = "The demo can run here: make demo, or collision train."
        yield f"\n{said} Optional and missing: {missing}."


def as_text(one: Finding) -> str:
    """Lay a finding out in lines of the terminal's width; a command is never broken."""
    width = max(40, min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns))
    start = f"  {one.state:<8} {one.name:<{_NAME_WIDTH}} "
    indent = " " * len(start)
    text = textwrap.fill(
        start + one.found,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{text}\n{' ' * 11}-> {one.mend}" if one.mend else text
