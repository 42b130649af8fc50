import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from collision.config import part
from collision.errors import ConfigError
from collision.temporal.zipformer import (
    BiasNorm,
    FeedForward,
    Zipformer,
    relative_positions,
    swoosh_left,
    swoosh_right,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "zipformer.safetensors"


def read_golden():
    with safe_open(GOLDEN, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        layout = json.loads(file.metadata()["layout"])
    weights = {
        name.removeprefix("weights."): value
        for name, value in tensors.items()
        if name.startswith("weights.")
    }
    return layout, weights, tensors


@torch.no_grad()
def test_equals_the_published_implementation_with_the_same_weights():
    layout, weights, golden = read_golden()
    encoder = Zipformer(**layout).eval()
    encoder.load_state_dict(weights)
    features, mask = golden["features"], golden["mask"]

    output = encoder(features, torch.zeros(mask.shape), mask)

    assert golden["expected"][mask].abs().mean() > 0.5
    torch.testing.assert_close(output, golden["expected"], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_equals_the_published_implementation_where_nothing_is_masked():
    layout, weights, golden = read_golden()
    encoder = Zipformer(**layout).eval()
    encoder.load_state_dict(weights)
    for features, mask, expected in zip(
        golden["features"], golden["mask"], golden["expected"], strict=True
    ):
        valid = features[mask].unsqueeze(0)
        output = encoder(valid, torch.zeros(valid.shape[:2]), torch.ones(valid.shape[:2]).bool())
        torch.testing.assert_close(output[0], expected[mask], atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_derivatives_are_those_of_the_differences():
    torch.manual_seed(0)
    small = {"dims": [4, 6], "layers": [1, 1], "heads": [2, 1], "downsampling": [1, 2]}
    encoder = Zipformer(input_dim=3, **small, kernel=3, dropout=0.0).double()
    features, times = torch.randn(2, 5, 3, dtype=torch.float64), torch.zeros(2, 5)
    for mask in (torch.ones(2, 5).bool(), torch.tensor([[1, 1, 1, 1, 1], [0, 1, 1, 0, 1]]).bool()):
        torch.autograd.gradcheck(
            lambda features, mask=mask: encoder(features, times, mask), features.requires_grad_()
        )


@pytest.mark.parametrize("num_steps", [1, 2, 63, 512])
def test_float64_is_float32_with_more_digits(num_steps):
    torch.manual_seed(0)
    encoder = Zipformer(input_dim=6).eval()
    features = torch.randn(1, num_steps, 6)
    times, mask = torch.zeros(1, num_steps), torch.ones(1, num_steps).bool()
    single = encoder(features, times, mask)
    double = encoder.double()(features.double(), times, mask)
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, atol=1e-5, rtol=1e-5)
    assert relative_positions(9, torch.device("cpu"), torch.float64).dtype == torch.float64


@pytest.mark.parametrize("masked", [0, 2])
def test_autocast_gives_near_outputs_and_gradients(masked):
    torch.manual_seed(0)
    encoder = Zipformer(input_dim=6, dropout=0.0)
    features, times, mask = torch.randn(3, 9, 6), torch.zeros(3, 9), torch.ones(3, 9).bool()
    mask[0, :masked] = False
    outcomes = []
    for enabled in (False, True):
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            output = encoder(features, times, mask)
        output.float().square().sum().backward()
        outcomes.append([output.float(), *(value.grad for value in encoder.parameters())])
    for exact, rounded in zip(*outcomes, strict=True):
        assert (exact - rounded).norm() <= 0.2 * exact.norm() + 1e-3


@pytest.mark.slow
def test_it_can_be_compiled():
    torch.manual_seed(0)
    encoder = Zipformer(input_dim=6, dropout=0.0)
    batch = torch.randn(3, 9, 6), torch.zeros(3, 9), torch.ones(3, 9).bool()
    wanted = encoder(*batch)
    found = torch.compile(encoder, backend="aot_eager")(*batch)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    gradients = [
        torch.autograd.grad(output.square().sum(), encoder.parameters())
        for output in (found, wanted)
    ]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_every_weight_of_the_golden_file_matters():
    layout, weights, golden = read_golden()
    encoder = Zipformer(**layout).eval()
    encoder.load_state_dict(weights)
    mask = golden["mask"]
    output = encoder(golden["features"], torch.zeros(mask.shape), mask)
    torch.manual_seed(0)
    (output * torch.randn_like(output)).sum().backward()
    assert {name for name, _ in encoder.named_parameters()} == weights.keys()
    for name, parameter in encoder.named_parameters():
        assert 0.1 * parameter.grad.abs().max() > 1e-4, name


def test_golden_file_is_small():
    assert GOLDEN.stat().st_size < 300_000


def test_position_encoding_tells_distances_and_directions_apart():
    encoding = relative_positions(9, torch.device("cpu"), torch.float32)
    assert encoding.shape == (17, 48)
    before, after = encoding[8 - 3], encoding[8 + 3]
    assert (before - after).abs().max() > 0.5
    assert (encoding[8 + 1] - encoding[8 + 2]).abs().max() > 0.5


def test_shorter_sequences_have_the_same_position_encoding():
    longer = relative_positions(40, torch.device("cpu"), torch.float32)
    shorter = relative_positions(7, torch.device("cpu"), torch.float32)
    torch.testing.assert_close(longer[33:46], shorter)


def test_order_of_the_steps_matters():
    encoder = Zipformer(input_dim=6).eval()
    features, mask = torch.randn(1, 8, 6), torch.ones(1, 8, dtype=torch.bool)
    forward = encoder(features, torch.zeros(1, 8), mask)
    backward = encoder(features.flip(1), torch.zeros(1, 8), mask).flip(1)
    assert (forward - backward).abs().max() > 1e-4


def test_swoosh_at_known_points():
    assert swoosh_right(torch.tensor(0.0)).abs() < 1e-6
    assert swoosh_left(torch.tensor(4.0)).item() == pytest.approx(0.693147 - 0.32 - 0.035, abs=1e-5)
    # Far out both are straight lines: slopes -0.08 and 0.92.
    for swoosh in (swoosh_left, swoosh_right):
        ends = swoosh(torch.tensor([-60.0, -50.0, 50.0, 60.0]))
        assert (ends[1] - ends[0]).item() == pytest.approx(-0.8, abs=1e-4)
        assert (ends[3] - ends[2]).item() == pytest.approx(9.2, abs=1e-4)


def test_bias_norm_gives_unit_root_mean_square_times_its_scale():
    norm = BiasNorm(64)
    torch.nn.init.zeros_(norm.bias)
    output = norm(5 * torch.randn(3, 4, 64))
    torch.testing.assert_close(
        output.square().mean(-1).sqrt(), torch.full((3, 4), torch.e), rtol=1e-4, atol=1e-4
    )
    assert norm(torch.zeros(1, 1, 64)).isfinite().all()


def test_dropout_acts_in_training_alone():
    features, times, mask = torch.randn(2, 6, 8), torch.zeros(2, 6), torch.ones(2, 6).bool()
    encoder = Zipformer(input_dim=8, dropout=0.5)
    dropped = encoder.train()(features, times, mask)
    assert (dropped - encoder.eval()(features, times, mask)).abs().max() > 0.01
    without = Zipformer(input_dim=8, dropout=0.0)
    assert torch.equal(
        without.train()(features, times, mask), without.eval()(features, times, mask)
    )


def test_feed_forward_drops_a_channel_for_the_whole_sequence():
    torch.manual_seed(0)
    module = FeedForward(dim=4, hidden_dim=32, dropout=0.5).train()
    output = module(torch.ones(2, 3, 4))  # the same input everywhere
    torch.testing.assert_close(output[:, 0], output[:, 2])
    assert (output[0] - output[1]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dims": [32, 48]}, "one value a stack.*'dims': 2"),
        ({"heads": [4, 0, 4]}, r"head.heads=\[4, 0, 4\]"),
        ({"downsampling": [1, -2, 1]}, r"head.downsampling=\[1, -2, 1\]"),
        ({"kernel": 4}, "head.kernel=4: give an odd number"),
        ({"dropout": 1.0}, "head.dropout=1.0"),
        ({"feedforward_factor": 0.01}, "head.feedforward_factor=0.01"),
        ({"dims": [], "layers": [], "heads": [], "downsampling": []}, "one value a stack"),
    ],
)
def test_options_that_cannot_work_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Zipformer(input_dim=8, **options)


# Layers, channels and heads of the stacks (arXiv 2603.15916); parameters for 1,024 features.
STUDY = {
    "zipformer_study": ([2, 3, 3, 2], [384, 768, 768, 384], [6, 12, 12, 6], 95_278_738),
    "zipformer_study_deep": ([2, 4, 4, 2], [512, 256, 256, 512], [8, 4, 4, 8], 36_651_624),
    "zipformer_study_wide": ([2, 2, 2], [1024, 512, 1024], [16, 8, 16], 109_000_000),
}


@pytest.mark.parametrize("name", STUDY)
def test_the_studys_layouts_are_as_it_has_them(name):
    layers, dims, heads, num_parameters = STUDY[name]
    options = part("head", name).options
    assert (options["layers"], options["dims"], options["heads"]) == (layers, dims, heads)
    assert (options["projection_dim"], options["kernel"], options["dropout"]) == (512, 15, 0.4)
    with torch.device("meta"):
        encoder = part("head", name).build(input_dim=1024)
    assert encoder.projection.weight.shape == (512, 1024)
    assert encoder.stacks[0].blocks[0].norm.bias.shape == (dims[0],)
    found = sum(parameter.numel() for parameter in encoder.parameters())
    assert found == pytest.approx(num_parameters, rel=1e-3)


@torch.no_grad()
def test_a_projection_before_the_first_stack_is_two_linear_layers():
    layout, weights, golden = read_golden()
    features, mask = golden["features"], golden["mask"]
    mixing = torch.randn(20, 12)
    encoder = Zipformer(**layout, projection_dim=20).eval()
    entry = {"entry.weight": torch.linalg.pinv(mixing), "entry.bias": torch.zeros(12)}
    projection = {"projection.weight": mixing, "projection.bias": torch.zeros(20)}
    encoder.load_state_dict({**weights, **projection, **entry})
    output = encoder(features, torch.zeros(mask.shape), mask)
    torch.testing.assert_close(output, golden["expected"], atol=1e-3, rtol=1e-3)
    plain = Zipformer(**layout, projection_dim=layout["dims"][0])
    assert set(plain.state_dict()) == set(weights)  # as without the option


@pytest.mark.parametrize("projection_dim", [0, -1])
def test_a_projection_to_nothing_is_refused(projection_dim):
    with pytest.raises(ConfigError, match=r"head\.projection_dim="):
        Zipformer(8, projection_dim=projection_dim)
