import copy
import json
import struct
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from collision.config import part
from collision.errors import CheckpointError
from collision.features.fingerprint import Fingerprint
from collision.learning.head import HeadOptions, build_model
from collision.learning.novelty import known_videos
from collision.learning.predictor import LearnedFrom, Origin, Predictor, load_predictor
from collision.learning.predictor_files import FILE_NAME, find_predictors
from collision.metrics.calibration import Temperature
from collision.metrics.threshold import OperatingPoint
from collision.prediction import doubts
from collision.sampling.policy import SamplingPolicy
from tests.kit.features import planted_splits

FEATURE_DIM = 6
FINGERPRINT = {
    "name": "test/tiny",
    "implementation": "kit 1",
    "num_frames": 1,
    "fps": 10.0,
    "height": 8,
    "width": 8,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "num_steps": 1,
    "feature_dim": FEATURE_DIM,
    "weights_digest": "0",
    "precision": "32-true",
    "schema": 1,
}
PARTS = {
    "backbone": part("backbone", "efficientnet_lite0"),
    "head": part("head", "gru", dim=4),
    "pooling": part("pooling", "max"),
}
# As the version before this one wrote it.
FORMAT_2 = {
    "format": 2,
    "config": {
        "backbone": {"_target_": "collision.backbones.timm_image.TimmImage", "model": "x"},
        "head": {
            "_target_": "collision.temporal.gru.GRU",
            "dim": 4,
            "layers": 1,
            "bidirectional": False,
            "dropout": 0.3,
        },
        "pooling": {"_target_": "collision.temporal.pooling.MaxPooling"},
        "sampling": {
            "_target_": "collision.sampling.SamplingPolicy",
            "horizons": [0.5, 1.0],
            "strides": [1],
        },
        "feature_dropout": 0.5,
    },
    "spec": {"feature_dim": FEATURE_DIM},
    "fingerprint": FINGERPRINT,
    "threshold": {
        "threshold": 0.7,
        "precision": 0.8,
        "recall": 0.6,
        "false_alarm_rate": 0.1,
        "f1": 0.7,
    },
    "temperature": 1.5,
    "origin": {
        "dataset": "synthetic",
        "data_digest": "fb1e42e16e52e1c3",
        "selected_on": "val/nexar_map",
        "parts": {"head": "gru", "logger": "none"},
        "seed": 3,
        "epoch": 14,
        "val/nexar_map": 0.86,
        "temperature": {
            "value": 1.5,
            "nll_before": 0.48,
            "nll_after": 0.46,
            "at_bound": False,
        },
    },
}


def make_predictor():
    torch.manual_seed(0)
    model = build_model(PARTS["head"], PARTS["pooling"], FEATURE_DIM, HeadOptions(0.5))
    model.fit_standardiser(3 + 2 * torch.randn(50, FEATURE_DIM))
    return Predictor(
        model=model.eval(),
        parts=PARTS,
        policy=SamplingPolicy(horizons=(0.5, 1.0)),
        fingerprint=Fingerprint(FINGERPRINT),
        threshold=OperatingPoint(0.4, 0.9, 0.5, 0.1, 0.6),
        temperature=1.25,
        origin=Origin(
            dataset="synthetic",
            seed=3,
            parts={"head": "gru"},
            value=0.8,
            temperature=Temperature(1.25, 0.5, 0.4, False),
            learned_from=LearnedFrom(
                {"train": ("a", "b"), "val": ("c",)}, {"train": ("0a", "0b"), "val": ("0c",)}
            ),
        ),
    )


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / FILE_NAME
    make_predictor().save(path)
    return path


def read(path):
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["collision"])
        return header, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def rewrite(path, change):
    """Change a saved file's header in place."""
    header, tensors = read(path)
    header = change(header) or header
    save_file(tensors, path, metadata={"collision": json.dumps(header)})


@torch.no_grad()
def test_what_is_saved_comes_back(saved):
    original, loaded = make_predictor(), load_predictor(saved)
    batch = torch.randn(3, 5, FEATURE_DIM), torch.zeros(3, 5), torch.ones(3, 5).bool()
    assert not loaded.model.training
    assert torch.equal(loaded.model(*batch), original.model(*batch))
    assert replace(loaded, model=original.model) == original
    assert loaded.spec.feature_dim == FEATURE_DIM and loaded.spec.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("head", "pooling"),
    [
        *product(
            ["zipformer", "transformer", "gru", "linear"], ["attention", "mean", "max", "last"]
        ),
        *product(["gru", "logistic"], ["last_third", "change", "cls", "probe"]),
        *product(["lstm", "tcn", "attentive_probe"], ["last", "cls"]),
    ],
)
@torch.no_grad()
def test_every_head_comes_back(tmp_path, head, pooling):
    parts = {**PARTS, "head": part("head", head), "pooling": part("pooling", pooling)}
    model = build_model(parts["head"], parts["pooling"], FEATURE_DIM).eval()
    replace(make_predictor(), model=model, parts=parts).save(tmp_path / FILE_NAME)
    loaded = load_predictor(tmp_path / FILE_NAME)
    batch = torch.randn(3, 5, FEATURE_DIM), torch.linspace(-1, 0, 5).expand(3, -1)
    batch = (*batch, torch.ones(3, 5).bool())
    assert torch.equal(loaded.model(*batch), model(*batch))


@pytest.mark.parametrize("head", ["gru", "linear"])
@torch.no_grad()
def test_a_head_with_several_outputs_comes_back(tmp_path, head):
    parts = {**PARTS, "head": part("head", head)}
    model = build_model(parts["head"], parts["pooling"], FEATURE_DIM, num_outputs=6).eval()
    replace(make_predictor(), model=model, parts=parts).save(tmp_path / FILE_NAME)
    loaded = load_predictor(tmp_path / FILE_NAME).model
    batch = torch.randn(3, 5, FEATURE_DIM), torch.zeros(3, 5), torch.ones(3, 5).bool()
    assert loaded.outputs(*batch).shape == (3, 6)
    assert torch.equal(loaded(*batch), model(*batch))


@pytest.mark.parametrize("bias", [torch.zeros(0), torch.zeros(3), torch.zeros(1, 1)])
def test_a_classifier_that_does_not_fit_itself_is_refused(saved, bias):
    header, tensors = read(saved)
    tensors["classifier.bias"] = bias
    save_file(tensors, saved, metadata={"collision": json.dumps(header)})
    with pytest.raises(CheckpointError, match="does not fit its own head"):
        load_predictor(saved)


def test_parts_are_saved_by_name(saved):
    header, _ = read(saved)
    assert header["format"] == 5
    assert {group: saved["name"] for group, saved in header["parts"].items()} == {
        "backbone": "efficientnet_lite0",
        "head": "gru",
        "pooling": "max",
    }
    assert "_target_" not in json.dumps(header)


def test_without_validation_there_is_no_threshold(saved):
    replace(make_predictor(), threshold=None).save(saved)
    assert load_predictor(saved).threshold is None


def test_predictors_of_the_version_before_are_read(saved):
    rewrite(saved, lambda header: copy.deepcopy(FORMAT_2))
    loaded = load_predictor(saved)
    assert loaded.policy == SamplingPolicy(horizons=(0.5, 1.0), strides=(1.0,))
    assert loaded.parts["backbone"].options == {"model": "x"}
    assert loaded.threshold == OperatingPoint(0.7, 0.8, 0.6, 0.1, 0.7)
    assert (loaded.temperature, loaded.model.options.feature_dropout) == (1.5, 0.5)
    assert loaded.origin.value == 0.86 and loaded.origin.temperature.nll_after == 0.46
    assert loaded.origin.parts == {"head": "gru", "logger": "none"}
    assert loaded.origin.learned_from is None and loaded.seen(["a"], ["0a"]) == {}
    loaded.save(saved)  # upgraded
    assert read(saved)[0]["format"] == 5
    assert load_predictor(saved).origin == loaded.origin


def test_it_knows_what_it_learned_from(saved):
    loaded = load_predictor(saved)
    assert loaded.origin.learned_from is not None
    assert loaded.seen([], []) == {}
    assert loaded.seen(["a", "c", "d", "a"], ["0x", "0y", "0a", "0a"]) == {"train": 3, "val": 1}
    assert loaded.seen([], ["0b", "0c", "0d"]) == {"train": 1, "val": 1}
    assert loaded.seen(["b", "b"], []) == {"train": 2}


def as_of_format_4(header):
    """As earlier versions saved it, who knew digests of whole files."""
    header["format"] = 4
    del header["origin"]["learned_from"]["whole_digests"]
    return header


def test_what_an_earlier_version_learned_from_is_found_by_whole_digests_alone(saved):
    rewrite(saved, as_of_format_4)
    loaded = load_predictor(saved)
    assert loaded.knows_whole and not make_predictor().knows_whole
    assert loaded.seen([], ["0a", "0c"]) == {}  # digests of another rule
    parts = ["of parts"] * 4
    assert loaded.seen([], parts, ["0a", "0c", "0x", "0b"]) == {"train": 2, "val": 1}
    assert loaded.seen(["b"], ["of parts"], [""]) == {"train": 1}
    loaded.save(saved)  # upgraded, and knows no less
    again = load_predictor(saved)
    assert again.origin == loaded.origin and again.knows_whole


@pytest.mark.parametrize("digests", [1, ["a"], {"train": [1]}, {"train": {"a": 1}}])
def test_what_cannot_be_digests_of_an_earlier_version_is_refused(saved, digests):
    def damage(header):
        as_of_format_4(header)["origin"]["learned_from"]["digests"] = digests
        return header

    rewrite(saved, damage)
    with pytest.raises(CheckpointError):
        load_predictor(saved)


def test_videos_are_those_of_the_examples_that_were_learned_from(tmp_path):
    data = planted_splits()
    digests = {record.id: f"digest of {record.id}" for record in data["train"].records}
    learned = LearnedFrom.of(data, digests)
    assert len(learned.groups["train"]) == len(learned.digests["train"]) == 40
    assert len(learned.groups["val"]) == 20 and learned.digests["val"] == ()
    assert learned.groups["train"] == tuple(sorted({r.group for r in data["train"].records}))


def test_what_training_started_from_is_part_of_it():
    own = LearnedFrom({"train": ("a",), "val": ()}, {"train": ("0a",), "val": ()})
    earlier = LearnedFrom({"train": ("b",), "val": ("c",)}, {"train": ("0b",), "val": ("0c",)})
    same = own.joined(earlier, same_dataset=True)
    assert same.groups == {"train": ("a", "b"), "val": ("c",)}
    assert same.digests == {"train": ("0a", "0b"), "val": ("0c",)}
    assert own.joined(earlier, same_dataset=False) == replace(same, groups=own.groups)
    assert own.joined(None, same_dataset=True) == own
    old = replace(earlier, digests={}, whole_digests=earlier.digests)
    of_both = own.joined(old, same_dataset=True)
    assert (of_both.digests, of_both.whole_digests) == (own.digests, earlier.digests)
    assert own.joined(of_both, same_dataset=True).whole_digests == earlier.digests


@pytest.mark.parametrize("name", ["a${b", b"\xff".decode(errors="surrogateescape"), "é"])
def test_any_name_of_a_group_can_be_saved(saved, name):
    data = planted_splits()
    data["train"].records[0] = replace(data["train"].records[0], group=name)
    predictor = make_predictor()
    origin = replace(predictor.origin, learned_from=LearnedFrom.of(data, {}))
    replace(predictor, origin=origin).save(saved)
    assert load_predictor(saved).seen([name], []) == {"train": 1}


def test_a_save_that_fails_leaves_the_old_file(saved):
    before = saved.read_bytes()
    with pytest.raises(TypeError):
        replace(make_predictor(), origin=Origin(seed=object())).save(saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("keep", [0, 5, 100, 0.5, 0.99])
def test_a_cut_file_is_refused(saved, keep):
    data = saved.read_bytes()
    saved.write_bytes(data[: keep if keep >= 1 else int(keep * len(data))])
    with pytest.raises(CheckpointError, match=f"{FILE_NAME}.*damaged or not a predictor"):
        load_predictor(saved)


@pytest.mark.parametrize("content", [b"text", b"\xff" * 200, b"PK\x03\x04" + bytes(200)])
def test_another_kind_of_file_is_refused(saved, content):
    saved.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged or not a predictor"):
        load_predictor(saved)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="No checkpoint at"):
        load_predictor(tmp_path / FILE_NAME)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "not a predictor of this version"),
        ({"collision": "[]"}, "not a predictor of this version"),
        ({"collision": '{"format": 1}'}, "not a predictor of this version"),
        ({"collision": '{"format": 99}'}, "format 99.*newer version"),
        ({"collision": "{"}, "damaged"),
    ],
)
def test_other_safetensors_are_refused(saved, metadata, message):
    save_file({"a": torch.zeros(2)}, saved, metadata=metadata)
    with pytest.raises(CheckpointError, match=message):
        load_predictor(saved)


@pytest.mark.parametrize(
    ("version", "path", "message"),
    [
        (3, "threshold", "threshold must be given"),
        (3, "origin", "origin must be given"),
        (3, "fingerprint.feature_dim", "fingerprint.feature_dim must be given"),
        (3, "parts.head", "None as its head"),
        (3, "sampling", "sampling must be given"),
        (2, "threshold", "threshold must be given"),
        (2, "origin", "lacks 'origin'"),
        (2, "config", "lacks 'config'"),
        (2, "config.sampling", "lacks 'sampling'"),
        (2, "config.head", "None as its head"),
    ],
)
def test_a_header_with_a_gap_is_refused(tmp_path, version, path, message):
    header = copy.deepcopy(HEADERS[version])
    *parents, name = path.split(".")
    inner = header
    for parent in parents:
        inner = inner[parent]
    del inner[name]
    with pytest.raises(CheckpointError, match=f"{FILE_NAME}.*{message}"):
        load_header(tmp_path, header)


def entries(value, place=()):
    """List the places of all values of plain data."""
    yield place
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, item in inner:
        yield from entries(item, (*place, key))


def put(data, place, value):
    if not place:
        return value
    *parents, last = place
    target = data
    for parent in parents:
        target = target[parent]
    target[last] = value
    return data


def header_of(version):
    if version == 2:
        return copy.deepcopy(FORMAT_2)
    saved = make_predictor()
    path = Path(__file__).with_name("unused")
    captured = {}

    def keep(_, content):
        size = struct.unpack("<Q", content[:8])[0]
        metadata = json.loads(content[8 : 8 + size])["__metadata__"]
        captured.update(json.loads(metadata["collision"]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("collision.learning.predictor.write_whole", keep)
        saved.save(path)
    return captured


HEADERS = {version: header_of(version) for version in (2, 3)}
TENSORS = {name: tensor for name, tensor in make_predictor().model.state_dict().items()}


def load_header(folder, header):
    path = folder / FILE_NAME
    save_file(TENSORS, path, metadata={"collision": json.dumps(header)})
    return load_predictor(path)


@pytest.mark.parametrize("version", [2, 3])
def test_an_interpolated_string_is_refused_in_every_entry(tmp_path, version):
    made = tmp_path / "made"
    string = f"${{oc.create:{{_target_: os.mkdir, path: {made}}}}}"
    for place in entries(HEADERS[version]):
        header = put(copy.deepcopy(HEADERS[version]), place, string)
        with pytest.raises(CheckpointError):
            load_header(tmp_path, header)
        if place:  # as a key, too
            container = HEADERS[version]
            for step in place[:-1]:
                container = container[step]
            if isinstance(container, dict):
                header = put(copy.deepcopy(HEADERS[version]), (*place[:-1], string), 1)
                with pytest.raises(CheckpointError, match="not interpolated"):
                    load_header(tmp_path, header)
    assert not made.exists()


@pytest.mark.parametrize("part_", ["backbone", "head", "pooling", "sampling"])
@pytest.mark.parametrize(
    "target",
    [
        "os.mkdir",
        "collision.learning.predictor.Path.mkdir",
        "collision.learning.head.torch.hub.load",
    ],
)
@pytest.mark.parametrize("spelling", [2, "target", "_target_"])
def test_code_from_elsewhere_is_refused_and_not_run(tmp_path, part_, target, spelling):
    header = copy.deepcopy(HEADERS[2 if spelling == 2 else 3])
    options = {"path": str(tmp_path / "made")}
    if spelling == 2:
        header["config"][part_] = {"_target_": target, **options}
    elif part_ == "sampling":
        header["sampling"] = {spelling: target, **options}
    else:
        header["parts"][part_] = {spelling: target, "options": options}
    with pytest.raises(CheckpointError, match=r"not a class of|no option 'sampling"):
        load_header(tmp_path, header)
    assert not (tmp_path / "made").exists()


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.sampled_from([10**6, 2**31, 2**63, 10**30, -(10**30)]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [
            *("gru", "zipformer", "last", "../gru", "os.system", "subprocess.Popen", "${a}"),
            *("collision.temporal.gru.GRU", "collision.temporal.linear.Linear", "antigravity.fly"),
            *("collision.commands.train.run", "collision.__main__.main", "this.Zen", "_target_"),
        ]
    ),
    st.lists(st.integers(-1, 9), max_size=4),
    st.dictionaries(
        st.sampled_from(["name", "target", "_target_", "options", "_args_", "dim", "layers"]),
        st.sampled_from(["gru", "antigravity.fly", 3, [1], {}]),
        max_size=3,
    ),
)


@st.composite
def mutated(draw):
    """A header with some values replaced, taken out or added."""
    header = copy.deepcopy(HEADERS[draw(st.sampled_from([2, 3]))])
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(sorted(entries(header), key=str)))
        how = draw(st.sampled_from(["replace", "remove", "add"]))
        container = header
        for step in place[:-1]:
            container = container[step]
        if how == "remove" and place:
            del container[place[-1]]
        elif how == "add" and isinstance(container, dict):
            container[draw(st.text(max_size=5))] = draw(VALUES)
        else:
            header = put(header, place, draw(VALUES))
        if not isinstance(header, dict):
            break
    return header


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(header=mutated())
def test_any_header_is_read_or_refused(tmp_path, header):
    before = set(sys.modules)
    try:
        loaded = load_header(tmp_path, header)
    except CheckpointError as error:
        assert FILE_NAME in str(error)
    else:
        assert isinstance(loaded, Predictor)
    new = {name for name in set(sys.modules) - before if not name.startswith("collision")}
    assert not new & {"antigravity", "this"}, new


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 8}, "does not fit its own head"),
        ({"dim": 10**9}, "1000000000 in the options of its head"),
        ({"colour": 1}, r"no option 'head.colour'"),
        ({"dim": "4"}, r"head.dim=4: give a whole number"),
        ({"dropout": 3.0}, "dropout"),
    ],
)
def test_weights_and_options_must_agree(tmp_path, options, message):
    header = copy.deepcopy(HEADERS[3])
    header["parts"]["head"]["options"].update(options)
    with pytest.raises(CheckpointError, match=f"{FILE_NAME}.*{message}"):
        load_header(tmp_path, header)


def test_a_head_larger_than_its_weights_takes_no_memory(tmp_path):
    header = copy.deepcopy(HEADERS[3])
    header["fingerprint"]["feature_dim"] = 10**12
    with pytest.raises(CheckpointError, match="does not fit its own head"):
        load_header(tmp_path, header)


def test_a_missing_tensor_is_refused(saved):
    header, tensors = read(saved)
    del tensors["classifier.bias"]
    save_file(tensors, saved, metadata={"collision": json.dumps(header)})
    with pytest.raises(CheckpointError, match=r"classifier.bias"):
        load_predictor(saved)


def test_a_head_from_elsewhere_needs_trust(tmp_path, monkeypatch):
    (tmp_path / "my_heads.py").write_text(
        "import torch\n"
        "class Scale(torch.nn.Module):\n"
        "    def __init__(self, input_dim: int, factor: float = 1.0):\n"
        "        super().__init__()\n"
        "        self.output_dim, self.factor = input_dim, float(torch.tensor(factor))\n"
        "    def forward(self, features, times, mask):\n"
        "        return features * self.factor\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = replace(PARTS["head"], name="", target="my_heads.Scale", options={"factor": 2.0})
    model = build_model(own, PARTS["pooling"], FEATURE_DIM)
    path = tmp_path / FILE_NAME
    replace(make_predictor(), model=model, parts={**PARTS, "head": own}).save(path)
    sys.modules.pop("my_heads")
    with pytest.raises(CheckpointError, match=r"my_heads.Scale.*trust=\[my_heads\]"):
        load_predictor(path)
    assert "my_heads" not in sys.modules
    assert load_predictor(path, trust=["my_heads"]).model.encoder.factor == 2.0
    sys.modules.pop("my_heads")


def test_predictors_are_found_in_the_order_of_their_seeds(tmp_path):
    for seed in (2, 10, 1):
        (tmp_path / f"seed_{seed}").mkdir()
        (tmp_path / f"seed_{seed}" / FILE_NAME).touch()
    (tmp_path / "seed_2_copy").mkdir()
    (tmp_path / "seed_2_copy" / FILE_NAME).touch()
    wanted = [tmp_path / f"seed_{seed}" / FILE_NAME for seed in (1, 2, 10)]
    assert find_predictors(tmp_path) == wanted
    assert find_predictors(tmp_path / "seed_2") == [wanted[1]]
    assert find_predictors(wanted[0]) == [wanted[0]]


def test_where_there_is_no_predictor_the_message_says_what_there_is(tmp_path):
    with pytest.raises(CheckpointError, match="there is no such folder"):
        find_predictors(tmp_path / "absent")
    with pytest.raises(CheckpointError, match=r"found: nothing.*resume="):
        find_predictors(tmp_path)
    (tmp_path / "seed_0").mkdir()
    (tmp_path / "config.yaml").write_text("seeds: 1")
    with pytest.raises(CheckpointError, match=r"found: config.yaml, seed_0\).*resume="):
        find_predictors(tmp_path)


def test_a_run_whose_seeds_are_not_all_there_is_not_taken_for_one_that_ended(tmp_path):
    for seed in (4, 5):
        (tmp_path / f"seed_{seed}").mkdir()
        (tmp_path / f"seed_{seed}" / FILE_NAME).touch()
    (tmp_path / "config.yaml").write_text("seed: 4\nseeds: 3\n")
    with pytest.raises(CheckpointError, match=r"2 of 3 seeds.*resume=.*seed_4"):
        find_predictors(tmp_path)
    assert len(find_predictors(tmp_path / "seed_4")) == 1
    (tmp_path / "config.yaml").write_text("seed: 4\nseeds: 2\n")
    assert len(find_predictors(tmp_path)) == 2


def test_it_keeps_what_its_videos_look_like(tmp_path):
    known = known_videos(*planted_splits().values())
    replace(make_predictor(), known=known).save(tmp_path / FILE_NAME)
    loaded = load_predictor(tmp_path / FILE_NAME)
    data = planted_splits()["val"]
    assert loaded.known.distances(data) == known.distances(data)
    short = replace(known, centre=known.centre[1:], spread=known.spread[1:])
    short = replace(short, directions=known.directions[:, 1:].contiguous())
    replace(make_predictor(), known=short).save(tmp_path / FILE_NAME)
    with pytest.raises(CheckpointError, match=r"predictor\.safetensors.*5 features.*gives 6"):
        load_predictor(tmp_path / FILE_NAME)


def test_a_predictor_of_format_3_is_read_and_knows_nothing_of_its_videos(saved):
    def as_before(header):
        header["format"] = 3
        del header["origin"]["is_painted"]

    rewrite(saved, as_before)
    loaded = load_predictor(saved)
    assert loaded.known is None and loaded.origin.is_painted is None
    assert doubts(loaded, None) == ()
