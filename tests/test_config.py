"""Parts: made from a YAML's name, checked against their class's signature; one default each."""

import inspect
import sys
from typing import Any

import pytest

from collision.checks import arguments_of, typed
from collision.config import (
    Part,
    config_dir,
    dotted,
    names_of,
    option_names,
    part,
    part_of,
    use_config_dirs,
)
from collision.errors import ConfigError

ALL = [
    (path.parent.name, path.stem)
    for path in sorted(config_dir().glob("*/*.yaml"))
    if "_target_:" in path.read_text() or "nexar, _self_" in path.read_text()
]
# Several YAMLs may name one class: this is the one that shows the class's own defaults.
BASE = {
    "TimmImage": "timm_image",
    "SamplingPolicy": "nexar",
    "Synthetic": "synthetic",
    "GRU": "gru",
    "BinaryCrossEntropy": "bce",
    "Zipformer": "zipformer",
}
GIVEN: dict[str, dict[str, Any]] = {"head": {"input_dim": 8}, "pooling": {"dim": 8}}
# What has no default in a YAML, so that the tests can go on.
NEEDED: dict[str, dict[str, Any]] = {
    "manifest": {"csv": "clips.csv"},
    "timm_image": {"model": "resnet18"},
    "fusion": {"parts": ["efficientnet_lite0", "optical_flow"]},
    "llm": {"model": "some-model"},
}


def chosen(group: str, name: str) -> Part:
    return part(group, name, **NEEDED.get(name, {}))


def class_of(group: str, name: str) -> type:
    return chosen(group, name).imported()


@pytest.fixture
def own_dir(tmp_path, monkeypatch):
    """Make a person's own package with a head, and its YAML."""
    (tmp_path / "own" / "head").mkdir(parents=True)
    (tmp_path / "own" / "head" / "mine.yaml").write_text(
        "_target_: door_test_package.Mine\nwidth: 3\nweights: null\n"
    )
    (tmp_path / "door_test_package.py").write_text(
        "from collision.checks import UserPath\n"
        "class Mine:\n"
        "    def __init__(self, input_dim: int, width: int = 3, weights: UserPath | None = None):\n"
        "        self.asked = (input_dim, width, weights)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    use_config_dirs([tmp_path / "own"])
    yield tmp_path / "own"
    use_config_dirs([])
    sys.modules.pop("door_test_package", None)


@pytest.mark.parametrize(("group", "name"), ALL)
def test_a_yaml_and_the_signature_have_one_default(group: str, name: str):
    made = class_of(group, name)
    options, arguments = chosen(group, name).options, arguments_of(made)
    assert set(options) <= set(arguments)
    if name != BASE.get(made.__name__, name):
        return  # a preset: it is there to differ
    parameters = inspect.signature(made).parameters
    for option, value in options.items():
        default = parameters[option].default if option in parameters else None
        if isinstance(value, dict):
            continue  # a mapping is no default in Python; the classes fill up what is not given
        if option in parameters and not arguments[option].is_required:
            given = typed(arguments[option].kind, value)
            given = tuple(given) if isinstance(given, list) else given
            assert given == default, f"{group}.{option}"
    missing = {name for name, argument in arguments.items() if argument.is_required}
    assert missing <= {*options, *GIVEN.get(group, ())}


@pytest.mark.parametrize(("group", "name"), ALL)
def test_every_option_of_a_part_answers_in_a_sentence(group: str, name: str):
    """A wrong type, an unknown neighbour, and nothing where something must be given."""
    part_of_it, given = chosen(group, name), GIVEN.get(group, {})
    for option, value in part_of_it.options.items():
        wrong = 3.5 if isinstance(value, dict) else {"a": {"b": 1}}
        refused = [(part_of_it.changed({option: wrong}), f"{group}.{option}")]
        refused.append((part_of_it.changed({f"{option}x": 1}), f"'{group}.{option}x'"))
        for asked, named in refused:
            with pytest.raises(ConfigError) as error:
                asked.build(**given)
            assert named in str(error.value) and "\n" not in str(error.value)
        with pytest.raises(
            ConfigError, match=f"^{group}.{option} must be given: {group}.{option}="
        ):
            part_of(group, {"_target_": part_of_it.target, option: "???"}, name)


def test_a_part_is_built_with_what_is_given():
    head = part("head", "gru", dim=12).build(input_dim=6)
    assert head.output_dim == 12
    with pytest.raises(ConfigError, match=r"There is no option 'head.input_dim'"):
        part("head", "gru", input_dim=3).build(input_dim=6)
    with pytest.raises(ConfigError, match=r"^head.dropout=abc: give a number.$"):
        part("head", "gru", dropout="abc").build(input_dim=6)


def test_what_a_library_raises_is_a_sentence(own_dir):
    (own_dir.parent / "door_test_package.py").write_text(
        "class Mine:\n    def __init__(self, width: int, weights: str | None):\n        1 / 0\n"
    )
    with pytest.raises(ConfigError, match="Cannot build head mine: division by zero"):
        part("head", "mine").build()


def test_wrong_names_are_answered_with_those_there_are():
    with pytest.raises(
        ConfigError, match=r"No head is called 'grue'. Did you mean gru\? There are"
    ):
        part("head", "grue")
    with pytest.raises(ConfigError, match=r"dataset.csv must be given: dataset.csv=clips.csv"):
        part("dataset", "manifest")
    with pytest.raises(ConfigError, match=r"backbone.model must be given: backbone.model=resnet18"):
        part("backbone", "timm_image")
    with pytest.raises(ConfigError, match="names no class"):
        part("logger", "none")
    with pytest.raises(ConfigError, match=r"cannot be imported.*PYTHONPATH"):
        Part("head", "x", "nowhere.Head").build()
    with pytest.raises(ConfigError, match="no class"):
        Part("head", "x", "os.mkdir").build()
    with pytest.raises(ConfigError, match=r"no attribute 'Gruu'. Mend _target_ in its YAML"):
        Part("head", "x", "collision.temporal.gru.Gruu").build()
    with pytest.raises(ConfigError, match=r"write collision\.temporal\.gru\.GRU"):
        Part("head", "x", "temporal.gru.GRU").build(input_dim=4)


def test_defaults_lists_are_followed():
    assert part("sampling", "badas").options["horizons"] == [0.5, 1.0, 1.5]
    assert part("sampling", "badas").options["positives_from"] == "alert"


def test_changes_are_nested_and_leave_the_part_as_it_was():
    manifest = part("dataset", "manifest", csv="a.csv")
    changed = manifest.changed({"columns.video": "file", "columns": {"label": "crash"}})
    assert changed.options["columns"]["video"] == "file"
    assert changed.options["columns"]["label"] == "crash"
    assert manifest.options["columns"]["video"] == "video"
    with pytest.raises(ConfigError, match=r"no option 'dataset.csv.x'"):
        manifest.changed({"csv.x": 1})


def test_folders_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("COLLISION_DATA", "/somewhere")
    assert part("dataset", "nexar").options["root"] == "/somewhere/nexar"


def test_keys_that_are_numbers_stay_numbers():
    frame_rates = part("dataset", "synthetic").options["domain"]["fps"]
    assert list(typed(dict[str, Any], {"fps": frame_rates})["fps"]) == list(frame_rates)
    assert set(map(type, frame_rates)) == {int, float}


def test_a_saved_part_names_ours_shortly_and_others_by_their_class(own_dir):
    saved = part("head", "gru", dropout=0.1).as_saved()
    assert saved["name"] == "gru" and saved["options"]["dropout"] == 0.1
    assert set(saved["options"]) == {"cell", "dim", "layers", "bidirectional", "dropout"}
    assert Part("head", "", "collision.temporal.gru.GRU", {}).as_saved()["name"] == "gru"
    assert part("backbone", "dinov3_b").as_saved()["name"] == "dinov3_b"
    mine = part("head", "mine").as_saved()
    assert mine == {"target": "door_test_package.Mine", "options": {"width": 3, "weights": None}}


def test_own_parts_are_found_and_built(own_dir, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert "mine" in names_of("head") and option_names("head", "mine") == [
        "head.width",
        "head.weights",
    ]
    head = part("head", "mine", weights="~/w.pt").build(input_dim=2)
    assert head.asked[:2] == (2, 3) and str(head.asked[2]) == "/home/me/w.pt"
    with pytest.raises(ConfigError, match=r"No head is called 'min'. Did you mean mine\?"):
        part("head", "min")
    with pytest.raises(ConfigError, match="there is no such folder"):
        use_config_dirs([own_dir / "nothing"])


def test_what_must_be_given_is_shown_in_its_yaml():
    for group, name in ALL:
        for option, value in dotted(part_options_of(group, name)).items():
            if value == "???":
                text = (config_dir() / group / f"{name}.yaml").read_text()
                assert f"{group}.{option}=" in text


def part_options_of(group: str, name: str) -> dict[str, Any]:
    from omegaconf import OmegaConf

    return OmegaConf.to_container(OmegaConf.load(config_dir() / group / f"{name}.yaml"))
