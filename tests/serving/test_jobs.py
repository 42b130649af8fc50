"""The row of jobs: in order, each to its owner, never more than there is room for."""

import pytest

from collision.serving.jobs import Full, Job, Jobs


@pytest.fixture
def row(tmp_path):
    jobs = Jobs(3, 3600)

    def add(owner="me", name="clip"):
        folder = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        job = Job(owner, "clip", name, {}, folder)
        jobs.add(job)
        return job

    return jobs, add


def test_whoever_comes_first_is_served_first(row):
    jobs, add = row
    first, second = add("me"), add("you")
    assert (jobs.before(first), jobs.before(second)) == (0, 1)
    assert jobs.next() is first and first.state == "working"
    jobs.finish(first, {"a": 1})
    assert first.state == "done" and jobs.before(second) == 0
    assert jobs.next() is second
    jobs.finish(second, None, "no")
    assert (second.state, second.error) == ("failed", "no")


def test_nobody_sees_the_jobs_of_another(row):
    jobs, add = row
    mine, yours = add("me"), add("you")
    assert jobs.of("me") == [mine] and jobs.of("you") == [yours]
    assert jobs.find("you", mine.id) is None and jobs.find("me", mine.id) is mine


def test_finished_ones_make_room_with_their_files_and_others_do_not(row):
    jobs, add = row
    first, second, third = add(), add(), add()
    with pytest.raises(Full):
        add()
    with pytest.raises(Full):
        jobs.check_room()
    for job in (first, second):
        assert jobs.next() is job
        jobs.finish(job, {})
    fourth = add()
    assert jobs.of("me") == [fourth, third, second]
    assert not first.folder.exists() and second.folder.exists()


def test_a_cancelled_job_is_never_begun_and_a_running_one_keeps_its_files_to_the_end(row):
    jobs, add = row
    running, waiting, last = add(), add(), add()
    assert jobs.next() is running
    jobs.cancel(waiting)
    jobs.cancel(running)
    assert not waiting.folder.exists() and running.folder.exists()
    jobs.finish(running, {"late": 1})
    assert running.state == "cancelled" and not running.result and not running.folder.exists()
    assert jobs.next() is last


def test_what_is_removed_while_its_worker_still_writes_leaves_nothing(row):
    jobs, add = row
    job = add()
    jobs.next()
    jobs.cancel(job)
    jobs.remove(job)
    job.folder.mkdir(exist_ok=True)  # the worker had not heard of it
    jobs.finish(job, {})
    assert not job.folder.exists() and jobs.of("me") == []


def test_a_job_that_goes_on_is_not_removed(row):
    jobs, add = row
    job = add()
    jobs.remove(job)
    assert jobs.of("me") == [job] and job.folder.exists()


def test_old_ones_go(tmp_path):
    jobs = Jobs(3, 0.0)
    job = Job("me", "clip", "a", {}, tmp_path / "a")
    job.folder.mkdir()
    jobs.add(job)
    assert jobs.of("me") == [job]  # it waits, however long
    jobs.next()
    jobs.finish(job, {})
    assert jobs.of("me") == [] and not job.folder.exists()


def test_the_end_wakes_who_waits(row):
    jobs, add = row
    job = add()
    jobs.close()
    assert jobs.next() is None and job.state == "cancelled"
