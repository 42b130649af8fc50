"""Every example of every verb's help, and commands of the pages, are run as they are written.

The files that they name are made first, on small data; nothing else is put in their place.
"""

import re
import shlex
import signal
import subprocess
import sys
import threading

import pytest

from tests.commands.test_help import ALL
from tests.kit.checkout import copy_tree, surroundings, typed
from tests.kit.commands import COMPOSED, EXAMPLES, RUN, plain, typed_commands, why_not
from tests.kit.named_files import make_named_files

# What cannot run here, why, and the sentence that it ends in, with exit code 2.
REFUSED = {
    "collision cache merge /mnt/node1/cache /mnt/node2/cache cache_root=cache": (
        "other machines' disks",
        r"There is no cache in '/mnt/node1/cache'.*Give a folder that was a cache_root",
    ),
    "collision part accept proposals/my_head": (
        "a terminal on which it can ask",
        r"Nothing was written\. To write it without a question: yes=true",
    ),
    "collision report runs runs /mnt/other/runs refresh=30": (
        "another machine's disk",
        r"/mnt/other/runs",
    ),
    "collision search space=core dataset=nexar hours=8 storage=postgresql://me@db/studies "
    "name=big": (
        "weights from a hub, before a database server is asked for",
        r"backbones of core can be neither read from the cache nor built here",
    ),
}

# What goes on for hours, or until somebody stops it: what it says once it is at work. Ctrl-C then
# ends it with exit code 130.
STOPPED = {
    "collision predict rtsp://camera.local/main checkpoint=RUN": (
        r"camera\.local/main: .*Opening it again"
    ),
    "collision search space=offline policy=tpe budget=200 name=night1": r"[1-9]\d* of 200 trials",
    "collision search name=night1 budget=400": r"[1-9]\d* of 400 trials",
    "collision search space=offline budget=100 'objectives=[map,parameters]' name=small": (
        r"[1-9]\d* of 100 trials"
    ),
    "collision serve runs/latest": r"http://",
    "collision serve runs port=8080 max_length=120": r"http://\S+:8080",
    "collision serve RUN RUN host=0.0.0.0": r"http://",
}

# Or a search ends itself: so small a validation split is soon told apart no more.
SATURATED = "The validation split tells them apart no more"

# What the reader has done before; or undoes what makes the tree's trainings small.
BEFORE = {
    next(line for line in REFUSED if "space=core" in line): (
        "sed -i 's/^max_steps: 12/max_steps: null/' configs/trainer/default.yaml"
    ),
    "collision part try proposals/my_net kind=backbone limit=40 limits.seconds=3600": (
        "collision part check proposals/my_net kind=backbone"
    ),
    "collision completion fish > ~/.config/fish/completions/collision.fish": (
        "mkdir -p ~/.config/fish/completions"
    ),
    "collision data FOLDER write=clips.csv": "mv clips.csv my_clips.csv",
    "collision export RUN onnx=[head]": "rm -r exported",
    "python -m collision export runs/latest output=exported": "rm -rf exported",
    "collision search export night1 output=runs.csv done=true": "mv runs.csv my_runs.csv",
}


# What the reader does afterwards: the list is filled in; and what others need is put back.
AFTER = {
    "collision data FOLDER write=clips.csv": "mv my_clips.csv clips.csv",
    "collision search export night1 output=runs.csv done=true": "mv my_runs.csv runs.csv",
    next(line for line in REFUSED if "space=core" in line): (
        "sed -i 's/^max_steps: null/max_steps: 12/' configs/trainer/default.yaml"
    ),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A checkout in which the files that examples name lie."""
    folder = copy_tree(tmp_path_factory.mktemp("world"))
    make_named_files(folder)
    return folder


def test_the_lists_are_of_examples():
    lines = {line for _, line in ALL}
    assert {*REFUSED, *STOPPED} <= lines and {*BEFORE} <= lines | {*RUN}
    assert not {*REFUSED} & {*STOPPED}


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for _, line in ALL], ids=lambda line: line[:70])
def test_an_example_runs(line, world):
    prepare(world, line)
    if line in STOPPED:
        code, said = stopped(world, line, STOPPED[line])
        assert code == 130 or SATURATED in said, said[-3000:]
        return
    done = typed(world, line)
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said[-3000:]
    if line in REFUSED:
        assert done.returncode == 2, said[-3000:]
        assert re.search(REFUSED[line][1], " ".join(said.split())), said[-3000:]
    else:
        assert done.returncode == 0, said[-3000:]
    typed(world, AFTER.get(line, ":")).check_returncode()


@pytest.mark.slow
@pytest.mark.parametrize("line", RUN, ids=lambda line: line[:70])
def test_a_command_of_a_page_runs(line, world):
    prepare(world, line)
    done = typed(world, line)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def test_every_command_of_the_pages_is_run_or_has_a_reason():
    pages = typed_commands()
    assert len(pages) > 100
    run = {*map(plain, RUN), *EXAMPLES}
    assert not [(one, pages[one]) for one in pages if plain(one) not in run and not why_not(one)]
    assert {*map(plain, RUN)} <= {plain(one) for one in pages}, "a page was changed"
    rest = [one for one in pages if plain(one) not in run]
    assert not [part for part in COMPOSED if not any(part in one for one in rest)]


def prepare(folder, line):
    """Do what the reader has done before."""
    if line in BEFORE:
        typed(folder, BEFORE[line]).check_returncode()


def stopped(folder, line, marker, patience=1800.0):
    """Type a command, and Ctrl-C when it has said something; give its exit code and its words."""
    with subprocess.Popen(
        [sys.executable, "-m", *shlex.split(line)],
        cwd=folder,
        env={**surroundings(folder), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        late = threading.Timer(patience, process.kill)
        late.start()
        said = ""
        for text in process.stdout:
            said += text
            if re.search(marker, text):
                process.send_signal(signal.SIGINT)
                break
        said += process.stdout.read()
        code = process.wait()
        late.cancel()
    return code, said
