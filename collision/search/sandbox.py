"""Walls around code that nobody has read yet: what it sees, and what it may use.

The process behind them sees this Python installation, this project's code and the system's
libraries, all read-only, and a folder of its own in memory. It has no network, no home, no data, no
cache, no environment variables and no other processes. Namespaces come from ``unshare`` of
util-linux, or from bubblewrap where a user may not make them otherwise.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import collision
from collision.errors import ConfigError
from collision.option_groups import Limits

NOBODY = 65534
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LIBRARIES = ("torch", "omegaconf", "collision")  # where they lie, the rest of a site does
_PLUGINS = ("backbones", "temporal", "datasets", "configs")
_HOW = (
    "Proposed parts run nowhere else. On a machine of your own: install util-linux, or bubblewrap "
    "(apt install bubblewrap), and allow user namespaces (sysctl user.max_user_namespaces, on "
    "Ubuntu kernel.apparmor_restrict_unprivileged_userns=0). In a container: run as root with "
    "--privileged, or run this outside of it."
)


@dataclass(frozen=True)
class Wall:
    """One way to build walls: its name, and the command line for a program behind them."""

    name: str
    command: Callable[[Sequence[str], Limits], list[str]]


@cache
def find_wall() -> Wall:
    """Find walls that hold here, by running a program behind them.

    ConfigError: There are none; says what was tried, and what would help.
    """
    reasons = []
    for wall in _walls():
        tried = _tried(wall)
        if tried is None:
            return wall
        reasons.append(f"{wall.name}: {tried}")
    tried = "; ".join(reasons) or f"there is no such thing on {sys.platform}"
    raise ConfigError(f"No sandbox can be had on this machine ({tried}). {_HOW}")


def _walls() -> Iterator[Wall]:
    if not sys.platform.startswith("linux"):
        return
    yield Wall("unshare", behind_unshare)
    if os.geteuid() != 0:  # root needs no help, and as root it would not count processes
        yield Wall("bubblewrap", behind_bubblewrap)


def _tried(wall: Wall) -> str | None:
    """Say why nothing can be run behind it; None: it can."""
    try:
        command = wall.command(["/usr/bin/true"], Limits())
        done = subprocess.run(command, capture_output=True, text=True, env={}, timeout=60)
    except FileNotFoundError as error:
        return f"{error.filename} is not installed"
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    return " ".join(done.stderr.split()) or f"it ended with {done.returncode}"


def shown_folders() -> list[Path]:
    """List what is seen from inside: the system's libraries, Python, and this project's code."""
    code = Path(collision.__file__).resolve().parent
    found = [Path("/usr"), Path(sys.base_prefix), Path(sys.prefix), Path(sys.base_exec_prefix)]
    for name in _LIBRARIES:
        spec = importlib.util.find_spec(name)
        folder = Path(spec.origin).resolve().parents[1] if spec and spec.origin else None
        if folder is not None and folder.name.endswith("-packages"):
            found.append(folder)
    if not any(code.is_relative_to(folder) for folder in found):  # a checkout
        found.append(code)
    found += [folder for name in _PLUGINS if (folder := code.parent / name).is_dir()]
    if (code.parent / "pyproject.toml").is_file():  # by which a checkout is known
        found.append(code.parent / "pyproject.toml")
    found += [path for path in [Path("/etc/ld.so.cache")] if path.is_file()]
    every = {spelled for path in found for spelled in (path.absolute(), path.resolve())}
    return _outermost(every)


def _outermost(paths: set[Path]) -> list[Path]:
    """Leave out what lies in another one's folder, and what is a link on the way to one."""
    real = {path for path in paths if path.exists() and not path.is_symlink()}
    return sorted(path for path in real if not any(p in real for p in path.parents))


def behind_bubblewrap(program: Sequence[str], limits: Limits) -> list[str]:
    """Give the command line for bubblewrap."""
    command = [shutil.which("bwrap") or "bwrap", "--unshare-all", "--die-with-parent"]
    command += ["--new-session", "--clearenv", "--cap-drop", "ALL"]
    command += ["--size", str(limits.disk << 20), "--tmpfs", "/tmp"]
    for path in shown_folders():
        command += ["--ro-bind", str(path), str(path)]
    for name, target in _links().items():
        command += ["--symlink", target, name]
    command += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev", "--remount-ro", "/"]
    for name, value in environment().items():
        command += ["--setenv", name, value]
    return [*command, "--chdir", "/tmp", "--", *program]


def behind_unshare(program: Sequence[str], limits: Limits) -> list[str]:
    """Give the command line for util-linux: namespaces, then a new root of read-only mounts.

    Root stays in the machine's user namespace and becomes nobody at the end; anybody else is root
    in a namespace of their own, without a single capability at the end.
    """
    is_root = os.geteuid() == 0
    names = ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
    tools = {name: shutil.which(name, path=_TOOLS) for name in (names[0], "setpriv", "mount")}
    for name, there in tools.items():
        if there is None:
            raise FileNotFoundError(2, "no such program", name)
    names[0] = str(tools["unshare"])
    script = "\n".join(_building(is_root, limits))
    become = f"--reuid {NOBODY} --regid {NOBODY} --clear-groups" if is_root else ""
    kept = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment().items())
    script += (
        f"\ncd /tmp\nexec env -i {kept} setpriv {become} --no-new-privs --bounding-set=-all "
        f"--inh-caps=-all --pdeathsig KILL {shlex.join(program)}\n"
    )
    own = [] if is_root else ["--map-root-user"]
    return [*names, *own, "/bin/sh", "-euc", script]


_TOOLS = "/usr/bin:/usr/sbin:/bin:/sbin"


def _building(is_root: bool, limits: Limits) -> Iterator[str]:
    """Build the new root and move into it, as lines for a shell."""
    yield f"export PATH={_TOOLS}"
    yield "mount --make-rprivate /"
    yield f"mount -t tmpfs -o size=1m,mode=755 walls {_keeping()}"
    root = f"{_keeping()}/root"
    yield f"mkdir {root}; mount -t tmpfs -o size=4m,mode=755 walls {root}"
    # Before the folders that are shown, which may lie in it.
    tmp = f"size={limits.disk}m,nr_inodes=4096,mode=1777,nosuid,nodev"
    yield f"mkdir {root}/tmp; mount -t tmpfs -o {tmp} own {root}/tmp"
    for path in shown_folders():
        place = shlex.quote(f"{root}{path}")
        make = f"mkdir -p {place}"
        if path.is_file():
            make = f"mkdir -p {shlex.quote(f'{root}{path.parent}')}; : > {place}"
        yield f"{make}; mount --rbind {shlex.quote(str(path))} {place}"
        for mounted in (path, *_mounted_in(path)):
            where = shlex.quote(f"{root}{mounted}")
            yield f"mount -o remount,bind,ro,nosuid,nodev {where}"
    for name, target in _links().items():
        yield f"ln -s {target} {root}{name}"
    yield f"mkdir -p {root}/dev {root}/proc {root}/old"
    for name in _DEVICES:
        yield f": > {root}/dev/{name}; mount --bind /dev/{name} {root}/dev/{name}"
    yield f"mount -t proc -o nosuid,nodev,noexec proc {root}/proc"
    yield f"cd {root}; pivot_root . old; umount -l /old; rmdir /old"
    if not is_root:  # in a namespace of our own: nobody makes another one in it
        yield "echo 0 > /proc/sys/user/max_user_namespaces || true"
    yield "mount -o remount,bind,ro /proc; mount -o remount,bind,ro /"


def _keeping() -> str:
    """Give an empty place that hides none of what is shown."""
    shown = [*shown_folders(), Path(shutil.which("sh", path=_TOOLS) or "/bin/sh").resolve()]
    for place in ("/mnt", "/media", "/srv", "/opt", "/tmp"):
        there = Path(place)
        if there.is_dir() and not any(path.is_relative_to(there) for path in shown):
            return place
    raise FileNotFoundError(2, "no folder to build a root in", "/mnt")


def _mounted_in(folder: Path) -> list[Path]:
    """List what is mounted further inside a folder: read-only is not handed down."""
    lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    places = [  # a space is written \040
        re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), line.split()[4]) for line in lines
    ]
    return sorted({path for path in map(Path, places) if folder in path.parents})


def _links() -> dict[str, str]:
    """Give ``/lib`` and its like, which are links into ``/usr``."""
    names = ("/bin", "/lib", "/lib64", "/sbin")
    return {name: str(Path(name).readlink()) for name in names if Path(name).is_symlink()}


def environment() -> dict[str, str]:
    """Give all the variables that there are inside."""
    alone = (
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
        "OPENCV_FOR_THREADS_NUM",
    )
    own = {"PATH": "/usr/bin", "HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8"}
    return {**own, **dict.fromkeys(alone, "1"), "PYTHONDONTWRITEBYTECODE": "1"}
