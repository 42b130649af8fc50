import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from collision.errors import CheckpointError, ConfigError
from collision.learning.head import build_model
from collision.learning.predictor import FILE_NAME, Predictor, find_predictors, load_predictor
from collision.sampling.policy import SamplingPolicy

FEATURE_DIM = 6
CONFIG = {
    "backbone": {"_target_": "collision.backbones.timm_image.TimmImage", "model": "x"},
    "head": {"_target_": "collision.temporal.gru.GRU", "dim": 4},
    "pooling": {"_target_": "collision.temporal.pooling.MaxPooling"},
    "sampling": {"_target_": "collision.sampling.policy.SamplingPolicy", "horizons": [0.5, 1.0]},
    "feature_dropout": 0.5,
}


def make_predictor():
    torch.manual_seed(0)
    model = build_model(CONFIG["head"], CONFIG["pooling"], FEATURE_DIM, 0.5)
    model.fit_standardiser(3 + 2 * torch.randn(50, FEATURE_DIM))
    return Predictor(
        model=model.eval(),
        config=CONFIG,
        spec={"feature_dim": FEATURE_DIM, "mean": [0.5]},
        fingerprint={"name": "test/tiny", "fps": 10.0},
        threshold={"value": 0.4},
        origin={"dataset": "synthetic", "seed": 3},
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
    change(header)
    save_file(tensors, path, metadata={"collision": json.dumps(header)})


@torch.no_grad()
def test_what_is_saved_comes_back(saved):
    original, loaded = make_predictor(), load_predictor(saved)
    batch = torch.randn(3, 5, FEATURE_DIM), torch.zeros(3, 5), torch.ones(3, 5).bool()
    assert not loaded.model.training
    assert torch.equal(loaded.model(*batch), original.model(*batch))
    for name in ("config", "spec", "fingerprint", "threshold", "origin"):
        assert getattr(loaded, name) == getattr(original, name)
    assert loaded.policy == SamplingPolicy(horizons=(0.5, 1.0))


def test_without_validation_there_is_no_threshold(tmp_path):
    predictor = make_predictor()
    predictor.threshold = None
    predictor.save(tmp_path / FILE_NAME)
    assert load_predictor(tmp_path / FILE_NAME).threshold is None


def test_a_save_that_fails_leaves_the_old_file(saved):
    before = saved.read_bytes()
    predictor = make_predictor()
    predictor.origin = {"seed": object()}
    with pytest.raises(TypeError):
        predictor.save(saved)
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


@pytest.mark.parametrize("metadata", [None, {"collision": "[]"}, {"collision": '{"format": 99}'}])
def test_other_safetensors_are_refused(saved, metadata):
    save_file({"a": torch.zeros(2)}, saved, metadata=metadata)
    with pytest.raises(CheckpointError, match="not a predictor of this version"):
        load_predictor(saved)


def test_a_header_that_is_no_json_is_refused(saved):
    save_file({"a": torch.zeros(2)}, saved, metadata={"collision": "{"})
    with pytest.raises(CheckpointError, match="damaged"):
        load_predictor(saved)


@pytest.mark.parametrize(
    "path",
    ["threshold", "origin", "fingerprint", "spec.feature_dim", "config", "config.sampling"],
)
def test_a_header_with_a_gap_is_refused(saved, path):
    *parents, name = path.split(".")

    def remove(header):
        for parent in parents:
            header = header[parent]
        del header[name]

    rewrite(saved, remove)
    with pytest.raises(CheckpointError, match=f"lacks {path}"):
        load_predictor(saved)


@pytest.mark.parametrize("part", ["backbone", "head", "pooling", "sampling"])
@pytest.mark.parametrize(
    "target",
    [
        "os.mkdir",
        "collision.learning.predictor.Path.mkdir",
        "collision.learning.head.torch.hub.load",
    ],
)
def test_code_from_elsewhere_is_refused_and_not_run(saved, part, target):
    folder = saved.parent / "made"

    def swap(header):
        header["config"][part] = {"_target_": target, "path": str(folder)}

    rewrite(saved, swap)
    with pytest.raises(CheckpointError, match=f"{target}.*not a class of this package"):
        load_predictor(saved)
    assert not folder.exists()


def test_code_that_is_nested_is_refused(saved):
    def nest(header):
        header["config"]["head"]["dim"] = [{"_target_": "os.getpid"}]

    rewrite(saved, nest)
    with pytest.raises(CheckpointError, match=r"os.getpid"):
        load_predictor(saved)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda h: h["config"]["head"].update(dim=8), CheckpointError, "does not fit its own head"),
        (lambda h: h["spec"].update(feature_dim=7), CheckpointError, "does not fit its own head"),
        (lambda h: h["config"]["head"].update(colour=1), ConfigError, "Cannot build.*GRU"),
    ],
)
def test_weights_and_configuration_must_agree(saved, change, error, message):
    rewrite(saved, change)
    with pytest.raises(error, match=message):
        load_predictor(saved)


def test_a_missing_tensor_is_refused(saved):
    header, tensors = read(saved)
    del tensors["classifier.bias"]
    save_file(tensors, saved, metadata={"collision": json.dumps(header)})
    with pytest.raises(CheckpointError, match=r"classifier.bias"):
        load_predictor(saved)


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
    (tmp_path / "config.yaml").touch()
    with pytest.raises(CheckpointError, match=r"found: config.yaml, seed_0\).*resume="):
        find_predictors(tmp_path)
