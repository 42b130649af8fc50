"""Facts of real files, and the cache that remembers them."""

import errno
import os
import signal

import cv2
import numpy as np
import pytest

from collision.audit import facts as facts_module
from collision.audit.facts import difference_hashes, gather_facts, read_facts
from collision.audit.jobs import Pool, find_jobs, look_at_all
from collision.errors import CollisionError, Interrupted
from collision.features.digest import VideoDigests
from collision.records import annotations
from collision.types import Failure
from tests.kit.audit import job_of, made_up_record, scene_frames
from tests.kit.video import write_video

HERE = Pool(num_workers=0, progress=False)


def read_all(folder, records, pool=HERE):
    jobs, missing = find_jobs(records, VideoDigests(folder / "cache/videos.json"), progress=False)
    facts, failures = gather_facts(jobs, folder / "cache", pool)
    return facts, missing + failures


def records_of(folder, count):
    return [
        made_up_record(
            number, 1, path=write_video(folder / f"{number}.mp4", scene_frames(number, 30), fps=10)
        )
        for number in range(count)
    ]


def equal(first, second):
    return all(
        np.array_equal(one, other)
        for one, other in zip(vars(first).values(), vars(second).values(), strict=True)
    )


def test_facts_of_a_file(tmp_path):
    frames = scene_frames(0, 30)
    facts = read_facts(job_of(write_video(tmp_path / "a.mp4", frames, fps=10)))
    assert (facts.width, facts.height, facts.codec) == (160, 90, "h264")
    assert facts.native_fps == pytest.approx(10)
    assert facts.frame_times == pytest.approx(np.arange(30) / 10)
    assert facts.end == pytest.approx(2.9)
    assert facts.duration == pytest.approx(3.0)
    assert facts.file_bytes == (tmp_path / "a.mp4").stat().st_size
    assert (facts.frame_bytes > 0).all()
    assert 0.5 * facts.file_bytes < facts.frame_bytes.sum() < facts.file_bytes
    assert facts.frame_bytes[0] == facts.frame_bytes.max()  # the key frame
    cells = cv2.resize(frames[0], (16, 9), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(facts.thumbnail - cells).mean() < 4
    assert len(facts.hashes) == len(facts.hash_times) == 6


def test_bytes_up_to_a_cut_do_not_depend_on_what_comes_after(tmp_path):
    """Without look-ahead of the encoder, two files that part at frame 20 agree before it."""
    first = scene_frames(0, 40)
    second = first.copy()
    second[20:] = scene_frames(1, 40)[20:]
    options = {"encoder_options": {"tune": "zerolatency", "crf": "23"}}
    facts = [
        read_facts(job_of(write_video(tmp_path / f"{n}.mp4", frames, fps=10, **options)))
        for n, frames in enumerate((first, second))
    ]
    assert np.array_equal(facts[0].frame_bytes[:20], facts[1].frame_bytes[:20])
    assert facts[0].frame_bytes.sum() != facts[1].frame_bytes.sum()


def test_a_frame_rate_in_place_of_the_clock(tmp_path):
    path = write_video(tmp_path / "a.mp4", scene_frames(0, 30), fps=10)
    facts = read_facts(job_of(path, frame_rate=5.0))
    assert facts.duration == pytest.approx(6.0)
    assert facts.native_fps == 5.0
    assert np.array_equal(facts.frame_bytes, read_facts(job_of(path)).frame_bytes)


def test_a_folder_of_images(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, frame in enumerate(scene_frames(0, 12)):
        cv2.imwrite(str(folder / f"{number:06d}.jpg"), frame)
    facts = read_facts(job_of(folder, frame_rate=10.0))
    sizes = [path.stat().st_size for path in sorted(folder.iterdir())]
    assert facts.frame_bytes.tolist() == sizes
    assert facts.file_bytes == sum(sizes)
    assert facts.codec == "images"


def test_hashes_survive_size_and_noise_and_tell_scenes_apart():
    frames = np.stack([scene_frames(seed, 1)[0] for seed in range(20)])
    generator = np.random.default_rng(0)

    def hashes(pictures):
        shaped = [cv2.resize(p, (144, 72), interpolation=cv2.INTER_AREA) for p in pictures]
        return difference_hashes(np.stack(shaped))[0]

    noisy = np.clip(frames + generator.normal(0, 6, frames.shape), 0, 255).astype(np.uint8)
    smaller = [cv2.resize(p, (80, 45), interpolation=cv2.INTER_AREA) for p in noisy]
    distance = np.bitwise_count(hashes(frames)[:, None] ^ hashes(smaller))
    assert np.diag(distance).max() <= 6
    assert distance[~np.eye(20, dtype=bool)].min() > 10


def test_flat_pictures_are_no_evidence():
    frames = np.stack([np.full((72, 144, 3), value, np.uint8) for value in (0, 16, 255)])
    noise = np.random.default_rng(0).normal(0, 4, frames.shape)
    _, is_flat = difference_hashes(np.clip(frames + noise, 0, 255).astype(np.uint8))
    assert is_flat.all()


def test_a_second_pass_reads_nothing(tmp_path, monkeypatch):
    records = records_of(tmp_path, 2)
    first, _ = read_all(tmp_path, records)
    monkeypatch.setattr(facts_module, "read_facts", lambda job: pytest.fail("read again"))
    second, failures = read_all(tmp_path, records)
    assert not failures
    assert all(equal(first[r.id], second[r.id]) for r in records)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "{}",
        lambda text: text.replace('"frame_bytes": [', '"frame_bytes": [1, '),
        lambda text: text.replace('"hashes": [', '"hashes": [-1, '),
        lambda text: text.replace('"codec": "', '"codec": 3, "note": "'),
        lambda text: text.replace('"version": 1', '"version": 2'),
    ],
)
def test_damaged_facts_are_read_again(tmp_path, damage):
    records = records_of(tmp_path, 1)
    first, _ = read_all(tmp_path, records)
    (file,) = (tmp_path / "cache/facts").rglob("*.json")
    file.write_text(damage(file.read_text()))
    second, _ = read_all(tmp_path, records)
    assert equal(first["v0"], second["v0"])


def test_a_cache_that_may_only_be_read_is_told_once_and_stops_nothing(
    tmp_path, monkeypatch, caplog
):
    def refuse(path, content):
        raise OSError(errno.EROFS, "Read-only file system")

    annotations.warn_once.cache_clear()
    monkeypatch.setattr(facts_module, "write_whole", refuse)
    facts, failures = read_all(tmp_path, records_of(tmp_path, 3))
    assert len(facts) == 3 and not failures
    assert [r.getMessage() for r in caplog.records] == [
        f"{tmp_path / 'cache/facts/v3'} may only be read: what was found in the files is not kept "
        "for next time."
    ]


def test_a_full_disk_stops_and_says_so(tmp_path, monkeypatch):
    def refuse(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(facts_module, "write_whole", refuse)
    with pytest.raises(CollisionError, match="no space left"):
        read_all(tmp_path, records_of(tmp_path, 1))


def test_facts_of_a_version_without_its_number_are_read(tmp_path, monkeypatch):
    records = records_of(tmp_path, 1)
    first, _ = read_all(tmp_path, records)
    (file,) = (tmp_path / "cache/facts").rglob("*.json")
    file.write_text(file.read_text().replace('"version": 1, ', ""))
    monkeypatch.setattr(facts_module, "read_facts", lambda job: pytest.fail("read again"))
    assert equal(first["v0"], read_all(tmp_path, records)[0]["v0"])


def test_what_cannot_be_read_is_a_failure_and_the_rest_go_on(tmp_path):
    records = records_of(tmp_path, 1)
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    records += [
        made_up_record(1, 0, path=tmp_path / "bad.mp4"),
        made_up_record(2, 0, path=tmp_path / "none.mp4"),
    ]
    facts, failures = read_all(tmp_path, records, Pool(num_workers=2, progress=False))
    assert set(facts) == {"v0"}
    assert {one.video for one in failures} == {"v1", "v2"}
    assert any("No such file" in one.reason for one in failures)


def test_copies_of_a_file_are_read_once(tmp_path, monkeypatch):
    records = records_of(tmp_path, 1)
    (tmp_path / "copy.mp4").write_bytes((tmp_path / "0.mp4").read_bytes())
    records.append(made_up_record(1, 0, path=tmp_path / "copy.mp4"))
    calls = []
    real = facts_module.read_facts
    monkeypatch.setattr(facts_module, "read_facts", lambda job: calls.append(job) or real(job))
    facts, _ = read_all(tmp_path, records)
    assert len(calls) == 1 and set(facts) == {"v0", "v1"}


def test_sigterm_keeps_what_is_read(tmp_path, monkeypatch):
    records = records_of(tmp_path, 3)
    real = facts_module.read_facts

    def read_and_interrupt(job):
        os.kill(os.getpid(), signal.SIGTERM)
        return real(job)

    monkeypatch.setattr(facts_module, "read_facts", read_and_interrupt)
    with pytest.raises(Interrupted) as stopped:
        read_all(tmp_path, records)
    assert stopped.value.exit_code == 143
    assert len(list((tmp_path / "cache/facts").rglob("*.json"))) == 1


def test_a_worker_that_dies_is_one_failure(tmp_path):
    jobs = [job_of(tmp_path / f"{n}.mp4", digest=str(n)) for n in range(3)]

    def look(job):
        return os._exit(1) if job.digest == "1" else job.digest

    results = dict(look_at_all(jobs, look, "", Pool(num_workers=2, progress=False)))
    assert isinstance(results.pop(jobs[1]), Failure)
    assert sorted(results.values()) == ["0", "2"]
