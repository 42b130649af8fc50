import pytest

from collision.learning.schedule import schedule_of
from collision.options import TrainerOptions


@pytest.mark.parametrize("num_rows", [1, 50, 117, 1_000, 30_000, 500_000])
def test_length_batch_and_validations_follow_from_the_size_of_the_set(num_rows):
    schedule = schedule_of(TrainerOptions(), num_rows)
    assert schedule.num_intervals <= 20 and schedule.total >= 60
    passes = schedule.total * schedule.batch_size / num_rows
    assert passes >= 5
    assert schedule.total <= 10_020


def test_what_is_given_is_kept():
    options = TrainerOptions(max_steps=7, batch_size=3, validations=2)
    schedule = schedule_of(options, 1_000)
    assert (schedule.batch_size, schedule.interval, schedule.num_intervals) == (3, 4, 2)
    assert schedule.total == 8  # whole intervals


def test_more_validations_than_steps_are_one_a_step():
    schedule = schedule_of(TrainerOptions(max_steps=3, validations=20), 10)
    assert (schedule.interval, schedule.num_intervals) == (1, 3)
