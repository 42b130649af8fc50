"""A small trained run that the tests of the verbs share."""

import contextlib
import functools
import io
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from collision.__main__ import main

# On a busy machine a single example can take any time. The fast tests try the same examples each
# time, so that they pass or fail by the code alone; `make test-slow` looks for others.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True)
hypothesis.settings.register_profile("exploring", deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# A shell's background job ignores Ctrl-C and hands that on; the tests press Ctrl-C.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
DATA = (
    *("dataset.num_scenes=14", "dataset.domain.event_time=[4.2,5.2]"),
    *("dataset.domain.width=160", "dataset.domain.height=92"),
)
SMALL = (*DATA, "trainer.max_steps=12", "trainer.validations=3", "num_resamples=200")

TIMEOUT = 900  # seconds: a busy machine is slow, and only a command that hangs takes longer


@pytest.fixture(autouse=True)
def own_folders(monkeypatch):
    """Let no test leave a --config-dir behind, in which the next ones would find parts."""
    monkeypatch.setattr("collision.config._own_dirs", [])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep each file in one process, and all users of the workshop: it is trained once."""
    return OneProcessAFile(config, log)


class OneProcessAFile(LoadScopeScheduling):
    def _split_scope(self, nodeid):
        return group_of(nodeid.partition("::")[0])


@functools.cache
def group_of(file):
    return "workshop" if "workshop" in (ROOT / file).read_text() else file


@dataclass(frozen=True)
class Workshop:
    """Folders for data, cache and runs, and a run made in them."""

    root: Path
    run: Path
    output: str

    def command(self, *arguments, code=0):
        """Run a verb as ``python -m collision`` does, and check its exit code; give what it says.

        In this process: loading torch takes longer than most of these commands.
        """
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(ROOT)
            for name, value in environment(self.root).items():
                patch.setenv(name, value)
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                given = main([str(argument) for argument in arguments])
        assert given == code, said.getvalue()
        return said.getvalue()


def environment(root):
    return {
        **os.environ,
        "COLLISION_DATA": str(root / "data"),
        "COLLISION_CACHE": str(root / "cache"),
        "COLLISION_RUNS": str(root / "runs"),
        "COLUMNS": "160",
        "OMP_NUM_THREADS": "1",
    }


def run_command(root, *arguments, code=0, timeout=TIMEOUT, program=("-m", "collision")):
    result = subprocess.run(
        [sys.executable, *program, *map(str, arguments)],
        cwd=ROOT,
        env=environment(root),
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert result.returncode == code, f"{result.stdout}\n{result.stderr}"
    if code:
        assert "Traceback" not in result.stdout + result.stderr
    return result.stdout + result.stderr


def runs_in(root):
    """List the run folders, without the link to the latest."""
    return [path for path in (root / "runs").iterdir() if not path.is_symlink()]


@pytest.fixture(scope="module")  # of a session, its loop would be in the way of other tests' own
def browser():
    """Debian's chromium; without it a test is skipped."""
    from tests.kit.browser import started

    with started() as driven:
        yield driven


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    """Train with ``python train.py`` on a small synthetic set, two seeds."""
    root = tmp_path_factory.mktemp("workshop")
    output = run_command(root, *SMALL, "seeds=2", program=("train.py",))
    (run,) = runs_in(root)
    return Workshop(root, run, output)
