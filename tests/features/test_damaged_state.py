"""What stands in a cache may be cut off, edited or hold NULs: it is told or made anew."""

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collision.audit.check import CheckResult, _append, _read
from collision.audit.facts import DurationCache, gather_facts
from collision.audit.jobs import Pool, find_jobs
from collision.errors import CollisionError
from collision.features.digest import VideoDigests
from collision.features.failures import read_failures
from collision.files import load_json
from tests.features.test_source import TinyPart, fill, record, source_of
from tests.kit.extraction import Options, requests_of, write_videos

STATE = (
    *("videos/*.jsonl", "checks.csv", "durations/*.jsonl", "facts/v3/*/*.json"),
    *("*/manifest.json", "*/failures.csv", "*/speed.json", "*/*/*.safetensors"),
)
POOL = Pool(num_workers=0, progress=False)


def use(folder):
    """Go through everything that reads or adds to a cache's state."""
    source = source_of(folder, TinyPart())
    requests = requests_of(folder)
    source.look(requests)
    source.plan(requests, Options(num_workers=0))
    source.extract(requests, Options(num_workers=0), progress=False)
    assert "broken" in {failure.video for failure in read_failures(source.store.folder)}
    cache, digests = folder / "cache", VideoDigests(folder / "cache" / "videos.json")
    jobs, _ = find_jobs([record(r.video, r.path, 1) for r in requests], digests, progress=False)
    gather_facts(jobs, cache, POOL)
    durations = DurationCache(cache, digests)
    for request in requests:
        durations.recall((request.path, None))
        durations.keep({(request.path, None): 2.0})
        _append(cache / "checks.csv", jobs[request.video].digest, CheckResult("torn"))
    assert {job.digest for job in jobs.values()} <= _read(cache / "checks.csv").keys()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    write_videos(folder, 2)
    (folder / "broken.mp4").write_bytes(b"no video")
    fill(folder, TinyPart())
    use(folder)
    return folder


@st.composite
def damages(draw):
    """Cut a file off, write into it, or put something else in its place."""
    kind = draw(st.sampled_from(("cut", "nuls", "written", "replaced")))
    at = draw(st.floats(0, 1))
    new = draw(st.binary(max_size=40) | st.text('[]{}",:;0-9aN\n\\', max_size=40).map(str.encode))

    def damage(content):
        start = int(at * len(content))
        if kind == "cut":
            return content[:start]
        if kind == "nuls":
            return content[:start] + bytes(len(content) - start)
        return new if kind == "replaced" else content[:start] + new + content[start + len(new) :]

    return damage


@pytest.mark.parametrize("name", STATE)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=damages())
def test_damaged_state_is_told_or_made_anew(whole, name, damage, tmp_path):
    cache, kept = whole / "cache", tmp_path / "kept"
    shutil.copytree(cache, kept)
    try:
        (file, *_) = sorted(cache.glob(name))
        file.write_bytes(damage(file.read_bytes()))
        use(whole)
    except CollisionError as told:
        assert (
            "manifest.json" in str(told)
            or "made differently" in str(told)
            or "version" in str(told)
        )
    finally:
        shutil.rmtree(cache)
        kept.rename(cache)


def test_a_line_of_a_failure_that_was_cut_off_is_of_no_video(tmp_path):
    """Without its digest it would be of whatever the file holds now."""
    text = "video,path,reason,digest\na,/a.mp4,torn,d1\nb,/b.mp4,torn\n\0\0\nc,/c.mp4,torn,\nd,/d"
    (tmp_path / "failures.csv").write_text(text)
    assert [(f.video, f.digest) for f in read_failures(tmp_path)] == [("a", "d1"), ("c", "")]


def test_json_that_no_other_program_reads_is_damaged(tmp_path):
    for text in ("[" * 100_000, '{"a": NaN}', "\0"):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(ValueError, match=r"too deep|NaN|Expecting|line 1"):
            load_json(tmp_path / "a.json")


def test_a_digest_that_is_none_names_no_file(tmp_path):
    video, index = tmp_path / "a.mp4", tmp_path / "videos.json"
    video.write_bytes(b"video")
    digests = VideoDigests(index)
    digest = digests.digest(video)
    digests.save()
    (shard,) = index.with_suffix("").glob("*.jsonl")
    shard.write_text(shard.read_text().replace(digest, "../../elsewhere"))
    assert VideoDigests(index).digest(video) == digest
