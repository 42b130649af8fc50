"""`predict` of many clips and of streams, with a small backbone and a head that looks at pixels."""

import base64
import csv
import html
import json
import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import av
import numpy as np
import pytest

from collision import api
from collision.commands import _predicted, _served, _streamed, predict
from collision.commands._clips import Clip
from collision.console import talking
from collision.errors import CollisionError, ConfigError
from collision.features.digest import VideoDigests
from collision.features.fingerprint import fingerprint
from collision.features.source import FeatureSource
from collision.features.store import FeatureStore
from collision.heatmap import look as heatmap
from collision.heatmap.maps import HeatMap
from collision.metrics.alarms import AlarmWatch
from collision.metrics.threshold import OperatingPoint
from collision.sampling.policy import SamplingPolicy
from collision.streaming import Moment
from collision.video.frames import read_frames
from collision.video.index import index_video
from collision.video.live import Frames
from tests.conftest import ROOT, environment
from tests.kit.backbone import TinyBackbone
from tests.kit.experiments import compose
from tests.kit.video import numbered_frames, read_number, write_video


class Bright:
    """A predictor whose probability is high where the moment's time is in an odd second."""

    threshold = SimpleNamespace(threshold=0.5)
    known, origin = None, SimpleNamespace(is_painted=True)
    policy = SamplingPolicy()
    learned = ()  # digests of videos that it has learned from
    knows_whole = False

    def seen(self, groups, digests, whole_digests=()):
        known = {*digests, *whole_digests} & {*self.learned}
        return {"train": len(known), "val": 0}

    def probabilities(self, data, device):
        return np.array(
            [0.3 + 0.6 * (int(e.end_time) % 2) - e.end_time / 50 for e in data.examples]
        )


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Clips in two folders, one of them broken, and ``predict`` with a model of its own."""
    clip = write_video(tmp_path / "x.mp4", numbered_frames(81, 48, 64), fps=20)
    for name in ("cam1/a", "cam2/a", "cam2/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(clip, tmp_path / f"{name}.mp4")
    (tmp_path / "cam2" / "bad.mp4").write_bytes(b"no video")
    backbone = TinyBackbone()
    digests = VideoDigests(tmp_path / "cache" / "videos.json")
    store = FeatureStore(tmp_path / "cache", fingerprint(backbone))
    source = FeatureSource(store, digests, None, _backbone=backbone)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    model = api.Model(tmp_path / "model.safetensors", [Bright()], source)
    monkeypatch.setattr(api, "load", lambda *_, **__: model)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        paths = [one for one in arguments if "=" not in one]
        given = [one for one in arguments if "=" in one]
        quick = ("checkpoint=model.safetensors", "extraction.num_workers=0", "output=out")
        return predict.run(compose("predict", *quick, *given), paths)

    return SimpleNamespace(run=run, model=model, root=tmp_path, out=tmp_path / "out")


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def refuse(*_, **__):
    raise AssertionError("it was computed again")


def test_folders_are_kept_apart_and_one_broken_clip_ends_nothing(shop, capsys):
    with pytest.raises(CollisionError, match=r"1 of 4 clip\(s\) gave no prediction"):
        shop.run("cam1", "cam2")
    said = capsys.readouterr().out
    assert said.index("cam1/a") < said.index("cam2/a") < said.index("cam2/b")
    for name in ("cam1/a", "cam2/a", "cam2/b"):
        assert {p.suffix for p in (shop.out / name).parent.glob(f"{name[-1]}.*")} == {
            ".csv",
            ".png",
        }
    rows = {row["name"]: row for row in table(shop.out / "summary.csv")}
    assert set(rows) == {"cam1/a", "cam2/a", "cam2/b", "cam2/bad"}
    one = rows["cam1/a"]
    # 1 to 2 s and 3 to 4 s are high; both begin within 5 s, so they are one alarm.
    assert (one["alarms"], one["first_alarm"], one["peak"]) == ("1", "1.000", "1.000")
    assert float(one["peak_probability"]) == pytest.approx(0.88)
    assert float(one["alarm_seconds"]) == pytest.approx(2.75)
    assert rows["cam2/bad"]["failure"].startswith("Cannot read") and not rows["cam2/bad"]["peak"]
    alarms = table(shop.out / "alarms.csv")
    assert [(a["name"], a["start"], a["peak"], a["end"]) for a in alarms] == [
        (name, "1.000", "1.000", "3.750") for name in ("cam1/a", "cam2/a", "cam2/b")
    ]
    page = (shop.out / "predictions.html").read_text()
    assert page.count("<article") == 4 and "1 clip failed" in page
    assert 'src="../cam1/a.mp4"' in page  # it is played where it lies


def test_clips_that_the_predictor_has_learned_from_are_marked_and_counted(shop, capsys):
    other = write_video(shop.root / "other.mp4", numbered_frames(60, 48, 64), fps=20)
    digest = shop.model.source.digests.content
    clip = shop.root / "cam1" / "a.mp4"
    shop.model.predictors[0].learned = (digest(clip),)
    shop.run("cam1/a.mp4", "cam2/a.mp4", "other.mp4")
    lines = capsys.readouterr().out.splitlines()
    marked = [before for before, line in zip(lines, lines[1:], strict=False) if "  known" in line]
    assert [line.partition(":")[0] for line in marked] == ["cam1/a.mp4", "cam2/a.mp4"]
    told = [line for line in lines if "The predictor knows" in line]
    assert len(told) == 1 and "knows 2 of the 3 clips from its own training" in told[0]
    page = (shop.out / "predictions.html").read_text()
    before_cards, _, cards = page.partition("<article")
    assert "knows 2 of the 3 clips" in before_cards
    assert cards.count("<b>known from the training</b>") == 2
    shop.model.predictors[0].learned = (shop.model.source.digests.whole(other),)
    shop.model.predictors[0].knows_whole = True  # as one of earlier versions does
    shop.run("other.mp4", "output=alone")
    assert "knows this very video from its own training (train)" in capsys.readouterr().out


def test_where_nothing_was_predicted_the_threshold_is_not_to_blame(shop, capsys):
    with pytest.raises(CollisionError, match="Cannot read"):
        shop.run("cam2/bad.mp4")
    assert "Alarms: not known, for no clip was predicted." in capsys.readouterr().out


def test_what_holds_of_all_clips_is_told_once_and_alarms_are_counted(shop, capsys):
    far = SimpleNamespace(distances=lambda data: {"a": 2.0, "b": 3.0}, share_beyond=lambda _: 0)
    shop.model.predictors[0].known = far
    shop.run("cam1/a.mp4", "cam2/b.mp4")
    said = capsys.readouterr().out
    assert said.count("(limit 1): unlike them") == 2 and "This video is unlike" not in said
    page = (shop.out / "predictions.html").read_text()
    assert page.count("<b>unlike the training&#x27;s videos</b>") == 2
    assert said.count("warning: 2 of 2 clips are unlike the videos") == 1
    assert said.count("painted scenes alone") == 1
    assert "Alarms: 2 in 0.1 minutes of video (889 an hour), in 2 of 2 clips" in said
    assert "2 clips with 2 alarms (889 an hour)" in page
    shop.run("cam1/a.mp4", "output=one")
    said = capsys.readouterr().out
    assert "warning: This video is unlike those" in said and "in 1 of 1 clips" in said
    page = (shop.root / "one" / "predictions.html").read_text()
    before_cards = page.partition("<article")[0]
    assert "painted scenes alone" in before_cards and "This video is unlike" in before_cards


def test_brief_alarms_get_a_hint_and_quiet_says_how_many_clips_alarm(shop, capsys):
    with talking("quiet"):
        shop.run("cam1", "cam2/b.mp4", "every=1", "alarms.refractory=0", "formats=[csv]")
    said = capsys.readouterr().out
    assert "Alarms: 4 in 0.1 minutes of video (1778 an hour), in 2 of 2 clips" in said
    assert "4 of 4 alarms last no longer than a moment: alarms.min_length=SECONDS" in said
    assert "highest" not in said


def told_by_the_page(shop, clip):
    """Give what `serve` tells of a clip."""
    output = shop.root / "served" / "out"
    given = "checkpoint=model.safetensors", "extraction.num_workers=0", f"output={output}"
    work = predict.Work(compose("predict", *given, "clips=small"), shop.model, {})
    output.mkdir(parents=True)
    task = {"name": "a.mp4", "path": clip, "run_name": "run"}
    return _served._Told(work, work.outcome(Clip(clip, "clip")), task, output).all()


def test_what_its_training_run_was_warned_of_is_told_once(shop, capsys):
    shop.model.predictors[0].threshold = OperatingPoint(0.5, 0.6, 0.9, 0.25, 0.7)
    found = {"name": "no_better_than_chance", "message": "Nothing shows that it is better."}
    (shop.root / "metrics.json").write_text(json.dumps({"warnings": [found]}))
    (shop.root / "config.yaml").write_text("threshold: {false_alarm_rate: 0.1}\n")
    shop.run("cam1/a.mp4", "cam2/b.mp4")
    said = capsys.readouterr().out
    page = (shop.out / "predictions.html").read_text()
    before_cards = html.unescape(page.partition("<article")[0])
    for text in (
        "Of the predictor's own test: Nothing shows that it is better.",
        "none has a false-alarm rate of 0.1 or less on validation, and this one has 0.250 there",
        "How far videos are from those of the training is not known",
    ):
        assert said.count(text) == 1 and before_cards.count(text) == 1, text
    assert "in 2 of 2 clips, at a threshold that is a fallback" in said
    assert "threshold (a fallback)" in before_cards
    served = told_by_the_page(shop, "cam1/a.mp4")
    assert served["marks"] == ["the threshold is a fallback"]
    assert sum("own test: Nothing shows" in text for text in served["warnings"]) == 1
    shop.model.predictors[0].known = SimpleNamespace(distances=lambda data: {})
    (shop.root / "metrics.json").unlink()
    (shop.root / "config.yaml").unlink()
    shop.run("cam1/a.mp4", "output=sound")
    said = capsys.readouterr().out + (shop.root / "sound" / "predictions.html").read_text()
    assert "own test" not in said and "fallback" not in said and "How far videos" not in said


def test_lines_name_clips_of_one_name_by_their_paths(shop, capsys):
    shop.run("cam1", "cam2/a.mp4")
    lines = capsys.readouterr().out.splitlines()
    for path in ("cam1/a.mp4", "cam2/a.mp4"):
        assert sum(line.startswith(f"{path}: highest 0.88 at 1.00 s") for line in lines) == 1


def test_finished_clips_are_not_computed_again(shop, monkeypatch, capsys):
    shop.run("cam1", "cam2/b.mp4")
    before = {p: p.stat().st_mtime_ns for p in shop.out.rglob("*.png")}
    with monkeypatch.context() as patch:
        patch.setattr(api, "predict", refuse)
        patch.setattr(predict.Prediction, "plot", refuse)
        shop.run("cam1", "cam2/b.mp4")
        assert capsys.readouterr().out.count("(finished before)") == 2
        assert before == {p: p.stat().st_mtime_ns for p in shop.out.rglob("*.png")}
        with pytest.raises(CollisionError, match="computed again"):  # another rate of moments
            shop.run("cam1", "every=0.5")
        (shop.root / "model.safetensors").write_bytes(b"other weights")
        with pytest.raises(CollisionError, match="computed again"):
            shop.run("cam1")
        (shop.root / "model.safetensors").write_bytes(b"weights")
        write_video(shop.root / "cam1" / "a.mp4", numbered_frames(50, 48, 64), fps=20)
        with pytest.raises(CollisionError, match="computed again"):  # another file of that name
            shop.run("cam1")
    shop.run("cam1")
    assert float(table(shop.out / "summary.csv")[0]["duration"]) == pytest.approx(2.5)
    assert sorted(p.name for p in shop.out.rglob("*.csv"))[:2] == ["a.csv", "alarms.csv"]


def test_a_lost_file_is_made_again_and_another_rule_draws_anew(shop, monkeypatch):
    shop.run("cam1")
    png, curve = shop.out / "cam1" / "a.png", shop.out / "cam1" / "a.csv"
    first = png.read_bytes()
    curve.unlink()
    monkeypatch.setattr(api, "predict", refuse)
    shop.run("cam1", "alarms.refractory=0.5")
    assert curve.exists() and len(table(shop.out / "alarms.csv")) == 2
    shop.run("cam1", "event_time=3.5")
    assert png.read_bytes() != first
    assert table(shop.out / "summary.csv")[0]["warned_before"] == "2.500"
    record = next((shop.out / _predicted.FOLDER).glob("*.json"))
    record.write_text(record.read_text().replace('"cam1/a"', '"../../escape"'))
    with pytest.raises(CollisionError, match="computed again"):  # a record that leaves the folder
        shop.run("cam1")


def test_what_somebody_else_left_there_is_not_overwritten(shop):
    (shop.out / "cam1").mkdir(parents=True)
    (shop.out / "cam1" / "a.csv").write_text("mine")
    shop.run("cam1")
    assert (shop.out / "cam1" / "a.csv").read_text() == "mine"
    assert (shop.out / "cam1" / "a-2.csv").exists()
    shop.run("cam1")
    assert not (shop.out / "cam1" / "a-3.csv").exists()


def test_all_formats_hold_the_same_curve(shop):
    parquet = pytest.importorskip("pyarrow.parquet")
    shop.run("cam1", "formats=[csv,jsonl,parquet]")
    rows = table(shop.out / "cam1" / "a.csv")
    lines = [json.loads(line) for line in (shop.out / "cam1" / "a.jsonl").open()]
    kept = parquet.read_table(shop.out / "cam1" / "a.parquet").to_pylist()
    assert lines == kept and len(lines) == len(rows) == 17
    for row, line in zip(rows, lines, strict=True):
        assert row == {
            "time": f"{line['time']:.3f}",
            "probability": "" if line["probability"] is None else f"{line['probability']:.6f}",
            "window": line["window"] or "",
        }
    assert {line["window"] for line in lines} == {None, "whole"}
    assert not list(shop.out.rglob("*.png"))


def test_without_pyarrow_there_is_a_sentence_before_any_work(shop, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match="uv sync --extra parquet"):
        shop.run("cam1", "formats=[parquet]")
    assert not shop.out.exists()


def test_event_times_of_many_clips(shop, capsys):
    (shop.root / "events.csv").write_text("video,event_time\ncam1/a.mp4,1.5\nb,3\n")
    shop.run("cam1", "cam2/a.mp4", "cam2/b.mp4", "events=events.csv")
    assert "event times of 2 of 3 clips" in capsys.readouterr().out
    rows = table(shop.out / "summary.csv")
    assert [row["event_time"] for row in rows] == ["1.500", "", "3.000"]
    assert [row["warned_before"] for row in rows] == ["0.500", "", "2.000"]
    with pytest.raises(ConfigError, match="give one of them"):
        compose("predict", "checkpoint=x", "event_time=1", "events=events.csv")


def test_an_overlay_and_a_small_copy_for_the_page(shop):
    shop.run("cam1", "overlay=true", "clips=small")
    for kind in ("overlay", "small"):
        index = index_video(shop.out / "cam1" / f"a.{kind}.mp4")
        np.testing.assert_allclose(index.frame_times, np.arange(81) / 20, atol=1e-4)
    with av.open(str(shop.out / "cam1" / "a.small.mp4")) as container:
        numbers = [read_number(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    assert numbers == list(range(81))
    page = (shop.out / "predictions.html").read_text()
    assert 'src="cam1/a.small.mp4"' in page and 'href="cam1/a.overlay.mp4"' in page


def test_a_heat_map_is_drawn_once_in_overlay_and_page(shop, monkeypatch, capsys):
    """Where the model looks at the left half alone, only that is coloured."""
    times = np.arange(0.5, 4.01, 0.25)
    falls = np.zeros((len(times), 2, 4), np.float32)
    falls[:, :, :2] = 3.0
    asked = []

    def looked(predictor, source, prediction, moments, extraction, options, on_share):
        asked.append((prediction.path.name, options.cells))
        on_share(0.5)
        return HeatMap(times, falls)

    monkeypatch.setattr(heatmap, "look", looked)
    shop.run("cam1", "overlay=true")
    plain = shop.out / "cam1" / "a.overlay.mp4"
    before = index_video(plain), read_frames(index_video(plain), np.array([40]))[0].astype(int)
    shop.run("cam1", "overlay=true", "heatmap=true", "heat.cells=4")
    after = read_frames(index_video(plain), np.array([40]))[0].astype(int)
    change = np.abs(after - before[1]).sum(axis=2)[15:35]  # between words and curve
    assert change[:, :24].mean() > 60 and change[:, 40:].mean() < 12
    page = (shop.out / "predictions.html").read_text()
    jpeg = base64.b64encode((shop.out / "cam1" / "a.heat.jpg").read_bytes()).decode()
    assert jpeg in page and 'alt="where the model looked at 1.00 s' in page
    shop.run("cam1", "overlay=true", "heatmap=true", "heat.cells=4")
    assert asked == [("a.mp4", 4)] and "(finished before)" in capsys.readouterr().out
    shop.run("cam1", "overlay=true", "heatmap=true")
    assert asked[1:] == [("a.mp4", 8)]
    shop.run("cam1", "overlay=true")
    again = read_frames(index_video(plain), np.array([40]))[0].astype(int)
    assert np.abs(again - before[1]).max() <= 2
    assert "where the model looked" not in (shop.out / "predictions.html").read_text()


def test_what_a_browser_does_not_play_is_coded_anew(shop):
    write_video(shop.root / "m.mp4", numbered_frames(40, 48, 64), codec="mpeg4")
    shop.run("m.mp4", "cam1/a.mp4")
    page = (shop.out / "predictions.html").read_text()
    assert 'src="m.small.mp4"' in page and 'src="../cam1/a.mp4"' in page
    shop.run("m.mp4", "clips=none")
    assert "<video" not in (shop.out / "predictions.html").read_text()


def test_an_address_is_known_again_and_its_page_needs_no_network(shop, capsys):
    handler = partial(SimpleHTTPRequestHandler, directory=str(shop.root))
    handler.log_message = lambda *_: None
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/cam1/a.mp4"
        shop.run(address)
        shop.run(address)
        server.shutdown()
    assert "(finished before)" in capsys.readouterr().out
    page = (shop.out / "predictions.html").read_text()
    assert 'src="a.small.mp4"' in page and 'src="http' not in page


def test_what_was_finished_before_an_interruption_is_in_the_tables(shop, monkeypatch):
    real = api.predict

    def stop(predictor, source, path, *rest, **more):
        if path.name == "b.mp4":
            raise KeyboardInterrupt
        return real(predictor, source, path, *rest, **more)

    monkeypatch.setattr(api, "predict", stop)
    with pytest.raises(KeyboardInterrupt):
        shop.run("cam1/a.mp4", "cam2/b.mp4")
    assert [row["name"] for row in table(shop.out / "summary.csv")] == ["a"]


def test_hostile_names(shop):
    names = ["<b>&x", "a'b\"c", "${x}", "-dash", "行车"]
    for name in names:
        shutil.copy(shop.root / "x.mp4", shop.root / f"{name}.mp4")
    shop.run(*(f"./{name}.mp4" for name in names))
    assert {row["name"] for row in table(shop.out / "summary.csv")} == set(names)
    page = (shop.out / "predictions.html").read_text()
    assert "<b>&x" not in page and "&lt;b&gt;&amp;x" in page
    assert 'src="../%3Cb%3E%26x.mp4"' in page


def test_a_stream_from_standard_input_is_scored_line_by_line(workshop, tmp_path):
    """By the command, as it is called in a pipe; the lines are those of the file."""
    clip = ROOT / "examples" / "drive.mp4"
    with av.open(str(clip)) as source, av.open(str(tmp_path / "a.ts"), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    command = [sys.executable, "-m", "collision", "predict", "-", f"checkpoint={workshop.run}"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(workshop.root),
        capture_output=True,
        timeout=600,
        input=(tmp_path / "a.ts").read_bytes(),
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    said = done.stderr.decode()
    assert "reading standard input" in said and "painted scenes alone" in said
    options = (f"checkpoint={workshop.run}", f"output={tmp_path / 'out'}", "clips=none")
    workshop.command("predict", tmp_path / "a.ts", *options)
    rows = table(tmp_path / "out" / "a.csv")
    assert [line["time"] for line in lines] == [float(row["time"]) for row in rows]
    for line, row in zip(lines, rows, strict=True):
        assert (line["window"] or "") == row["window"]
        if row["window"]:
            assert line["probability"] == pytest.approx(float(row["probability"]), abs=2e-4)
        assert line["latency"] >= 0 and line["alarm"] in (True, False)
        assert line["dropped_frames"] == line["skipped_moments"] == 0


def test_moments_that_are_past_are_skipped_and_counted_and_a_pipe_skips_none(capsys):
    """Scoring takes as long as three moments; frames come meanwhile."""

    class Video:
        def __init__(self, drop):
            self.reading, self.newest = SimpleNamespace(drop=drop), 0.0

        def wait_for(self, moment):
            self.newest = max(self.newest, moment)
            if self.newest > 6:
                return None
            times = np.arange(0, self.newest + 1e-6, 0.05)
            return Frames(times, times, [()] * len(times), int(self.newest * 2))

    def follow(drop):
        video = Video(drop)

        def score(moment, times, pictures):
            video.newest += 0.75
            return Moment(moment, 0.9 if moment >= 3 else np.nan, True)

        watch = AlarmWatch(0.5)
        options = compose("predict", "checkpoint=x")
        count = _streamed._follow(video, SimpleNamespace(score=score), watch, options)
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert count == len(lines)
        return lines

    dropping, waiting = follow(True), follow(False)
    assert [line["time"] for line in dropping] == [0.75 * n for n in range(9)]
    assert [line["skipped_moments"] for line in dropping] == [0] + [2] * 8
    assert sum(line["dropped_frames"] for line in dropping) == int(dropping[-1]["time"] * 2)
    assert [line["alarm"] for line in dropping] == [False] * 4 + [True] * 5
    assert dropping[0]["probability"] is None and dropping[0]["window"] is None
    assert [line["time"] for line in waiting] == [0.25 * n for n in range(len(waiting))]
    assert not any(line["skipped_moments"] for line in waiting)


def test_a_stream_that_cannot_be_read_and_one_with_company(workshop, tmp_path):
    output = workshop.command(
        "predict", "-", "examples/drive.mp4", f"checkpoint={workshop.run}", code=2
    )
    assert "standard input is a stream: predict it alone" in output
    os.mkfifo(tmp_path / "pipe")
    thread = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(b"x" * 9999))
    thread.start()
    output = workshop.command("predict", tmp_path / "pipe", f"checkpoint={workshop.run}", code=2)
    thread.join()
    assert "it cannot be read as it comes" in output and "0 moments were scored" in output
