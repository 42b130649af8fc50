"""Examples that will have no window because it would begin before their file does.

Told before anything is decoded: by the moments alone, as times count from the first frame shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

import numpy as np

from collision.audit.inventory import CLASSES
from collision.sampling.policy import SamplingPolicy
from collision.sampling.windows import frames_within
from collision.types import BackboneSpec, Example

_FEW_FRAMES = (8, 4, 2)  # that a window may have instead: the first that keeps all is proposed


def frames_there(example: Example, policy: SamplingPolicy, spec: BackboneSpec) -> int:
    """Count the frames that the newest window of an example can have at most, in any view."""
    context = example.end_time if example.context is None else example.context
    seconds = min(example.end_time, context)
    return max(int(frames_within(np.array(seconds), view, spec)) for view in policy.views)


def too_short(
    examples: Iterable[Example],
    policy: SamplingPolicy,
    spec: BackboneSpec,
    options: Collection[str] = (),
) -> str:
    """Say how many examples will have no window, by class, and what keeps them; empty if none.

    ``options`` are those of the backbone; of those that would help, one is named.
    """
    if spec.num_frames == 1:  # no shorter window: the table of examples without frames says why
        return ""
    distinct = set(examples)
    lost = {
        example: count
        for example in distinct
        if example.end_time >= 0
        and (count := frames_there(example, policy, spec)) < spec.least_frames
    }
    if not lost:
        return ""
    wanted, gone = (Counter(e.label for e in of) for of in (distinct, lost))
    by_class = " and ".join(
        f"{gone[label]} of {wanted[label]} {name}"
        for label, name in CLASSES.items()
        if wanted[label]
    )
    num_videos = len({example.video for example in lost})
    shortest = (spec.least_frames - 1) / spec.fps
    said = (
        f"Too short: {by_class} examples (of {num_videos} videos) will have no window: it takes "
        f"{spec.least_frames} frames at {spec.fps:g} a second, {shortest:g} s, up to the cut."
    )
    return f"{said} {_way_out(list(lost.values()), spec, options)}"


def _way_out(counts: list[int], spec: BackboneSpec, options: Collection[str]) -> str:
    fewer = [n for n in _FEW_FRAMES if n < spec.least_frames and any(c >= n for c in counts)]
    if "min_frames" in options and fewer:
        kept = {n: sum(count >= n for count in counts) for n in fewer}
        best = next((n for n in fewer if kept[n] == len(counts)), fewer[-1])
        return f"backbone.min_frames={best} would keep {kept[best]} of the {len(counts)}."
    known = [name for name in ("num_frames", "fps") if name in options]
    if known:
        change = {"num_frames": "fewer backbone.num_frames", "fps": "a higher backbone.fps"}
        return f"To keep more: {' or '.join(change[name] for name in known)}."
    return "A backbone of single frames, such as efficientnet_lite0, keeps them."
