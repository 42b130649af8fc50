import re
import types

from collision.features import progress
from collision.features.progress import ExtractionProgress


class Counted(dict):
    """A mapping that does not like to be walked through."""

    num_walks = 0

    def values(self):
        Counted.num_walks += 1
        return super().values()


def test_a_step_costs_the_same_for_any_number_of_videos():
    with ExtractionProgress(False) as display:
        display.start("Extracting", {"a": 2, "b": 1}, 30, "windows")
        display._left = Counted(display._left)
        seen = []
        for video in ("a", "b", "a"):
            display.advance(video, 10)
            task = display._progress.tasks[0]
            seen.append((task.fields["videos"], task.completed))
    assert seen == [(0, 10), (1, 20), (2, 30)] and not Counted.num_walks


def test_without_a_terminal_there_is_a_line_a_minute(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    with ExtractionProgress(True) as display:
        display.start("Extracting", dict.fromkeys("abcd", 1), 400, "windows")
        for second, video in ((30, "a"), (59, "b"), (100, "c")):
            now[0] = second
            display.advance(video, 100)
        for second in (101, 159, 161):
            now[0] = second
            display.slowest("decoding")
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "Extracting: 3/4 videos, 300/400 windows, 3.0 windows/s, time left: 0:00:33",
        "Extracting: 3/4 videos, 300/400 windows, 0.0 windows/s, slowest: decoding, "
        "time left: 0:00:54",
    ]


def test_what_is_not_to_be_seen_is_not(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    with ExtractionProgress(False) as display:
        display.start("Extracting", {"a": 1}, 1, "windows")
        display.advance("a", 1)
    assert not re.sub(r"\s", "", capsys.readouterr().err)
