import json
from pathlib import Path

import pytest
import torch

from collision.errors import ConfigError
from collision.learning import retention
from collision.temporal.retnet import RetNet
from tests.kit.golden import read_golden
from tests.kit.streams import outputs_step_by_step

GOLDEN = Path(__file__).parents[1] / "golden" / "retnet.safetensors"


@pytest.fixture(scope="module")
def golden():
    metadata, weights, cases = read_golden(GOLDEN)
    encoder = RetNet(**json.loads(metadata["layout"])).eval()
    encoder.load_state_dict(weights)
    return encoder, cases


@torch.no_grad()
@pytest.mark.parametrize("parallel", [True, False])
@pytest.mark.parametrize("case", range(5))
def test_equals_another_implementation_with_the_same_weights(golden, case, parallel, monkeypatch):
    """In the chunked form too."""
    monkeypatch.setattr(retention, "PARALLEL_STEPS", 1_000 if parallel else 0)
    encoder, cases = golden
    features, mask = cases[case]["features"], cases[case]["mask"]
    times = torch.zeros(mask.shape)
    whole = encoder(features, times, torch.ones_like(mask))
    torch.testing.assert_close(whole, cases[case]["whole"], atol=1e-5, rtol=1e-5)
    masked = encoder(features.masked_fill(~mask.unsqueeze(-1), float("nan")), times, mask)
    torch.testing.assert_close(masked, cases[case]["masked"], atol=1e-5, rtol=1e-5)
    assert masked.abs().mean() > 0.1


@torch.no_grad()
def test_step_by_step_it_equals_another_implementation(golden):
    encoder, cases = golden
    for case in cases:
        stepped = outputs_step_by_step(encoder, case["features"])
        torch.testing.assert_close(stepped, case["whole"], atol=1e-5, rtol=1e-5)


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
@pytest.mark.parametrize(("num_steps", "form"), [(64, "parallel"), (65, "chunked")])
def test_long_sequences_are_read_in_chunks(num_steps, form, monkeypatch):
    used = []
    for name in ("parallel", "chunked"):
        plain = getattr(retention, f"retain_{name}")
        note = lambda *parts, plain=plain, name=name: (used.append(name), plain(*parts))[1]  # noqa: E731
        monkeypatch.setattr(retention, f"retain_{name}", note)
    shape = 1, num_steps
    RetNet(input_dim=5)(torch.zeros(*shape, 5), torch.zeros(shape), torch.ones(shape).bool())
    assert used == [form, form]


@torch.no_grad()
def test_both_directions_are_those_of_the_turned_sequence():
    torch.manual_seed(0)
    encoder = RetNet(input_dim=5, dim=16, bidirectional=True).eval()
    features, times, mask = torch.randn(2, 9, 5), torch.zeros(2, 9), torch.ones(2, 9).bool()
    mask[0, 6:] = False
    forth = encoder(features, times, mask)
    back = encoder(features.flip(1), times, mask.flip(1)).flip(1)
    torch.testing.assert_close(forth, back, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 20, "heads": 4}, "head.dim=20 with head.heads=4.*multiple of 8"),
        ({"layers": 0}, "head.layers=0: give 1 or more"),
        ({"dim": 0}, "head.dim=0: give 1 or more"),
        ({"heads": 0}, "head.heads=0: give 1 or more"),
        ({"feedforward_factor": 0.01}, "head.feedforward_factor"),
        ({"dropout": 1.0}, "head.dropout=1.0"),
        ({"shortest_memory": 1.0}, "head.shortest_memory=1.0"),
        ({"longest_memory": 2.0}, "head.longest_memory=2.0"),
        ({"longest_memory": float("nan")}, "head.longest_memory=nan"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        RetNet(input_dim=8, **options)
