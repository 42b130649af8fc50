"""What every head and every pooling promises, for every file in configs/head and configs/pooling.

Every head meets the pooling ``last``, and every pooling the heads ``linear`` and ``gru``; the other
pairs are slow tests. So is all of a head that is large by its YAML, which meets ``last`` alone.
"""

import pytest
import torch
from safetensors.torch import load_file, save_file

from collision.config import names_of, part
from collision.learning.head import build_model
from tests.kit.heads import HEADS, is_large

POOLINGS = names_of("pooling")
FEATURE_DIM = 24
SWITCHES = ("bidirectional", "causal")  # options that decide what an output may depend on


LARGE = {head for head in HEADS if is_large(head)}
SMALL = [head for head in HEADS if head not in LARGE]


def pairs():
    """Every head with every pooling, most of them marked slow."""
    for head in HEADS:
        for pooling in ["last"] if head in LARGE else POOLINGS:
            quick = (pooling == "last" and head not in LARGE) or head in ("linear", "gru")
            marks = () if quick else pytest.mark.slow
            yield pytest.param((head, pooling), id=f"{head}-{pooling}", marks=marks)


def variants():
    """Every head as it is, and with each of its switches turned."""
    for head in HEADS:
        options = part("head", head).options
        if head in LARGE:
            continue  # they differ from others in size
        yield pytest.param((head, {}), id=head)
        for switch in [switch for switch in SWITCHES if switch in options]:
            turned = {switch: not options[switch]}
            yield pytest.param((head, turned), id=f"{head}-{switch}={turned[switch]}")


def make_model(head, pooling, **options):
    torch.manual_seed(0)
    model = build_model(part("head", head, **options), part("pooling", pooling), FEATURE_DIM)
    model.fit_standardiser(3 + 2 * torch.randn(100, FEATURE_DIM))
    # Modules that begin at nothing must take part in what is compared. Of many channels the sum
    # grows, and with it what rounding does.
    noise = 0.01 if is_large(head) else 0.05
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(noise * torch.randn_like(parameter))
    return model.eval()


def make_batch(num_examples, num_steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    features = 3 + 2 * torch.randn(num_examples, num_steps, FEATURE_DIM, generator=generator)
    times = torch.linspace(-2.0, 0.0, num_steps).repeat(num_examples, 1)
    return features, times, torch.ones(num_examples, num_steps, dtype=torch.bool)


def pad(batch, left, right, value=float("nan")):
    """Put masked steps of ``value`` on both sides."""
    features, times, mask = batch
    padding = torch.nn.functional.pad
    return (
        padding(features, (0, 0, left, right), value=value),
        padding(times, (left, right), value=value),
        padding(mask, (left, right), value=False),
    )


@pytest.fixture(params=pairs())
def parts(request):
    return request.param


@pytest.fixture
def model(parts):
    return make_model(*parts)


@pytest.fixture(params=variants())
def encoder(request):
    head, options = request.param
    return make_model(head, "last", **options).encoder


def with_gaps(batch):
    """Mask the first steps of an example, the last of another, and some in the middle."""
    features, times, mask = batch
    mask[0, :3], mask[1, -2:], mask[2, 2:4] = False, False, False
    return features, times, mask


def gradients(module, outputs):
    """The derivatives of outputs by all parameters, under a weight that differs everywhere."""
    weights = torch.linspace(-1.0, 2.0, outputs.numel(), dtype=outputs.dtype).view(outputs.shape)
    parameters = list(module.parameters())
    if not outputs.requires_grad:
        return []
    return torch.autograd.grad((weights * outputs).sum(), parameters, allow_unused=True)


def test_every_part_is_found():
    assert {"zipformer", "transformer", "gru", "linear"} <= set(HEADS)
    assert {"attention", "mean", "max", "last"} <= set(POOLINGS)
    met = {parameter.values[0]: parameter.marks for parameter in pairs()}
    assert met.keys() >= {(head, pooling) for head in SMALL for pooling in POOLINGS}
    assert {head for head, _ in met} == set(HEADS)
    quick = [pair for pair, marks in met.items() if not marks]
    assert {head for head, _ in quick} == set(SMALL)
    assert {"retnet", "bimamba", "hybrid", "zipformer", "transformer", "gru"} <= set(SMALL)
    assert {pooling for _, pooling in quick} == set(POOLINGS)


@torch.no_grad()
def test_one_finite_logit_an_example_at_any_length(model):
    check_lengths(model, (*range(1, 10), 16, 23, 40, 65, 512))


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("head", SMALL)
def test_one_finite_logit_an_example_at_every_length(head):
    check_lengths(make_model(head, "last"), range(1, 513))


def check_lengths(model, lengths):
    for num_steps in lengths:
        logits = model(*make_batch(3, num_steps))
        assert logits.shape == (3,)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all(), num_steps


@torch.no_grad()
def test_features_matter(model):
    logits = model(*make_batch(6, 8))
    assert logits.std() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("value", [0.0, 1e4, float("nan"), float("inf")])
def test_padding_is_invisible(model, value):
    generator = torch.Generator().manual_seed(1)
    for num_steps in (1, 2, 5, 8, 13):
        batch = make_batch(4, num_steps)
        expected = model(*batch)
        for _ in range(4):
            left, right = torch.randint(0, 10, (2,), generator=generator).tolist()
            padded = model(*pad(batch, left, right, value))
            message = f"L={num_steps}, {left} on the left, {right} on the right"
            torch.testing.assert_close(
                padded, expected, atol=1e-5, rtol=1e-5, msg=lambda text, m=message: f"{m}: {text}"
            )


@torch.no_grad()
def test_examples_of_different_length_do_not_see_each_other(model):
    alone = [make_batch(1, num_steps, seed=num_steps) for num_steps in (1, 3, 6, 11, 12)]
    expected = torch.cat([model(*batch) for batch in alone])
    sides = [(12 - len(times[0])) * (seed % 2) for seed, (_, times, _) in enumerate(alone)]
    padded = [
        pad(batch, left, 12 - batch[0].shape[1] - left)
        for left, batch in zip(sides, alone, strict=True)
    ]
    together = model(*(torch.cat(parts) for parts in zip(*padded, strict=True)))
    torch.testing.assert_close(together, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_an_encoder_alone_does_not_look_under_the_mask(encoder):
    features, times, mask = make_batch(4, 10)
    mask[0, :4], mask[1, 6:], mask[2, 3:5] = False, False, False
    expected = encoder(features, times, mask)
    features[~mask] = times[~mask] = float("nan")
    encoded = encoder(features, times, mask)
    assert encoded.shape == (4, 10, encoder.output_dim)
    torch.testing.assert_close(encoded[mask], expected[mask])


@torch.no_grad()
def test_an_example_without_a_valid_step_is_finite_and_harms_no_other(model):
    features, times, mask = make_batch(3, 6)
    expected = model(features, times, mask)
    features[1], mask[1] = float("nan"), False
    logits = model(features, times, mask)
    assert logits.isfinite().all()
    torch.testing.assert_close(logits[[0, 2]], expected[[0, 2]], atol=1e-5, rtol=1e-5)


def test_an_example_without_a_valid_step_leaves_gradients_finite(model):
    features, times, mask = make_batch(3, 6)
    features[1], mask[1] = float("nan"), False
    model.train()(features, times, mask).sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def silent_parameters(model):
    features, times, mask = make_batch(4, 9)
    mask[0, 7:] = False
    model(features, times, mask).square().sum().backward()
    return {
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().max() > 0
    }


def test_gradient_reaches_every_parameter(model, parts):
    silent = silent_parameters(model)
    if silent and parts[1] == "last":
        # At the last step, what reads from the newest step on has seen one step and kept nothing.
        silent &= silent_parameters(make_model(parts[0], "mean"))
    assert silent == set()


@torch.no_grad()
def test_saving_and_loading_gives_the_same_logits(model, parts, tmp_path):
    batch = make_batch(3, 7)
    expected = model(*batch)
    save_file(model.state_dict(), tmp_path / "head.safetensors")
    torch.save(model.state_dict(), tmp_path / "head.pt")
    for state in (
        load_file(tmp_path / "head.safetensors"),
        torch.load(tmp_path / "head.pt", weights_only=True),
    ):
        other = make_model(*parts)
        for value in other.state_dict().values():
            value.fill_(0.5)
        other.load_state_dict(state)
        assert torch.equal(other(*batch), expected)


@torch.no_grad()
def test_eval_mode_is_deterministic_and_the_order_of_examples_is_free(model):
    features, times, mask = make_batch(5, 8)
    mask[2, :3] = False
    expected = model(features, times, mask)
    assert torch.equal(model(features, times, mask), expected)
    order = torch.tensor([3, 0, 4, 2, 1])
    permuted = model(features[order], times[order], mask[order])
    torch.testing.assert_close(permuted, expected[order], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_half_precision(model):
    features, times, mask = make_batch(4, 9)
    mask[1, :4] = False
    expected = model(features, times, mask)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(features, times, mask)
    assert logits.isfinite().all()
    torch.testing.assert_close(logits.float(), expected, atol=0.1, rtol=0.1)
    # Features are stored as float16; rounding them must not change the outcome much.
    torch.testing.assert_close(model(features.half(), times, mask), expected, atol=0.05, rtol=0.05)


def test_half_precision_trains(model):
    features, times, mask = with_gaps(make_batch(4, 9))
    wanted = gradients(model, model(features, times, mask))
    with torch.autocast("cpu", torch.bfloat16):
        found = gradients(model, model(features, times, mask))
    assert all(gradient.dtype == torch.float32 for gradient in found)
    exact, rounded = (torch.cat([one.flatten() for one in all_]) for all_ in (wanted, found))
    assert (rounded - exact).norm() <= 0.1 * exact.norm()


@torch.no_grad()
@pytest.mark.parametrize("num_steps", [1, 9, 70])
def test_float64_is_float32_with_more_digits(encoder, num_steps):
    features, times, mask = make_batch(3, num_steps)
    mask[0, : num_steps // 2] = False
    single = encoder(features, times, mask)
    double = encoder.double()(features.double(), times.double(), mask)
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double()[mask], double[mask], atol=1e-4, rtol=1e-4)


def check_compiled(model, backend, num_steps):
    """Encoder and pooling; what is around them asks where the mask has gaps."""
    batch = with_gaps(make_batch(3, num_steps))

    def run(features, times, mask):
        return model.pooling(model.encoder(features, times, mask), mask)

    torch.compiler.reset()
    wanted, found = run(*batch), torch.compile(run, backend=backend)(*batch)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    for one, other in zip(gradients(model, found), gradients(model, wanted), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "parts",
    [pair for pair in pairs() if pair.values[0][1] == "last" or pair.values[0][0] == "linear"],
    indirect=True,
)
def test_compiled_it_gives_the_same(model):
    check_compiled(model, "aot_eager", num_steps=9)


@pytest.mark.slow
@pytest.mark.parametrize("head", SMALL)
def test_compiled_to_machine_code_it_gives_the_same(head):
    check_compiled(make_model(head, "last"), "inductor", num_steps=16)


@torch.no_grad()
@pytest.mark.parametrize("num_steps", [6, 140])
def test_a_head_is_causal_where_it_says_so(encoder, num_steps):
    """Whatever follows, outputs before stay; a head that says nothing does look ahead."""
    features, times, mask = make_batch(3, num_steps)
    mask[0, 1], mask[1, -1] = False, False
    kept = num_steps - 2
    whole = encoder(features, times, mask)[:, :kept]
    prefix = encoder(features[:, :kept], times[:, :kept], mask[:, :kept])
    features[:, kept:] = 10 - features[:, kept:]
    mask[2, kept] = False
    changed = encoder(features, times, mask)[:, :kept]
    moved = max((other - whole)[mask[:, :kept]].abs().max() for other in (prefix, changed))
    says_so = getattr(encoder, "causal", False)
    assert (moved <= 1e-5) == says_so, f"causal={says_so}, but outputs move by {moved:.1e}"
