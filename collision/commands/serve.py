"""Serve a page on which clips are dropped, predicted and looked at, and runs are compared."""

from __future__ import annotations

import importlib.util

from collision.checks import user_path
from collision.console import wide_console
from collision.errors import ConfigError
from collision.options import ServeOptions

_NEEDED = ("starlette", "uvicorn")


def run(options: ServeOptions, paths: list[str]) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        raise ConfigError(
            f"`serve` needs {' and '.join(missing)}, which is not installed: "
            "`uv sync --extra serve`."
        )
    if not options.types:
        raise ConfigError("types=[]: no clip could come in. Leave it out, or give types=[mp4].")
    from collision.commands._served import Settings, work  # what is installed with the extra
    from collision.serving.probe import Limits
    from collision.serving.runs import served_runs
    from collision.serving.server import serve
    from collision.serving.spool import spool
    from collision.serving.uploads import MIB

    console = wide_console()
    runs = served_runs([user_path(path) for path in paths])
    limits = Limits(options.max_size * MIB, options.max_length, options.types)

    def tell(address: str) -> None:
        text = f"{len(runs)} run(s) at {address} (Ctrl-C ends it)"
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    with spool() as folder:
        row = options.max_jobs, 3600 * options.keep
        settings = Settings(options, folder / "cache")
        where = options.host, options.port
        serve(runs, folder, (work, settings), where, limits, row, tell)
    return 0
