"""Every option of every verb: its default stands once, and each mistake gets one sentence."""

import os
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml

from collision.commands._compose import choices_of, composed, plain_of, typed_options
from collision.config import Part, config_dir, dotted, with_changes
from collision.errors import ConfigError
from collision.options import OPTIONS, as_config
from tests.kit.experiments import compose

NEEDED = {
    "predict": {"checkpoint": "runs/latest"},
    "study": {"factors": ["head"], "score": "map"},
}


@pytest.fixture(scope="module", params=OPTIONS)
def verb(request):
    return request.param


@pytest.fixture(scope="module")
def configuration(verb):
    """What Hydra composes for a verb: options, names of parts, and the text with examples."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("COLLISION_")]:
            patch.delenv(name)
        config = composed(verb, [])
        plain = plain_of(config) | NEEDED.get(verb, {})
    return plain, choices_of(config), config.hydra.help.template


def own_options(plain: dict[str, Any], choices: dict[str, str]) -> list[str]:
    """List the options that are not a part's."""
    kept = ("trainer", "extraction")
    own = {name: value for name, value in plain.items() if name in kept or name not in choices}
    return list(dotted(own))


def test_the_yaml_and_the_dataclass_have_one_default(verb, configuration):
    plain, choices, examples = configuration
    options = typed_options(verb, plain, choices, examples)
    for item in fields(OPTIONS[verb]):
        is_ours = item.name in ("parts", "resume", *NEEDED.get(verb, ()))
        default = item.default
        if default is MISSING or is_ours or item.name in ("datasets", "backbones"):
            continue
        if Part in get_args(get_type_hints(OPTIONS[verb])[item.name]):
            default = None
        assert getattr(options, item.name) == default, item.name


def test_every_option_is_in_the_yaml(verb, configuration):
    plain, choices, _ = configuration
    names = {f"{name}s" if name in ("dataset", "backbone") else name for name in choices}
    wanted = {item.name for item in fields(OPTIONS[verb])} - {"parts", "typed"}
    there = {*plain, *choices, *names} - {"experiment"}
    assert wanted <= there
    assert there - wanted <= {"dataset", "backbone", "backbones", "datasets"}


def test_a_wrong_type_an_unknown_neighbour_and_a_missing_value_get_a_sentence(verb, configuration):
    plain, choices, examples = configuration
    for option in own_options(plain, choices):
        group, _, last = option.rpartition(".")
        refused = {
            f"{option}=": {option: {"a": {"b": 1}}},
            f"There is no option '{option}x'": {f"{option}x": 1},
            f"{option} must be given: {option}=": {option: "???"},
        }
        for words, changes in refused.items():
            changed = with_changes(plain, changes)
            if words == f"{option}=":
                place = changed
                for step in group.split(".") if group else ():
                    place = place[step]
                place[last] = {"a": {"b": 1}}
            with pytest.raises(ConfigError) as error:
                typed_options(verb, changed, choices, examples)
            assert words in str(error.value) or f"{option}.a" in str(error.value), str(error.value)
            assert "\n" not in str(error.value)


REFUSED = {
    "train": [
        *("seeds=0", "num_resamples=0", "trainer.max_steps=0", "trainer.batch_size=0", "limit=0"),
        *("folds=0", "audit_workers=-1", "threshold.precision=1.5", "threshold.precision=-0.1"),
        *("seed=-1", "trainer.patience=-1", "val_fraction=0", "val_fraction=0.95", "limit=1.5"),
        *("feature_dropout=1", "trainer.accelerator=tpu", "trainer.precision=8", "audit=maybe"),
        *("seeds=true", "seeds=two", "trainer.gradient_clip=-1", "extraction.timeout=soon"),
        *(
            "extraction.num_workers=two",
            "extraction.batch_size=0",
            "extraction.reader=av",
            "resume=''",
        ),
    ],
    "evaluate": ["limit=0", "dense=0", "within=[1]", "within=5", "slices=tag", "split=tst"],
    "predict": [
        *("every=0", "every=nan", "every=inf", "event_time=-1", "frame_rate=0", "limit=0"),
        *("formats=csv", "clips=embed", "overlay=1", "alarms.hysteresis=2", "events=''"),
        *("alarms.min_length=-1", "alarms.refractory=inf", "stream.timeout=0", "stream.drop=2"),
        "stream.reconnects=-1",
    ],
    "extract": [
        *("devices=0", "devices=-2", "devices=all", "num_nodes=0", "val_fraction=2", "shard=[1,8]"),
    ],
    "data": ["check=half", "num_permutations=3", "timeout=0", "shortcuts=1", "duplicates=maybe"],
    "serve": [
        *("port=-1", "port=65536", "max_size=0", "max_length=0", "max_jobs=0", "keep=0", "every=0"),
        *("types=[gif]", "types=mp4", "alarms.hysteresis=2", "extraction.batch_size=0", "keep=inf"),
    ],
    "compare": ["num_resamples=0", "dataset=[a,b]"],
    "study": ["num_resamples=99", "factors=head", "blocks=[1]", "ceiling=inf", "seed=3"],
    "part": [
        *("kind=dataset", "limits.memory=0", "limits.seconds=0", "limits.disk=0.5", "seeds=0"),
        *("siblings=gru", "yes=maybe", "limits.parameters=0", "limits.answer=0"),
    ],
    "cache": ["older_than=-1", "older_than=inf", "yes=maybe", "delete=2"],
}


@pytest.mark.parametrize("verb_", REFUSED)
def test_ranges(verb_):
    config = composed(verb_, [])
    plain = plain_of(config) | NEEDED.get(verb_, {})
    for text in REFUSED[verb_]:
        option, _, value = text.partition("=")
        changed = with_changes(plain, {option: yaml.safe_load(value.replace("inf", ".inf"))})
        with pytest.raises(ConfigError) as error:
            typed_options(verb_, changed, choices_of(config), "")
        assert str(error.value).startswith(f"{option}"), str(error.value)
        assert "\n" not in str(error.value)


def test_devices_may_be_a_number_all_or_auto():
    for given in (2, -1, "auto"):
        assert compose("extract", f"devices={given}").devices == given


def test_home_is_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    options = compose("predict", "checkpoint=~/run", "output=~/out put", "data_root=~")
    assert options.checkpoint == Path("/home/me/run") and options.output == Path("/home/me/out put")
    assert options.data_root == Path("/home/me")


def test_options_as_plain_data_are_yaml(tmp_path):
    options = compose("train", "head=gru", f"init_from={tmp_path}")
    saved = yaml.safe_load(yaml.safe_dump(as_config(options)))
    assert saved["head"]["name"] == "gru" and saved["head"]["options"]["dim"] == 64
    assert saved["init_from"] == str(tmp_path) and saved["trainer"]["validations"] == 20
    assert saved["parts"]["backbone"] == "efficientnet_lite0"
    assert saved["dataset"]["options"]["domain"]["fps"][12.5] == 0.05


def test_no_module_at_the_door_needs_hydra_to_build():
    assert "instantiate" not in (config_dir().parent / "collision" / "config.py").read_text()
