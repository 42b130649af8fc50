"""``collision VERB ...``: the console script, and ``python -m collision``."""

from __future__ import annotations

import ast
import io
import os
import shlex
import signal
import sys
import textwrap
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path

import collision.commands

_FOLDER = Path(collision.commands.__file__).parent
_TALK = ("-q", "--quiet", "-v", "--verbose")  # these may stand before the verb, too


def verbs() -> dict[str, str]:
    """Give each verb with the first line of its file, without importing it."""
    return {
        path.stem: (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0]
        for path in sorted(_FOLDER.glob("*.py"))
        if not path.stem.startswith("_")
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the verb that the arguments name; without one, list them."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may hold bytes that are no UTF-8
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        code = _main(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as in `... --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return code


def _main(arguments: list[str]) -> int:
    known = verbs()
    first = list(takewhile(_TALK.__contains__, arguments))
    arguments = arguments[len(first) :]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print("usage: collision VERB [FILES] [key=value ...]\n")
        for name, line in known.items():
            print(textwrap.fill(f"  {name:<10} {line}", 80, subsequent_indent=" " * 13))
        print("\nOptions of a verb, with examples: collision VERB --help")
        print("What works on this machine, and what is missing: collision doctor")
        return 0
    if arguments[0] == "--version":
        print(collision.__version__)
        return 0
    verb = arguments[0]
    if verb.startswith("-"):
        given = next((word for word in arguments if word in known), None)
        typed = [given or "VERB", *(word for word in arguments if word != given)]
        print(
            f"error: {verb} stands before the verb, where -q and -v alone may. "
            f"Type: {shlex.join(['collision', *first, *typed])}",
            file=sys.stderr,
        )
        return 2
    if verb not in known:
        close = get_close_matches(verb, known, n=1)
        meant = f" Did you mean {close[0]}?" if close else ""
        there = f"There are: {', '.join(known)}."
        print(f"error: there is no verb {verb!r}.{meant} {there}", file=sys.stderr)
        return 2
    try:
        from collision.commands._entry import run_verb
    except ImportError as error:  # what lies there is half an installation
        mend = "make -B .venv/.ready in a checkout, or: pip install --upgrade dashcam-collision"
        print(f"error: this installation is not whole: {error}. Run {mend}", file=sys.stderr)
        return 2

    return run_verb(verb, [*arguments[1:], *first])


if __name__ == "__main__":
    sys.exit(main())
