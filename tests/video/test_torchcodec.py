"""torchcodec reads what it gives PyAV's frames of; a stand-in of it is tried wherever tests run."""

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from collision.errors import ConfigError, VideoDecodeError
from collision.video.frames import read_frames
from collision.video.index import VideoIndex, index_video
from collision.video.readers import read_by
from collision.video.torchcodec import load_torchcodec
from tests.kit import video as kit
from tests.kit import zoo_check
from tests.kit.torchcodec import FakeDecoder, install
from tests.kit.zoo import KINDS
from tests.video.test_zoo import expected

WANTED = np.array([2, 17, 30, 55])


def is_here() -> bool:
    try:
        return bool(load_torchcodec())
    except ConfigError:
        return False


needs_torchcodec = pytest.mark.skipif(not is_here(), reason="torchcodec or FFmpeg is not here")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "plain.mp4"
    return kit.write_video(path, kit.numbered_frames(60), faststart=True)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeDecoder]:
    return install(monkeypatch)


def by_pyav(index: VideoIndex) -> np.ndarray:
    return read_frames(replace(index, reader="pyav"), WANTED, 24, 32)


def test_what_is_trusted_is_decoded_by_torchcodec(plain: Path, fake: type[FakeDecoder]):
    index = replace(index_video(plain), notes=("2 holes",))
    chosen = read_by("torchcodec", index, WANTED)
    assert (chosen.reader, chosen.notes) == ("torchcodec", ("2 holes",))
    fake.num_asked = 0
    shown = read_frames(chosen, WANTED[[3, 0, 0, 1]], 24, 32).astype(int)
    assert fake.num_asked == 3
    assert np.abs(shown - by_pyav(index)[[3, 0, 0, 1]]).mean() < 3
    everything = np.arange(60)
    assert kit.read_numbers(read_frames(chosen, everything)) == everything.tolist()
    assert fake.options == {
        "stream_index": 0,
        "dimension_order": "NHWC",
        "device": "cpu",
        "seek_mode": "exact",
    }


def test_it_decodes_on_the_gpu_that_this_process_computes_on(
    plain: Path, fake: type[FakeDecoder], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert read_by("torchcodec", index_video(plain), WANTED).reader == "torchcodec"
    assert fake.options["device"] == "cuda"


def test_others_leave_the_index_or_ask_for_pyav(plain: Path, tmp_path: Path):
    index = index_video(plain)
    assert read_by("pyav", index, WANTED) is index
    assert read_by("torchcodec", index, WANTED[:0]) is index
    folder = replace(index, images=(tmp_path,))
    assert read_by("torchcodec", folder, WANTED) is folder


FAULTS = {
    "torchcodec counts other frames": {"num_more": 1},
    "torchcodec gives frames other times": {"late": 0.01},
    "torchcodec cannot decode it": {"error": RuntimeError("no")},
    "torchcodec gives pictures of another size": {"change": lambda frames: frames[:, 1:]},
    "torchcodec's pictures differ from PyAV's by more than 1 grey level": {
        "change": lambda frames: frames[::-1].copy()
    },
}


@pytest.mark.parametrize("why", FAULTS)
def test_where_it_is_wrong_pyav_decodes_and_a_note_says_so(
    plain: Path, fake: type[FakeDecoder], monkeypatch: pytest.MonkeyPatch, why: str
):
    for name, value in FAULTS[why].items():
        monkeypatch.setattr(fake, name, value)
    index = index_video(plain)
    chosen = read_by("torchcodec", index, WANTED)
    assert (chosen.reader, chosen.notes) == ("pyav", (f"read by PyAV: {why}",))
    np.testing.assert_array_equal(read_frames(chosen, WANTED, 24, 32), by_pyav(index))
    if "pictures" not in why:  # found out only after it was trusted
        late = replace(index, reader="torchcodec")
        np.testing.assert_array_equal(read_frames(late, WANTED, 24, 32), by_pyav(index))


def test_files_that_it_may_read_wrongly_are_left_to_pyav(tmp_path: Path, fake: type[FakeDecoder]):
    frames = kit.numbered_frames(60)
    open_gop = {"bf": "3", "x264-params": "open-gop=1:scenecut=0"}
    plain = kit.write_video(tmp_path / "plain.mp4", frames)
    files = {
        "open GOP": kit.write_video(tmp_path / "open.mp4", frames, encoder_options=open_gop),
        "trusted with mp4 and mkv, this is ts": kit.write_video(tmp_path / "a.ts", frames),
        "turned": kit.rotate(plain, tmp_path / "turned.mp4", 180),
    }
    for why, path in files.items():
        chosen = read_by("torchcodec", index_video(path), WANTED)
        assert chosen.reader == "pyav" and why in chosen.notes[-1]
        assert sum(note.startswith("read by PyAV") for note in chosen.notes) == 1


def test_damage_that_it_conceals_is_told(plain: Path, tmp_path: Path, fake: type[FakeDecoder]):
    path = tmp_path / "x.mp4"
    path.write_bytes(plain.read_bytes())
    index = replace(index_video(path), reader="torchcodec")
    fake.instead = plain
    kit.zero_media(plain, path, 0.5, 0.9)
    assert len(read_frames(index, np.array([2, 40]), check=False)) == 2
    with pytest.raises(VideoDecodeError, match="damaged"):
        read_frames(index, np.array([2, 40]))
    with pytest.raises(VideoDecodeError, match="damaged"):
        read_by("torchcodec", index, np.array([2, 40]))


@pytest.mark.parametrize("lack", [None, ModuleType("torchcodec"), OSError("libavutil.so")])
def test_without_its_libraries_a_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, lack: object
):
    install(monkeypatch)
    if isinstance(lack, OSError):  # as its loader does in some versions
        monkeypatch.delitem(sys.modules, "torchcodec.decoders")
        monkeypatch.setattr("builtins.__import__", raising(lack))
    elif lack is None:
        monkeypatch.setitem(sys.modules, "torchcodec", None)
    else:
        monkeypatch.setattr(sys.modules["torchcodec"], "ffmpeg_major_version", None)
    with pytest.raises(ConfigError, match="apt install ffmpeg") as caught:
        load_torchcodec()
    assert "\n" not in str(caught.value)
    assert "uv sync --extra torchcodec" in str(caught.value)


def raising(error: OSError):
    real = __import__

    def fail(name: str, *arguments, **options):
        if name.startswith("torchcodec"):
            raise error
        return real(name, *arguments, **options)

    return fail


# --- The real one ---------------------------------------------------------------------------------


@needs_torchcodec
@pytest.mark.parametrize("size", [(48, 64), (96, 160), (27, 48)])
def test_its_pictures_are_pyavs(plain: Path, size: tuple[int, int]):
    index = index_video(plain)
    chosen = read_by("torchcodec", index, WANTED)
    assert chosen.reader == "torchcodec"
    ours = read_frames(replace(index, reader="pyav"), WANTED, *size).astype(int)
    off = np.abs(read_frames(chosen, WANTED, *size) - ours).mean()
    assert off == 0 if size == (48, 64) else off < 3


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> zoo_check.Zoo:
    return zoo_check.Zoo(tmp_path_factory.mktemp("zoo"))


@needs_torchcodec
@pytest.mark.slow
@pytest.mark.parametrize("name", expected(KINDS))
def test_it_is_right_or_left_alone(zoo: zoo_check.Zoo, monkeypatch: pytest.MonkeyPatch, name: str):
    def read(index: VideoIndex, wanted: np.ndarray, *size: int | None) -> np.ndarray:
        return read_frames(read_by("torchcodec", index, np.unique(wanted)), wanted, *size)

    monkeypatch.setattr(zoo_check, "read_frames", read)
    zoo_check.check_kind(KINDS[name], zoo, effort=2)
