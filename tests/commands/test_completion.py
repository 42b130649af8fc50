"""The scripts of ``collision completion`` in the shells that are here; bash always is."""

import shutil
import subprocess

import pytest

from collision.__main__ import main
from collision.config import names_of
from collision.options import OPTIONS

# PATH is empty, so nothing can be started: a completion that called Python would find nothing.
ASK = """
source {script}
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
ask() {{
  COMP_LINE=$1 COMP_POINT=${{#1}}
  read -ra COMP_WORDS <<< "$1"
  [[ $1 == *' ' ]] && COMP_WORDS+=('')
  COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
  _collision
  printf '%s\\n' "${{COMPREPLY[@]}}"
}}
ask {line}
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """Each shell's script, as printed."""
    folder = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh", "fish"):
        with pytest.MonkeyPatch.context() as patch, (folder / shell).open("w") as file:
            patch.setattr("sys.stdout", file)
            assert main(["completion", shell]) == 0
    return folder


@pytest.fixture
def bash(scripts, tmp_path):
    (tmp_path / "my clips.mp4").touch()
    (tmp_path / "my_run").mkdir()

    def ask(line, wordbreaks=None):
        program = ASK.format(script=scripts / "bash", line=f"'{line}'")
        if wordbreaks is not None:
            program = program.replace("><=;", wordbreaks)
        answer = subprocess.run(
            ["/bin/bash", "--norc", "-c", program],
            cwd=tmp_path,
            env={"PATH": "/nowhere"},
            capture_output=True,
            text=True,
        )
        # compopt complains where no completion is under way, which is what the test does.
        assert not [x for x in answer.stderr.splitlines() if "compopt" not in x], answer.stderr
        return answer.stdout.split("\n")[:-1]

    return ask


def test_bash_completes_verbs_options_parts_and_files(bash):
    assert bash("collision tr") == ["train"]
    assert set(bash("collision ")) == {*OPTIONS, "--help", "--version"}
    assert {"head=", "head.dropout="} <= set(bash("collision train hea"))
    assert bash("collision train head=zip") == [n for n in names_of("head") if n.startswith("zip")]
    assert bash("collision train head=zipformer head.drop") == ["head.dropout="]
    assert bash("collision train trainer.max_s") == ["trainer.max_steps="]
    assert bash("collision train extract=") == ["true", "false"]
    assert bash("collision predict my") == ["my clips.mp4", "my_run"]
    assert bash("collision predict a.mp4 checkpoint=my_") == ["my_run"]
    assert bash("collision cache p") == ["prune", "pack"]
    assert bash("collision search space=o") == ["offline"]
    assert bash("collision train --mul") == ["--multirun"]


def test_bash_gives_the_whole_word_where_it_does_not_break_at_the_sign(bash):
    assert bash("collision train head=gr", wordbreaks="><;") == ["head=gru"]


def test_fish_completes_the_same(scripts):
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("fish is not installed: apt-get install fish")

    def ask(line):
        program = f"source {scripts / 'fish'}; complete -C '{line}'"
        answer = subprocess.run([fish, "-N", "-c", program], capture_output=True, text=True)
        return [one.split("\t")[0] for one in answer.stdout.splitlines()]

    assert ask("collision tra") == ["train"]
    assert ask("collision train head=gr") == ["head=gru"]
    assert "trainer.max_steps=" in ask("collision train trainer.max_")


def test_zsh_completes_the_same(scripts, tmp_path):
    zsh = shutil.which("zsh")
    if zsh is None:
        pytest.skip("zsh is not installed: apt-get install zsh")
    program = r"""
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell "PS1=; cd $2; autoload -Uz compinit; compinit -D -u; source $1"
        zpty -w shell "LISTMAX=10000; bindkey '^I' complete-word; zstyle ':completion:*' menu no"
        zpty -w shell "echo rea''dy"
        zpty -r -m shell line '*ready*'
        zpty -n -w shell $'collision train head=gr\t ; echo do\'\'ne\n'
        zpty -r -m shell line '*done*'
        print -r -- "$line"
    """
    answer = subprocess.run(
        [zsh, "-f", "-c", program, "-", str(scripts / "zsh"), str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert "head=gru" in answer.stdout, answer.stdout + answer.stderr


def test_another_shell_is_refused_by_name(capfd):
    assert main(["completion", "tcsh"]) == 2
    assert "completion tcsh: give one of bash, zsh, fish." in capfd.readouterr().err


def test_every_verb_has_its_actions_right():
    """What completion offers is what the verbs take."""
    from collision.commands import _early
    from collision.commands._known import ACTIONS, FLAGS
    from collision.commands.cache import ACTIONS as OF_CACHE

    assert ACTIONS["search"] == _early.SEARCH_ACTIONS
    assert set(ACTIONS["cache"]) == set(OF_CACHE)
    for flag in FLAGS:
        assert flag.startswith("--")
