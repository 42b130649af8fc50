"""What ``collision doctor`` finds, one line each; what it looks at may be broken in any way."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from collision.config import config_dir

State: TypeAlias = Literal["ok", "missing", "broken"]
Check: TypeAlias = Callable[[], Iterable["Finding"]]


@dataclass(frozen=True)
class Finding:
    """One line: ``found`` says what there is or is not, ``mend`` what to run or to set.

    ``broken`` is what the demo needs; ``missing`` is what something else would use.
    """

    section: str
    name: str
    state: State
    found: str
    mend: str = ""

    def as_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return asdict(self)


def ok(section: str, name: str, found: str) -> Finding:
    """Say that something works."""
    return Finding(section, name, "ok", found)


def guarded_check(section: str, check: Check) -> Iterator[Finding]:
    """Run a check; an error of a library that is half installed becomes a line of its own."""
    try:
        yield from check()
    except Exception as error:  # whatever a broken library raises
        why = " ".join(str(error).split()) or type(error).__name__
        name = f"the look at {section.lower()}"
        yield Finding(section, name, "broken", why[:300], install_again())


def is_checkout() -> bool:
    """Say whether this runs from a clone of the repository."""
    return (config_dir().parent / "pyproject.toml").is_file()


def install_again() -> str:
    """Give the command that makes the installation whole."""
    if is_checkout():
        return (
            f"cd {shlex.quote(str(config_dir().parent))} && rm -f .venv/.ready && make .venv/.ready"
        )
    return f"{installer()} --upgrade --force-reinstall dashcam-collision"


def installer() -> str:
    """Give the start of a command that installs packages into this Python."""
    python = shlex.quote(sys.executable)
    with_pip = importlib.util.find_spec("pip") is not None
    with_uv = importlib.util.find_spec("uv") is not None
    return f"{python} -m {'pip' if with_pip or not with_uv else 'uv pip'} install"
