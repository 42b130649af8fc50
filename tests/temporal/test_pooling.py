import pytest
import torch

from collision.config import names_of, part
from collision.errors import ConfigError
from collision.learning.attention import SelfBlock
from collision.temporal.pooling import (
    AttentionPooling,
    ChangePooling,
    ClassTokenPooling,
    LastPooling,
    LastThirdPooling,
    MaxPooling,
    MeanPooling,
    ProbePooling,
)

ENCODED = torch.tensor([[[1.0, 10.0], [2.0, 20.0], [4.0, 40.0]]]).expand(4, -1, -1)
MASK = torch.tensor([[1, 1, 1], [0, 1, 1], [1, 0, 0], [0, 0, 0]]).bool()


def test_mean_is_over_valid_steps():
    expected = torch.tensor([[7 / 3, 70 / 3], [3.0, 30.0], [1.0, 10.0], [0.0, 0.0]])
    torch.testing.assert_close(MeanPooling(2)(ENCODED, MASK), expected)


def test_last_is_the_last_valid_step():
    expected = torch.tensor([[4.0, 40.0], [4.0, 40.0], [1.0, 10.0], [0.0, 0.0]])
    torch.testing.assert_close(LastPooling(2)(ENCODED, MASK), expected)


def test_last_skips_padding_on_the_right():
    mask = torch.tensor([[1, 1, 0]]).bool()
    assert LastPooling(2)(ENCODED[:1], mask).tolist() == [[2.0, 20.0]]


def test_attention_begins_as_the_mean():
    pooling = AttentionPooling(2)
    torch.testing.assert_close(pooling(ENCODED, MASK), MeanPooling(2)(ENCODED, MASK))


def test_attention_follows_its_score():
    pooling = AttentionPooling(2)
    torch.nn.init.constant_(pooling.score.weight, 3.0)  # far more for the largest step
    torch.testing.assert_close(pooling(ENCODED, MASK), LastPooling(2)(ENCODED, MASK))
    torch.nn.init.constant_(pooling.score.weight, -3.0)
    torch.testing.assert_close(pooling(ENCODED, MASK)[0], ENCODED[0, 0])


def test_max_is_over_valid_steps_channel_by_channel():
    encoded = torch.tensor([[[-1.0, -9.0], [-2.0, -3.0], [-4.0, -1.0]]]).expand(4, -1, -1)
    expected = torch.tensor([[-1.0, -1.0], [-2.0, -1.0], [-1.0, -9.0], [0.0, 0.0]])
    assert torch.equal(MaxPooling(2)(encoded, MASK), expected)
    assert torch.equal(MaxPooling(2)(encoded.bfloat16(), MASK), expected.bfloat16())


@pytest.mark.parametrize(("num_steps", "kept"), [(1, 1), (2, 1), (3, 1), (5, 1), (6, 2), (20, 6)])
def test_last_third_is_rounded_down_and_at_least_a_step(num_steps, kept):
    steps = torch.arange(1.0, num_steps + 1)
    padded = torch.nn.functional.pad(steps, (2, 1), value=100.0)[None, :, None]
    mask = torch.nn.functional.pad(torch.ones(1, num_steps, dtype=torch.bool), (2, 1))
    assert LastThirdPooling(1)(padded, mask).item() == pytest.approx(steps[-kept:].mean().item())


def test_last_third_does_not_count_gaps():
    mask = torch.tensor([[1, 1, 0, 1, 1, 0, 1, 0, 1, 0]]).bool()  # the last two of six
    encoded = torch.arange(10.0)[None, :, None]
    assert LastThirdPooling(1)(encoded, mask).item() == 7.0


def test_change_is_last_and_its_differences_from_first_and_mean():
    expected = torch.tensor(
        [
            [4.0, 40.0, 3.0, 30.0, 4 - 7 / 3, 40 - 70 / 3],
            [4.0, 40.0, 2.0, 20.0, 1.0, 10.0],
            [1.0, 10.0, 0.0, 0.0, 0.0, 0.0],
            [0.0] * 6,
        ]
    )
    pooling = ChangePooling(2)
    assert pooling.output_dim == 6
    torch.testing.assert_close(pooling(ENCODED, MASK), expected)


@torch.no_grad()
def test_cls_is_the_token_of_a_block_that_it_shares_with_the_steps():
    torch.manual_seed(0)
    pooling = ClassTokenPooling(8, heads=2).eval()
    encoded = torch.randn(1, 5, 8)
    together = torch.cat([pooling.token.view(1, 1, 8), encoded], dim=1)
    wanted = pooling.norm(pooling.block(together, None))[:, 0]
    assert isinstance(pooling.block, SelfBlock)
    torch.testing.assert_close(pooling(encoded, torch.ones(1, 5).bool()), wanted)


@torch.no_grad()
@pytest.mark.parametrize("made", [ClassTokenPooling, ProbePooling])
def test_a_learned_pooling_finds_the_step_that_matters(made):
    """With keys that follow one channel, the step that is large there is what it sees."""
    torch.manual_seed(0)
    pooling = made(8, heads=1, dropout=0.0)
    encoded = torch.randn(1, 6, 8)
    encoded[0, 2, 0] = 9.0
    attention = pooling.block.attention
    attention.query_projection.weight.zero_()
    attention.query_projection.bias.fill_(1.0)
    attention.key_value_projection.weight[:8] = 0
    attention.key_value_projection.weight[:8, 0] = 50.0
    everything, alone = torch.ones(1, 6).bool(), torch.arange(6)[None] == 2
    found = pooling(encoded, everything)
    torch.testing.assert_close(found, pooling(encoded, alone), atol=1e-4, rtol=1e-4)
    encoded[0, 4, 0] = 90.0
    assert (pooling(encoded, everything) - found).abs().max() > 0.1


@torch.no_grad()
@pytest.mark.parametrize("name", names_of("pooling"))
def test_padding_is_invisible_to_every_pooling_and_no_step_gives_zeros(name):
    torch.manual_seed(0)
    pooling = part("pooling", name).build(dim=8).eval()
    encoded = torch.randn(2, 7, 8)
    mask = torch.tensor([[0, 0, 1, 1, 0, 1, 0], [0] * 7]).bool()
    found = pooling(encoded, mask)
    assert found.shape == (2, getattr(pooling, "output_dim", 8))
    torch.testing.assert_close(found[:1], pooling(encoded[:1, [2, 3, 5]], mask[:1, [2, 3, 5]]))
    assert (found[1] == 0).all()
    encoded[~mask] = 1e4
    torch.testing.assert_close(pooling(encoded, mask), found)


@pytest.mark.parametrize("name", ["cls", "probe"])
@pytest.mark.parametrize(
    ("dim", "heads", "fitting"), [(64, 4, 4), (37, 4, 1), (6, 4, 3), (2, 4, 2), (8, 1, 1)]
)
def test_attention_heads_are_as_many_as_divide_what_the_encoder_gives(name, dim, heads, fitting):
    pooling = part("pooling", name, heads=heads).build(dim=dim)
    assert pooling.block.attention.heads == fitting
    assert pooling(torch.randn(2, 3, dim), torch.ones(2, 3).bool()).shape == (2, dim)


@pytest.mark.parametrize("name", ["cls", "probe"])
@pytest.mark.parametrize(("option", "value"), [("heads", 0), ("heads", -2), ("dropout", 1.0)])
def test_options_that_cannot_work_are_refused(name, option, value):
    with pytest.raises(ConfigError, match=f"^pooling.{option}={value}: "):
        part("pooling", name, **{option: value}).build(dim=8)
