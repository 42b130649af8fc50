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
