import torch

from collision.temporal.pooling import AttentionPooling, LastPooling, MaxPooling, MeanPooling

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
