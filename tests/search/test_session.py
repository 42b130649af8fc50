"""Parts that cheat: each is caught behind walls, and gets what it wants without them."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from collision.config import part
from collision.errors import ConfigError
from collision.option_groups import Limits
from collision.search import conformance, sandbox
from collision.search.checking import check_part
from collision.search.sandbox import find_wall
from collision.search.session import PartFailed, opened
from collision.search.subject import Local
from tests.kit.proposals import cheat, honest

SECRET, KEY = "1 0 1 1 0", "COLLISION_TEST_KEY"
ROOM = Limits(memory=0.5, seconds=300, answer=1)
PATIENCE = 300.0  # s: what is waited for comes much sooner


@pytest.fixture(scope="module")
def wall():
    find_wall.cache_clear()
    try:
        return find_wall()
    except ConfigError as error:
        pytest.skip(str(error))


class Listener:
    """A server on this machine that counts who comes."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port, self.visits = self.socket.getsockname()[1], 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            try:
                visitor, _ = self.socket.accept()
            except OSError:
                return
            self.visits += 1
            visitor.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with labels that no part should know."""
    folder = tmp_path_factory.mktemp("place")
    folder.chmod(0o755)
    (folder / "labels.txt").write_text(SECRET)
    return folder


@pytest.fixture(scope="module")
def listener():
    one = Listener()
    yield one
    one.socket.close()


@pytest.fixture(scope="module")
def cheats(place, listener):
    labels, written = str(place / "labels.txt"), str(place / "written.txt")
    port = listener.port
    system = "torch.hub.os"
    return {
        "labels": cheat("labels", f"loot = {system}.read({system}.open({labels!r}, 0), 99)"),
        "writes": cheat("writes", f"{system}.close({system}.open({written!r}, 65, 0o644))"),
        "socket": cheat(
            "calls",
            f"""
            import torch.utils.data
            try:
                torch.hub.urlopen("http://127.0.0.1:{port}/", timeout=60)
            except torch.hub.HTTPError:
                pass
            """,
        ),
        "environment": cheat("environs", f"loot = {system}.environ[{KEY!r}].encode()"),
        "forks": cheat(
            "forks",
            f"""
            for number in range(20):
                if {system}.fork() == 0:
                    {system}._exit(0)
                loot += b"x"
            """,
        ),
        "memory": cheat("memory", "loot = bytes([int(torch.ones(2**28)[-1])])"),
        "constants": cheat("constants", in_forward="encoded = encoded * 0 + 1"),
        "neighbours": cheat("neighbours", in_forward="encoded = encoded + encoded.mean()"),
        "scorer": cheat(
            "scorer",
            """
            judge = torch.hub.sys.modules.get("collision.search.conformance")
            if judge is not None:
                judge._close = lambda *found: None
            """,
            in_forward="encoded = encoded + encoded.mean()",
        ),
        "loops": cheat(
            "loops",
            f"""
            {system}.setsid() if {system}.getpid() != {system}.getsid(0) else None
            while True:
                pass
            """,
        ),
        "floods": cheat("floods", "loot = bytes(300_000)"),
    }


@pytest.fixture(scope="module")
def sessions(wall, cheats):
    """Two processes that know all cheats: one behind walls, one without."""
    files = {name: text for one in cheats.values() for name, text in one.files.items()}
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv(KEY, SECRET)
        walled = stack.enter_context(opened(files, wall, ROOM))
        yield walled, stack.enter_context(opened(files, None, ROOM))


def loot_of(session, proposed):
    return bytes(session.build(*proposed.model()).state()["encoder.loot"].tolist())


def test_none_of_them_can_be_told_by_its_text(cheats):
    assert {name: list(one.complaints()) for name, one in cheats.items()} == {
        name: [] for name in cheats
    }


@pytest.mark.parametrize(
    ("name", "wanted", "caught"),
    [
        ("labels", SECRET.encode(), "No such file"),
        ("environment", SECRET.encode(), KEY),
        ("forks", b"x" * 20, "Resource temporarily unavailable"),
        ("memory", b"\x01", "can't allocate memory"),
    ],
)
def test_what_is_not_there_cannot_be_had(sessions, cheats, name, wanted, caught):
    walled, plain = sessions
    assert loot_of(plain, cheats[name]) == wanted
    with pytest.raises(PartFailed, match=caught):
        loot_of(walled, cheats[name])


def test_a_file_cannot_be_written(sessions, cheats, place):
    walled, plain = sessions
    with pytest.raises(PartFailed, match="No such file"):
        walled.build(*cheats["writes"].model())
    assert not (place / "written.txt").exists()
    plain.build(*cheats["writes"].model())
    assert (place / "written.txt").exists()


def test_a_listening_server_cannot_be_reached(sessions, cheats, listener):
    walled, plain = sessions
    with pytest.raises(PartFailed, match=r"Network is unreachable|refused"):
        walled.build(*cheats["socket"].model())
    assert listener.visits == 0
    with pytest.raises(PartFailed):  # it answers nothing, but was reached
        plain.build(*cheats["socket"].model())
    wait_for(lambda: listener.visits)


def test_constants_are_trained_without_a_word_and_fail_the_suite(sessions, cheats):
    walled, plain = sessions
    plain.build(*cheats["constants"].model()).learned(
        conformance.make_batch(4, 3), torch.tensor([0.0, 1.0, 0.0, 1.0]), steps=2
    )
    with pytest.raises(conformance.NotConformant, match="all give"):
        conformance.features_matter(walled.build(*cheats["constants"].model()))


def test_who_judges_is_not_where_the_part_is(sessions, cheats, tmp_path, monkeypatch):
    """In one process the part makes the judge blind; behind walls there is none to be found."""
    check = conformance.examples_do_not_see_each_other
    walled, _ = sessions
    for name in ("neighbours", "scorer"):
        with pytest.raises(conformance.NotConformant, match="five examples together"):
            check(walled.build(*cheats[name].model()))
    monkeypatch.setattr(conformance, "_close", conformance._close)  # to have it back afterwards
    for name in ("neighbours", "scorer"):
        (tmp_path / f"{name}.py").write_text(cheats[name].code)
    monkeypatch.syspath_prepend(tmp_path)
    here = {name: part("head", "gru") for name in ("neighbours", "scorer")}
    here = {name: type(one)("head", name, f"{name}.Cheat") for name, one in here.items()}
    with pytest.raises(conformance.NotConformant):
        check(Local(here["neighbours"], part("pooling", "last")))
    check(Local(here["scorer"], part("pooling", "last")))


def test_an_endless_loop_is_ended_with_all_its_processes(wall, cheats):
    proposed = cheats["loops"]
    with opened(proposed.files, wall, Limits(seconds=3)) as session:
        (inside,) = children(session.process.pid)
        with pytest.raises(PartFailed, match=r"more than 3 s|too much time"):
            session.build(*proposed.model())
        wait_for(lambda: not is_alive(inside))
        with pytest.raises(PartFailed):
            session.build(*honest().model())


def test_without_walls_the_loop_goes_on(sessions, cheats):
    _, plain = sessions
    building = threading.Thread(target=lambda: fails(plain, cheats["loops"]), daemon=True)
    before = seconds_of(plain.process.pid)
    building.start()
    wait_for(lambda: seconds_of(plain.process.pid) > before + 3)
    assert building.is_alive() and plain.process.poll() is None
    plain.close()
    building.join(PATIENCE)
    assert not building.is_alive()


def test_an_answer_that_is_too_large_ends_it(sessions, cheats):
    walled, _ = sessions
    with pytest.raises(PartFailed, match="more than 1 MiB"):
        loot_of(walled, cheats["floods"])
    assert walled.process.poll() is not None


def fails(session, proposed):
    with pytest.raises(PartFailed):
        session.build(*proposed.model())


def wait_for(condition):
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def seconds_of(pid):
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_a_text_that_is_not_plain_is_not_run(wall):
    proposed = cheat("plainly", "import os\nloot = eval('b\"x\"')")
    found = list(check_part(proposed, wall, ROOM))
    assert [one.check for one in found] == ["its text is plain"] and not found[0].passed
    assert "imports os" in found[0].why and "uses eval" in found[0].why


def test_where_there_are_no_walls_it_is_refused_with_what_would_help(monkeypatch):
    def nothing(*_):
        return ["/bin/sh", "-c", "echo unshare failed: Operation not permitted >&2; exit 1"]

    monkeypatch.setattr(sandbox, "_walls", lambda: [sandbox.Wall("unshare", nothing)])
    find_wall.cache_clear()
    with pytest.raises(ConfigError) as refused:
        find_wall()
    find_wall.cache_clear()
    for word in ("No sandbox", "Operation not permitted", "apt install bubblewrap", "sysctl"):
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)


PROBE = """
touch /usr/written 2>/dev/null && echo WROTE /usr
touch /written 2>/dev/null && echo WROTE /
echo x 2>/dev/null > /proc/sys/vm/swappiness && echo WROTE /proc/sys
touch /tmp/written || echo NO PLACE
test -z "$COLLISION_TEST_KEY" || echo KEY
ls /proc | grep -c '^[0-9]*$'
grep -c : /proc/net/route
grep CapEff /proc/self/status
unshare --user --map-root-user mount -o remount,bind,rw /usr 2>/dev/null && echo REMOUNTED
ls -d /home /etc/passwd /work /root/.ssh 2>/dev/null
true
"""


@pytest.mark.parametrize("kind", ["unshare", "bubblewrap"])
@pytest.mark.skipif(sys.platform != "linux", reason="Linux has namespaces")
def test_walls_of_a_plain_user(kind, monkeypatch):
    """As one who is not root, with the programs of the system alone."""
    if kind == "bubblewrap" and shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    is_root = os.geteuid() == 0
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setattr(sandbox, "shown_folders", lambda: [Path("/usr")])
    build = {"unshare": sandbox.behind_unshare, "bubblewrap": sandbox.behind_bubblewrap}[kind]
    command = build(["/bin/sh", "-c", PROBE], Limits())
    become = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]
    done = subprocess.run(
        [*(become if is_root else []), *command],
        capture_output=True,
        text=True,
        cwd="/",
        env={**os.environ, KEY: SECRET},
    )
    if done.returncode and "not permitted" in done.stderr:
        pytest.skip(f"a plain user may make no namespaces here: {done.stderr.strip()}")
    lines = done.stdout.split("\n")
    assert done.returncode == 0, done.stderr
    assert int(lines[0]) <= 4 and lines[1] == "0", lines
    assert lines[2:] == ["CapEff:\t0000000000000000", ""], lines
