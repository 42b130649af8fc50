import json
from pathlib import Path

import pytest
import torch

from collision.errors import ConfigError
from collision.temporal.bimamba import BiMamba
from tests.kit.golden import read_golden
from tests.kit.streams import outputs_step_by_step

GOLDEN = Path(__file__).parents[1] / "golden" / "mamba.safetensors"


@pytest.fixture(scope="module")
def golden():
    metadata, weights, cases = read_golden(GOLDEN)
    encoder = BiMamba(**json.loads(metadata["layout"])).eval()
    encoder.load_state_dict(weights)
    return encoder, cases


@torch.no_grad()
@pytest.mark.parametrize("case", range(5))
def test_one_direction_equals_the_mixer_of_transformers_with_the_same_weights(golden, case):
    encoder, cases = golden
    features, mask = cases[case]["features"], cases[case]["mask"]
    times = torch.zeros(mask.shape)
    whole = encoder(features, times, torch.ones_like(mask))
    torch.testing.assert_close(whole, cases[case]["whole"], atol=1e-5, rtol=1e-5)
    masked = encoder(features.masked_fill(~mask.unsqueeze(-1), float("nan")), times, mask)
    torch.testing.assert_close(masked, cases[case]["masked"], atol=1e-5, rtol=1e-5)
    assert masked.abs().mean() > 0.1
    stepped = outputs_step_by_step(encoder, features)
    torch.testing.assert_close(stepped, cases[case]["whole"], atol=1e-5, rtol=1e-5)


def test_every_weight_of_the_golden_file_matters(golden):
    encoder, cases = golden
    features = cases[-1]["features"]
    output = encoder(features, torch.zeros(features.shape[:2]), torch.ones(2, 40).bool())
    torch.manual_seed(0)
    (output * torch.randn_like(output)).sum().backward()
    for name, parameter in encoder.named_parameters():
        assert 0.1 * parameter.grad.abs().max() > 1e-4, name
    assert GOLDEN.stat().st_size < 200 * 1024


@torch.no_grad()
def test_with_the_directions_exchanged_it_reads_the_turned_sequence():
    torch.manual_seed(0)
    encoder = BiMamba(input_dim=5, dim=16).eval()
    features, times, mask = torch.randn(2, 9, 5), torch.zeros(2, 9), torch.ones(2, 9).bool()
    mask[0, 6:] = False
    forth = encoder(features, times, mask)
    turned = encoder(features.flip(1), times, mask.flip(1)).flip(1)
    assert (forth - turned)[mask].abs().max() > 1e-2
    for block in encoder.blocks:
        block.forwards, block.backwards = block.backwards, block.forwards
    exchanged = encoder(features.flip(1), times, mask.flip(1)).flip(1)
    torch.testing.assert_close(forth, exchanged, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 0}, "head.layers=0: give 1 or more"),
        ({"dim": 0}, "head.dim=0: give 1 or more"),
        ({"state_dim": 0}, "head.state_dim=0: give 1 or more"),
        ({"kernel": 0}, "head.kernel=0: give 1 or more"),
        ({"expansion": 0.01}, "head.expansion"),
        ({"dropout": -0.1}, "head.dropout=-0.1"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        BiMamba(input_dim=8, **options)
