"""The commands in README and pages can be typed as they stand."""

import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from collision.commands._entry import done_by
from collision.config import part
from collision.errors import AnnotationError, DatasetNotFoundError
from collision.learning.head import HeadModel
from collision.records.check import records_of
from tests.kit.experiments import compose

ROOT = Path(__file__).resolve().parent.parent
EVERYWHERE = ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
DATASETS = ("docs/train_on_nexar.md", "docs/nexar.md", "docs/ccd.md")


def code_blocks(page: str, language: str) -> list[str]:
    blocks = re.findall(
        rf"^ *```{language}\n(.*?)^ *```", (ROOT / page).read_text(), re.DOTALL | re.M
    )
    return [textwrap.dedent(block) for block in blocks]


STARTS = ("python -m collision ", "python train.py ", "collision ", "srun ", "torchrun ")
NO_COMMANDS = ("my_", "=RUN", "train.py -m ", "...", "NAME")  # the reader has to fill in


def inline_commands(page: str) -> list[str]:
    """List the commands that stand in the text of a page, not in a block, and are whole."""
    text = re.sub(r"^ *```.*?^ *```", "", (ROOT / page).read_text(), flags=re.DOTALL | re.M)
    spans = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text))
    whole = (span for span in spans if not any(word in span for word in NO_COMMANDS))
    return [span for span in whole if span.startswith(STARTS) and "=" in span]


def commands(pages: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """List verb and overrides of each command, once; the positional RUN is left out."""
    found = []
    for page in pages:
        blocks = [*code_blocks(page, "sh"), *code_blocks(page, "bash")]
        blocks = [block.replace("\\\n", " ") for block in blocks]
        blocks += inline_commands(page)
        for line in [line for block in blocks for line in block.splitlines()]:
            words = shlex.split(line, comments=True)
            while words and re.match(r"[A-Z_]+=", words[0]):  # for this command's environment
                del words[0]
            start = {"train.py": 1, "-m": 2}.get("".join(words[1:2]), 0)
            if words[:1] in (["srun"], ["torchrun"]) and "collision" in words:
                start = words.index("collision")
            if words[start : start + 1] not in (["train.py"], ["collision"]):
                continue
            verb, *rest = words[start:] if start == 1 else words[start + 1 :] or [""]
            if "--config-dir" in rest:  # of the reader's: tests/test_own_package.py has one
                continue
            overrides = tuple(word for word in rest if "=" in word)
            if verb:
                found.append(("train" if start == 1 else verb, overrides))
    return list(dict.fromkeys(found))


def test_the_pages_hold_commands():
    verbs_of_sets = {"train", "extract", "evaluate", "data", "doctor"}
    assert {verb for verb, _ in commands(DATASETS)} == verbs_of_sets
    verbs = {
        "train",
        "extract",
        "evaluate",
        "export",
        "predict",
        "data",
        "compare",
        "completion",
        "doctor",
        "part",
        "report",
        "cache",
        "search",
        "serve",
        "space",
        "study",
    }
    assert {verb for verb, _ in commands(EVERYWHERE)} == verbs
    assert {verb for verb, _ in commands(["README.md"])} == verbs


@pytest.mark.parametrize(("verb", "overrides"), commands(EVERYWHERE), ids=str)
def test_a_command_composes(
    verb: str, overrides: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """And the data sets of these pages lie where the page says."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips.csv").touch()
    config = compose(done_by(verb, overrides), *overrides)
    if (verb, overrides) not in commands(DATASETS) or verb == "doctor":
        return
    (part,) = config.datasets if hasattr(config, "datasets") else [config.dataset]
    dataset = part.build()
    assert dataset.name in ("nexar", "ccd")
    assert str(dataset.root).endswith(f"data/{dataset.name}")


@pytest.mark.parametrize("page", EVERYWHERE)
def test_the_files_that_a_page_names_are_there(page: str):
    text = (ROOT / page).read_text()
    names = re.findall(
        r"`((?:collision|tests|datasets|backbones|temporal|configs)/[\w/.]+\w)`", text
    )
    mine = ("my_", "MY_")  # what the reader is to make
    for name in names:
        found = (ROOT / name).exists() or (ROOT / f"{name}.py").exists()
        assert found or any(word in name for word in mine), name


def test_the_page_on_trust_tells_of_every_warning():
    text = (ROOT / "collision/evaluation/guards.py").read_text()
    names = set(re.findall(r'Finding\(\s*"(\w+)"', text)) | {"judged_on_training"}
    assert len(names) > 15
    told = (ROOT / "docs/trust.md").read_text()
    assert {name for name in names if f"`{name}`" not in told} == set()
    assert len(inline_commands("docs/trust.md")) >= 10


@pytest.mark.parametrize("group", ["backbone", "dataset", "head", "loss", "policy", "sampling"])
def test_the_readme_names_every_part(group: str):
    rows = (ROOT / "README.md").read_text().splitlines()
    (row,) = [row for row in rows if row.startswith(f"| `{group}=`")]
    there = {path.stem for path in (ROOT / "configs" / group).glob("*.yaml")}
    assert {name for name in there if f"`{name}`" not in row} == set()


def test_the_container_recipe_copies_what_is_there_and_leaves_out_what_it_says():
    (recipe,) = code_blocks("docs/container.md", "dockerfile")
    copied = re.findall(r"^COPY (?!--)(.+) \S+$", recipe, re.M)
    names = {name for line in copied for name in line.split()}
    assert all((ROOT / name).exists() for name in names), names
    assert {"collision", "configs", "uv.lock", "LICENSE"} <= names
    joined = recipe.replace("\\\n", " ")
    (installs,) = re.findall(r"^RUN (uv sync .+)$", joined, re.M)
    left_out = re.findall(r"--no-install-package (\S+)", installs)
    assert "triton" in left_out

    def installed(*arguments: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-m", *arguments, "--dry-run", "--offline"],
            cwd=ROOT,
            env={**os.environ, "UV_PROJECT_ENVIRONMENT": "build/no_such_environment"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return set(re.findall(r"^ \+ ([\w.-]+)==", done.stderr, re.M))

    command = installs.replace("--no-cache ", "").split()
    with_all = installed(*command[: command.index("--no-install-package")])
    assert with_all - installed(*command) == set(left_out)


PARTS = {"add_a_head": "MyHead", "add_a_backbone": "MyNet", "add_a_data_set": "MySet"}


@pytest.mark.parametrize("page", PARTS)
def test_a_new_part_of_the_page_passes_the_linter_and_does_what_it_says(page: str, tmp_path: Path):
    (code,) = code_blocks(f"docs/{page}.md", "python")
    checked = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--stdin-filename", f"{page}.py", "-"],
        cwd=ROOT,
        input=code,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout
    names: dict[str, Any] = {}
    exec(code, names)
    made = names[PARTS[page]]
    if page == "add_a_head":
        model = HeadModel(made(6), part("pooling", "mean").build(dim=64), 6)
        assert model(torch.rand(2, 3, 6), torch.zeros(2, 3), torch.ones(2, 3).bool()).shape == (2,)
    elif page == "add_a_backbone":
        net = made(width=32, height=16)
        frames = torch.zeros(2, net.spec.num_frames, 16, 32, 3, dtype=torch.uint8)
        assert net(frames).shape == (2, net.spec.num_steps, net.spec.feature_dim)
    else:
        head = "file,crash,drive,split\n"
        (tmp_path / "clips.csv").write_text(f"{head}a.mp4,3.5,x,train\nb.mp4,,y,test\n")
        assert [(r.id, r.label, r.event_time) for r in records_of(made(tmp_path))] == [
            ("a", 1, 3.5),
            ("b", 0, None),
        ]
        with pytest.raises(DatasetNotFoundError, match=r"a\.mp4"):
            made(tmp_path).prepare()
        (tmp_path / "clips.csv").write_text(f"{head}a.mp4,soon,x,train\nb.mp4,,y,testing\n")
        with pytest.raises(AnnotationError, match=r"2 line\(s\)"):
            made(tmp_path).records()


def test_pictures_are_small_and_each_is_shown():
    shown = "".join((ROOT / page).read_text() for page in (*EVERYWHERE, "RESULTS.md"))
    pictures = [p for p in (ROOT / "docs" / "images").iterdir() if p.suffix in (".jpg", ".png")]
    assert len(pictures) > 10
    for path in pictures:
        assert path.stat().st_size < 200_000, path
        assert f"images/{path.name})" in shown, path
