import torch

from collision.learning.packing import pack_steps, take_steps, unpack_steps


def test_valid_steps_come_first_and_nothing_hides_behind_them():
    sequence = torch.tensor([[[1.0], [2.0], [3.0], [4.0]], [[5.0], [6.0], [7.0], [8.0]]])
    mask = torch.tensor([[0, 1, 0, 1], [1, 1, 1, 0]]).bool()
    sequence[~mask] = float("nan")
    packed, packed_mask, _ = pack_steps(sequence, mask)
    assert packed.squeeze(-1).tolist() == [[2.0, 4.0, 0.0, 0.0], [5.0, 6.0, 7.0, 0.0]]
    assert packed_mask.tolist() == [[True, True, False, False], [True, True, True, False]]


def test_unpacking_puts_steps_back():
    torch.manual_seed(0)
    sequence, mask = torch.randn(6, 9, 3), torch.rand(6, 9) > 0.5
    packed, _, order = pack_steps(sequence, mask)
    assert torch.equal(unpack_steps(packed, order)[mask], sequence[mask])


def test_steps_can_be_taken_twice():
    sequence = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    taken = take_steps(sequence, torch.tensor([[1, 1, 0]]))
    assert taken.tolist() == [[[3.0, 4.0], [3.0, 4.0], [1.0, 2.0]]]
