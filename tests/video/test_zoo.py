"""Each kind of file of the zoo: what FFmpeg says of it, and that our reader is right or refuses."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from collision.video.frames import read_frames
from collision.video.index import VideoIndex, index_video
from collision.video.readers import read_by
from tests.kit import zoo_check
from tests.kit.zoo import COPIED, KINDS
from tests.kit.zoo_check import (
    Zoo,
    check_damage,
    check_kind,
    check_oracle,
    check_reader,
    remux,
)

# What happens today, and to which kinds (or kind>container of a copy). What is mended leaves.
WRONG = {
    "half pictures come without a flag": """
        mpeg2video-mpg-closed-cut
        mpeg2video-mpg-closed-zeros
    """,
}
KNOWN_WRONG = {name: reason for reason, names in WRONG.items() for name in names.split()}
COPIES = {f"{kind.name}>{container}": (kind, container) for kind, container in COPIED}


def expected(names: Iterable[str]) -> list:
    """Give test parameters: those that are known to be wrong have to be wrong."""
    return [
        pytest.param(name, marks=pytest.mark.xfail(strict=True, reason=KNOWN_WRONG[name]))
        if name in KNOWN_WRONG
        else name
        for name in names
    ]


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return Zoo(tmp_path_factory.mktemp("zoo"))


# --- The zoo itself -------------------------------------------------------------------------------


def variants(attribute: str) -> set[str]:
    return {getattr(kind, attribute) for kind in KINDS.values()} - {""}


def test_the_zoo_is_large():
    assert len(KINDS) >= 60
    assert len(variants("codec")) >= 8
    assert len(variants("container")) >= 6
    assert len(variants("gop")) >= 6
    assert len(variants("clock")) >= 5
    assert len({kind.orientation for kind in KINDS.values()}) == 8
    assert len(variants("damage")) >= 4
    assert sum(bool(kind.may_be_refused) for kind in KINDS.values()) <= 10


def test_no_encoder_leaves_this_process_in_real_time(zoo: Zoo):
    before = os.sched_getscheduler(0)
    name = next(name for name, kind in KINDS.items() if kind.codec == "av1")
    KINDS[name].write(zoo.folder)
    assert os.sched_getscheduler(0) == before


def test_known_wrong_names_kinds():
    assert set(KNOWN_WRONG) <= {*KINDS, *COPIES}


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if not kind.damage])
def test_ffmpeg_decodes_what_the_kind_says(zoo: Zoo, name: str):
    check_oracle(KINDS[name], zoo)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.damage])
def test_damage_spreads_as_the_kind_says(zoo: Zoo, name: str):
    check_damage(KINDS[name], zoo)


# --- The reader -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", expected(KINDS))
def test_the_reader_is_right_or_refuses(zoo: Zoo, name: str):
    check_kind(KINDS[name], zoo)


OF_DECORD = [n for n, kind in KINDS.items() if kind.codec in ("h264", "mpeg4") and "mp4" in n]


@pytest.mark.parametrize("name", OF_DECORD)
def test_decord_is_right_where_it_is_trusted(zoo: Zoo, monkeypatch: pytest.MonkeyPatch, name: str):
    def read(index: VideoIndex, wanted: np.ndarray, *size: int | None) -> np.ndarray:
        return read_frames(read_by("decord", index, np.unique(wanted)), wanted, *size)

    monkeypatch.setattr(zoo_check, "read_frames", read)
    check_kind(KINDS[name], zoo)


@pytest.mark.slow
@pytest.mark.parametrize("name", expected(KINDS))
def test_the_reader_is_right_or_refuses_at_many_places(zoo: Zoo, name: str):
    check_kind(KINDS[name], zoo, effort=6)


@pytest.mark.parametrize("name", expected(COPIES))
def test_a_copy_in_another_container_reads_alike(zoo: Zoo, tmp_path: Path, name: str):
    kind, container = COPIES[name]
    path = remux(zoo.path(kind), tmp_path / f"copy.{container}", container)
    index = check_reader(kind, path, draws=3)
    if index:  # scores are those of the clip, since the pictures are, and their times
        given = index_video(zoo.path(kind))
        np.testing.assert_allclose(index.frame_times, given.frame_times, atol=2e-3)
        few = np.arange(0, len(index.frame_times), 7)
        np.testing.assert_array_equal(*(read_frames(one, few, 24, 40) for one in (given, index)))
