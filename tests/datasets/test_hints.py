"""Options that messages name exist, as they are typed: `dataset.NAME=`, never a bare `NAME=`."""

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SETS = sorted(path.stem for path in (ROOT / "datasets").glob("*.py"))
SHARED = sorted((ROOT / "collision" / "records").glob("*.py"))
NAMED = re.compile(r"(?<![\w.])([a-z][a-z_.]*)=(?=[A-Za-z0-9_{<'\"[])")
OF_VERBS = {"data_root", "skip_failures", "folds", "write", "limit", "split", "val_fraction"}


def options_of(name):
    config = yaml.safe_load((ROOT / "configs" / "dataset" / f"{name}.yaml").read_text())
    columns = {f"columns.{key}" for key in config.get("columns", {})}
    return {f"dataset.{key}" for key in {*config, *columns}}


def texts_of(path):
    """Every string of a module but its docstrings; what is filled in shows as ``{}``."""
    tree = ast.parse(path.read_text())
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
              for part in node.values}  # fmt: skip
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                part.value if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield "" if id(node) in inside | docs else node.value


@pytest.mark.parametrize("name", SETS)
def test_options_in_messages_exist(name):
    named = {option for text in texts_of(ROOT / "datasets" / f"{name}.py")
             for option in NAMED.findall(text)}  # fmt: skip
    unknown = {option for option in named - OF_VERBS if option not in options_of(name)}
    assert not {option for option in unknown if option != "dataset.columns."}


@pytest.mark.parametrize("path", SHARED, ids=lambda path: path.stem)
def test_options_in_shared_messages_exist_somewhere(path):
    known = set().union(*map(options_of, SETS)) | OF_VERBS
    named = {option for text in texts_of(path) for option in NAMED.findall(text)}
    assert named <= known
