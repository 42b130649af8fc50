"""A search is gone on with by its name; what its folder holds stays data."""

import pytest
import yaml

from collision.commands._compose import options_for
from collision.errors import CheckpointError, ConfigError
from collision.search.folder import (
    folder_of,
    make_folder,
    of_trainings,
    read_begun,
    read_name,
    text_of_space,
)

BEGUN = ("space=offline", "budget=5", "name=a", "head.dropout=0.1", "policy=random", "limit=3")


@pytest.fixture
def begun(tmp_path, monkeypatch):
    monkeypatch.setenv("COLLISION_RUNS", str(tmp_path))
    options = options_for("search", BEGUN)
    return make_folder(options, text_of_space("offline"))


def test_it_goes_on_by_its_name(begun):
    again = options_for("search", ["name=a", "budget=9"])
    assert (again.space, again.budget, again.policy.name) == ("offline", 9, "random")
    assert again.limit == 3 and again.head.options["dropout"] == 0.1
    assert of_trainings(again.typed) == ["head.dropout=0.1", "limit=3"]
    other = options_for("search", ["name=a", "policy=tpe", "policy.num_startup=3", "workers=1"])
    assert other.policy.name == "tpe" and other.workers == 1
    assert options_for("search", ["name=b", "space=core"]).limit is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("limit=4", "begun with limit=3, and is asked to go on with 4"),
        ("head.dropout=0.2", "begun with head=zipformer"),
        ("space=core", "begun with space=offline"),
        ("objectives=[map,parameters]", r"begun with objectives=\[map\]"),
        ("dataset=synthetic_night", "begun with dataset=synthetic"),
    ],
)
def test_it_stays_the_same_search(begun, given, said):
    with pytest.raises(ConfigError, match=said):
        options_for("search", ["name=a", given])


def test_its_folder_says_what_it_is(begun, tmp_path):
    found = read_begun(tmp_path, "a")
    assert found.folder == begun and found.space.name == "offline" and found.space.size == 6480
    assert found.of_trainings == ("head.dropout=0.1", "limit=3")
    assert (found.budget, found.objectives, found.storage) == (5, ("map",), None)
    with pytest.raises(ConfigError, match=r"no search 'b'.*There are: a"):
        read_name(tmp_path, "b")


@pytest.mark.parametrize("name", ["../a", "", "a/b", ".a", "a b", "x" * 99])
def test_a_name_is_a_folder_of_its_own(tmp_path, name):
    with pytest.raises(ConfigError, match="give letters, digits"):
        folder_of(tmp_path, name)


@pytest.mark.parametrize(
    "hostile",
    [
        "head._target_=subprocess.Popen",
        "hydra.run.dir=/tmp",
        "+hydra.launcher=x",
        "limit=${oc.env:HOME}",
        "--config-dir=/tmp",
        "a b=3",
        7,
    ],
)
def test_what_others_wrote_there_is_not_composed(begun, hostile):
    file = begun / "config.yaml"
    saved = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**saved, "typed": [*saved["typed"], hostile]}))
    with pytest.raises((ConfigError, CheckpointError)) as error:
        options_for("search", ["name=a"])
    assert "was not read" in str(error.value)


def test_a_damaged_folder_is_a_sentence(begun, tmp_path):
    file = begun / "config.yaml"
    saved = yaml.safe_load(file.read_text())
    del saved["objectives"]
    file.write_text(yaml.safe_dump(saved))
    with pytest.raises(CheckpointError, match="lacks 'objectives'"):
        read_begun(tmp_path, "a")
    file.write_text("- 3")
    with pytest.raises(CheckpointError, match="holds no configuration"):
        read_begun(tmp_path, "a")
