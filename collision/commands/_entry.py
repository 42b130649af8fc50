"""The door of every verb: paths and flags apart from overrides, errors without a traceback.

A verb is ``collision.commands.VERB.run(options, paths)``; torch is loaded with it, after everything
that can be answered without.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import math
import re
import resource
import signal
import string
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, NoReturn

from omegaconf import DictConfig, OmegaConf

from collision.commands import _compose
from collision.commands._early import check_contents, check_early
from collision.commands._overrides import exists, is_override, jobs_of, readable
from collision.commands._wrapped import EXIT_CODES, FLAGS, wrapped
from collision.config import names_of, use_config_dirs
from collision.console import Talk, is_quiet, is_verbose, talking
from collision.errors import CollisionError, ConfigError
from collision.runs.sweep import sweep

_FLAGS_WITH_VALUE = ("--config-dir", "-cd", "--config-name", "-cn", "--cfg", "-c")
_DISK_ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EEXIST),
    *(errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EIO, errno.ESTALE),
    *(errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EBUSY, errno.ETIMEDOUT, errno.ENOTCONN),
    *(errno.ENOSYS, errno.ENXIO, errno.ENODEV, errno.EHOSTDOWN, errno.EHOSTUNREACH),
    *(errno.EREMOTEIO, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ETXTBSY),
)


# Positional arguments: what they are called, at least and at most how many there are. Not in the
# verbs' files, so that help and wrong options are answered without loading torch.
POSITIONALS: dict[str, tuple[str, int, float]] = {
    "cache": ("an action: ls, du, verify, prune, merge, pack or upgrade", 1, math.inf),
    "completion": ("a shell: bash, zsh or fish", 1, 1),
    "compare": ("two or more run folders", 2, math.inf),
    "data": ("folder of videos", 0, 1),
    "export": ("a run folder or a predictor.safetensors", 1, 1),
    "evaluate": ("a run folder or a predictor.safetensors", 1, 1),
    "part": ("an action (check, try or accept), and a folder or a .py and a .yaml", 2, 3),
    "predict": ("one or more files, folders or addresses, or one stream", 1, math.inf),
    "report": ("a run folder; or runs, with folders", 1, math.inf),
    "search": ("an action (status, report or export) and a search's name", 0, 2),
    "serve": ("one or more runs, or folders of runs", 1, math.inf),
    "space": ("a space: study, core, offline, full, or a YAML file", 1, 1),
    "study": ("an action, analyse or policies, and a CSV or a search's name", 2, 2),
}
# What belongs to a trained run. Hydra would take `+sampling=badas` and nothing would come of it.
_OF_THE_RUN = (
    *("backbone", "fusion", "head", "pooling", "sampling", "loss"),
    *("optimizer", "scheduler", "trainer"),
)
_VERBS_ON_RUNS = ("compare", "evaluate", "export", "predict", "serve")
# Verbs that would say nothing for seconds: torch and Optuna are loaded before their first word.
_LONG_TO_LOAD = ("search",)


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part positional paths from flags with overrides.

    A path is whatever is not a flag and not ``key=value``, and any argument that names an existing
    file; ``-`` is standard input. So ``clip(1).mp4``, ``a,b.mp4``, ``~/x.mp4`` and URLs are left
    alone by Hydra's grammar.
    """
    paths: list[str] = []
    rest: list[str] = []
    takes_value = False
    for argument in arguments:
        is_flag = argument.startswith("-") and argument != "-" and not exists(argument)
        if takes_value or is_flag or is_override(argument):
            rest.append(argument)
        else:
            paths.append(argument)
        takes_value = not takes_value and is_flag and argument in _FLAGS_WITH_VALUE
    return paths, rest


def done_by(verb: str, overrides: Sequence[str]) -> str:
    """Give the verb that does it: a design uses the workers, storage and folders of a search."""
    is_design = verb == "study" and any(text.startswith("design=") for text in overrides)
    return "search" if is_design else verb


def run_verb(verb: str, arguments: Sequence[str]) -> int:
    """Type the verb's options and run it; give the exit code."""
    with talking(_talk_of(arguments)):
        return guarded(lambda: _run(verb, arguments))


def _talk_of(arguments: Sequence[str]) -> Talk:
    """Read ``-q`` and ``-v`` before anything that may fail."""
    given = set(split_arguments(arguments)[1])
    if {"-v", "--verbose"} & given:
        return "verbose"
    return "quiet" if {"-q", "--quiet"} & given else "plain"


def _run(verb: str, arguments: Sequence[str]) -> int:
    paths, rest = split_arguments(arguments)
    verb = done_by(verb, rest)
    flags, overrides = _Flags(verb).parse_known_args(rest)
    if strange := [text for text in overrides if text.startswith("-")]:
        raise ConfigError(f"There is no flag {strange[0]!r}. See: collision {verb} --help")
    use_config_dirs(flags.config_dir)
    if flags.help or flags.cfg:
        given, _ = _compose.spelled(verb, overrides)
        config = _compose.composed(flags.config_name or verb, given)
        print(_help(config) if flags.help else _shown(config, flags.cfg, flags.resolve))
        return 0
    _check_number(verb, paths)
    _check_settled_by_the_run(verb, overrides)
    jobs = [overrides]
    if flags.multirun:
        paths_of_verb = _compose.path_options(verb)
        with _compose.hydra_context() as loader:
            jobs = jobs_of(readable(overrides, paths_of_verb, is_sweep=True), loader)
    asked = [_compose.options_for(verb, job, flags.config_name) for job in jobs]
    for options in asked:
        check_early(options, paths)
    codes: list[int] = []
    with sweep() if len(jobs) > 1 else nullcontext():
        for job, options in zip(jobs, asked, strict=True):
            if len(jobs) > 1 and not is_quiet():
                print(f"Job {len(codes) + 1} of {len(jobs)}: {' '.join(job)}", flush=True)
            codes.append(guarded(lambda options=options: _run_job(verb, options, paths)))  # type: ignore[misc]
    return max(codes)


def _run_job(verb: str, options: Any, paths: list[str]) -> int:
    check_contents(options, paths)
    begun = time.monotonic()
    if verb in _LONG_TO_LOAD and not paths and not is_quiet():
        print(f"Loading what a {verb} needs ...", flush=True)
    try:
        return _loaded(verb).run(options, paths)
    finally:
        if is_verbose():
            took = timedelta(seconds=round(time.monotonic() - begun))
            unit = 2**30 if sys.platform == "darwin" else 2**20  # bytes there, KiB elsewhere
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
            print(f"{verb}: {took}, {most:.2f} GiB memory at most", file=sys.stderr)


def _loaded(verb: str) -> Any:
    """Load a verb; ConfigError: it needs a package that is not installed."""
    try:
        return importlib.import_module(f"collision.commands.{verb}")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "collision"):
            raise
        raise ConfigError(
            f"{verb} needs the package {package}, which is not installed. What to type: "
            "collision doctor"
        ) from error


class _Flags(argparse.ArgumentParser):
    """The flags that every verb takes; unknown ones are left over."""

    def __init__(self, verb: str):
        super().__init__(verb, add_help=False, allow_abbrev=False)
        self.add_argument("--help", "-h", action="store_true")
        self.add_argument("--cfg", "-c", choices=("job", "hydra", "all"))
        self.add_argument("--resolve", action="store_true")
        self.add_argument("--multirun", "-m", action="store_true")
        self.add_argument("--quiet", "-q", action="store_true")
        self.add_argument("--verbose", "-v", action="store_true")
        self.add_argument("--config-dir", "-cd", action="append", default=[])
        self.add_argument("--config-name", "-cn")

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}. See: collision {self.prog} --help")


def _help(config: DictConfig) -> str:
    groups = [f"  {g}: {', '.join(names_of(g))}" for g in sorted(_compose.choices_of(config))]
    template, _, rest = config.hydra.help.template.rpartition("Defaults\n")
    filled = string.Template(wrapped(template)).safe_substitute(
        APP_CONFIG_GROUPS=wrapped("\n".join(groups))
    )
    defaults = string.Template(rest).safe_substitute(CONFIG=_shown(config, "job", resolve=False))
    codes = "" if "Exit codes" in template else EXIT_CODES
    return f"{filled}{codes}{FLAGS}\nDefaults\n{defaults}"


def _shown(config: DictConfig, what: str, resolve: bool) -> str:
    own = [str(key) for key in config if (key == "hydra") == (what == "hydra") or what == "all"]
    return OmegaConf.to_yaml(OmegaConf.masked_copy(config, own), resolve=resolve)


def _check_number(verb: str, given: Sequence[str]) -> None:
    name, least, most = POSITIONALS.get(verb, ("", 0, 0))
    see = f"See: collision {verb} --help"
    if most == 0 and given:
        raise ConfigError(f"{verb} takes only key=value options, not {given[0]!r}. {see}")
    if len(given) < least:
        raise ConfigError(f"{verb} needs {name}. {see}")
    if len(given) > most:
        raise ConfigError(f"{verb} takes {most} {name}, not {len(given)}: {', '.join(given)}")


def _check_settled_by_the_run(verb: str, overrides: Sequence[str]) -> None:
    for override in overrides if verb in _VERBS_ON_RUNS else ():
        name = re.split(r"[.@=]", override.lstrip("+~"))[0]
        if name in _OF_THE_RUN:
            raise ConfigError(f"{verb} takes {name} from the run, not {override!r}: leave it out.")


def guarded(job: Callable[[], int]) -> int:
    """Run a job; what users can mend becomes a sentence and an exit code.

    0: done; 2: wrong use, an error, or failures that are not skipped; 128 + n: ended by signal n.
    """
    try:
        return job()
    except CollisionError as error:
        if is_verbose():
            traceback.print_exception(error)
        return _tell(str(error), error.exit_code)
    except KeyboardInterrupt as stop:  # its argument, if any, says how to go on
        how_to_go_on = "".join(f" {text}" for text in stop.args)
        return _tell(f"Interrupted; what was finished is kept.{how_to_go_on}", 128 + signal.SIGINT)
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        where = f" ({error.filename})" if error.filename else ""
        return _tell(f"{error.strerror}{where}. What was finished is kept.", ConfigError.exit_code)


def _tell(message: str, code: int) -> int:
    sys.stdout.flush()
    # Whoever ends a command by a signal, as a page is ended, has met no error.
    print(message if code > 128 else f"error: {message}", file=sys.stderr)
    return code
