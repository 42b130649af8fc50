"""Nothing that others wrote runs, imports or interpolates anything."""

import json
import sys

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from collision.errors import CheckpointError
from collision.temporal.gru import GRU
from collision.untrusted import check_format, json_data, plain_data, read_config, saved_part

INTERPOLATIONS = [
    "${oc.create:{_target_: os.mkdir, path: made}}",
    "${oc.env:HOME}",
    "a ${b",
]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # No dollar: what holds one is another test's.
    | st.text(st.characters(blacklist_characters="$")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(blacklist_characters="$")), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_json_is_plain_data(data):
    assert plain_data(data, "x") is data
    assert json_data(json.dumps(data), "x") == data


@pytest.mark.parametrize("text", INTERPOLATIONS)
@pytest.mark.parametrize("nest", [lambda x: x, lambda x: [1, {"a": x}], lambda x: {x: 1}])
def test_a_string_that_would_be_interpolated_is_refused_by_the_entrys_name(text, nest):
    with pytest.raises(CheckpointError, match=r"x holds .*'top.*not interpolated"):
        plain_data({"top": nest(text)}, "x")


def holding_itself():
    data = []
    data.append(data)
    return data


def doubling():
    data = []
    for _ in range(39):
        data = [data, data]
    return data


@pytest.mark.parametrize(
    "make", [set, bytes, object, tuple, complex, holding_itself, doubling, lambda: float("inf")]
)
def test_what_is_no_json_is_refused(make, monkeypatch):
    monkeypatch.setattr("collision.untrusted._MAX_VALUES", 10_000)
    with pytest.raises(CheckpointError, match=r"that is no JSON|too deep or too large"):
        plain_data([make()], "x")


@pytest.mark.parametrize("text", ["{", "", "[1,]", "[" * 100_000, b"\xff", "NaN", "9" * 5000])
def test_damaged_json_is_refused(text):
    with pytest.raises(CheckpointError, match=r"x (is damaged|holds)"):
        json_data(text, "x")


@pytest.mark.parametrize(
    ("found", "message"),
    [(4, "format 4.*up to 3.*newer version.*Update"), (0, "no version"), ("3", "no version")],
)
def test_formats_of_other_versions_are_refused_by_name(found, message):
    check_format(3, 3, "x")
    with pytest.raises(CheckpointError, match=message):
        check_format(found, 3, "x")


@pytest.mark.parametrize(
    "data",
    [
        {"name": "gru", "options": {"dim": 8}},
        {"target": "collision.temporal.gru.GRU", "options": {"dim": 8}},
        {"_target_": "collision.temporal.gru.GRU", "dim": 8},
    ],
)
def test_every_spelling_of_a_part_is_read(data):
    part = saved_part(data, "head", "x")
    assert (part.group, part.target, part.options) == (
        "head",
        "collision.temporal.gru.GRU",
        {"dim": 8},
    )
    assert isinstance(part.build(input_dim=3), GRU)


@pytest.mark.parametrize(
    ("group", "target", "new"),
    [
        ("loss", "collision.losses.FocalLoss", "collision.learning.losses.FocalLoss"),
        ("optimizer", "collision.optim.AdamWCosine", "collision.learning.optim.AdamW"),
        ("optimizer", "collision.learning.optim.AdamWCosine", "collision.learning.optim.AdamW"),
        (
            "sampling",
            "collision.sampling.SamplingPolicy",
            "collision.sampling.policy.SamplingPolicy",
        ),
        (
            "logger",
            "collision.tracking.WandbTracker",
            "collision.runs.wandb_tracker.WandbTracker",
        ),
    ],
)
def test_classes_that_have_moved_are_found(tmp_path, group, target, new):
    assert saved_part({"_target_": target}, group, "x").target == new
    config = {group: {"_target_": target, "a": 1}, "seed": 0, "fps": {10: 0.5, 12.5: 0.5}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert read_config(tmp_path) == config | {group: {"_target_": new, "a": 1}}


def test_options_of_data_sets_that_were_renamed_or_dropped_are_read(tmp_path):
    made = {"_target_": "collision.datasets.ccd.CCD", "follow_links": True, "allow_missing": False}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"dataset": made}))
    wanted = {"_target_": "collision.datasets.ccd.CCD", "allow_links": True}
    assert read_config(tmp_path) == {"dataset": wanted}


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "torch.nn.Linear",
        "collision.learning.head.torch.hub.load",  # reached through a module of ours, but not ours
        "collision.learning.head.HeadModel",  # ours, but no head
        "collision.temporal.zipformer.ConfigError",
        "collision.temporal.zipformer.nn.Linear",
        "collision.temporal.zipformer.swoosh_left",
        "collision.temporal.gone.Head",
        "collision.temporal.gru.Gone",
        "collision.temporal",
        "collision.temporal.",
        "collisions.temporal.gru.GRU",
        "",
        "../gru",
        None,
        3,
        ["collision.temporal.gru.GRU"],
    ],
)
@pytest.mark.parametrize("key", ["target", "_target_"])
def test_only_classes_of_the_groups_folder_may_be_named(key, target):
    with pytest.raises(CheckpointError, match=r"^x names|^x holds"):
        saved_part({key: target, "options": {}}, "head", "x")


@pytest.mark.parametrize("name", ["nothing", "../loss/bce", "/etc/passwd", "", None, 3])
def test_only_names_that_there_are_may_be_named(name):
    with pytest.raises(CheckpointError, match=r"x names the head.*There are: .*gru, .*linear"):
        saved_part({"name": name, "options": {}}, "head", "x")


@pytest.mark.parametrize("data", [None, 3, "gru", ["gru"], {"name": "gru", "options": [1]}])
def test_what_is_no_part_is_refused(data):
    with pytest.raises(CheckpointError, match=r"^x holds"):
        saved_part(data, "head", "x")


@pytest.mark.parametrize(
    "options", [{"_args_": [1]}, {"dim": {"_target_": "os.getpid"}}, {"a": [{"_partial_": True}]}]
)
def test_options_that_hydra_would_act_on_are_refused(options):
    for data in (
        {"name": "gru", "options": options},
        {"_target_": "collision.temporal.gru.GRU", **options},
    ):
        with pytest.raises(CheckpointError, match="in the options of its head"):
            saved_part(data, "head", "x")


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """A package outside the project that notes its import."""
    (tmp_path / "their_heads.py").write_text(
        "import pathlib\n"
        f"pathlib.Path({str(tmp_path / 'imported')!r}).touch()\n"
        "from os.path import join\nfrom collections import OrderedDict\n"
        "class Head:\n"
        "    def __init__(self, input_dim: int, dim: int = 3):\n"
        "        self.output_dim = dim\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / "imported"
    sys.modules.pop("their_heads", None)


def test_a_class_from_elsewhere_needs_trust(theirs):
    saved = {"target": "their_heads.Head", "options": {"dim": 4}}
    for trust in ((), ("their",), ("os",)):
        with pytest.raises(CheckpointError, match=r"their_heads.Head.*trust=\[their_heads\]"):
            saved_part(saved, "head", "x", trust)
    assert not theirs.exists()
    part = saved_part(saved, "head", "x", ("their_heads",))
    assert part.build(input_dim=2).output_dim == 4


@pytest.mark.parametrize("target", ["their_heads.join", "their_heads.OrderedDict"])
def test_trust_ends_at_the_package(theirs, target):
    with pytest.raises(CheckpointError, match="not a class of 'their_heads'"):
        saved_part({"target": target, "options": {}}, "head", "x", ("their_heads",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "holds no configuration"),
        ("a: [", "not valid YAML"),
        ("a: !!python/object/apply:os.getpid []", "not valid YAML"),
        (b"\xff\xfe\xfa", "not valid YAML"),
        ("format: 7", "format 7.*newer version"),
        ("a: 2026-01-01", "no JSON"),
        ("head: {dim: '${oc.env:HOME}'}", "head.dim.*not interpolated"),
        ("a: &x [1]\nb: [*x, *x]\nc: &y [*y]", "too deep"),
    ],
)
def test_run_folders_that_are_more_than_data_are_refused(tmp_path, content, message):
    path = tmp_path / "config.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CheckpointError, match=message):
        read_config(tmp_path)


def test_what_is_no_run_folder_is_told(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(CheckpointError, match=r"no config.yaml there \(found: a.txt\)"):
        read_config(tmp_path)
    with pytest.raises(CheckpointError, match=r"There is no folder '.*absent'"):
        read_config(tmp_path / "absent")
