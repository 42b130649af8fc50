from dataclasses import replace

import pytest

from collision.audit.short import too_short
from collision.sampling.policy import SamplingPolicy
from collision.types import UNLABELLED, BackboneSpec, Example

CLIP = BackboneSpec("c", "test 1", 16, 10.0, 8, 8, (0.5,) * 3, (0.5,) * 3, 15, 4)
OPTIONS = ("num_frames", "min_frames", "fps")


def cuts(*end_times, label=1):
    return [Example(f"{label}-{n}", time, label, 0.5) for n, time in enumerate(end_times)]


def test_examples_without_a_window_are_counted_by_class_with_what_keeps_them():
    examples = cuts(0.2, 0.3, 1.49, 1.5, 9.0) + cuts(0.7, 1.5, label=0)
    examples += cuts(0.7, label=0)  # of another fold
    assert too_short(examples, SamplingPolicy(), CLIP, OPTIONS) == (
        "Too short: 3 of 5 positive and 1 of 2 negative examples (of 4 videos) will have no "
        "window: it takes 16 frames at 10 a second, 1.5 s, up to the cut. "
        "backbone.min_frames=2 would keep 4 of the 4."
    )
    cut = replace(CLIP, min_frames=4)
    assert "1 of 5 positive and 0 of 2" in too_short(examples, SamplingPolicy(), cut, OPTIONS)


def test_nothing_is_said_where_nothing_is_lost():
    frame = replace(CLIP, num_frames=1)
    assert too_short(cuts(0.0, 0.1), SamplingPolicy(), frame) == ""
    assert too_short(cuts(1.5), SamplingPolicy(), CLIP) == ""
    # Before the start of the file, or of one that cannot be read: counted elsewhere.
    assert too_short(cuts(-1.0), SamplingPolicy(), CLIP) == ""


def test_a_view_and_a_short_context_count():
    """The shortest view keeps an example; a near cut may look no farther back than its far one."""
    said = too_short(cuts(1.5), SamplingPolicy(strides=(2.0,)), CLIP)
    assert "1 of 1 positive" in said
    assert too_short(cuts(1.5), SamplingPolicy(strides=(1.0, 2.0)), CLIP) == ""
    near = [replace(example, context=1.0) for example in cuts(9.0)]
    assert "1 of 1 positive" in too_short(near, SamplingPolicy(), CLIP)


@pytest.mark.parametrize(
    ("end_time", "options", "said"),
    [
        (0.8, OPTIONS, "backbone.min_frames=8 would keep 1 of the 1."),
        (0.4, OPTIONS, "backbone.min_frames=4 would keep 1 of the 1."),
        (0.0, OPTIONS, "To keep more: fewer backbone.num_frames or a higher backbone.fps."),
        (0.4, ("fps",), "To keep more: a higher backbone.fps."),
        (0.4, (), "A backbone of single frames, such as efficientnet_lite0, keeps them."),
    ],
)
def test_the_way_out_is_one_that_the_backbone_has(end_time, options, said):
    examples = cuts(end_time, label=UNLABELLED)
    found = too_short(examples, SamplingPolicy(), CLIP, options)
    assert found.endswith(said) and "1 of 1 unlabelled examples" in found
