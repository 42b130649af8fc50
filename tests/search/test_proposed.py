"""The text of a proposed part, what is remembered of it, and how it comes into a tree."""

import importlib
import json
import shutil
import sys

import pytest
import torch

from collision import learning
from collision.config import part
from collision.errors import ConfigError
from collision.search.accepting import (
    SUITE,
    check_passed,
    difference,
    nearest,
    remember,
    siblings_of,
    tree_for,
    write_into,
)
from collision.search.proposed import Proposed
from collision.search.wire import BadAnswer, line_of, message_of, tensor_of
from tests.conftest import ROOT
from tests.kit.proposals import (
    HONEST,
    cheating_backbone,
    cheating_loss,
    config_of,
    honest,
)

PASSED = {"passed": True, "suite": SUITE}


def test_a_folder_and_two_files_are_the_same_part(tmp_path):
    for name, text in {"forgetting.py": honest().code, "forgetting.yaml": honest().config}.items():
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / "forgetting.yaml"), str(tmp_path / "forgetting.py")]
    assert Proposed.read("head", files) == Proposed.read("head", [str(tmp_path)]) == honest()
    assert list(honest().complaints()) == []


@pytest.mark.parametrize(
    ("name", "config", "said"),
    [
        ("Mine", "_target_: collision.temporal.Mine.A", "small letters"),
        ("class", "_target_: collision.temporal.class.A", "small letters"),
        ("json", "_target_: collision.temporal.json.A", "so is a library"),
        ("mine", "[", "no YAML"),
        ("mine", "dim: 3", "names no class"),
        ("mine", "_target_: collision.temporal.other.A", "Give collision.temporal.mine.A"),
        ("mine", "_target_: os.system", "Give collision.temporal.mine.system"),
        ("mine", "_target_: collision.learning.mine.A", "Give collision.temporal.mine.A"),
        ("mine", "_target_: torch.mine.A", "'torch' is installed already"),
        ("mine", "_target_: collision.temporal.mine.A\ndim: ${oc.env:HOME}", "plain values"),
        ("mine", "_target_: collision.temporal.mine.A\ndefaults: [gru]", "plain values"),
        ("mine", "_target_: collision.temporal.mine.A\ndim: {a: 1}", "options are names"),
    ],
)
def test_what_is_no_part_is_one_sentence(name, config, said):
    with pytest.raises(ConfigError) as error:
        Proposed.of("head", name, HONEST, config)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_files_that_are_no_part_are_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="there is: nothing"):
        Proposed.read("head", [str(tmp_path)])
    (tmp_path / "a.py").write_text("")
    (tmp_path / "b.yaml").write_text("")
    with pytest.raises(ConfigError, match="both files of a part are called like it"):
        Proposed.read("head", [str(tmp_path)])
    (tmp_path / "a.yaml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="no text in UTF-8"):
        Proposed.read("head", [str(tmp_path / "a.py"), str(tmp_path / "a.yaml")])
    (tmp_path / "a.yaml").write_text("#" * 70_000)
    with pytest.raises(ConfigError, match="larger than 64 KiB"):
        Proposed.read("head", [str(tmp_path / "a.py"), str(tmp_path / "a.yaml")])
    with pytest.raises(ConfigError, match="There is no file"):
        Proposed.read("head", [str(tmp_path / "c.py"), str(tmp_path / "c.yaml")])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import socket\nclass A: pass", "line 1 imports socket"),
        ("from os import environ\nclass A: pass", "line 1 imports os"),
        ("from . import gru\nclass A: pass", "line 1 imports ."),
        ("from torchvision import ops\nclass A: pass", "line 1 imports torchvision"),
        ("class A:\n  x = open('a')", "line 2 uses open"),
        ("class A: pass\nclass B: pass", "there is: A, B"),
        ("class _A: pass", "there is: none"),
        ("class A(", "no Python"),
        ("class A: pass\n" + "\n" * 400, "more than 400 lines"),
    ],
)
def test_what_the_text_shows_is_told(code, said):
    proposed = Proposed.of("head", "mine", code, config_of("mine", "A"))
    assert said in "; ".join(proposed.complaints())


def test_only_the_very_bytes_that_passed_are_accepted(tmp_path):
    with pytest.raises(ConfigError, match=r"have not been checked.*collision part check"):
        check_passed(tmp_path, honest())
    remember(tmp_path, honest(), check={**PASSED, "passed": False})
    with pytest.raises(ConfigError, match="did not pass"):
        check_passed(tmp_path, honest())
    path = remember(tmp_path, honest(), check=PASSED)
    remember(tmp_path, honest(), trial={"dataset": "synthetic"})
    assert set(check_passed(tmp_path, honest())) >= {"check", "trial", "digest"}
    changed = Proposed.of("head", "forgetting", HONEST + "\n", honest().config)
    with pytest.raises(ConfigError, match="have not been checked"):
        check_passed(tmp_path, changed)
    path.rename(tmp_path / "parts" / f"forgetting_{changed.digest[:16]}.json")
    with pytest.raises(ConfigError, match="have not been checked"):
        check_passed(tmp_path, changed)
    path.write_text(json.dumps({"digest": honest().digest, "check": {**PASSED, "suite": 0}}))
    with pytest.raises(ConfigError, match="did not pass"):
        check_passed(tmp_path, honest())


def test_the_difference_is_to_what_is_there(tmp_path):
    assert "+class Forgetting(nn.Module):" in difference(honest(), tmp_path)
    written = write_into(tmp_path, honest())
    assert [str(path.relative_to(tmp_path)) for path in written] == [
        "temporal/forgetting.py",
        "configs/head/forgetting.yaml",
    ]
    assert difference(honest(), tmp_path) == ""
    later = Proposed.of("head", "forgetting", honest().code, honest().config + "# more\n")
    assert difference(later, tmp_path).splitlines()[-1] == "+# more"


def test_the_nearest_part_is_found():
    code = part("head", "gru").imported().__module__.replace(".", "/").removeprefix("collision/")
    copy = honest().__class__.of("head", "mine", _text(f"{code}.py"), config_of("mine", "GRU"))
    assert nearest(copy) == ("gru", 1.0) or nearest(copy) == ("lstm", 1.0)
    assert nearest(honest())[1] < 0.9


def _text(name):
    from collision.config import config_dir

    return (config_dir().parent / name).read_text()


def test_where_it_is_written(tmp_path):
    with pytest.raises(ConfigError, match="no checkout"):
        tree_for(honest(), tmp_path)
    own = Proposed.of("head", "mine", HONEST, "_target_: my_package.mine.Forgetting\n")
    with pytest.raises(ConfigError, match="into=FOLDER"):
        tree_for(own, None)
    assert tree_for(own, tmp_path) == tmp_path
    assert set(own.files) == {"my_package/mine.py", "configs/head/mine.yaml"}


def test_losses_and_backbones_have_places_of_their_own(tmp_path):
    loss, backbone = cheating_loss("mine"), cheating_backbone("mine")
    assert set(loss.files) == {"collision/learning/mine.py", "configs/loss/mine.yaml"}
    assert set(backbone.files) == {"backbones/mine.py", "configs/backbone/mine.yaml"}
    assert len({loss.digest, backbone.digest}) == 2
    own = Proposed.of("loss", "mine", loss.code, "_target_: my_losses.mine.Cheat\n")
    assert set(own.files) == {"my_losses/mine.py", "configs/loss/mine.yaml"}
    assert list(loss.complaints()) == list(backbone.complaints()) == []
    numpy = Proposed.of("loss", "mine", "import numpy\n" + loss.code, loss.config)
    assert "imports numpy" in next(numpy.complaints())
    assert nearest(loss)[0] != "none" and nearest(backbone)[0] != "none"
    for kind in ("loss", "backbone"):
        with pytest.raises(ConfigError, match=f"kind={kind}"):
            check_passed(tmp_path, loss if kind == "loss" else backbone)


@pytest.mark.parametrize("name", ["head", "fit", "datamodule", "losses"])
def test_a_loss_cannot_stand_where_the_engine_does(name):
    config = f"_target_: collision.learning.{name}.Cheat\n"
    with pytest.raises(ConfigError, match=f"and so is collision/learning/{name}.py"):
        Proposed.of("loss", name, "", config)


def test_a_loss_that_was_accepted_can_be_proposed_anew(tmp_path, monkeypatch):
    loss = cheating_loss("mine")
    write_into(tmp_path, loss)
    monkeypatch.setattr("collision.config._own_dirs", [tmp_path / "configs"])
    monkeypatch.setattr(
        "collision.learning.__path__", [*learning.__path__, str(tmp_path / "collision/learning")]
    )
    assert cheating_loss("mine") == loss


def test_siblings_are_parts():
    assert [one.name for one in siblings_of("pooling", None)] == ["last", "mean", "attention"]
    assert [one.name for one in siblings_of("head", ["tcn"])] == ["tcn"]
    for names, said in ((["gruu"], "Did you mean gru"), ([], "one or more"), (["gru"] * 2, "once")):
        with pytest.raises(ConfigError, match=said):
            siblings_of("head", names)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.bool])
def test_arrays_come_back_as_they_were(dtype):
    given = torch.tensor([[0.5, float("nan")], [1.0, 0.0]]).to(dtype)
    found = tensor_of(message_of(line_of({"a": given}))["a"])
    assert found.dtype == dtype and torch.equal(found.nan_to_num(), given.nan_to_num())


GOOD = {"type": "float32", "shape": [1], "bytes": "AAAAAA=="}


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {**GOOD, "type": "object"},
        {**GOOD, "shape": [2]},
        {**GOOD, "shape": [-1]},
        {**GOOD, "shape": [True]},
        {**GOOD, "shape": [10**9, 10**9]},
        {**GOOD, "shape": 1},
        {**GOOD, "bytes": "A"},
        {**GOOD, "bytes": 3},
    ],
)
def test_what_is_no_array_is_refused(bad):
    assert torch.equal(tensor_of(GOOD), torch.zeros(1))
    with pytest.raises(BadAnswer):
        tensor_of(bad)


@pytest.mark.parametrize("line", [b"\x80\x04.", b"[1]", b'{"a": NaN}', b"[" * 100_000, b""])
def test_what_is_no_message_is_refused(line):
    with pytest.raises(BadAnswer):
        message_of(line)


def test_python_that_takes_modules_from_the_parts_folder_is_refused(tmp_path, monkeypatch):
    """As ``python -m`` does, started in it; from elsewhere, and as ``collision``, it is read."""
    folder = tmp_path / "my part"
    shutil.copytree(ROOT / "examples" / "new_head", folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.path", [one for one in sys.path if one])
    assert Proposed.read("head", ["."]).name == "forgetting"
    monkeypatch.syspath_prepend("")
    with pytest.raises(ConfigError, match=r"cd \.\. && python -m collision part check 'my part'"):
        Proposed.read("head", ["."])
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    assert Proposed.read("head", ["my part"]).name == "forgetting"
