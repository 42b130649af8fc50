"""Help that fits 80 columns, whatever its YAML holds: paragraphs, options, examples are wrapped."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator

WIDTH = 80
# Of every verb; the rest of its help is in its YAML.
FLAGS = """\
Flags of every verb; these two may stand before it, too
  -q, --quiet        errors, warnings and the result alone; no progress
  -v, --verbose      and libraries' logs, an error's traceback, time, memory
"""
# Where a verb's YAML does not say more.
EXIT_CODES = """\
Exit codes: 0 done; 2 an error, or failures that are not skipped; 130 and 143
stopped by Ctrl-C and SIGTERM. What was finished is kept.

"""
_COLUMN = 21  # at which what an option does begins, where its name leaves room
_ENTRY = re.compile(r"^(?P<indent> +)(?P<name>\S.*?)(?P<gap> {2,}|$)(?P<about>.*)$")
_NARROW = re.compile(r"^(?P<indent> +)(?P<name>\S{17,18})(?P<gap> )(?P<about>\S.*)$")
_EXAMPLE = re.compile(r"^ +(collision|python train\.py)( |$)")


def wrapped(text: str) -> str:
    """Lay a verb's help out anew where a line is longer than ``WIDTH``; else leave it."""
    lines: list[str] = []
    for block in _blocks(text.splitlines()):
        lines += block if all(len(line) <= WIDTH for line in block) else _refilled(block)
    return "\n".join(lines) + "\n"


def examples(template: str) -> list[str]:
    """List the commands of a help's examples, without what is said of them."""
    text = re.search(r"^Examples\n(.*?)^$", f"{template}\n\n", re.DOTALL | re.MULTILINE)
    lines = text[1].splitlines() if text else []
    return [line.strip().partition("   ")[0] for line in lines if _EXAMPLE.match(line)]


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Part it into paragraphs, and entries with the lines that go on with them."""
    block: list[str] = []
    for line in lines:
        depth, above = _depth(line), _depth(block[0]) if block else 0
        is_alike = depth > max(above, 2) or depth == above == 0
        if block and not (line and block[0] and is_alike):
            yield block
            block = []
        block.append(line)
    if block:
        yield block


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _refilled(block: list[str]) -> list[str]:
    if _EXAMPLE.match(block[0]):
        return _example(block)
    if not block[0].startswith(" "):
        return _filled(" ".join(line.strip() for line in block), "", "")
    entry = _NARROW.match(block[0]) or _ENTRY.match(block[0])
    assert entry is not None, "an indented line that is not empty"
    about = " ".join([entry["about"], *(line.strip() for line in block[1:])]).strip()
    if not entry["gap"]:  # a sentence that is indented
        return _filled(f"{entry['name']} {about}".strip(), entry["indent"], entry["indent"] + "  ")
    start = entry["indent"] + entry["name"]
    if len(start) < _COLUMN:
        return _filled(about, start.ljust(_COLUMN), " " * _COLUMN)
    above = _filled(entry["name"], entry["indent"], entry["indent"] + "  ")
    return [*above, *_filled(about, " " * _COLUMN, " " * _COLUMN)]


def _filled(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _example(block: list[str]) -> list[str]:
    """Put what is said of a command above it, and break the command as a shell reads it."""
    command, _, about = block[0].strip().partition("   ")
    said = " ".join([about.strip(), *(line.strip() for line in block[1:])]).strip()
    lines = _filled(said, "  # ", "  # ") if said else []
    current = " "
    for word in _words(command):
        if len(f"{current} {word}") > WIDTH - 2:
            lines.append(f"{current} \\")
            current = "     "
        current += f" {word}"
    return [*lines, current]


def _words(command: str) -> list[str]:
    """Split at spaces outside of quotes, which stay."""
    lexer = shlex.shlex(command, posix=False, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    return list(lexer)
