"""Every verb's help: it fits a terminal, and its examples can be typed as they stand."""

import re
import shlex
import subprocess
import sys
import types

import pytest

from collision.__main__ import main
from collision.commands import _entry
from collision.commands._compose import composed
from collision.commands._wrapped import WIDTH, examples, wrapped
from collision.config import config_dir
from collision.console import progress_console, say_result, talking, warning_console
from collision.errors import ConfigError
from collision.options import OPTIONS
from tests.conftest import ROOT

ALL = [
    (verb, line) for verb in OPTIONS for line in examples(composed(verb, []).hydra.help.template)
]


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Stand in for the verbs, in an empty folder: gives what they are called with."""
    calls: list[tuple] = []
    for verb in OPTIONS:
        stand_in = types.ModuleType(verb)
        stand_in.run = lambda options, paths, verb=verb: calls.append((verb, paths)) or 0
        monkeypatch.setitem(sys.modules, f"collision.commands.{verb}", stand_in)
    monkeypatch.setattr(_entry, "check_contents", lambda options, paths: None)
    monkeypatch.setattr(_entry, "check_early", lambda options, paths: None)
    monkeypatch.chdir(tmp_path)
    return calls


@pytest.mark.parametrize("verb", ["", *OPTIONS])
def test_no_line_is_wider_than_a_terminal(verb, capsys):
    assert main([*([verb] if verb else []), "--help"]) == 0
    output = capsys.readouterr().out
    assert not [line for line in output.splitlines() if len(line) > WIDTH]
    assert "\x1b" not in output
    if verb:
        assert output.count("Exit codes") == 1
        assert "--quiet" in output and output.count("Defaults") == 1


def test_every_verb_has_examples():
    assert {verb for verb, _ in ALL} == set(OPTIONS)
    assert len(ALL) > 35


@pytest.mark.parametrize(("verb", "line"), ALL, ids=lambda one: str(one)[:60])
def test_an_example_can_be_typed_as_it_stands(verb, line, asked, capfd, tmp_path):
    """Its options exist and have such values, and the number of its files is right."""
    (tmp_path / "mine.yaml").write_text((config_dir() / "space/offline.yaml").read_text())
    (tmp_path / "clips.csv").touch()
    words = shlex.split(line.partition(" > ")[0])
    start = 2 if words[0] == "python" else 1
    arguments = words[start:] if words[0] == "collision" else ["train", *words[start:]]
    assert main(arguments) == 0, capfd.readouterr().err
    ((called, _),) = asked
    assert called == verb or (verb, called) == ("study", "search")


# What needs no data, for the rest is run by the tests of each verb.
RUN = (
    "collision cache ls",
    "collision completion bash",
    "collision doctor build=false timeout=1",
    "collision report runs",
    "collision space study",
)


@pytest.mark.parametrize("line", RUN)
def test_an_example_runs(line, tmp_path, monkeypatch, capfd):
    known = [one.partition(" > ")[0] for _, one in ALL]
    assert line in known
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("DATA", "CACHE", "RUNS"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"COLLISION_{name}", str(tmp_path / name))
    extra = ["build=false"] if line == "collision space study" else []
    assert main([*shlex.split(line)[1:], *extra]) == 0, capfd.readouterr().err


def test_long_lines_are_laid_out_anew_and_short_ones_left():
    text = """\
A sentence that goes on and on until it is longer than a terminal with its eighty columns is wide.
And on.

Options (key=value)
  short=N            stays
  head=NAME          what is said of it is far too long for one line of a terminal of 80, so
                     it goes on below
  a.long.option, and.another.one    is told below its name, for there is no room beside

Examples
  collision study analyse a.csv 'factors=[a, b]' score=map seed=seed x=1 y=2 z=3   why
"""
    assert wrapped(text).splitlines() == [
        "A sentence that goes on and on until it is longer than a terminal with its",
        "eighty columns is wide. And on.",
        "",
        "Options (key=value)",
        "  short=N            stays",
        "  head=NAME          what is said of it is far too long for one line of a",
        "                     terminal of 80, so it goes on below",
        "  a.long.option, and.another.one",
        "                     is told below its name, for there is no room beside",
        "",
        "Examples",
        "  # why",
        "  collision study analyse a.csv 'factors=[a, b]' score=map seed=seed x=1 y=2 \\",
        "      z=3",
    ]


def test_quiet_leaves_errors_warnings_and_results(capfd, asked):
    def verb(options, paths):
        console = progress_console()
        console.print("on its way")
        warning_console(console).print("beware")
        say_result("Results: there")
        return 0

    sys.modules["collision.commands.train"].run = verb
    assert main(["train"]) == 0
    plain = capfd.readouterr()
    assert plain.out.split("\n")[:3] == ["on its way", "beware", "Results: there"]
    assert plain.err == ""
    for flag in ("-q", "--quiet"):
        assert main(["train", flag, "head=gru"]) == 0
        said = capfd.readouterr()
        assert said.out == "Results: there\n" and said.err == "beware\n"
    assert not progress_console().quiet, "it ends with the command"


def test_quiet_sweeps_do_not_count_their_jobs(capfd, asked):
    assert main(["train", "-q", "-m", "head=gru,lstm"]) == 0
    assert capfd.readouterr().out == "" and len(asked) == 2


def test_verbose_shows_logs_the_traceback_and_what_it_cost(capfd, asked):
    import logging

    def verb(options, paths):
        logging.getLogger("some.library").info("loaded")
        raise ConfigError("head=x: no.")

    sys.modules["collision.commands.train"].run = verb
    assert main(["train"]) == 2
    assert capfd.readouterr().err == "error: head=x: no.\n"
    assert main(["train", "-v"]) == 2
    said = capfd.readouterr().err
    assert "some.library: loaded" in said and "Traceback" in said
    assert re.search(r"^train: 0:00:0\d, \d+\.\d\d GiB memory at most$", said, re.MULTILINE)
    assert said.rstrip().endswith("error: head=x: no.")


def test_quiet_is_heard_by_progress_bars(monkeypatch, capfd):
    from collision.features.progress import ExtractionProgress

    monkeypatch.setattr("collision.features.progress.LINE_EVERY", 0.0)
    for talk in ("plain", "quiet"):
        with talking(talk), ExtractionProgress(True) as progress:
            progress.start("Predicting", {"a": 1}, 1, "clips")
            progress.advance("a", 1)
    assert capfd.readouterr().err.count("Predicting") == 1


def test_half_an_installation_is_a_sentence(tmp_path):
    (tmp_path / "pydantic.py").write_text("raise ImportError('no pydantic here')")
    result = subprocess.run(
        [sys.executable, "-m", "collision", "doctor"],
        cwd=ROOT,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: this installation is not whole: no pydantic here")
    assert "Traceback" not in result.stderr


def test_the_result_is_plain_text_whatever_it_holds(capsys):
    say_result("Results: runs/[bold]x[/bold] " + "y" * 200)
    assert capsys.readouterr().out == "Results: runs/[bold]x[/bold] " + "y" * 200 + "\n"
