import numpy as np
import pytest
import torch
from rich.console import Console

from collision.errors import CheckpointError
from collision.features.fingerprint import Fingerprint
from collision.learning.ensemble import Ensemble, states_of
from collision.learning.fit import Place
from collision.learning.fitted import Lesson, fit_ensemble, fit_predictor
from collision.learning.predictor import Origin, load_predictor
from collision.learning.predictor_files import FILE_NAME, find_predictors
from collision.option_groups import ThresholdOptions
from collision.sampling.policy import SamplingPolicy
from tests.kit.features import SETUP, planted_splits
from tests.learning.test_predictor import FINGERPRINT, PARTS

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two seeds and their ensemble, in the folder of a run."""
    folder = tmp_path_factory.mktemp("run")
    data = planted_splits()
    parts = {**PARTS, "head": SETUP.head, "pooling": SETUP.pooling}
    policy = SamplingPolicy(horizons=(0.5, 1.0))
    lesson = Lesson(data, parts, policy, Fingerprint(FINGERPRINT), Origin(seed=0))
    console = Console(quiet=True)
    heads = [
        fit_predictor(
            SETUP, lesson, ThresholdOptions(), Place(folder / f"seed_{seed}", seed, console)
        )
        for seed in (0, 1)
    ]
    together = fit_ensemble(heads, SETUP, lesson, ThresholdOptions(), folder)
    return folder, data, heads, together


def logits(model, data):
    batch = data.__getitems__(range(len(data)))
    with torch.inference_mode():
        return model(batch["features"], batch["times"], batch["mask"])


def test_its_logit_is_the_mean_of_its_heads(run):
    _, data, heads, together = run
    own = [logits(head.predictor.model, data["val"]) for head in heads]
    assert not torch.allclose(own[0], own[1])
    torch.testing.assert_close(logits(together.predictor.model, data["val"]), sum(own) / 2)


def test_the_file_gives_the_same_probabilities_and_stands_for_its_seeds(run):
    folder, data, _, together = run
    assert find_predictors(folder) == [folder / FILE_NAME]
    loaded = load_predictor(folder / FILE_NAME)
    assert isinstance(loaded.model, Ensemble) and loaded.threshold == together.predictor.threshold
    expected = together.predictor.probabilities(data["val"], CPU)
    assert np.array_equal(loaded.probabilities(data["val"], CPU), expected)
    alone = load_predictor(folder / "seed_0" / FILE_NAME)
    assert not isinstance(alone.model, Ensemble)


def test_weights_that_skip_a_head_are_refused(run):
    folder, _, _, together = run
    state = together.predictor.model.state_dict()
    renamed = {name.replace("members.1.", "members.7."): one for name, one in state.items()}
    first, second = states_of(renamed)
    assert set(first) == set(states_of(state)[0]) and not second
    broken = together.predictor.model
    try:
        broken.members[1].classifier.bias = torch.nn.Parameter(torch.zeros(3))
        together.predictor.save(folder / "broken.safetensors")
    finally:
        broken.members[1].classifier.bias = torch.nn.Parameter(torch.zeros(1))
    with pytest.raises(CheckpointError, match="does not fit its own head"):
        load_predictor(folder / "broken.safetensors")
