"""A video that is written anew: the same frames at the same times, with the same sound."""

from fractions import Fraction

import av
import numpy as np
import pytest

from collision.errors import VideoDecodeError
from collision.video.frames import read_frames
from collision.video.index import index_video
from collision.video.redraw import redraw
from tests.kit.video import numbered_frames, read_numbers, write_video, zero_media
from tests.kit.zoo import Kind


def all_of(path):
    index = index_video(path)
    return index, read_frames(index, np.arange(len(index.frame_times)))


def with_sound(folder, name="a.mp4", codec="aac", start=0.0):
    """Two seconds of numbered frames with a tone that swells."""
    path = folder / name
    with av.open(str(path), "w") as container:
        video, sound = container.add_stream("libx264", rate=20), None
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.options = {"bf": "0"}
        sound = container.add_stream(codec, rate=8000, layout="mono")
        tick = Fraction(1, 20)
        for number, array in enumerate(numbered_frames(40)):
            frame = av.VideoFrame.from_ndarray(array, "rgb24")
            frame.pts, frame.time_base = number + round(start * 20), tick
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        form = "fltp" if codec == "aac" else "s16"
        for begin in range(0, 16_000, 800):
            wave = np.sin(np.arange(begin, begin + 800)[None] / 3) * (begin / 16_000)
            samples = wave.astype(np.float32) if form == "fltp" else (wave * 9999).astype(np.int16)
            piece = av.AudioFrame.from_ndarray(samples, form, "mono")
            piece.sample_rate, piece.pts, piece.time_base = 8000, begin, Fraction(1, 8000)
            container.mux(sound.encode(piece))
        container.mux(sound.encode(None))
    return path


def packets(path):
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        name = stream.codec_context.codec.canonical_name
        found = [(float(p.pts * p.time_base), bytes(p)) for p in container.demux(stream) if p.size]
        return name, found


KINDS = [
    Kind("h264", "mp4", clock="variable"),
    Kind("h264", "mkv", clock="variable"),
    Kind("h264", "ts", clock="late"),
    Kind("h264", "mp4", clock="hole"),
    Kind("h264", "mp4", clock="edit"),
    Kind("h264", "mp4", turn="1"),
    Kind("mpeg4", "avi"),
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_frame_keeps_its_number_and_its_time(tmp_path, kind):
    index, frames = all_of(kind.write(tmp_path))
    seen = []

    def draw(picture, time):
        seen.append(time)
        return picture

    redraw(index, tmp_path / "out.mp4", draw)
    again, found = all_of(tmp_path / "out.mp4")
    assert (again.height, again.width) == (index.height, index.width)
    np.testing.assert_allclose(
        again.frame_times, index.frame_times - index.frame_times[0], atol=2e-5
    )
    assert seen == index.frame_times.tolist()
    # The same pictures, the same way up: another number differs by 40 and more.
    assert np.abs(found.astype(int) - frames).mean(axis=(1, 2, 3)).max() < 8
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_sound_is_copied_as_it_is(tmp_path):
    index = index_video(with_sound(tmp_path))
    assert redraw(index, tmp_path / "out.mp4") == ""
    (kind, before), (same, after) = packets(tmp_path / "a.mp4"), packets(tmp_path / "out.mp4")
    assert kind == same == "aac"
    assert [data for _, data in after] == [data for _, data in before]
    times = [[time for time, _ in one] for one in (before, after)]
    np.testing.assert_allclose(*times, atol=1e-3)
    assert read_numbers(all_of(tmp_path / "out.mp4")[1]) == list(range(40))


def test_sound_that_begins_before_the_picture_keeps_its_lead(tmp_path):
    index = index_video(with_sound(tmp_path, start=0.5))
    assert index.frame_times[0] == pytest.approx(0.5, abs=0.05)
    redraw(index, tmp_path / "out.mp4")
    again = index_video(tmp_path / "out.mp4")
    np.testing.assert_allclose(again.frame_times, index.frame_times, atol=1e-3)


def test_sound_that_an_mp4_cannot_hold_is_coded_anew(tmp_path):
    index = index_video(with_sound(tmp_path, "a.avi", "pcm_s16le"))
    assert redraw(index, tmp_path / "out.mp4") == "its sound (pcm_s16le) is coded anew, as AAC"
    name, found = packets(tmp_path / "out.mp4")
    assert name == "aac" and found[-1][0] > 1.7


def test_what_has_no_sound_or_other_times_has_none_afterwards(tmp_path):
    plain = write_video(tmp_path / "p.mp4", numbered_frames(10))
    assert redraw(index_video(plain), tmp_path / "out.mp4") == ""
    slow = index_video(with_sound(tmp_path), frame_rate=5)
    assert "not shown at its own rate" in redraw(slow, tmp_path / "slow.mp4")
    again = index_video(tmp_path / "slow.mp4")
    np.testing.assert_allclose(again.frame_times, np.arange(40) / 5, atol=1e-4)
    with av.open(str(tmp_path / "slow.mp4")) as container:
        assert not container.streams.audio


def test_a_small_one_is_smaller_and_odd_sizes_stay(tmp_path):
    odd = write_video(tmp_path / "odd.mp4", numbered_frames(6, 49, 65))
    redraw(index_video(odd), tmp_path / "out.mp4")
    again = index_video(tmp_path / "out.mp4")
    assert (again.height, again.width) == (49, 65)
    large = write_video(tmp_path / "l.mp4", numbered_frames(6, 200, 300))
    redraw(index_video(large), tmp_path / "small.mp4", height=100)
    small, frames = all_of(tmp_path / "small.mp4")
    assert (small.height, small.width) == (100, 150) and small.pixels.startswith("yuv420p")
    assert read_numbers(frames) == list(range(6))


def test_a_damaged_video_leaves_nothing(tmp_path):
    clip = write_video(tmp_path / "a.mp4", numbered_frames(60))
    bad = zero_media(clip, tmp_path / "bad.mp4", 0.4, 0.6)
    with pytest.raises(VideoDecodeError):
        redraw(index_video(bad), tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists() and not list(tmp_path.glob(".*"))
