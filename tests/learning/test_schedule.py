import pytest

from collision.learning.optim import rate_for
from collision.learning.schedule import schedule_of
from collision.option_groups import TrainerOptions


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


def test_longer_sets_are_passed_over_more_often_at_a_higher_rate():
    schedules = [
        schedule_of(TrainerOptions(), rows) for rows in (50, 1_000, 4_000, 16_000, 500_000)
    ]
    passes = [
        s.total * s.batch_size / rows
        for s, rows in zip(schedules, (50, 1_000, 4_000, 16_000, 500_000), strict=True)
    ]
    assert passes[1:4] == pytest.approx([10, 20, 40], rel=0.05)
    assert passes[0] > 10 and passes[4] < 10  # by fewest and most steps
    rates = [rate_for(schedule.total) for schedule in schedules]
    assert rates == sorted(rates) and rates[0] == pytest.approx(3e-4) and rates[-1] == 2e-3
