"""Who is not root has walls, too; and a wall that is missing is noticed, and told in a sentence."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from collision.errors import ConfigError
from collision.option_groups import Limits
from collision.search import sandbox
from collision.search.sandbox import Wall, behind_unshare, find_wall
from collision.search.session import PartFailed, opened
from tests.conftest import ROOT
from tests.kit.proposals import cheating_loss

PLAIN = "12345"  # a user's number that nobody has
IS_ROOT = os.geteuid() == 0
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux has namespaces")
FIND = "from collision.search.sandbox import find_wall; print('found', find_wall().name)"


def closed_folder(path):
    """Give the outermost folder on the way to a path that others may not enter."""
    closed = (one for one in reversed(Path(path).parents) if not one.stat().st_mode & 1)
    return next(closed, None)


def opening():
    """Give lines for root's shell that let others reach Python and the project, out of sight."""
    needed = [Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), ROOT]
    closed = {path: closed_folder(path) for path in needed}
    kept = [path for path, folder in closed.items() if folder is not None]
    for number, path in enumerate(kept):
        yield f"mkdir /tmp/kept/{number}; mount --bind {shlex.quote(str(path))} /tmp/kept/{number}"
    for folder in {closed[path] for path in kept}:
        yield f"mount -t tmpfs -o mode=755 none {shlex.quote(str(folder))}"
    for number, path in enumerate(kept):
        place = shlex.quote(str(path))
        yield f"mkdir -p {place}; mount --bind /tmp/kept/{number} {place}"


def as_plain_user(home, *program):
    """Run a program as one who is not root; where we are, in mounts of its own."""
    kept = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    kept |= {f"COLLISION_{name}": str(home / name.lower()) for name in ("RUNS", "DATA", "CACHE")}
    command = list(program)
    if IS_ROOT:
        become = f"setpriv --reuid {PLAIN} --regid {PLAIN} --clear-groups"
        lines = ["mkdir -p /tmp/kept", "mount -t tmpfs none /tmp/kept", *opening()]
        script = "\n".join([*lines, f'cd {home}; exec {become} "$@"'])
        command = ["unshare", "--mount", "/bin/sh", "-euc", script, "sh", *program]
    return subprocess.run(command, capture_output=True, text=True, env=kept, cwd=home)


@pytest.fixture
def home():
    """A folder that any user may write to: pytest's own may be root's alone."""
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        Path(place).chmod(0o777)
        yield Path(place)


def skip_without_namespaces(done):
    if "No sandbox can be had" in done.stderr + done.stdout:
        pytest.skip(f"a plain user may make no namespaces here: {done.stderr.strip()[-300:]}")


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("cheats", [False, True])
def test_a_plain_user_checks_a_part(home, cheats):
    proposed = cheating_loss("own", in_forward="weights = weights * 0 + 1" if cheats else "")
    folder = home / "proposal"
    folder.mkdir(mode=0o755)
    (folder / "own.py").write_text(proposed.code)
    (folder / "own.yaml").write_text(proposed.config)
    check = [sys.executable, "-m", "collision", "part", "check", str(folder), "kind=loss"]
    done = as_plain_user(home, *check)
    skip_without_namespaces(done)
    assert done.returncode == (2 if cheats else 0), done.stderr
    assert ("own does not pass: 1 of 12" if cheats else "own passes") in done.stdout
    (noted,) = (home / "runs" / "parts").glob("own_*.json")
    assert noted.stat().st_uid == (int(PLAIN) if IS_ROOT else os.geteuid())


@LINUX
def test_a_plain_user_without_the_programs_is_told_which(home):
    """With a PATH of util-linux that lacks one of them."""
    tools = home / "tools"
    tools.mkdir(mode=0o755)
    for name in ("unshare", "mount", "sh", "true"):
        (tools / name).symlink_to(shutil.which(name))
    hide = f"import collision.search.sandbox as s; s._TOOLS = {str(tools)!r}; "
    done = as_plain_user(home, sys.executable, "-c", hide + "s.find_wall()")
    assert done.returncode and "unshare: setpriv is not installed" in done.stderr
    assert "No sandbox can be had on this machine" in done.stderr


@LINUX
@pytest.mark.skipif(not IS_ROOT, reason="who is not root cannot forbid it to others")
def test_a_plain_user_who_may_make_no_namespaces_is_told_what_helps(home):
    """As in many containers: a user namespace in which no further one may be made."""
    script = "echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all "
    script += f"--inh-caps=-all {shlex.quote(sys.executable)} -c {shlex.quote(FIND)}"
    inner = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--keep-caps"]
    done = as_plain_user(home, *inner, "/bin/sh", "-c", script)
    if "unshare" in done.stderr and "No sandbox" not in done.stderr:
        pytest.skip(done.stderr.strip()[-300:])
    assert "found" not in done.stdout
    for word in ("No sandbox can be had", "unshare", "user.max_user_namespaces"):
        assert word in done.stderr, done.stderr[-500:]


def without(*words):
    """Build walls and take something out of them."""

    def command(program, limits):
        built = behind_unshare(program, limits)
        for word in words:
            assert any(word in part for part in built), word
            built = [part.replace(word, "") for part in built if part != word]
        return built

    return Wall("unshare", command)


def has_interfaces():
    return [path.name for path in Path("/sys/class/net").glob("*") if path.name != "lo"]


@LINUX
@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (["--net"], "there is a network"),
        (["--pid"], "there are other processes"),
        (["--bounding-set=-all", "--inh-caps=-all", "BECOME"], "it has capabilities"),
    ],
    ids=["network", "processes", "capabilities"],
)
def test_a_wall_that_is_missing_is_noticed_before_the_part_is_loaded(missing, told):
    try:
        find_wall()
    except ConfigError as error:
        pytest.skip(str(error))
    if "--net" in missing and not has_interfaces():
        pytest.skip("this machine has no network to be seen")
    if "BECOME" in missing:
        become = f"--reuid {sandbox.NOBODY} --regid {sandbox.NOBODY} --clear-groups"
        missing = [become if word == "BECOME" else word for word in missing]
        if not IS_ROOT:
            missing = missing[:2]
    part = cheating_loss("own", "raise RuntimeError('it was loaded')")
    with (
        pytest.raises(PartFailed, match=rf"The sandbox does not hold: .*{told}") as refused,
        opened(part.files, without(*missing), Limits()),
    ):
        pass
    assert "\n" not in str(refused.value) and "it was loaded" not in str(refused.value)
